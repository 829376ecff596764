"""Live streams: each shows one filter or floor to one view, and can be shared by all who follow the same."""

import asyncio
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Hashable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic, Protocol

from graphql_app.aio.single_flight import SingleFlight
from graphql_app.domain.access import View
from graphql_app.domain.change import Batch, Change, E, Head, Kind, Notice, combined, merge, tell
from graphql_app.domain.filters import WorkstationFilter
from graphql_app.domain.topics import Topic, Workstations
from graphql_app.domain.workstation import Counts, Place, Status, Workstation
from graphql_app.live.feed.mailbox import Batching, Lost, Mailbox
from graphql_app.observe import Resynced, note
from graphql_app.services.cursors import FeedCursors
from graphql_app.services.following.history import History, Start
from graphql_app.services.following.shared_parts import PartSharing

FLOOR_STATUS_SECONDS = 0.25
LARGE_PART = 100  # workstations: others wait while a part is made and sent
TOLD_AT_ONCE = 50  # workstations of a catch-up that are shown before others are let in
SHARED_SECONDS = 1.0  # what was made for one serves those who come so much later: all who come back after a restart


@dataclass(frozen=True, slots=True)
class StreamLimits:
    batching: Batching
    progress_seconds: float
    snapshot_part: int


class Stream(Protocol):
    """What a cohort follows: services/following/follow.Changes and its like."""

    key: Hashable
    view: View
    place: Place | None  # the one floor that it stays on: who follows it, is there
    values: int  # how many whoever follows it has listed

    def opened(self) -> AbstractAsyncContextManager[Any]: ...

    async def next(self) -> Any: ...

    def level(self, start: Start, *, alone: bool = False) -> AsyncGenerator[Any, None]: ...

    def after(self, event: Any) -> Start: ...


AFTER_LOSS = Start(resync="the history that was followed has ended")


async def alone(stream: Stream, start: Start) -> AsyncIterator[Any]:
    """Everything that a stream has for one subscriber that shares it with nobody."""
    while True:
        async with stream.opened():
            async with aclosing(stream.level(start, alone=True)) as events:
                async for event in events:
                    yield event
            try:
                while True:
                    yield await stream.next()
            except Lost:
                start = AFTER_LOSS


class Changes(Generic[E]):
    """The live stream of one topic. Open it, bring each subscriber level, then share what it yields."""

    def __init__(self, history: History, cursors: FeedCursors, topic: Topic[E], limits: StreamLimits) -> None:
        self._history = history
        self._cursors = cursors
        self._limits = limits
        self.topic = topic
        self.view = topic.view
        self.place = topic.place
        self.values = topic.values
        self.key: Hashable = ("changes", topic)
        self._matches = topic.interest().matches
        self._mailbox: Mailbox | None = None
        self._snapshots: PartSharing[str | None, Batch[E]] = PartSharing(SHARED_SECONDS)
        self._catch_ups: SingleFlight[tuple[int, int], Batch[E] | None] = SingleFlight(SHARED_SECONDS)
        self._revision = 0
        self._busy = False
        self._is_silent = False  # as all who are level were told
        self._moved = asyncio.Event()
        self._progress_at = 0.0

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["Changes[E]"]:
        """While it is open, nothing that the topic shows passes it by."""
        hub, watchdog, limits = self._history.hub, self._history.watchdog, self._limits
        head = await self._history.reached(0)
        self._revision = head.revision
        self._progress_at = asyncio.get_running_loop().time() + limits.progress_seconds
        self._mailbox = Mailbox(limits.batching, self.topic.notices)
        self._is_silent = watchdog.is_on
        # What was shared so far is of another history, if this is opened anew.
        self._snapshots, self._catch_ups = PartSharing(SHARED_SECONDS), SingleFlight(SHARED_SECONDS)
        hub.open(self.topic.interest(), self._mailbox)
        try:
            with watchdog.watching(self._mailbox.nudge):
                yield self
        finally:
            hub.close(self._mailbox)

    @property
    def revision(self) -> int:
        """All up to here has been yielded, or does not concern this stream."""
        assert self._mailbox is not None
        if self._mailbox.is_empty and not self._busy:
            self._revision = self._history.head.revision
        return self._revision

    def cursor(self, batch: Batch[E]) -> str:
        head = Head(self._history.head.epoch, batch.revision)
        return self._cursors.encode(head, self.topic, self.view, complete=batch.complete)

    async def start(self, after: str | None, *, snapshot: bool) -> Start:
        """What a subscriber's cursor means now. Raises UnknownCursor for one that was not made here."""
        if after is None:
            return Start(snapshot=snapshot)
        position = self._cursors.decode(after, self.topic, self.view)
        if not position.is_for_this:
            return Start(resync="the cursor belongs to another filter or view")
        return await self._history.resume(position.head)

    async def next(self) -> Batch[E]:
        """The next batch for all who are level. Raises Lost when the history ended.

        The stream counts as busy until the next call: who awaits in between has not handed out the batch yet.
        """
        assert self._mailbox is not None
        self._settle()
        while True:
            try:
                async with asyncio.timeout_at(self._progress_at):
                    has_news = await self._mailbox.ready()
            except TimeoutError:
                return self._progress()
            if self._is_silent != self._history.watchdog.is_on:
                return self._progress()
            if not has_news:
                continue
            part = self._mailbox.take()
            revision = self._history.head.revision if self._mailbox.is_empty else part.revision
            batch = tell(part.merged, self.topic, revision, part.logged_at)
            self._revision, self._busy = revision, True
            if batch.states or batch.removed:
                self._mailbox.told(len(batch.states) + len(batch.removed))
                return batch
            self._settle()

    async def level(self, start: Start, *, alone: bool = False) -> AsyncGenerator[Batch[E], None]:
        """What one subscriber is owed before it shares the stream. When this ends, it is level, at this very moment.

        `alone`: nobody else takes from the stream, so that waiting for the others to get on would be for ever.
        """
        assert self._mailbox is not None
        first, notice = True, None
        position = start.revision
        if position is None and (start.snapshot or start.resync):
            async with aclosing(self._given_in_turns(start.resync)) as parts:
                async for part in parts:
                    yield part
                    position = part.revision
            first = False
        elif position is None:
            notice = await self._history.notice(self.topic)
            position = self.revision
        while True:
            assert position is not None
            await self._history.reached(position)
            if alone:
                self._mailbox.clear()  # all of it is in what comes between here and there
            here = self.revision
            if position > here or (position == here and self._busy):
                # What it has not reached, or has reached but not handed out: nobody is to be level with that yet.
                self._moved.clear()
                await self._moved.wait()
                continue
            if position == here and not first:
                if not self._is_silent or notice is Notice.FEED_SILENT:
                    return
                notice = Notice.FEED_SILENT
                yield Batch(Kind.PROGRESS, here, notice=notice)
                continue
            batch = await self._caught_up(position, here)
            if batch is None:
                async with aclosing(self._given_in_turns("too much has changed since the cursor")) as parts:
                    async for part in parts:
                        yield part
                        position = part.revision
            else:
                position = batch.revision
                notice = notice or (Notice.FEED_SILENT if first and self._is_silent else None)
                if first or batch.states or batch.removed:
                    yield replace(batch, notice=notice) if first and notice else batch
            first = False

    def after(self, batch: Batch[E]) -> Start:
        """Where a subscriber goes on whose last batch this was."""
        return Start(revision=batch.revision)

    def _settle(self) -> None:
        self._busy = False
        self._moved.set()

    def _progress(self) -> Batch[E]:
        self._progress_at = asyncio.get_running_loop().time() + self._limits.progress_seconds
        was_silent, self._is_silent = self._is_silent, self._history.watchdog.is_on
        revision = self.revision
        # Whoever joins meanwhile must not be level beyond what this is about to say.
        self._busy = True
        notice = Notice.FEED_SILENT if self._is_silent else Notice.FEED_HEARD if was_silent else None
        return Batch(Kind.PROGRESS, revision, notice=notice)

    async def _given_in_turns(self, resync: str | None) -> AsyncGenerator[Batch[E], None]:
        """A snapshot, of which each part waits for its turn: all who take it are woken by the same part, and rendering
        it is work for each cohort."""
        async with aclosing(self._snapshot(resync)) as parts:
            async for part in parts:
                await self._history.turns.next()
                yield part

    def _snapshot(self, resync: str | None) -> AsyncGenerator[Batch[E], None]:
        """All there is, in parts. Those who ask within a moment are given one and the same: each goes on from its
        revision."""
        if resync:
            note(Resynced(resync))
        kind = Kind.RESYNC if resync else Kind.SNAPSHOT
        return self._snapshots.join(resync, lambda: self._read_snapshot(kind, resync))

    async def _read_snapshot(self, kind: Kind, reason: str | None) -> AsyncGenerator[Batch[E], None]:
        size, revision = self._limits.snapshot_part, 0  # a snapshot of at most so many comes whole
        left: list[E] = []
        async with aclosing(self._history.snapshot(self.topic)) as parts:
            async for (_, revision), shown in parts:
                # The database may be ahead: whoever lost the right to see this by then was told so before it is sent.
                await self._history.reached(revision)
                left += shown
                if len(left) > size:
                    size = min(size, LARGE_PART)
                while len(left) > size:
                    yield Batch(kind, revision, left[:size], complete=False, reason=reason)
                    del left[:size]
        notice = None if left else await self._history.notice(self.topic)
        yield Batch(kind, revision, left, reason=reason, notice=notice)

    async def _caught_up(self, position: int, here: int) -> Batch[E] | None:
        """What those are owed next who stand at the position; None when it is too much, or not kept so long."""

        return await self._catch_ups.join((position, here), partial(self._read_missed, position, here))

    async def _read_missed(self, position: int, here: int) -> Batch[E] | None:
        found = await self._history.missed(position, here, self.topic)
        if found is None:
            return None
        changes, upto = found
        turns = self._history.turns
        missed = list(merge(await turns.those(self._is_noticed, changes)).items())
        parts = await turns.all(
            tell(dict(missed[begin : begin + TOLD_AT_ONCE]), self.topic, upto)
            for begin in range(0, len(missed), TOLD_AT_ONCE)
        )
        return combined(parts) if parts else Batch(Kind.CHANGES, upto)

    def _is_noticed(self, change: Change[E]) -> bool:
        states = (state for state in (change.before, change.after) if state is not None)
        return any(map(self._matches, states)) and self.topic.notices(change.before, change.after)


class FloorStatuses:
    """The live counts of one floor: the newest at once, then when they change, at most four times a second."""

    def __init__(self, history: History, cursors: FeedCursors, place: Place, view: View, limits: StreamLimits) -> None:
        matching = WorkstationFilter(building=place.building, floor_number=place.number)
        limits = replace(limits, batching=Batching(FLOOR_STATUS_SECONDS, sys.maxsize))
        self._changes = Changes(history, cursors, Workstations(matching, view), limits)
        self._statuses: dict[int, Status] = {}
        self._shown: Counts | None = None
        self._of_place: Notice | None = None
        self._of_feed: Notice | None = None
        self.place = place
        self.values = 0
        self.view = view
        self.key: Hashable = ("floor status", place, view)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["FloorStatuses"]:
        async with self._changes.opened():
            self._statuses.clear()
            self._of_place = self._of_feed = None
            async for batch in self._changes.level(Start(), alone=True):
                self._apply(batch)
            self._shown = self._counts()
            yield self

    @property
    def notice(self) -> Notice | None:
        return self._of_feed or self._of_place

    async def next(self) -> Counts:
        """The counts, once they or the notice differ from those shown last. Raises Lost when the history ended."""
        if self._of_feed is Notice.FEED_HEARD:  # has been said
            self._of_feed = None
        while True:
            said = self._of_feed
            self._apply(await self._changes.next())
            counts = self._counts()
            if counts != self._shown or self._of_feed is not said:
                self._shown = counts
                return counts

    def after(self, _: Counts) -> Start:
        return Start()

    async def level(self, _: Start, *, alone: bool = False) -> AsyncGenerator[Counts, None]:
        """The counts as shown last: whoever joins knows at once what the others know."""
        assert self._shown is not None
        shown = None
        while shown != self._shown:  # they may have changed while the last ones were being sent
            shown = self._shown
            yield shown

    def _apply(self, batch: Batch[Workstation]) -> None:
        if batch.kind is Kind.PROGRESS:
            self._of_feed = batch.notice
        elif batch.states or batch.notice:
            self._of_place = batch.notice
        for workstation in batch.states:
            self._statuses[workstation.id] = workstation.status
        for workstation_id in batch.removed:
            self._statuses.pop(workstation_id, None)

    def _counts(self) -> Counts:
        statuses = list(self._statuses.values())
        return Counts(None, {status: statuses.count(status) for status in Status})
