"""What waits for one cohort, and for how long."""

import asyncio
from datetime import timedelta
from itertools import pairwise

import pytest

from graphql_app.domain.change import Change, Merged
from graphql_app.domain.filters import WorkstationFilter
from graphql_app.domain.topics import Workstations
from graphql_app.domain.workstation import Status, Workstation
from graphql_app.live.feed.mailbox import PARTS_MOST, Batching, Lost, Mailbox
from tests.clock import Clock, settle
from tests.examples import THEN, change, view, workstation

WINDOW = 0.1


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def changed(revision: int, workstation_id: int = 1, status: Status = Status.AVAILABLE) -> Change[Workstation]:
    return change(
        workstation(id=workstation_id, version=revision - 1),
        workstation(id=workstation_id, version=revision, status=status),
        revision,
        THEN + timedelta(seconds=revision),
    )


def waiting(mailbox: Mailbox) -> "asyncio.Task[bool]":
    return asyncio.create_task(mailbox.ready())


async def is_ready(mailbox: Mailbox) -> bool:
    task = waiting(mailbox)
    await settle()
    ready = task.done()
    task.cancel()
    return ready


async def test_nothing_is_ready_in_an_empty_mailbox(clock: Clock) -> None:
    mailbox = Mailbox(Batching(WINDOW, 50))

    assert mailbox.is_empty
    assert not await is_ready(mailbox)


async def test_the_leading_change_is_ready_at_once(clock: Clock) -> None:
    mailbox = Mailbox(Batching(WINDOW, 50))
    mailbox.put(changed(1))

    assert await is_ready(mailbox)


async def test_who_waits_is_woken_by_the_first_change(clock: Clock) -> None:
    mailbox = Mailbox(Batching(WINDOW, 50))
    task = waiting(mailbox)
    await settle()

    mailbox.put(changed(1))
    await settle()

    assert task.done()


async def test_what_comes_after_something_was_sent_waits_for_the_window_to_end(clock: Clock) -> None:
    mailbox = Mailbox(Batching(WINDOW, 50))
    mailbox.told(1)
    mailbox.put(changed(1))
    task = waiting(mailbox)

    await clock.pass_by(WINDOW - 0.001)
    early = task.done()
    await clock.pass_by(0.002)

    assert (early, task.done()) == (False, True)


async def test_more_changes_do_not_prolong_the_window(clock: Clock) -> None:
    mailbox = Mailbox(Batching(WINDOW, 50))
    mailbox.told(1)
    task = waiting(mailbox)
    for revision in range(1, 11):
        mailbox.put(changed(revision))
        await clock.pass_by(WINDOW / 10)
    await clock.pass_by(0.001)

    assert task.done()


async def test_a_change_after_a_quiet_window_is_ready_at_once_again(clock: Clock) -> None:
    mailbox = Mailbox(Batching(WINDOW, 50))
    mailbox.told(1)
    await clock.pass_by(WINDOW)
    mailbox.put(changed(1))

    assert await is_ready(mailbox)


async def test_what_was_taken_but_shown_to_nobody_starts_no_window(clock: Clock) -> None:
    mailbox = Mailbox(Batching(WINDOW, 50))
    mailbox.put(changed(1))
    mailbox.take()
    mailbox.put(changed(2))

    assert await is_ready(mailbox)


async def test_so_many_workstations_that_a_payload_is_full_end_the_window(clock: Clock) -> None:
    mailbox = Mailbox(Batching(WINDOW, 3))
    mailbox.told(1)
    task = waiting(mailbox)
    for workstation_id in (1, 2):
        mailbox.put(changed(workstation_id, workstation_id))
    await settle()
    early = task.done()

    mailbox.put(changed(3, 3))
    await settle()

    assert (early, task.done()) == (False, True)


async def test_a_payload_is_never_more_than_full(clock: Clock) -> None:
    mailbox = Mailbox(Batching(WINDOW, 3))
    mailbox.told(1)
    for revision, workstation_id in enumerate((1, 2, 1, 3, 4, 2, 5, 3), 1):
        mailbox.put(changed(revision, workstation_id))

    parts = [mailbox.take() for _ in range(2)]

    assert [list(part.merged) for part in parts] == [[1, 2, 3], [4, 2, 5]]
    assert [part.revision for part in parts] == [4, 7]
    assert parts[1].merged[2].before == parts[0].merged[2].after, "in order, each state once"
    assert not await is_ready(mailbox), "what does not fill a payload waits for its window"


async def test_a_few_changes_within_a_window_are_ready_at_once(clock: Clock) -> None:
    mailbox = Mailbox(Batching(WINDOW, 50, eager=2))
    ready = []
    for revision in range(1, 5):
        mailbox.put(changed(revision))
        ready.append(await is_ready(mailbox))
        if ready[-1]:
            mailbox.take()
            mailbox.told(1)
        await clock.pass_by(WINDOW / 10)

    assert ready == [True, True, True, False]


async def test_a_steady_trickle_never_waits(clock: Clock) -> None:
    mailbox = Mailbox(Batching(WINDOW, 50, eager=2))
    for revision in range(1, 20):
        mailbox.put(changed(revision))
        assert await is_ready(mailbox)
        mailbox.take()
        mailbox.told(1)
        await clock.pass_by(WINDOW * 0.6)


async def test_a_steady_stream_waits_for_whole_windows(clock: Clock) -> None:
    mailbox = Mailbox(Batching(WINDOW, 50, eager=4))
    taken_at = []
    for revision in range(1, 200):
        mailbox.put(changed(revision, revision))
        if await is_ready(mailbox):
            mailbox.told(len(mailbox.take().merged))
            taken_at.append(clock.now)
        await clock.pass_by(WINDOW / 20)

    assert all(later - earlier > 0.99 * WINDOW for earlier, later in pairwise(taken_at[5:]))


async def test_many_changes_of_one_workstation_do_not_fill_a_payload(clock: Clock) -> None:
    mailbox = Mailbox(Batching(WINDOW, 3))
    mailbox.told(1)
    for revision in range(1, 100):
        mailbox.put(changed(revision))

    assert not await is_ready(mailbox)


async def test_changes_within_one_window_become_one_part_with_each_workstation_once(clock: Clock) -> None:
    mailbox = Mailbox(Batching(WINDOW, 50))
    changes = [changed(1), changed(2, 2), changed(3)]
    for one in changes:
        mailbox.put(one)

    part = mailbox.take()

    assert part.merged == {
        1: Merged(changes[0].before, changes[2].after, [changes[0].after]),
        2: Merged(changes[1].before, changes[1].after, []),
    }
    assert (part.revision, part.logged_at) == (3, changes[0].logged_at)
    assert mailbox.is_empty


async def test_with_batching_off_every_state_of_a_workstation_is_kept_apart(clock: Clock) -> None:
    mailbox = Mailbox(Batching(0, 50))
    for revision, status in enumerate(Status, 1):
        mailbox.put(changed(revision, status=status))

    parts = [mailbox.take() for _ in Status]

    assert [part.merged[1].after and part.merged[1].after.status for part in parts] == list(Status)
    assert [part.revision for part in parts] == [1, 2, 3, 4]
    assert mailbox.is_empty


async def test_with_batching_off_nothing_waits(clock: Clock) -> None:
    mailbox = Mailbox(Batching(0, 50))
    mailbox.told(1)
    mailbox.put(changed(1))

    assert await is_ready(mailbox)


async def test_with_batching_off_changes_of_different_workstations_still_go_together(clock: Clock) -> None:
    mailbox = Mailbox(Batching(0, 50))
    mailbox.put(changed(1, 1))
    mailbox.put(changed(2, 2))

    assert list(mailbox.take().merged) == [1, 2]


async def test_a_reader_who_is_far_too_slow_is_given_merged_states_even_with_batching_off(clock: Clock) -> None:
    mailbox = Mailbox(Batching(0, 50))
    for revision in range(1, 2 * PARTS_MOST + 1):
        mailbox.put(changed(revision))

    parts = []
    while not mailbox.is_empty:
        parts.append(mailbox.take())

    assert len(parts) == PARTS_MOST
    assert (len(parts[-1].merged), parts[-1].revision) == (1, 2 * PARTS_MOST)


async def test_the_loss_of_the_history_reaches_who_waits(clock: Clock) -> None:
    mailbox = Mailbox(Batching(WINDOW, 50))
    task = waiting(mailbox)
    await settle()

    mailbox.lose()
    await settle()

    with pytest.raises(Lost):
        await task


async def test_the_loss_of_the_history_goes_before_changes_that_wait(clock: Clock) -> None:
    mailbox = Mailbox(Batching(WINDOW, 50))
    mailbox.put(changed(1))
    mailbox.lose()

    with pytest.raises(Lost):
        await mailbox.ready()


async def test_a_cleared_mailbox_is_empty(clock: Clock) -> None:
    mailbox = Mailbox(Batching(WINDOW, 50))
    mailbox.put(changed(1))

    mailbox.clear()

    assert mailbox.is_empty
    assert not await is_ready(mailbox)


async def test_who_is_nudged_looks_once_and_finds_all_that_was_there(clock: Clock) -> None:
    mailbox = Mailbox(Batching(WINDOW, 50))
    task = waiting(mailbox)
    await settle()
    mailbox.nudge()
    mailbox.put(changed(1))
    await settle()

    assert await task is False
    assert await mailbox.ready() is True
    assert list(mailbox.take().merged) == [1]
    assert not await is_ready(mailbox)


async def test_what_is_not_noticed_neither_comes_in_nor_fills_anything(clock: Clock) -> None:
    """Or when others go out would tell of it."""
    visitors = Mailbox(Batching(0.1, most=2), Workstations(WorkstationFilter(), view("visitor")).notices)
    for key in range(1, 5):
        visitors.put(change(workstation(id=key), workstation(id=key, x_position=99.0), key))
    assert visitors.is_empty

    visitors.put(change(workstation(id=9), workstation(id=9, name="Z"), 5))

    assert list(visitors.take().merged) == [9]
