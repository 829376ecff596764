"""Floors in memory, as of the hub's head: read once, then kept true by the feed."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from graphql_app.aio.single_flight import SingleFlight
from graphql_app.domain.access import View
from graphql_app.domain.change import Change, Head, places_of
from graphql_app.domain.entity import FloorRole
from graphql_app.domain.errors import Refusal
from graphql_app.domain.workstation import FLOOR, WORKSTATION, Floor, Place, Workstation
from graphql_app.live.feed.hub import Hub
from graphql_app.live.feed.staleness import Staleness
from graphql_app.live.floors.cached_floor import CachedFloor
from graphql_app.live.floors.floor_cache import FloorCache
from graphql_app.observe import CachesCounted, note
from graphql_app.store.office.whole_floor import FloorState
from graphql_app.store.schema.entities import ENTITIES

REACH_SECONDS = 1.0  # the database may be ahead of this process by so much; a longer lag is not waited for
LOADED_AT_ONCE_MOST = 10  # of one request; more floors than that are one read of the database
COUNT_SECONDS = 1.0


@dataclass(slots=True)
class FloorReadCount:
    """Counts reads since they were noted last."""

    hits: int = 0
    misses: int = 0
    loads: int = 0
    evictions: int = 0


class FloorProjection:
    """A cache that does not forget what changed, but applies it: before anybody is told of a change, reads show it.

    A floor that nobody used for a while is dropped. While the feed is not heard nothing is answered from here, and the
    database is asked.
    """

    def __init__(
        self,
        read: Callable[[Place], Awaitable[FloorState | None]],
        hub: Hub,
        staleness: Staleness,
        *,
        rows_most: int,
        unused_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._hub = hub
        self._staleness = staleness
        self._unused_seconds = unused_seconds
        self._clock = clock
        self._floors = FloorCache(rows_most)
        self._loading: SingleFlight[Place, None] = SingleFlight()
        self._counted = FloorReadCount()

    async def run(self) -> None:
        """Tidies up and counts. Never returns; end it by cancelling."""
        try:
            while True:
                await asyncio.sleep(COUNT_SECONDS)
                self.tidy()
        finally:
            await self._loading.close()

    # --- reading -----------------------------------------------------------------------------------------------------

    async def floors(self, places: Collection[Place], *, own_writes: bool = True) -> Mapping[Place, CachedFloor] | None:
        """The floors, all as of the hub's head, loaded if need be; None when the database must be asked.

        `own_writes`: also when this process wrote there and has not heard of it yet. Raises Unavailable.
        """
        if not self._staleness.is_current or (own_writes and any(map(self._staleness.awaits, places))):
            return None
        missing = [place for place in places if place not in self._floors]
        self._counted.misses += len(missing)
        self._counted.hits += len(places) - len(missing)
        if missing:
            if len(missing) > LOADED_AT_ONCE_MOST:
                return None
            await asyncio.gather(*(self._loading.join(place, partial(self._load, place)) for place in missing))
            if not (self._staleness.is_current and all(place in self._floors for place in places)):
                return None
        now = self._clock()
        return {place: self._floors.used(place, now) for place in places}

    def workstation(self, key: int, view: View) -> Workstation | None:
        """The workstation, redacted for the view, if its floor is in memory."""
        place = self._floors.place_of(key)
        if place is None or not self._staleness.is_current or self._staleness.awaits(place):
            self._counted.misses += 1
            return None
        self._counted.hits += 1
        return self._floors.used(place, self._clock()).workstation(key, view)

    def floors_by_id(self, keys: Collection[int]) -> dict[int, Floor]:
        """Returns those of the floors that are in memory."""
        if not self._staleness.is_current:
            return {}
        found = {key: floor for key in keys if (floor := self._floors.floor(key)) is not None}
        return {key: floor for key, floor in found.items() if not self._staleness.awaits(floor.place)}

    @property
    def is_on(self) -> bool:
        return self._staleness.is_current

    def want(self, places: Collection[Place]) -> None:
        """Loads the floors in the background, as long as nothing must go to make room for them."""
        for place in places:
            if self._has_room_for(place):
                self._loading.begin(place, partial(self._load, place))

    async def warm(self, places: Collection[Place]) -> None:
        """Loads the floors one by one, so that whoever reads meanwhile hardly notices; likewise as long as there is
        room."""
        for place in places:
            if self._has_room_for(place):
                with suppress(Refusal):
                    await self._loading.join(place, partial(self._load, place))

    def busiest(self, most: int) -> list[Place]:
        """The floors that are read most, and were lately."""
        return self._floors.busiest(most)

    # --- told by the feed --------------------------------------------------------------------------------------------

    def delivered(self, changes: Sequence[Change[Any]], head: Head) -> None:
        for change in changes:
            match ENTITIES[change.entity].floor:
                case FloorRole.CONTENT:
                    self._floors.apply(change)
                case FloorRole.FLOOR:  # moved, renamed or removed: read anew when somebody asks for it
                    for place in places_of(change):
                        self._floors.drop(place)

    def restarted(self, head: Head) -> None:
        self._floors.clear()

    # --- loading and forgetting --------------------------------------------------------------------------------------

    async def _load(self, place: Place) -> None:
        self._counted.loads += 1
        state = await self._read(place)
        if state is not None and await self._is_within_reach(state.head):
            self._take_in(place, state)

    async def _is_within_reach(self, head: Head) -> bool:
        try:
            async with asyncio.timeout(REACH_SECONDS):
                await self._hub.reached(head.revision)
        except TimeoutError:
            return False
        return self._hub.remembers(head)

    def _take_in(self, place: Place, state: FloorState) -> None:
        """Brings the state to the hub's head, within one breath: from then on the feed keeps it there."""
        cached = CachedFloor(state.floor, state.workstations)
        for change in self._since(state.head, WORKSTATION, place):
            cached.apply(change)
        if self._since(state.head, FLOOR, place):
            return
        self._floors.add(cached, self._clock())
        self._counted.evictions += self._floors.make_room()

    def _since(self, head: Head, entity: str, place: Place) -> list[Change[Any]]:
        here = self._hub.head
        assert here is not None
        changes = self._hub.since(head.revision, here.revision, entity, place)
        assert changes is not None, "the hub remembers that head"
        return changes

    def _has_room_for(self, place: Place) -> bool:
        return self.is_on and place not in self._floors and self._floors.has_room

    def tidy(self) -> None:
        """Drops floors that nobody uses, and notes what was counted since the last time."""
        self._counted.evictions += self._floors.drop_unused(self._clock() - self._unused_seconds)
        self._counted.evictions += self._floors.make_room()
        counted, self._counted = self._counted, FloorReadCount()
        note(
            CachesCounted(
                hits=counted.hits,
                misses=counted.misses,
                loads=counted.loads,
                evictions=counted.evictions,
                floors=len(self._floors),
                rows=self._floors.rows,
                is_on=self._staleness.is_current,
            )
        )
