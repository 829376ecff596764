"""Events as lines of the log."""

import logging
import re
from collections.abc import Iterable
from typing import Any, Final

from cachetools import TTLCache

from graphql_app import observe
from graphql_app.domain.admission import TOKEN_PARAMETERS
from graphql_app.domain.texts import plain, plain_lines
from graphql_app.domain.urls import secrets_of

# Whatever a library may have put into an error: what comes before the secret is kept, and says what it was.
# Each begins where nothing before it could, or is bounded: a client's long text takes time in proportion to its length.
KNOWN_LENGTH_LEAST: Final = 8  # of a secret that is hidden wherever it appears: a shorter one is a part of many words
SECRETS: Final = re.compile(
    r"""(?isx)
    () (?<![\w-]) eyJ[\w-]+ \. [\w-]+ (?: \.[\w-]* )?                  # a JWT, cut short perhaps
    | ( \b bearer [ ]+ ) [\w.~+/=-]{8,}
    | ( \b [a-z][a-z0-9+.-]{0,30} :// [^:/@\s]{0,100} : ) (?! \d{1,5} [/?#] ) [^\s]{1,200} (?=@) # the password in a URL
    | ( [?&;] (?:TOKENS) = ) [^&;\s]+
    | ( \b (?:password|secret|token) ["']? [ ]{0,3} [=:] [ ]{0,3} ["']? ) [^\s"',;&]+
    | ( -----BEGIN[ ][A-Z ]{0,20}PRIVATE[ ]KEY----- ) [\w+/=\s\\]+
    """.replace("TOKENS", "|".join(TOKEN_PARAMETERS))
)


class Redacting(logging.Formatter):
    """Formats lines and tracebacks without tokens, passwords and keys, and without the secrets that it is given.
    Whatever is not plain text is escaped."""

    def __init__(self, form: str | None = None, secrets: Iterable[str] = ()) -> None:
        super().__init__(form)
        self._secrets = sorted((one for one in secrets if len(one) >= KNOWN_LENGTH_LEAST), key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        for secret in self._secrets:
            line = line.replace(secret, "[redacted]")
        return plain_lines(SECRETS.sub(lambda match: f"{match[match.lastindex or 0]}[redacted]", line))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # as logging has it
        """Formats one line, whatever a client put into it."""
        return plain(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """Formats a traceback, indented: no line of it can be taken for one of the log."""
        return "  " + super().formatException(ei).replace("\n", "\n  ")


def configure(*urls: str | None) -> None:
    """Sends the log of this process to standard error; each worker calls it. The passwords of `urls` are hidden
    wherever they appear, however they are written."""
    secrets = {secret for url in urls if url for secret in secrets_of(url)}
    handler = logging.StreamHandler()
    handler.setFormatter(Redacting("%(asctime)s %(levelname)s %(name)s: %(message)s", secrets))
    # Libraries tell of each socket, request and migration; whatever of that matters is told here as news.
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logger.setLevel(logging.INFO)


logger = logging.getLogger("graphql_app")

ORIGINS_SAID_MOST: Final = 100  # in ORIGIN_SECONDS, each once: anybody can name any
ORIGIN_SECONDS: Final = 60.0
_origins_said: TTLCache[str, None] = TTLCache(ORIGINS_SAID_MOST, ORIGIN_SECONDS)


def log(news: observe.News) -> None:  # noqa: PLR0912, PLR0915  # one arm for each kind of news is what it is
    match news:
        case observe.OperationEnded():
            pass  # first, as there are thousands a second
        case observe.Unexpected(id, where, error):
            logger.error("incident %s at %s", id, where or "-", exc_info=error)
        case observe.OriginRefused(origin):
            _say_refused(origin)
        case observe.IsolatedFailure(where, error):
            logger.error("left out of %s, all else goes on", where, exc_info=error)
        case observe.FeedFailed(error, again):
            logger.log(
                logging.DEBUG if again else logging.WARNING,
                "the feed was interrupted and goes on: %s: %s",
                type(error).__name__,
                error,
            )
        case observe.EntryUnreadable(log, entity, key, why):
            logger.warning("an entry of %s is left out, of the %s %s: %s", log, entity, key, why)
        case observe.EntriesUnknown(entity, entries):
            logger.warning("%d entries of change_log are of an entity unknown to this release: %s", entries, entity)
        case observe.FeedSilent():
            logger.warning("the feed is not heard: this process knows of no changes, and tells those who follow so")
        case observe.FeedHeard():
            logger.info("the feed is heard again")
        case observe.PrimaryLost(error):
            logger.warning("no primary of the database is reached: %s: %s", type(error).__name__, error)
        case observe.DatabaseMoved(host):
            logger.warning("the primary of the database is %s now", host)
        case observe.WritesRefused(why):
            logger.error("the database takes no writes: %s; reads go on, and writes when it takes them again", why)
        case observe.WritesAccepted():
            logger.info("the database takes writes again")
        case observe.LeadershipChanged(leading, why):
            logger.info("this process %s the feed: %s", "leads" if leading else "no longer leads", why)
        case observe.BroadcastConnected():
            logger.info("broadcast connected")
        case observe.BroadcastLost(why):
            logger.warning("broadcast lost, reading the log instead: %s", why)
        case observe.PresenceLost(why):
            logger.warning("presence is partial: %s", why)
        case observe.PresenceWhole():
            logger.info("presence is whole")
        case observe.LimitsLost(why):
            logger.warning("limits are held by each process alone: %s", why)
        case observe.LimitsWhole():
            logger.info("limits are shared by all processes")
        case observe.SharedCacheLost(why):
            logger.warning("no floors from Redis for a while, reading the database instead: %s", why)
        case observe.RefreshEnded("reused"):
            logger.warning("a refresh token was used twice: its session has been ended")
        case observe.Resynced(why):
            logger.info("resync: %s", why)
        case observe.GapFilled(first, last):
            logger.debug("filled revisions %d to %d from the log", first, last)
        case observe.IssuerKeysChanged(keys):
            logger.info("the OpenID issuer has %d keys that can be used", keys)
        case observe.IssuerLost(why):
            logger.warning("the OpenID issuer is away, its known keys go on verifying: %s", why)
        case observe.JobFailed(name, error):
            logger.warning("could not %s, tries again: %s: %s", name, type(error).__name__, error)
        case observe.RowsPruned(table, count) if count:
            logger.debug("forgot %d old rows of %s", count, table)
        case _:
            pass


def _say_refused(origin: str) -> None:
    """A developer sees no more of it in a browser than `CORS`."""
    if origin not in _origins_said and len(_origins_said) < ORIGINS_SAID_MOST:
        _origins_said[origin] = None
        logger.warning(
            "a page of %.200s was refused: add its origin to GRAPHQL_APP_ORIGINS, a JSON list, if it is yours", origin
        )
