"""What one subscriber is owed before it shares a stream."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, cast
from uuid import UUID

import pytest

from graphql_app.aio.cooperative import CooperativeScheduler
from graphql_app.domain.access import View
from graphql_app.domain.change import BETWEEN_MOST, Batch, Change, Head, Kind
from graphql_app.domain.filters import WorkstationFilter
from graphql_app.domain.topics import Workstations
from graphql_app.domain.workstation import Floor, Place, Workstation
from graphql_app.live.feed.hub import Hub
from graphql_app.live.feed.mailbox import Batching
from graphql_app.live.feed.recall import Recall
from graphql_app.live.feed.staleness import Staleness
from graphql_app.live.feed.watchdog import FeedWatchdog
from graphql_app.live.floors.cached_floor import CachedFloor
from graphql_app.services.cursors import FeedCursors
from graphql_app.services.following.history import History, Start
from graphql_app.services.following.streams import Changes, StreamLimits
from tests.clock import Clock, settle
from tests.examples import change, view, workstation

EPOCH, OTHER = UUID(int=7), UUID(int=8)
EVERYTHING = WorkstationFilter()
LIMITS = StreamLimits(Batching(0, 50), progress_seconds=60, snapshot_part=100)
CURSORS = FeedCursors("a secret of thirty-two characters")


class FloorInMemory:
    """One floor, as it is when it is asked for."""

    def __init__(self, *workstations: Workstation) -> None:
        self.workstations = workstations

    async def floors(self, places: Sequence[Place], *, own_writes: bool) -> Mapping[Place, CachedFloor]:
        return {place: CachedFloor(Floor(1, place.building, place.number, ""), self.workstations) for place in places}


def history_of(hub: Hub, floor: FloorInMemory | None = None) -> History:
    """One that reads nothing from a database."""
    nowhere = cast(Any, None)
    return History(
        nowhere,
        hub,
        Recall(nowhere, hub),
        FeedWatchdog(Staleness()),
        CooperativeScheduler(),
        {},
        catch_up_most=1000,
        floor_projection=cast(Any, floor),
    )


def stream_of(history: History, sight: View, matching: WorkstationFilter = EVERYTHING) -> Changes[Workstation]:
    return Changes(history, CURSORS, Workstations(matching, sight), LIMITS)


def began() -> Hub:
    hub = Hub(1000)
    hub.restart(Head(EPOCH, 0))
    return hub


# --- coming back -----------------------------------------------------------------------------------------------------


def went_through(*states: Workstation) -> list[Change[Workstation]]:
    """The changes from each state to the next."""
    return [change(before, after, number) for number, (before, after) in enumerate(pairwise(states), 1)]


async def resumed(changes: Sequence[Change[Any]], sight: View) -> Batch[Workstation]:
    """What somebody is told who comes back after all of it; the log is in memory."""
    hub = began()
    hub.deliver(changes, Head(EPOCH, len(changes)))
    stream = stream_of(history_of(hub), sight)
    async with stream.opened(), asyncio.timeout(30):
        (batch,) = [batch async for batch in stream.level(Start(revision=0))]
    return batch


MOVES = [workstation(x_position=float(n), version=n) for n in range(1, BETWEEN_MOST + 3)]
RENAMED = workstation(name="once", x_position=99.0, version=50)
RENAMED_AGAIN = workstation(name="twice", x_position=99.0, version=51)


async def test_a_resumed_view_is_not_told_merged_of_what_it_cannot_notice() -> None:
    batch = await resumed(went_through(*MOVES, RENAMED), view("visitor"))
    assert ([state.name for state in batch.states], batch.merged) == (["once"], False)


async def test_nor_does_what_it_cannot_notice_hide_that_something_was_skipped() -> None:
    """Only so many states of each are looked at: those that it can notice."""
    batch = await resumed(went_through(*MOVES, RENAMED, RENAMED_AGAIN), view("visitor"))
    assert ([state.name for state in batch.states], batch.merged) == (["twice"], True)


async def test_of_nothing_but_what_it_cannot_notice_it_is_told_nothing() -> None:
    batch = await resumed(went_through(*MOVES), view("visitor"))
    assert (batch.states, batch.removed, batch.merged) == ((), (), False)


async def test_who_sees_the_moves_is_told_that_some_were_skipped() -> None:
    batch = await resumed(went_through(*MOVES), view("admin"))
    assert ([state.x_position for state in batch.states], batch.merged) == ([MOVES[-1].x_position], True)


# --- coming anew -----------------------------------------------------------------------------------------------------


async def shown_by(stream: Changes[Workstation]) -> list[str]:
    """The names in a snapshot."""
    async with stream.opened(), asyncio.timeout(30):
        return [state.name async for batch in stream.level(Start(), alone=True) for state in batch.states]


async def test_a_snapshot_of_another_history_is_shared_with_nobody() -> None:
    hub, floor = began(), FloorInMemory(workstation(name="old"))
    stream = stream_of(history_of(hub, floor), view("admin"), WorkstationFilter(building="HQ", floor_number=1))
    assert await shown_by(stream) == ["old"]
    hub.restart(Head(OTHER, 0))
    floor.workstations = (workstation(name="new"),)
    assert await shown_by(stream) == ["new"]


@pytest.mark.parametrize(("desks", "parts"), [(250, [250]), (500, [500]), (501, [100, 100, 100, 100, 100, 1])])
async def test_a_snapshot_that_is_not_whole_comes_in_parts_for_which_nobody_waits_long(
    desks: int, parts: list[int]
) -> None:
    floor = FloorInMemory(*(workstation(id=number, name=str(number)) for number in range(desks)))
    place = WorkstationFilter(building="HQ", floor_number=1)
    limits = replace(LIMITS, snapshot_part=500)
    stream = Changes(history_of(began(), floor), CURSORS, Workstations(place, view("admin")), limits)
    async with stream.opened(), asyncio.timeout(30):
        batches = [batch async for batch in stream.level(Start(), alone=True)]

    assert [len(batch.states) for batch in batches] == parts
    assert [batch.complete for batch in batches] == [False] * (len(parts) - 1) + [True]


async def test_a_snapshot_ahead_of_this_process_is_not_shown_before_what_led_to_it_was_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Among it may be that somebody lost the right to see it."""
    hub = began()
    history = history_of(hub)

    async def ahead(_: object) -> AsyncGenerator[tuple[Head, Sequence[Workstation]], None]:
        yield Head(EPOCH, 1), [workstation()]

    monkeypatch.setattr(history, "snapshot", ahead)
    stream, shown = stream_of(history, view("admin")), list[str]()

    async def show() -> None:
        async with stream.opened():
            async for batch in stream.level(Start(), alone=True):
                shown.extend(state.name for state in batch.states)

    showing = asyncio.create_task(show())
    await settle()
    assert shown == []
    hub.deliver([change(None, workstation())], Head(EPOCH, 1))
    await showing
    assert shown == ["A-01"]


# --- while something is handed out -----------------------------------------------------------------------------------


async def test_who_joins_while_progress_is_handed_out_is_not_level_beyond_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cursor that everybody is given next would lead back."""
    clock, hub, joined = Clock(monkeypatch), began(), list[int]()
    stream = stream_of(history_of(hub), view("visitor"))
    moves = went_through(*MOVES[:5])

    async def join() -> None:
        async for batch in stream.level(Start(revision=1)):
            joined.append(batch.revision)

    async with stream.opened():
        hub.deliver(moves[:3], Head(EPOCH, 3))
        progress = asyncio.create_task(stream.next())
        await settle()
        await clock.pass_by(LIMITS.progress_seconds)
        said = await progress
        hub.deliver(moves[3:], Head(EPOCH, 4))
        joining = asyncio.create_task(join())
        await settle()
        assert (said.kind, said.revision, joined, joining.done()) == (Kind.PROGRESS, 3, [3], False)
        going_on = asyncio.create_task(stream.next())
        await settle()
        assert joining.done()
        going_on.cancel()
