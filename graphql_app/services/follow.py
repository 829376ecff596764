"""Following the office: a snapshot, then every later change, from any cursor."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Collection, Hashable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from graphql_app.domain.access import Scope, View, Viewer, redact, require, require_fields
from graphql_app.domain.change import Batch, Change, Head, Kind, joined, merge, rewind, tell
from graphql_app.domain.errors import Unavailable
from graphql_app.domain.filters import WorkstationFilter, checked
from graphql_app.domain.workstation import Counts, Place, Status, Workstation
from graphql_app.live.hub import Hub
from graphql_app.live.mailbox import Lost, Mailbox
from graphql_app.observe import Resynced, note
from graphql_app.services.cursors import FeedCursors
from graphql_app.store import outbox, queries
from graphql_app.store.database import Database

CATCH_UP_SECONDS = 10.0
FLOOR_STATUS_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Limits:
    batch_window_seconds: float
    batch_changes: int
    progress_seconds: float
    snapshot_part: int
    catch_up_most: int


@dataclass(frozen=True, slots=True)
class Start:
    """Where one subscriber begins: at a revision, with a snapshot, or (given a reason) with a RESYNC."""

    revision: int | None = None
    snapshot: bool = True
    resync: str | None = None


@dataclass(frozen=True, slots=True)
class FloorSnapshot:
    """The workstations of a floor as of `cursor`, redacted."""

    cursor: str
    workstations: list[Workstation]


class Stream(Protocol):
    """What a cohort follows: services/follow.Changes and its like."""

    key: Hashable
    view: View

    def opened(self) -> AbstractAsyncContextManager[Any]: ...

    async def next(self) -> Any: ...

    def level(self, start: Start, *, alone: bool = False) -> AsyncIterator[Any]: ...

    def after(self, event: Any) -> Start: ...


AFTER_LOSS = Start(resync="the history that was followed has ended")


class Follow:
    """Opens streams for viewers. What a stream shows depends on its filter and view alone, so it can be shared."""

    def __init__(self, database: Database, hub: Hub, cursors: FeedCursors, limits: Limits) -> None:
        self.database = database
        self.hub = hub
        self.cursors = cursors
        self.limits = limits

    def changes(self, viewer: Viewer, matching: WorkstationFilter) -> "Changes":
        """A stream of the workstations that match. Raises Forbidden, InvalidInput."""
        require(viewer, Scope.READ)
        require_fields(viewer.view, "Workstation", checked(matching).guarded_fields())
        return Changes(self, matching, viewer.view, self.limits)

    def floor_status(self, viewer: Viewer, place: Place) -> "FloorStatuses":
        """A stream of the counts of one floor. Raises Forbidden."""
        require(viewer, Scope.READ)
        return FloorStatuses(self, place, viewer.view)

    async def floors(self, viewer: Viewer, places: Collection[Place]) -> Mapping[Place, FloorSnapshot]:
        """The workstations of each floor and the cursor to go on from, all as of one moment."""
        require(viewer, Scope.READ)
        async with self.database.snapshot() as connection:
            head = await outbox.head(connection)
            found = await queries.workstations_by_place(connection, places)
            waiting = await outbox.unnumbered(connection)
        snapshots = {}
        for place, rows in found.items():
            matching = WorkstationFilter(building=place.building, floor_number=place.number)
            exact = [w for w in rewind(rows, waiting) if matching.matches(w)]
            snapshots[place] = FloorSnapshot(
                self.cursors.encode(head, matching, viewer.view), [redact(viewer.view, w) for w in exact]
            )
        return snapshots

    async def start(self, viewer: Viewer, matching: WorkstationFilter, after: str | None, snapshot: bool) -> Start:
        """What a subscriber's cursor means now. Raises UnknownCursor for one that was not made here."""
        if after is None:
            return Start(snapshot=snapshot)
        position = self.cursors.decode(after, matching, viewer.view)
        if not position.is_for_this:
            return Start(resync="the cursor belongs to another filter or view")
        return await self.resume(position.head)

    async def stream(
        self, viewer: Viewer, matching: WorkstationFilter, after: str | None
    ) -> AsyncIterator[tuple[str, Batch]]:
        """Every batch with its cursor, for one follower. Raises Forbidden, InvalidInput, UnknownCursor, Unavailable."""
        changes = self.changes(viewer, matching)
        async for batch in alone(changes, await self.start(viewer, matching, after, snapshot=True)):
            yield changes.cursor(batch), batch

    async def poll(
        self, viewer: Viewer, matching: WorkstationFilter, after: str | None, wait_seconds: float
    ) -> tuple[str, Batch]:
        """What is new since the cursor, as one batch: at once when there is something, else the first that comes.

        Empty with an advanced cursor when nothing came in time. Raises what stream() raises.
        """
        changes = self.changes(viewer, matching)
        start = await self.start(viewer, matching, after, snapshot=True)
        async with changes.opened():
            batch = joined([part async for part in changes.level(start, alone=True)])
            if batch.kind is Kind.CHANGES and not (batch.workstations or batch.removed):
                try:
                    async with asyncio.timeout(wait_seconds):
                        batch = await changes.news()
                except TimeoutError:
                    batch = replace(batch, revision=changes.revision)
                except Lost:
                    batch = joined([part async for part in changes.level(AFTER_LOSS, alone=True)])
            return changes.cursor(batch), batch

    async def resume(self, head: Head) -> Start:
        async with self.database.reading() as connection:
            now = await outbox.head(connection)
            if head.epoch != now.epoch or head.revision > now.revision:
                return Start(resync="the cursor belongs to another history")
            if head.revision < await outbox.kept_from(connection):
                return Start(resync="the cursor is older than the change log")
        return Start(revision=head.revision)

    async def snapshot(self, matching: WorkstationFilter) -> tuple[Head, list[Workstation]]:
        """Rows and head as of one and the same moment, not redacted yet."""
        async with self.database.snapshot() as connection:
            head = await outbox.head(connection)
            found = await queries.matching_workstations(connection, matching)
            waiting = await outbox.unnumbered(connection)
        if waiting:
            found = [w for w in rewind(found, waiting) if matching.matches(w)]
        return head, found

    async def changes_between(self, after: int, last: int) -> list[Change] | None:
        """From memory, else from the log; None when there are too many to be worth it."""
        recent = self.hub.since(after, last)
        if recent is not None:
            return recent
        if last - after > self.limits.catch_up_most:
            return None
        async with self.database.reading() as connection:
            if after < await outbox.kept_from(connection):
                return None
            return await outbox.changes_between(connection, after, last)


async def alone(stream: Stream, start: Start) -> AsyncIterator[Any]:
    """Everything that a stream has for one subscriber that shares it with nobody."""
    while True:
        async with stream.opened():
            async for event in stream.level(start, alone=True):
                yield event
            try:
                while True:
                    yield await stream.next()
            except Lost:
                start = AFTER_LOSS


class Changes:
    """The live stream of one filter and view. Open it, bring each subscriber level, then share what it yields."""

    def __init__(self, follow: Follow, matching: WorkstationFilter, view: View, limits: Limits) -> None:
        self._follow = follow
        self._limits = limits
        self.matching = matching
        self.view = view
        self.key: Hashable = ("changes", matching, view)
        self._mailbox: Mailbox | None = None
        self._revision = 0
        self._busy = False
        self._moved = asyncio.Event()
        self._progress_at = 0.0

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["Changes"]:
        """While it is open, nothing that the filter matches passes it by."""
        hub, limits = self._follow.hub, self._limits
        head = await _in_time(hub.reached(0))
        self._revision = head.revision
        self._progress_at = asyncio.get_running_loop().time() + limits.progress_seconds
        place = self.matching.place
        self._mailbox = hub.open(place, limits.batch_window_seconds, limits.batch_changes)
        try:
            yield self
        finally:
            hub.close(place, self._mailbox)

    @property
    def revision(self) -> int:
        """All up to here has been yielded, or does not concern this stream."""
        assert self._mailbox is not None
        if self._mailbox.is_empty and not self._busy:
            self._revision = self._head.revision
        return self._revision

    def cursor(self, batch: Batch) -> str:
        head = Head(self._head.epoch, batch.revision)
        return self._follow.cursors.encode(head, self.matching, self.view, complete=batch.complete)

    async def next(self) -> Batch:
        """The next batch for all who are level. Raises Lost when the history ended.

        The stream counts as busy until the next call: who awaits in between has not handed out the batch yet.
        """
        assert self._mailbox is not None
        self._settle()
        while True:
            try:
                async with asyncio.timeout_at(self._progress_at):
                    await self._mailbox.ready()
            except TimeoutError:
                return self._progress()
            part = self._mailbox.take()
            revision = self._head.revision if self._mailbox.is_empty else part.revision
            batch = tell(part.merged, self.matching, self.view, revision, part.logged_at)
            self._revision, self._busy = revision, True
            if batch.workstations or batch.removed:
                self._mailbox.sent()
                return batch
            self._settle()

    async def level(self, start: Start, *, alone: bool = False) -> AsyncIterator[Batch]:
        """What one subscriber is owed before it shares the stream. When this ends, it is level, at this very moment.

        `alone`: nobody else takes from the stream, so that waiting for the others to get on would be for ever.
        """
        assert self._mailbox is not None
        first = True
        position = start.revision
        if position is None and (start.snapshot or start.resync):
            async for part in self._snapshot(start):
                yield part
                position = part.revision
            first = False
        elif position is None:
            position = self.revision
        while True:
            assert position is not None
            await _in_time(self._follow.hub.reached(position))
            if alone:
                self._mailbox.clear()  # all of it is in what comes between here and there
            here = self.revision
            if position > here:
                self._moved.clear()
                await self._moved.wait()
                continue
            if position == here and not first:
                return
            changes = await self._follow.changes_between(position, here)
            if changes is None:
                async for part in self._snapshot(Start(resync="too much has changed since the cursor")):
                    yield part
                    position = part.revision
            else:
                batch = tell(merge(changes), self.matching, self.view, here)
                position = here
                if first or batch.workstations or batch.removed:
                    yield batch
            first = False

    async def news(self) -> Batch:
        """The next batch that tells something. Raises Lost."""
        while True:
            batch = await self.next()
            if batch.kind is not Kind.PROGRESS:
                return batch

    def after(self, batch: Batch) -> Start:
        """Where a subscriber goes on whose last batch this was."""
        return Start(revision=batch.revision)

    @property
    def _head(self) -> Head:
        head = self._follow.hub.head
        assert head is not None
        return head

    def _settle(self) -> None:
        self._busy = False
        self._moved.set()

    def _progress(self) -> Batch:
        self._progress_at += self._limits.progress_seconds
        revision = self.revision
        # Whoever joins meanwhile must not be level beyond what this is about to say.
        self._busy = True
        return Batch(Kind.PROGRESS, revision)

    async def _snapshot(self, start: Start) -> AsyncIterator[Batch]:
        if start.resync:
            note(Resynced(start.resync))
        head, found = await self._follow.snapshot(self.matching)
        kind = Kind.RESYNC if start.resync else Kind.SNAPSHOT
        shown = [redact(self.view, workstation) for workstation in found]
        size = self._limits.snapshot_part
        for begin in range(0, max(len(shown), 1), size):
            yield Batch(
                kind,
                head.revision,
                shown[begin : begin + size],
                complete=begin + size >= len(shown),
                reason=start.resync,
            )


class FloorStatuses:
    """The live counts of one floor: the newest at once, then when they change, at most four times a second."""

    def __init__(self, follow: Follow, place: Place, view: View) -> None:
        matching = WorkstationFilter(building=place.building, floor_number=place.number)
        limits = replace(follow.limits, batch_window_seconds=FLOOR_STATUS_SECONDS, batch_changes=sys.maxsize)
        self._changes = Changes(follow, matching, view, limits)
        self._statuses: dict[int, Status] = {}
        self._shown: Counts | None = None
        self.place = place
        self.view = view
        self.key: Hashable = ("floor status", place, view)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["FloorStatuses"]:
        async with self._changes.opened():
            self._statuses.clear()
            async for batch in self._changes.level(Start(), alone=True):
                self._apply(batch)
            self._shown = self._counts()
            yield self

    async def next(self) -> Counts:
        """The counts, once they differ from those shown last. Raises Lost when the history ended."""
        while True:
            self._apply(await self._changes.next())
            counts = self._counts()
            if counts != self._shown:
                self._shown = counts
                return counts

    def after(self, _: Counts) -> Start:
        return Start()

    async def level(self, _: Start, *, alone: bool = False) -> AsyncIterator[Counts]:
        """The counts as shown last: whoever joins knows at once what the others know."""
        assert self._shown is not None
        shown = None
        while shown != self._shown:  # they may have changed while the last ones were being sent
            shown = self._shown
            yield shown

    def _apply(self, batch: Batch) -> None:
        for workstation in batch.workstations:
            self._statuses[workstation.id] = workstation.status
        for workstation_id in batch.removed:
            self._statuses.pop(workstation_id, None)

    def _counts(self) -> Counts:
        statuses = list(self._statuses.values())
        return Counts(None, {status: statuses.count(status) for status in Status})


async def _in_time(arrival: Awaitable[Head]) -> Head:
    try:
        async with asyncio.timeout(CATCH_UP_SECONDS):
            return await arrival
    except TimeoutError as error:
        raise Unavailable("The change feed is behind; try again.") from error
