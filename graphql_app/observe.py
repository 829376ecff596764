"""What can happen, as a closed set of events. note() tells one where it happens; ops/ listens and counts."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple


class OperationEnded(NamedTuple):
    """An operation was answered. A tuple, as PoolState: there are thousands a second."""

    kind: str  # query, mutation, subscription, or invalid
    seconds: float
    failed: bool


@dataclass(frozen=True, slots=True)
class Unexpected:
    """An unexpected error: masked to the client, who is given its id; logged in full."""

    id: str
    where: str
    error: BaseException


@dataclass(frozen=True, slots=True)
class Refused:
    """A request was refused: it was over a limit, or not allowed."""

    limit: str  # as the refusal names it


@dataclass(frozen=True, slots=True)
class OriginRefused:
    """A browser's page asked whose origin is not listed."""

    origin: str  # as the browser named it


@dataclass(frozen=True, slots=True)
class IsolatedFailure:
    """One of many raised where nobody asked for an answer: it was left out, and the others went on."""

    where: str
    error: BaseException


@dataclass(frozen=True, slots=True)
class LimitsLost:
    """Redis cannot be asked for the limits of other processes: each process gives out its share."""

    why: str


@dataclass(frozen=True, slots=True)
class LimitsWhole:
    pass


@dataclass(frozen=True, slots=True)
class AnswersCounted:
    """What became of cached answers since it was noted last, and how many are kept."""

    hits: int
    misses: int
    dropped: int  # a change made them untrue
    evicted: int  # too old, or no room
    kept: int
    bytes: int


@dataclass(frozen=True, slots=True)
class LoginEnded:
    result: str  # ok, wrong, or delayed: too many had failed before it


@dataclass(frozen=True, slots=True)
class RefreshEnded:
    result: str  # first, again, reused, expired, or ended


@dataclass(frozen=True, slots=True)
class SocketOpened:
    pass


@dataclass(frozen=True, slots=True)
class SocketClosed:
    code: int


@dataclass(frozen=True, slots=True)
class AnswerUnread:
    """A client over HTTP read nothing of its answer or stream for too long, and was cut."""


@dataclass(frozen=True, slots=True)
class RequestUnfinished:
    """A client over HTTP did not come to the end of its request, in time or at all, and was cut."""


@dataclass(frozen=True, slots=True)
class Subscribed:
    pass


@dataclass(frozen=True, slots=True)
class Unsubscribed:
    pass


@dataclass(frozen=True, slots=True)
class ChangesNumbered:
    count: int
    revision: int


@dataclass(frozen=True, slots=True)
class ChangesDelivered:
    """One payload went to `subscribers`; the oldest change in it was committed `oldest_seconds` ago."""

    changes: int
    subscribers: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class LeadershipChanged:
    leading: bool
    why: str


@dataclass(frozen=True, slots=True)
class EntryUnreadable:
    """An entry of a log with images that nobody can read: it is left out, and all else goes on."""

    log: str  # change_log, or audit_log with what it shares
    entity: str
    key: str
    why: str


@dataclass(frozen=True, slots=True)
class EntriesUnknown:
    """Changes in the log of an entity that this release does not know: passed over, as nobody here can ask for it."""

    entity: str
    entries: int


@dataclass(frozen=True, slots=True)
class FeedFailed:
    """`again`: as it did just before, with nothing done in between."""

    error: BaseException
    again: bool = False


@dataclass(frozen=True, slots=True)
class FeedSilent:
    """The feed was not heard for so long that subscribers are told."""


@dataclass(frozen=True, slots=True)
class FeedHeard:
    """The feed is heard again."""


@dataclass(frozen=True, slots=True)
class BroadcastConnected:
    pass


@dataclass(frozen=True, slots=True)
class BroadcastLost:
    why: str


@dataclass(frozen=True, slots=True)
class PresenceLost:
    """Redis cannot be asked who is connected to other processes."""

    why: str


@dataclass(frozen=True, slots=True)
class PresenceWhole:
    pass


@dataclass(frozen=True, slots=True)
class GapFilled:
    """The relay missed messages and read the log instead."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Resynced:
    why: str


@dataclass(frozen=True, slots=True)
class RowsPruned:
    table: str
    count: int


@dataclass(frozen=True, slots=True)
class JobFailed:
    name: str
    error: BaseException


@dataclass(frozen=True, slots=True)
class CachesCounted:
    """What the floors in memory did since it was noted last, and what they hold now."""

    hits: int
    misses: int
    loads: int
    evictions: int
    floors: int
    rows: int
    is_on: bool


@dataclass(frozen=True, slots=True)
class SharedCacheAsked:
    result: str  # hit, miss, or off


@dataclass(frozen=True, slots=True)
class SharedCacheLost:
    """Redis did not answer in time: floors are read from the database, and it is left alone for a while."""

    why: str


@dataclass(frozen=True, slots=True)
class IssuerKeysChanged:
    """The OpenID issuer publishes other keys than before; so many of them can be used."""

    keys: int


@dataclass(frozen=True, slots=True)
class IssuerLost:
    """The OpenID issuer did not answer: the keys that are known go on verifying."""

    why: str


@dataclass(frozen=True, slots=True)
class PrimaryLost:
    """The primary of the database does not answer; its other hosts are asked."""

    error: BaseException


@dataclass(frozen=True, slots=True)
class DatabaseMoved:
    """Another host of the database is the primary now: connections to the one before are ended."""

    host: str


@dataclass(frozen=True, slots=True)
class WritesRefused:
    """The database answers reads, and refuses writes."""

    why: str


@dataclass(frozen=True, slots=True)
class WritesAccepted:
    """The database takes writes again."""


class PoolState(NamedTuple):
    in_use: int
    size: int
    pool: Literal["engine", "reads"] = "engine"


News = (
    OperationEnded
    | Unexpected
    | Refused
    | OriginRefused
    | IsolatedFailure
    | LimitsLost
    | LimitsWhole
    | AnswersCounted
    | LoginEnded
    | RefreshEnded
    | SocketOpened
    | SocketClosed
    | AnswerUnread
    | RequestUnfinished
    | Subscribed
    | Unsubscribed
    | ChangesNumbered
    | ChangesDelivered
    | LeadershipChanged
    | EntryUnreadable
    | EntriesUnknown
    | FeedFailed
    | FeedSilent
    | FeedHeard
    | BroadcastConnected
    | BroadcastLost
    | PresenceLost
    | PresenceWhole
    | GapFilled
    | Resynced
    | RowsPruned
    | JobFailed
    | CachesCounted
    | SharedCacheAsked
    | SharedCacheLost
    | IssuerKeysChanged
    | IssuerLost
    | PrimaryLost
    | DatabaseMoved
    | WritesRefused
    | WritesAccepted
    | PoolState
)

_listeners: list[Callable[[News], None]] = []


def listen(listener: Callable[[News], None]) -> Callable[[], None]:
    """Calls `listener` with every event from now on. Returns what ends that."""
    _listeners.append(listener)
    return lambda: _listeners.remove(listener)


def note(news: News) -> None:
    """Tells the listeners of an event. Costs next to nothing when there are none. Never raises: counting must harm
    nothing."""
    for listener in _listeners:
        try:
            listener(news)
        except Exception:
            logging.getLogger("graphql_app").exception("could not take note of %s", type(news).__name__)
