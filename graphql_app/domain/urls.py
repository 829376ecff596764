"""URLs of servers: as they may be shown, and what in them must not be."""

import re
from collections.abc import Iterator
from urllib.parse import unquote, unquote_plus

NO_URL = "(not a URL)"
HIDDEN = "…"
PIECE_LEAST = 3  # characters; to hide shorter ones would hide pieces of words
ADVICE = (
    "this cannot be read for certain: write postgresql://user:password@host:port/name or redis://:password@host:port/0,"
    " and in user and password # as %23, / as %2F, ? as %3F, @ as %40, : as %3A, % as %25"
)

_HOST = r"(?: (?: [\w.%~-]+ | \[[0-9A-Fa-f:.]*\] ) (?: :\d* )? )?"  # no port of no host: that is a password
# A password that is not encoded may hold whatever ends a host: all up to the last @ is taken for it.
_SHAPE = re.compile(
    rf"""(?xs)
    (?P<scheme> [A-Za-z][A-Za-z0-9+.-]* ://)
    (?: (?P<user> [^:/?\#@]* ) (?: : (?P<password> [^?]* ) )? @ )?
    (?P<hosts> {_HOST} (?: , {_HOST} )* )
    (?P<path> / [^?\#@]* )?
    (?: \? (?P<query> [^\#@]* ) )?
    """
)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_PAIR = re.compile(r"([\w%]+) \s* = \s* (?: '((?:[^'\\]|\\.)*)' | ([^\s&]*) )", re.VERBOSE)
# What may be said in a query. Everything else is hidden: `password`, `sslpassword`, and what is taken for their names.
_HARMLESS = frozenset(
    {
        *("application_name", "connect_timeout", "db", "dbname", "database", "host", "hostaddr", "port", "user"),
        *("sslmode", "sslrootcert", "target_session_attrs"),  # of libpq
        *("health_check_interval", "max_connections", "protocol", "socket_connect_timeout", "socket_timeout"),
        *("ssl_ca_certs", "ssl_cert_reqs", "username"),  # of Redis
    }
)


def without_password(url: str) -> str:
    """The URL with HIDDEN for whatever may be secret in it. Of one that cannot be read for certain no more than the
    scheme is left."""
    shape = _SHAPE.fullmatch(url)
    if shape is None:
        beginning = _SCHEME.match(url)
        return f"{beginning[0]}{HIDDEN}" if beginning else NO_URL
    scheme, user, password, hosts, path, query = shape.groups()
    named = "" if user is None else f"{user}:{HIDDEN}@" if password else f"{user}@"
    return f"{scheme}{named}{hosts}{path or ''}{'' if query is None else f'?{_without_secrets_in_query(query)}'}"


def _without_secrets_in_query(query: str) -> str:
    """Up to the first secret: what seems to follow may be the rest of it."""
    shown: list[str] = []
    for pair in query.split("&"):
        name, _, _ = pair.partition("=")
        if name.lower() not in _HARMLESS:
            return "&".join([*shown, f"{name}={HIDDEN}" if "=" in pair else HIDDEN])
        shown.append(pair)
    return "&".join(shown)


def advice(url: str) -> str | None:
    """What to do about a URL whose parts cannot be told apart for certain; None for one where they can."""
    shape = _SHAPE.fullmatch(url)
    return ADVICE if shape is None or re.search("[/#]", shape["password"] or "") else None


def without_secrets(text: str, url: str) -> str:
    """A text that may quote the URL, such as a library's error, with HIDDEN for what is secret in it."""
    for secret in sorted(secrets_of(url), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def secrets_of(url: str) -> frozenset[str]:
    """Whatever may be the password or a piece of it, as it is written and as it is meant."""
    found = set(_candidates(url))
    found |= {piece for one in found for piece in re.split(r"[/?#@:&='\s]", one)}
    found |= {read(one) for one in found for read in (unquote, unquote_plus)}
    return frozenset(one for one in found if len(one) >= PIECE_LEAST)


def _candidates(url: str) -> Iterator[str]:
    scheme = _SCHEME.match(url)
    behind = url[scheme.end() :] if scheme else url
    before_host, at, _ = behind.rpartition("@")
    if at:
        yield before_host.partition(":")[2]
    elif _SHAPE.fullmatch(url) is None:  # `redis://:secret`, without a host
        yield behind.partition(":")[2]
    for pair in _PAIR.finditer(behind):
        name, quoted, plain = pair.groups()
        if unquote(name).lower() not in _HARMLESS:
            yield quoted or plain or ""
            yield behind[pair.end(1) + 1 :]  # what seems to follow may be the rest of it
