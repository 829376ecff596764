"""Who is given a change, and what is remembered of it."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from graphql_app import observe
from graphql_app.domain.change import Change, Head
from graphql_app.domain.filters import WorkstationFilter
from graphql_app.domain.interest import Interest
from graphql_app.domain.workstation import Place, Workstation
from graphql_app.live.feed.hub import Hub
from graphql_app.live.feed.mailbox import Batching, Lost, Mailbox
from tests.clock import settle
from tests.examples import change, workstation

EPOCH = UUID(int=7)
FIRST, SECOND = Place("HQ", 1), Place("HQ", 2)


def head(revision: int, epoch: UUID = EPOCH) -> Head:
    return Head(epoch, revision)


def on(place: Place | None, id: int = 1) -> Workstation:
    return workstation(id=id, building=place and place.building, floor_number=place and place.number)


def hub_at(revision: int, recent: int = 100) -> Hub:
    hub = Hub(recent)
    hub.restart(head(revision))
    return hub


def deliver(hub: Hub, *changes: Change[Workstation]) -> None:
    hub.deliver(changes, head(changes[-1].revision))


def opened(hub: Hub, place: Place | None) -> Mailbox:
    """A mailbox for the changes of one floor, or of all of them."""
    matching = WorkstationFilter(building=place.building, floor_number=place.number) if place else WorkstationFilter()
    mailbox = Mailbox(Batching(0, 50))
    hub.open(matching.interest(), mailbox)
    return mailbox


def taken(mailbox: Mailbox) -> list[int]:
    return [] if mailbox.is_empty else list(mailbox.take().merged)


def test_a_mailbox_of_a_floor_is_given_the_changes_of_that_floor_alone() -> None:
    hub = hub_at(0)
    here, there = opened(hub, FIRST), opened(hub, SECOND)

    deliver(hub, change(None, on(FIRST, 5), 1))

    assert (taken(here), taken(there)) == ([5], [])


def test_a_mailbox_of_all_floors_is_given_every_change() -> None:
    hub = hub_at(0)
    anywhere = opened(hub, None)

    deliver(hub, change(None, on(FIRST, 5), 1), change(None, on(None, 6), 2))

    assert taken(anywhere) == [5, 6]


def test_a_move_from_floor_to_floor_is_given_to_both() -> None:
    hub = hub_at(0)
    mailboxes = [opened(hub, FIRST), opened(hub, SECOND), opened(hub, None)]

    deliver(hub, change(on(FIRST, 5), on(SECOND, 5), 1))

    assert [taken(mailbox) for mailbox in mailboxes] == [[5], [5], [5]]


def test_a_change_within_a_floor_is_given_once() -> None:
    hub = hub_at(0)
    here = opened(hub, FIRST)

    deliver(hub, change(on(FIRST), on(FIRST), 1))

    assert here.take().merged[1].between == []
    assert here.is_empty


def test_a_closed_mailbox_is_given_nothing_more() -> None:
    hub = hub_at(0)
    here, other, anywhere = opened(hub, FIRST), opened(hub, FIRST), opened(hub, None)
    hub.close(here)
    hub.close(anywhere)

    deliver(hub, change(None, on(FIRST, 5), 1))

    assert (taken(here), taken(other), taken(anywhere)) == ([], [5], [])


def test_nothing_is_kept_of_a_floor_that_nobody_follows_any_more() -> None:
    hub = hub_at(0)
    for _ in range(3):
        hub.close(opened(hub, FIRST))

    assert not hub._interests._by_entity
    assert not list(hub._interests)


def test_what_a_mailbox_is_given_carries_the_revision_it_is_up_to() -> None:
    hub = hub_at(0)
    here = opened(hub, FIRST)

    deliver(hub, change(None, on(FIRST, 5), 1), change(None, on(SECOND, 6), 2), change(None, on(FIRST, 7), 3))

    assert here.take().revision == 3


class Recorder:
    """A listener, and the head of the hub whenever it is called."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.heard: list[object] = []

    def delivered(self, changes: Sequence[Change[Any]], head: Head) -> None:
        self.heard.append(([one.revision for one in changes], head.revision, self._hub.head))

    def restarted(self, head: Head) -> None:
        self.heard.append((head.revision, self._hub.head))


def test_a_listener_hears_of_everything_before_the_head_has_moved() -> None:
    hub = hub_at(0)
    recorder = Recorder(hub)
    hub.listen(recorder)

    deliver(hub, change(None, on(FIRST), 1), change(None, on(SECOND), 2))
    hub.restart(head(9))

    assert recorder.heard == [([1, 2], 2, head(0)), (9, head(2))]


# --- what fails, fails alone -----------------------------------------------------------------------------------------


class Broken(Recorder):
    """Raises at one revision, whatever it is asked then."""

    def __init__(self, hub: Hub, at: int) -> None:
        super().__init__(hub)
        self._at = at

    def delivered(self, changes: Sequence[Change[Any]], head: Head) -> None:
        if head.revision == self._at:
            raise ValueError("cannot take it")
        super().delivered(changes, head)


class BrokenBox(Mailbox):
    def put(self, change: Change[Any]) -> None:
        raise ValueError("cannot take it")


def test_a_listener_that_fails_starts_anew_and_holds_up_nobody(news: list[observe.News]) -> None:
    hub = hub_at(0)
    broken, other, mailbox = Broken(hub, at=1), Recorder(hub), opened(hub, FIRST)
    hub.listen(broken)
    hub.listen(other)

    deliver(hub, *changes(1))
    deliver(hub, *changes(2))

    assert broken.heard == [(1, head(0)), ([2], 2, head(1))]
    assert other.heard == [([1], 1, head(0)), ([2], 2, head(1))]
    assert (taken(mailbox), hub.head, hub.since(0, 2, "workstation")) == ([1, 2], head(2), changes(1, 2))
    assert [type(one) for one in news] == [observe.IsolatedFailure]


async def test_a_box_that_fails_has_lost_its_history_and_the_others_have_not(news: list[observe.News]) -> None:
    hub = hub_at(0)
    broken, other = BrokenBox(Batching(0, 50)), Mailbox(Batching(0, 50))
    for box in (broken, other):
        hub.open(WorkstationFilter().interest(), box)

    deliver(hub, *changes(1))

    with pytest.raises(Lost):
        await broken.ready()
    assert (taken(other), hub.head) == ([1], head(1))
    assert [type(one) for one in news] == [observe.IsolatedFailure]


async def test_a_change_of_which_nobody_can_say_whom_it_concerns_is_a_loss_to_all(news: list[observe.News]) -> None:
    def fails(_: Any) -> bool:
        raise ValueError("cannot tell")

    hub = hub_at(0)
    mailboxes = [opened(hub, FIRST), Mailbox(Batching(0, 50))]
    hub.open(Interest("workstation", matches=fails), mailboxes[1])

    deliver(hub, *changes(1))

    for mailbox in mailboxes:
        with pytest.raises(Lost):
            await mailbox.ready()
    assert hub.head == head(1)
    assert [type(one) for one in news] == [observe.IsolatedFailure]


# --- the changes in memory -------------------------------------------------------------------------------------------


def changes(*revisions: int) -> list[Change[Workstation]]:
    return [change(None, on(FIRST, revision), revision) for revision in revisions]


def test_the_changes_since_a_revision_are_given_in_order() -> None:
    hub = hub_at(0)
    deliver(hub, *changes(1, 2, 3, 4, 5))

    assert hub.since(2, 4, "workstation") == changes(3, 4)


def test_nothing_has_happened_since_the_head() -> None:
    hub = hub_at(0)
    deliver(hub, *changes(1, 2))

    assert hub.since(2, 2, "workstation") == []


def test_a_revision_before_this_process_began_is_not_in_memory() -> None:
    hub = hub_at(10)
    deliver(hub, *changes(11, 12))

    assert hub.since(9, 12, "workstation") is None
    assert hub.since(10, 12, "workstation") == changes(11, 12)


def test_a_revision_that_was_pushed_out_of_memory_is_not_there_any_more() -> None:
    hub = hub_at(0, recent=3)
    deliver(hub, *changes(1, 2, 3, 4, 5))

    assert hub.since(1, 5, "workstation") is None
    assert hub.since(2, 5, "workstation") == changes(3, 4, 5)


def test_nothing_is_remembered_for_longer_than_the_log_is_kept() -> None:
    hub = Hub(100, kept=timedelta(hours=1))
    hub.restart(head(0))
    now = datetime.now(UTC)
    minutes = [120, 61, 59, 0]
    deliver(hub, *(change(None, on(FIRST), n, now - timedelta(minutes=ago)) for n, ago in enumerate(minutes, 1)))

    assert [hub.remembers(head(revision)) for revision in range(5)] == [False, False, True, True, True]


def test_memory_that_is_exactly_full_still_reaches_back_to_the_beginning() -> None:
    hub = hub_at(0, recent=3)
    deliver(hub, *changes(1, 2, 3))

    assert hub.since(0, 3, "workstation") == changes(1, 2, 3)


def test_revisions_of_other_things_than_workstations_leave_no_gap() -> None:
    hub = hub_at(0)
    hub.deliver(changes(1, 4), head(6))

    assert hub.since(0, 6, "workstation") == changes(1, 4)
    assert hub.since(4, 6, "workstation") == []


def test_another_history_is_remembered_from_its_own_beginning() -> None:
    hub = hub_at(0)
    deliver(hub, *changes(1, 2, 3))

    hub.restart(head(2, UUID(int=8)))

    assert hub.head == Head(UUID(int=8), 2)
    assert hub.since(1, 2, "workstation") is None
    assert hub.since(2, 2, "workstation") == []


@pytest.mark.parametrize("place", [FIRST, None])
async def test_a_restart_is_a_loss_to_everybody_who_listens(place: Place | None) -> None:
    hub = hub_at(0)
    mailbox = opened(hub, place)

    hub.restart(head(9))

    with pytest.raises(Lost):
        await mailbox.ready()


# --- waiting for a revision ------------------------------------------------------------------------------------------


async def test_a_revision_that_is_reached_is_not_waited_for() -> None:
    assert await hub_at(5).reached(5) == head(5)


async def test_who_waits_for_a_revision_is_woken_when_it_is_delivered_and_not_before() -> None:
    hub = hub_at(0)
    task = asyncio.create_task(hub.reached(2))
    deliver(hub, *changes(1))
    await settle()
    early = task.done()

    deliver(hub, *changes(2, 3))

    assert not early
    assert await task == head(3)


async def test_who_waits_for_the_first_head_is_woken_by_it() -> None:
    hub = Hub(10)
    task = asyncio.create_task(hub.reached(0))
    await settle()
    early = task.done()

    hub.restart(head(4))

    assert not early
    assert await task == head(4)


async def test_who_gives_up_waiting_is_forgotten() -> None:
    hub = hub_at(0)
    task = asyncio.create_task(hub.reached(1))
    await settle()
    task.cancel()
    await settle()

    deliver(hub, *changes(1))

    assert task.cancelled()
    assert not hub._arrivals


async def test_everybody_who_waits_for_what_arrived_is_woken() -> None:
    hub = hub_at(0)
    tasks = [asyncio.create_task(hub.reached(revision)) for revision in (1, 2, 3)]
    await settle()

    deliver(hub, *changes(1, 2))
    await settle()

    assert [task.done() for task in tasks] == [True, True, False]
    tasks[2].cancel()
