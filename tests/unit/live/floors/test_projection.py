"""Floors in memory are as of the hub's head, whenever they were read and whatever happened meanwhile."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from graphql_app import observe
from graphql_app.domain.access import redact
from graphql_app.domain.change import Change, Head
from graphql_app.domain.errors import Unavailable
from graphql_app.domain.workstation import Floor, Place, Workstation
from graphql_app.live.feed.hub import Hub
from graphql_app.live.feed.staleness import CURRENT_SECONDS, Staleness
from graphql_app.live.floors.cached_floor import CachedFloor
from graphql_app.live.floors.projection import LOADED_AT_ONCE_MOST, FloorProjection
from graphql_app.store.office.whole_floor import FloorState
from tests.clock import settle
from tests.examples import THEN, view, workstation

EPOCH, OTHER = UUID(int=7), UUID(int=8)
HERE, THERE, NOWHERE = Place("HQ", 1), Place("HQ", 2), Place("HQ", 99)
ADMIN, VISITOR = view("admin"), view("visitor")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Office:
    """A log, the state at each of its heads, a process that follows it, and its replica."""

    def __init__(self, *, rows_most: int = 1000, unused_seconds: float = 60, recent: int = 1000) -> None:
        self.epoch = EPOCH
        self.log: list[Change[Any]] = []
        self.floors = {place: Floor(place.number, place.building, place.number, "") for place in (HERE, THERE)}
        self.clock = Clock()
        self.hub = Hub(recent)
        self.staleness = Staleness(self.clock)
        self.hub.listen(self.staleness)
        self.reads = 0
        self.admission: Callable[[], Awaitable[None]] | None = None
        self.floor_projection = FloorProjection(
            self.read, self.hub, self.staleness, rows_most=rows_most, unused_seconds=unused_seconds, clock=self.clock
        )
        self.hub.listen(self.floor_projection)
        self.hub.restart(Head(EPOCH, 0))
        self.staleness.heard()

    def commit(self, key: int, after: Workstation | None) -> None:
        before = self.state(len(self.log)).get(key)
        if before is not None or after is not None:
            self.log.append(Change(len(self.log) + 1, "workstation", key, THEN, before, after))

    def deliver(self, upto: int | None = None) -> None:
        here, there = self.hub.head, Head(self.epoch, len(self.log) if upto is None else upto)
        assert here is not None
        self.hub.deliver(self.log[here.revision : there.revision], there)

    def state(self, revision: int) -> dict[int, Workstation]:
        rows: dict[int, Workstation] = {}
        for change in self.log[:revision]:
            rows.pop(change.key, None)
            if change.entity == "workstation" and change.after is not None:
                rows[change.key] = change.after
        return rows

    def on(self, place: Place, revision: int) -> list[Workstation]:
        return [row for _, row in sorted(self.state(revision).items()) if row.place == place]

    async def read(self, place: Place) -> FloorState | None:
        """As the database would: the state at the head of the log at some moment of the reading."""
        self.reads += 1
        head = len(self.log)
        if place not in self.floors:
            return None
        state = FloorState(Head(self.epoch, head), self.floors[place], self.on(place, head))
        if self.admission is not None:
            await self.admission()
        return state

    async def held(self, place: Place = HERE, **options: Any) -> CachedFloor | None:
        floors = await self.floor_projection.floors([place], **options)
        return None if floors is None else floors[place]

    async def shown(self, place: Place = HERE) -> list[Workstation] | None:
        held = await self.held(place)
        return None if held is None else list(held.workstations(ADMIN))


def desk(id: int, place: Place | None = HERE, **changes: Any) -> Workstation:
    return workstation(id=id, building=place and place.building, floor_number=place and place.number, **changes)


async def test_a_floor_is_read_once_and_then_follows_the_feed() -> None:
    office = Office()
    office.commit(1, desk(1))
    office.deliver()
    assert await office.shown() == [desk(1)]
    office.commit(1, desk(1, name="moved"))
    office.commit(2, desk(2))
    assert await office.shown() == [desk(1)], "as of the hub's head, not of the database's"
    office.deliver()
    assert await office.shown() == [desk(1, name="moved"), desk(2)]
    assert office.reads == 1


async def test_a_read_that_is_ahead_of_this_process_waits_for_it() -> None:
    office = Office()
    office.commit(1, desk(1))
    asking = asyncio.create_task(office.shown())
    await settle()
    assert not asking.done()
    office.deliver()
    assert await asking == [desk(1)]


async def test_what_happens_during_a_read_is_applied_to_it() -> None:
    office, admission = Office(), asyncio.Event()
    office.admission = lambda: _passed(admission)
    office.commit(1, desk(1))
    office.deliver()
    asking = [asyncio.create_task(office.shown()) for _ in range(3)]
    await settle()
    office.commit(1, desk(1, THERE))
    office.commit(2, desk(2))
    office.deliver()
    admission.set()
    assert await asyncio.gather(*asking) == [[desk(2)]] * 3
    assert office.reads == 1


async def _passed(admission: asyncio.Event) -> None:
    await admission.wait()


async def test_a_workstation_that_went_there_and_back_is_where_it_is_on_both_floors() -> None:
    """THERE is read at a moment when the workstation was on it, and HERE knows already what came after."""
    office, admission = Office(), asyncio.Event()
    office.commit(1, desk(1))
    office.deliver()
    await office.shown(HERE)
    office.commit(1, desk(1, THERE))
    office.deliver()
    office.admission = lambda: _passed(admission)
    asking = asyncio.create_task(office.shown(THERE))
    await settle()
    office.commit(1, desk(1, HERE))
    office.commit(1, desk(1, HERE, name="later"))
    office.deliver()
    admission.set()
    assert await asking == []
    assert await office.shown(HERE) == [desk(1, HERE, name="later")]
    assert office.floor_projection.workstation(1, ADMIN) == desk(1, HERE, name="later")


async def test_nothing_is_said_while_the_feed_is_silent() -> None:
    office = Office()
    office.commit(1, desk(1))
    office.deliver()
    await office.shown()
    office.clock.now += CURRENT_SECONDS
    assert await office.shown() is None
    assert office.floor_projection.workstation(1, ADMIN) is None
    assert office.floor_projection.floors_by_id([1]) == {}
    office.staleness.heard()
    assert await office.shown() == [desk(1)]


async def test_another_history_forgets_everything() -> None:
    office = Office()
    office.commit(1, desk(1))
    office.deliver()
    await office.shown()
    office.epoch, office.log = OTHER, []
    office.hub.restart(Head(OTHER, 0))
    assert await office.shown() is None, "the feed of that history was not heard yet"
    office.staleness.heard()
    assert await office.shown() == []


async def test_a_read_of_another_history_is_not_kept() -> None:
    office = Office()
    office.epoch = OTHER
    assert await office.shown() is None


async def test_a_read_too_old_for_what_is_remembered_is_not_kept() -> None:
    office, admission = Office(recent=3), asyncio.Event()
    office.admission = lambda: _passed(admission)
    asking = asyncio.create_task(office.shown())
    await settle()
    for number in range(10):
        office.commit(1, desk(1, name=str(number)))
    office.deliver()
    admission.set()
    assert await asking is None


async def test_a_floor_that_is_not_there_is_the_databases_to_tell() -> None:
    assert await Office().shown(NOWHERE) is None


async def test_a_failed_read_is_everybodys_and_the_next_tries_again() -> None:
    office = Office()

    async def fail() -> None:
        raise Unavailable("no database")

    office.admission = fail
    for answer in await asyncio.gather(office.shown(), office.shown(), return_exceptions=True):
        assert isinstance(answer, Unavailable)
    office.admission = None
    assert await office.shown() == []


async def test_a_floor_that_is_renamed_or_removed_is_read_anew() -> None:
    office = Office()
    await office.shown()
    old = office.floors[HERE]
    office.floors[HERE] = Floor(old.id, old.building, old.number, "renamed")
    office.log.append(Change(1, "floor", old.id, THEN, old, office.floors[HERE]))
    office.deliver()
    held = await office.held()
    assert held is not None
    assert (held.floor.name, office.reads) == ("renamed", 2)
    office.log.append(Change(2, "floor", old.id, THEN, office.floors.pop(HERE), None))
    office.deliver()
    assert await office.shown() is None
    assert office.floor_projection.floors_by_id([old.id]) == {}


async def test_a_floor_that_is_renamed_while_it_is_read_is_not_kept() -> None:
    office, admission = Office(), asyncio.Event()
    office.admission = lambda: _passed(admission)
    asking = asyncio.create_task(office.held())
    await settle()
    old = office.floors[HERE]
    office.floors[HERE] = Floor(old.id, old.building, old.number, "renamed")
    office.log.append(Change(1, "floor", old.id, THEN, old, office.floors[HERE]))
    office.deliver()
    admission.set()
    assert await asking is None, "the database is asked"
    held = await office.held()
    assert held is not None
    assert held.floor.name == "renamed"


async def test_a_floor_is_not_shown_when_the_feed_went_silent_while_it_was_read() -> None:
    office, admission = Office(), asyncio.Event()
    office.admission = lambda: _passed(admission)
    asking = asyncio.create_task(office.shown())
    await settle()
    office.clock.now += CURRENT_SECONDS
    admission.set()
    assert await asking is None


async def test_an_own_write_that_has_not_come_back_is_looked_up() -> None:
    office = Office()
    office.commit(1, desk(1))
    office.deliver()
    await office.shown()
    office.staleness.wrote(70, [HERE])
    assert await office.held() is None
    assert await office.held(own_writes=False) is not None, "whoever follows hears of it anyway"
    assert office.floor_projection.workstation(1, ADMIN) is None
    office.staleness.settled(71)
    assert await office.held() is not None


async def test_one_workstation_is_found_by_its_id_as_the_view_may_see_it() -> None:
    office = Office()
    office.commit(1, desk(1))
    office.commit(2, desk(2, THERE))
    office.commit(3, desk(3, None))
    office.deliver()
    await office.shown(HERE)
    found = [office.floor_projection.workstation(key, VISITOR) for key in (1, 2, 3, 4)]
    assert found == [redact(VISITOR, desk(1)), None, None, None]
    office.commit(1, None)
    office.commit(2, desk(2, HERE))
    office.deliver()
    assert [office.floor_projection.workstation(key, ADMIN) for key in (1, 2)] == [None, desk(2, HERE)]


async def test_what_was_used_least_recently_makes_room() -> None:
    office = Office(rows_most=5)
    for key in range(1, 5):
        office.commit(key, desk(key, HERE if key < 3 else THERE))
    office.deliver()
    await office.floor_projection.floors([HERE])
    await office.floor_projection.floors([THERE])
    assert office.reads == 2
    await office.floor_projection.floors([HERE])
    for key in range(5, 7):
        office.commit(key, desk(key, HERE))
    office.deliver()
    office.floor_projection.tidy()
    await office.floor_projection.floors([HERE])
    assert office.reads == 2, "HERE stayed"
    await office.floor_projection.floors([THERE])
    assert office.reads == 3
    assert [office.floor_projection.workstation(key, ADMIN) for key in (1, 3)] == [None, desk(3, THERE)]


async def test_a_floor_larger_than_all_there_is_room_for_is_not_kept() -> None:
    office = Office(rows_most=1)
    office.commit(1, desk(1))
    office.commit(2, desk(2))
    office.deliver()
    assert await office.shown() is None


async def test_a_floor_larger_than_all_there_is_room_for_drives_no_other_out() -> None:
    office = Office(rows_most=4)
    office.commit(1, desk(1))
    for key in range(2, 7):
        office.commit(key, desk(key, THERE))
    office.deliver()
    await office.shown(HERE)
    assert await office.shown(THERE) is None
    assert office.floor_projection.workstation(1, ADMIN) == desk(1)


async def test_a_floor_that_nobody_reads_is_forgotten() -> None:
    office = Office(unused_seconds=60)
    await office.shown(HERE)
    office.clock.now += 50
    office.staleness.heard()
    await office.shown(THERE)
    office.clock.now += 50
    office.staleness.heard()
    office.floor_projection.tidy()
    await office.shown(THERE)
    assert office.reads == 2
    await office.shown(HERE)
    assert office.reads == 3


async def test_more_floors_than_are_worth_reading_one_by_one_are_the_databases() -> None:
    office = Office()
    assert (
        await office.floor_projection.floors([Place("HQ", number) for number in range(LOADED_AT_ONCE_MOST + 1)]) is None
    )
    assert office.reads == 0


async def test_what_was_asked_for_by_id_is_read_in_the_background_while_there_is_room() -> None:
    office = Office()
    office.floor_projection.want([HERE])
    await settle()
    assert office.reads == 1
    office.floor_projection.want([HERE])
    await settle()
    assert office.reads == 1


async def test_it_tells_what_it_did() -> None:
    office, told = Office(), list[observe.News]()
    office.commit(1, desk(1))
    office.deliver()
    await office.shown()
    await office.shown()
    for key in (1, 2):
        office.floor_projection.workstation(key, ADMIN)
    end = observe.listen(told.append)
    office.floor_projection.tidy()
    end()
    assert told == [
        observe.CachesCounted(hits=2, misses=2, loads=1, evictions=0, floors=1, rows=2, is_on=True),
    ]


# --- any story -------------------------------------------------------------------------------------------------------

PLACES = [HERE, THERE, None]


async def story(seed: int) -> None:
    """Writers, the feed and readers in random order, with reads that take their time."""
    choice = random.Random(seed)
    office = Office(rows_most=choice.choice([4, 12, 1000]), recent=choice.choice([5, 1000]))
    gates: list[asyncio.Event] = []

    async def admission() -> None:
        gates.append(asyncio.Event())
        await gates[-1].wait()

    office.admission = admission

    async def reader(place: Place) -> None:
        began = office.hub.head
        floors = await office.floor_projection.floors([place])
        ended = office.hub.head
        assert began is not None
        assert ended is not None
        if floors is not None:
            shown = list(floors[place].workstations(VISITOR))
            assert shown == [redact(VISITOR, row) for row in office.on(place, ended.revision)]
            assert floors[place].counts().total == len(shown)

    readers = []
    for _ in range(120):
        step = choice.randrange(6)
        if step in (0, 1):
            key = choice.randint(1, 6)
            place = choice.choice(PLACES)
            office.commit(key, choice.choice([None, desk(key, place, name=str(choice.random()))]))
        elif step == 2 and office.hub.head is not None:
            office.deliver(choice.randint(office.hub.head.revision, len(office.log)))
        elif step == 3:
            readers.append(asyncio.create_task(reader(choice.choice([HERE, THERE]))))
        elif step == 4 and gates:
            gates.pop(choice.randrange(len(gates))).set()
        else:
            head = office.hub.head
            assert head is not None
            for key in range(1, 7):
                found = office.floor_projection.workstation(key, VISITOR)
                assert found is None or found == redact(VISITOR, office.state(head.revision)[key])
        await asyncio.sleep(0)
    office.deliver()
    office.admission = None
    for one in gates:
        one.set()
    await asyncio.gather(*readers)
    await reader(HERE)
    await reader(THERE)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32))
def test_in_any_order_of_writing_delivering_and_reading_memory_is_the_state_at_the_head(seed: int) -> None:
    asyncio.run(story(seed))


async def test_it_ends_what_is_under_way_when_it_ends() -> None:
    office, admission = Office(), asyncio.Event()
    office.admission = lambda: _passed(admission)
    running = asyncio.create_task(office.floor_projection.run())
    asking = asyncio.create_task(office.shown())
    await settle()
    running.cancel()
    for task in (running, asking):
        with suppress(asyncio.CancelledError):
            await task
    assert asking.cancelled()


async def test_the_floors_read_most_come_first_and_what_was_read_long_ago_counts_less() -> None:
    office = Office()
    for place, times in ((HERE, 9), (THERE, 5)):
        for _ in range(times):
            await office.shown(place)
    assert office.floor_projection.busiest(1) == [HERE]
    for _ in range(3):
        await office.shown(THERE)
    assert office.floor_projection.busiest(2) == [THERE, HERE]


async def test_warming_reads_one_by_one_while_there_is_room_and_survives_a_failure() -> None:
    office = Office()
    office.commit(1, desk(1))
    office.deliver()

    async def fail() -> None:
        raise Unavailable("no database")

    office.admission = fail
    await office.floor_projection.warm([HERE])
    office.admission = None
    await office.floor_projection.warm([HERE, NOWHERE, THERE, HERE])
    assert office.reads == 4
    assert await office.shown() == [desk(1)]
    assert office.reads == 4
