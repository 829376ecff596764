"""What one subscriber is owed before it shares a stream."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, cast
from uuid import UUID

from graphql_app.aio.cooperative import CooperativeScheduler
from graphql_app.domain.access import View
from graphql_app.domain.change import BETWEEN_MOST, Batch, Change, Head
from graphql_app.domain.filters import WorkstationFilter
from graphql_app.domain.topics import Workstations
from graphql_app.domain.workstation import Workstation
from graphql_app.live.feed.hub import Hub
from graphql_app.live.feed.mailbox import Batching
from graphql_app.live.feed.recall import Recall
from graphql_app.live.feed.staleness import Staleness
from graphql_app.live.feed.watchdog import FeedWatchdog
from graphql_app.services.cursors import FeedCursors
from graphql_app.services.following.history import History, Start
from graphql_app.services.following.streams import Changes, StreamLimits
from tests.examples import change, view, workstation

EPOCH = UUID(int=7)
LIMITS = StreamLimits(Batching(0, 50), progress_seconds=60, snapshot_part=100)
CURSORS = FeedCursors("a secret of thirty-two characters")


def went_through(*states: Workstation) -> list[Change[Workstation]]:
    """The changes from each state to the next."""
    return [change(before, after, number) for number, (before, after) in enumerate(pairwise(states), 1)]


async def resumed(changes: Sequence[Change[Any]], sight: View) -> Batch[Workstation]:
    """What somebody is told who comes back after all of it; the log is in memory."""
    hub = Hub(1000)
    hub.restart(Head(EPOCH, 0))
    hub.deliver(changes, Head(EPOCH, len(changes)))
    nowhere = cast(Any, None)  # nothing is read from the database
    history = History(
        nowhere, hub, Recall(nowhere, hub), FeedWatchdog(Staleness()), CooperativeScheduler(), {}, catch_up_most=1000
    )
    stream: Changes[Workstation] = Changes(history, CURSORS, Workstations(WorkstationFilter(), sight), LIMITS)
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
