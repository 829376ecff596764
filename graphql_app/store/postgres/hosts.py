"""The hosts of a database URL: connections are made to the one that takes writes, and leave one that does not."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from enum import Enum, auto
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlencode, urlsplit
from weakref import WeakSet

import asyncpg

from graphql_app.observe import DatabaseMoved, note
from graphql_app.store.postgres.condition import WriteCondition
from graphql_app.store.postgres.driver import Connection

STAGGER_SECONDS = 0.25  # the next host is asked as well when the one before has not answered for so long
HOST_SECONDS = 2.0
LEAVE_SECONDS = 1.0  # while no other host is to be had, connections are made anew no more often

# Connects to the one host of a URL, in so many seconds at most (None: as long as a statement may take).
Connect: TypeAlias = Callable[[str, float | None], Coroutine[Any, Any, Connection]]


class Role(Enum):
    PRIMARY = auto()
    READ_ONLY = auto()  # not a standby, and takes no writes: a primary that is being replaced
    STANDBY = auto()


def role_of(connection: Connection) -> Role:
    """Returns the role of a connection's server, from the settings that PostgreSQL reports when a session begins."""
    settings = connection.get_settings()
    if getattr(settings, "in_hot_standby", "off") == "on":
        return Role.STANDBY
    return Role.READ_ONLY if getattr(settings, "default_transaction_read_only", "off") == "on" else Role.PRIMARY


def choose_host(roles: Mapping[str, Role], home: str | None) -> str | None:
    """Returns the host to use of those that answered, or None; `home` is the host that was used last.

    Without a primary, `home` is still read from if it answers. A standby is never read from: it may lag behind writes
    that readers were promised to see.
    """
    for host, role in roles.items():
        if role is Role.PRIMARY:
            return host
    for host, role in roles.items():
        if role is Role.READ_ONLY and home in (None, host):
            return host
    return None


def single_host_urls(url: str) -> list[str]:
    """Returns one URL for each host that the URL lists, as asyncpg reads lists; the URL itself if it lists none."""
    try:
        parts = urlsplit(url)
    except ValueError:  # asyncpg says what is wrong with it
        return [url]
    account, at, listed = parts.netloc.rpartition("@")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    hosts = (listed or query.get("host", "")).split(",")
    if len(hosts) == 1:
        return [url]
    ports = query.pop("port", "").split(",")
    query.pop("target_session_attrs", None)  # the choice is ours
    urls = []
    for number, host in enumerate(hosts):
        port = ports[number % len(ports)]
        own = query | ({"port": port} if port else {}) | ({} if listed else {"host": host})
        netloc = f"{account}{at}{host}" if listed else parts.netloc
        urls.append(parts._replace(netloc=netloc, query=urlencode(own, safe="/:[]")).geturl())
    return urls


class Hosts:
    """Shared by all who make connections in this process, so that they go to the same host, and leave it together."""

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.condition = WriteCondition(clock)
        self._urls = single_host_urls(url)
        self._home: str | None = None
        self._made: WeakSet[Connection] = WeakSet()
        self._left: list[Callable[[], None]] = []
        self._left_at: float | None = None
        self._clock = clock

    @property
    def has_choice(self) -> bool:
        return len(self._urls) > 1

    def on_leave(self, drop_idle: Callable[[], None]) -> None:
        """Calls it whenever connections that lie idle are to be made anew."""
        self._left.append(drop_idle)

    def leave(self) -> bool:
        """For when what is connected to turns out to be no primary, or to have another history than the leader's.
        Returns whether it is left: not again and again, as a connection costs more than the refusal of a write."""
        now = self._clock()
        if self._left_at is not None and now - self._left_at < LEAVE_SECONDS:
            return False
        self._left_at = now
        for drop_idle in self._left:
            drop_idle()
        return True

    async def dial(self, connect: Connect) -> Connection:
        """A connection to the primary; to the last one that answers where there is none. Raises what asyncpg raises,
        and asyncpg.TargetServerAttributeNotMatched where there are standbys alone."""
        if not self.has_choice:
            return await connect(self._urls[0], None)
        asked: dict[str, asyncio.Task[Connection]] = {}
        connection = None
        try:
            host, connection = await self._asked(connect, asked)
        finally:
            for task in asked.values():
                task.add_done_callback(lambda task: _discard(task, connection))
                task.cancel()
        self._settle(host)
        self._made.add(connection)
        return connection

    async def _asked(self, connect: Connect, asked: dict[str, "asyncio.Task[Connection]"]) -> tuple[str, Connection]:
        """Asks one host after the other, and does not wait long for any."""
        waiting = sorted(self._urls, key=lambda url: url != self._home)
        pending: set[asyncio.Task[Connection]] = set()
        while waiting or pending:
            if waiting:
                host = waiting.pop(0)
                asked[host] = asyncio.create_task(connect(host, HOST_SECONDS), name="dialling")
                pending.add(asked[host])
            patience = STAGGER_SECONDS if waiting else None
            _, pending = await asyncio.wait(pending, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            roles = {one: role_of(task.result()) for one, task in asked.items() if _has_answered(task)}
            found = choose_host(roles, self._home)
            if found is not None and (roles[found] is Role.PRIMARY or not (waiting or pending)):
                return found, asked[found].result()
        raise _why([task.exception() for task in asked.values()])

    def _settle(self, host: str) -> None:
        """Those who are still connected elsewhere would read what is not true any more, or wait for nothing."""
        if self._home not in (None, host):
            note(DatabaseMoved(urlsplit(host).netloc.rpartition("@")[2]))
            for connection in list(self._made):
                connection.terminate()
            self._made.clear()
        self._home = host


def _has_answered(task: "asyncio.Task[Connection]") -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def _discard(task: "asyncio.Task[Connection]", wanted: "Connection | None") -> None:
    if _has_answered(task) and task.result() is not wanted:
        task.result().terminate()


def _why(failures: Sequence[BaseException | None]) -> BaseException:
    """Why no host will do: the one that answered last, were it no, rather than one that did not."""
    known = [failure for failure in failures if failure is not None]
    if len(known) < len(failures):
        return asyncpg.TargetServerAttributeNotMatched("none of the hosts takes writes")
    return max(known, key=lambda failure: isinstance(failure, asyncpg.PostgresError))
