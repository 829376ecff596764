"""What happened in the office: from memory, from the log, or as a snapshot."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any

from graphql_app.aio.cooperative import CooperativeScheduler
from graphql_app.aio.next_round import NextRound
from graphql_app.aio.single_flight import SingleFlight
from graphql_app.domain.access import View, redact
from graphql_app.domain.change import Change, Head, Notice, rewind
from graphql_app.domain.errors import TooMany, Unavailable
from graphql_app.domain.filters import WorkstationFilter
from graphql_app.domain.topics import Topic, Workstations
from graphql_app.domain.workstation import WORKSTATION, Place, Workstation
from graphql_app.live.feed.hub import Hub
from graphql_app.live.feed.recall import Recall
from graphql_app.live.feed.watchdog import FeedWatchdog
from graphql_app.live.floors.projection import FloorProjection
from graphql_app.services.following.snapshots import SnapshotRows, Snapshots
from graphql_app.store import office as queries
from graphql_app.store.log import outbox
from graphql_app.store.postgres.database import Database
from graphql_app.store.postgres.retry import retry_on_contention
from graphql_app.store.schema.entities import ENTITIES

CATCH_UP_SECONDS = 10.0
PART_MOST = 500  # changes of a long catch-up that are read at once: decoding them holds up the loop


@dataclass(frozen=True, slots=True)
class Start:
    """Where one subscriber begins: at a revision, with a snapshot, or (given a reason) with a RESYNC."""

    revision: int | None = None
    snapshot: bool = True
    resync: str | None = None


class History:
    """Redacted where a view is given: for services alone."""

    def __init__(
        self,
        database: Database,
        hub: Hub,
        recall: Recall,
        watchdog: FeedWatchdog,
        turns: CooperativeScheduler,
        snapshot_rows: Mapping[str, SnapshotRows],
        *,
        catch_up_most: int,
        floor_projection: FloorProjection | None = None,
    ) -> None:
        self._database = database
        self._floor_projection = floor_projection
        self._snapshots = Snapshots(database, turns, snapshot_rows)
        self._recall = recall
        self._ends: NextRound[None, tuple[Head, int]] = NextRound()
        self._reads: SingleFlight[tuple[int, int, str, Place | None], list[Change[Any]] | None] = SingleFlight()
        self._catch_up_most = catch_up_most
        self.hub = hub
        self.turns = turns
        self.watchdog = watchdog

    @property
    def head(self) -> Head:
        """How far this process has come. Wait for reached() first."""
        head = self.hub.head
        assert head is not None
        return head

    async def reached(self, revision: int) -> Head:
        """Waits until this process has come so far. Raises Unavailable when it takes too long."""
        try:
            async with asyncio.timeout(CATCH_UP_SECONDS):
                return await self.hub.reached(revision)
        except TimeoutError as error:
            raise Unavailable("The change feed is behind; try again.") from error

    async def resume(self, head: Head) -> Start:
        """Where somebody goes on who came so far. A history in memory is not looked up."""
        if self.hub.remembers(head):
            return Start(revision=head.revision)
        now, kept_from = await self._ends.join(None, self._read_ends)
        if head.epoch != now.epoch or head.revision > now.revision:
            return Start(resync="the cursor belongs to another history")
        if head.revision < kept_from:
            return Start(resync="the cursor is older than the change log")
        return Start(revision=head.revision)

    async def _read_ends(self) -> tuple[Head, int]:
        """Where the log ends, and where it begins."""
        async with self._database.reading() as connection:
            return await outbox.head(connection), await outbox.kept_from(connection)

    async def snapshot(self, topic: Topic[Any]) -> AsyncGenerator[tuple[Head, Sequence[Any]], None]:
        """All that the topic shows, and the head, as of one and the same moment; in parts if it is much."""
        if self._floor_projection is not None and isinstance(topic, Workstations) and topic.place is not None:
            held = await self._floor_projection.floors([topic.place], own_writes=False)
            if held is not None:
                yield self.head, held[topic.place].matching(topic.matching, topic.view)
                return
        async with aclosing(self._snapshots.read(topic)) as parts:
            async for part in parts:
                yield part

    async def notice(self, topic: Topic[Any]) -> Notice | None:
        """What somebody should know of the place that they follow, if nothing is there: it may be mistyped."""
        if not isinstance(topic, Workstations):
            return None
        building, number = topic.matching.building, topic.matching.floor_number
        if building is not None and not await queries.building_exists(self._database, building):
            return Notice.NO_SUCH_BUILDING
        if number is not None and not await queries.floor_exists(self._database, building, number):
            return Notice.NO_SUCH_FLOOR
        return None

    async def floors(
        self, places: Collection[Place], view: View, *, settled: bool
    ) -> tuple[Head, Mapping[Place, Sequence[Workstation]]]:
        """The workstations of each floor, and the head, as of one and the same moment.

        `settled`: with every change that was committed before. Raises Unavailable.
        """
        held = await self._floor_projection.floors(places) if self._floor_projection and not settled else None
        if held is not None:
            return self.head, {place: floor.workstations(view) for place, floor in held.items()}
        try:
            async with asyncio.timeout(CATCH_UP_SECONDS):
                while (read := await self._read_floors(places, view))[2] and settled:  # noqa: ASYNC110  # who else knows?
                    await asyncio.sleep(0.01)
        except TimeoutError as error:
            raise Unavailable("The change feed is behind; try again.") from error
        return read[:2]

    @retry_on_contention
    async def _read_floors(
        self, places: Collection[Place], view: View
    ) -> tuple[Head, Mapping[Place, Sequence[Workstation]], bool]:
        """The third says whether a change that was committed is not within the head yet."""
        async with self._database.snapshot() as connection:
            head = await outbox.head(connection)
            found = await queries.workstations_by_place(connection, places)
            waiting = await outbox.unnumbered(connection, WORKSTATION, places)
        exact = {
            place: [redact(view, one) for one in rewind(rows, waiting) if one.place == place]
            for place, rows in found.items()
        }
        return head, exact, bool(waiting)

    async def missed(self, after: int, last: int, topic: Topic[Any]) -> tuple[list[Change[Any]], int] | None:
        """The changes of the topic's entity, and of its floor if it has one, and up to where these are all: from
        memory, which is filled from the log once for all who ask, else from the log, a part of it at once. None when it
        is not kept so long, or a snapshot is less than that."""
        entity, place = topic.entity, topic.place
        if await self._recall.reaches(after):
            found = self.hub.since(after, last, entity, place)
            return None if found is None else (found, last)
        if last - after > self._catch_up_most and place is None and not ENTITIES[entity].is_rare:
            if last - after > await self._size(topic):
                return None
            last = after + min(self._catch_up_most, PART_MOST)
        found = await self._reads.join(
            (after, last, entity, place), partial(self._read_log, after, last, entity, place)
        )
        return None if found is None else (found, last)

    async def _size(self, topic: Topic[Any]) -> int:
        """How many a snapshot would show, or how many there are of which it would be searched."""
        assert isinstance(topic, Workstations)
        try:
            return await queries.count_workstations(self._database, topic.matching)
        except TooMany:
            return await queries.count_workstations(self._database, WorkstationFilter())

    async def _read_log(self, after: int, last: int, entity: str, place: Place | None) -> list[Change[Any]] | None:
        most = self._catch_up_most + 1 if place is not None else None
        async with self._database.reading() as connection:
            found = await outbox.changes_between(connection, after, last, entity, place, most)
        return found if found is None or place is None or len(found) <= self._catch_up_most else None
