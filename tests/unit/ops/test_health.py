"""How near a process is to the newest change, and what that makes of it."""

from uuid import UUID

import pytest

from graphql_app.domain.change import Head
from graphql_app.ops.health import LAG_MOST, feed_finding
from graphql_app.store.log.outbox import Progress

EPOCH, OTHER = UUID(int=1), UUID(int=2)


def progress(waiting_seconds: float | None = None, epoch: UUID = EPOCH) -> Progress:
    return Progress(Head(epoch, 10_000), 7, waiting_seconds)


def test_what_a_large_transaction_wrote_long_before_its_commit_takes_no_process_out() -> None:
    finding = feed_finding(Head(EPOCH, 9_000), progress(waiting_seconds=600), unheard_seconds=0.4)

    assert (finding.ok, finding.degraded) == (True, True)
    assert finding.detail == "a large transaction is being numbered"


@pytest.mark.parametrize("unheard_seconds", [31.0, None])
def test_where_nobody_numbers_what_waits_the_process_is_not_ready(unheard_seconds: float | None) -> None:
    finding = feed_finding(Head(EPOCH, 10_000), progress(waiting_seconds=45), unheard_seconds)

    assert not finding.ok
    assert finding.detail.startswith("nobody has numbered a change for ")


def test_a_feed_that_is_quiet_is_near_however_long() -> None:
    finding = feed_finding(Head(EPOCH, 10_000), progress(), unheard_seconds=100)

    assert (finding.ok, finding.degraded, finding.detail) == (True, False, "near the newest change")


def test_what_was_committed_a_moment_ago_is_no_backlog() -> None:
    assert not feed_finding(Head(EPOCH, 10_000), progress(0.2), unheard_seconds=0.1).degraded


@pytest.mark.parametrize(
    ("here", "still_seconds"), [(Head(EPOCH, 10_000 - LAG_MOST - 1), 31), (Head(OTHER, 10_000), 0)]
)
def test_who_stays_far_behind_or_is_of_another_history_is_not_ready(here: Head, still_seconds: float) -> None:
    assert not feed_finding(here, progress(waiting_seconds=2), 0.1, still_seconds).ok


def test_who_is_far_behind_and_gets_on_serves_truthfully() -> None:
    finding = feed_finding(Head(EPOCH, 10_000 - LAG_MOST - 1), progress(waiting_seconds=2), 0.1, still_seconds=0.5)

    assert (finding.ok, finding.degraded, finding.detail) == (True, True, "far behind, and getting on")
