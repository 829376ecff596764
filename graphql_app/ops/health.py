"""Health: whether this process can serve, part by part and as a whole."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from graphql_app.domain.change import Head
from graphql_app.domain.errors import Refusal
from graphql_app.live.feed.hub import Hub
from graphql_app.live.feed.staleness import Staleness
from graphql_app.store.log import outbox
from graphql_app.store.postgres.database import Database
from graphql_app.store.postgres.migrations import MigrationError, NewerDatabase, require_current
from graphql_app.store.redis.broadcast import Channel

CHECK_SECONDS = 2.0
UNLED_SECONDS_MOST = 30.0  # nothing is numbered although something waits
STILL_SECONDS_MOST = 30.0  # nothing is delivered although something is numbered
BACKLOG_SECONDS = 1.0  # what has waited longer is behind others
LAG_MOST = 5000  # revisions that this process has not delivered yet; with more it tells late, and reads the database


@dataclass(frozen=True, slots=True)
class Finding:
    """`ok` is what readiness asks for; what is degraded still serves. `figures` are for operators alone: a revision
    that moves says that something has changed, also to those from whom it is hidden."""

    ok: bool
    detail: str
    degraded: bool = False
    figures: str = ""


class Health:
    def __init__(
        self,
        database: Database,
        channel: Channel,
        hub: Hub,
        staleness: Staleness,
        loops: "Mapping[str, asyncio.Task[None]]",
    ) -> None:
        self._loops = loops
        self._database = database
        self._channel = channel
        self._hub = hub
        self._staleness = staleness
        self._came: tuple[Head, float] | None = None  # how far the feed was when asked last, and since when

    async def findings(self) -> dict[str, Finding]:
        """Checks every part, all at the same time, each within its time."""
        checks: dict[str, Callable[[], Awaitable[Finding]]] = {
            "database": self._database_answers,
            "migrations": self._migrations_are_current,
            "broadcast": self._broadcast_is_connected,
            "feed": self._feed_is_near,
            "caches": self._caches_are_true,
        }
        found = await asyncio.gather(*(_in_time(check) for check in checks.values()))
        return dict(zip(checks, found, strict=True))

    async def _database_answers(self) -> Finding:
        refused = self._database.hosts.condition.refused
        if not await self._database.takes_writes():
            refused = "it is read-only"
        if refused is not None:
            return Finding(True, f"answers, but takes no writes: {refused}", degraded=True)
        return Finding(True, "answers")

    async def _migrations_are_current(self) -> Finding:
        try:
            await require_current(self._database)
        except NewerDatabase as newer:
            return Finding(True, str(newer), degraded=True)
        return Finding(True, "current")

    async def _broadcast_is_connected(self) -> Finding:
        if self._channel.is_connected:
            return Finding(True, "connected")
        return Finding(True, "away; every process reads the log itself", degraded=True)

    async def _feed_is_near(self) -> Finding:
        ended = [name for name, task in self._loops.items() if task.done()]
        if ended:
            return Finding(False, f"ended: {', '.join(ended)}; restart this process")
        here = self._hub.head
        if here is None:
            return Finding(False, "not started")
        async with self._database.reading() as connection:
            progress = await outbox.progress(connection)
        return feed_finding(here, progress, self._staleness.unheard_seconds, self._still_seconds(here))

    def _still_seconds(self, here: Head) -> float:
        """For how long at least nothing was delivered, as far as anybody asked."""
        now = time.monotonic()
        if self._came is None or self._came[0] != here:
            self._came = here, now
        return now - self._came[1]

    async def _caches_are_true(self) -> Finding:
        silent = self._staleness.silent_seconds
        if self._staleness.is_current:
            return Finding(True, f"kept true by the feed, heard {silent:.1f} s ago")
        heard = "not heard yet" if silent is None else f"not heard for {silent:.1f} s"
        return Finding(True, f"off, every read asks the database: the feed was {heard}", degraded=True)


def feed_finding(
    here: Head, progress: outbox.Progress, unheard_seconds: float | None, still_seconds: float = 0
) -> Finding:
    """How near to the newest change a process is that has come so far, and has not come further for so long.

    One that is far behind and gets on serves truthfully: it reads the database, and tells its followers late.

    The log says when a change was made, not when it was committed and so could be numbered: that may be much later,
    where a large transaction made it. But as long as anything is numbered, all of it will be.
    """
    lag = progress.head.revision - here.revision
    figures = f"at revision {here.revision}, {max(lag, 0)} behind"
    waited = progress.waiting_seconds or 0
    unled = waited if unheard_seconds is None else min(waited, unheard_seconds)
    if unled > UNLED_SECONDS_MOST:
        return Finding(False, f"nobody has numbered a change for {unled:.0f} s", figures=figures)
    if progress.head.epoch != here.epoch or (lag > LAG_MOST and still_seconds > STILL_SECONDS_MOST):
        return Finding(False, "far behind", figures=figures)
    if lag > LAG_MOST:
        return Finding(True, "far behind, and getting on", degraded=True, figures=figures)
    if waited > BACKLOG_SECONDS:
        return Finding(True, "a large transaction is being numbered", degraded=True, figures=figures)
    return Finding(True, "near the newest change", figures=figures)


async def _in_time(check: Callable[[], Awaitable[Finding]]) -> Finding:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check()
    except TimeoutError:
        return Finding(False, f"no answer within {CHECK_SECONDS:g} s")
    except (Refusal, MigrationError) as problem:
        return Finding(False, str(problem))
    except Exception as error:  # noqa: BLE001  # whatever it is, this part is not well and the others are told of too
        return Finding(False, f"{type(error).__name__}: {error}")
