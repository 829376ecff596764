"""What becomes of a worker, by what its parent knows of it."""

import signal

import pytest

from graphql_app.app.workers import (
    LOOK_SECONDS,
    READY_SECONDS,
    RESTART_SECONDS,
    SILENT_LOOKS,
    Seen,
    Verdict,
    Worker,
    WorkerSlot,
    verdict,
)

REPLACED_SECONDS = 5.0
KILLED = -signal.SIGKILL


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (Seen(None, False, 0, 0), Verdict.FINE),
        (Seen(None, False, READY_SECONDS - 1, 10_000), Verdict.FINE),  # it imports, and says nothing
        (Seen(None, False, READY_SECONDS + 1, 0), Verdict.LATE),
        (Seen(None, True, 10_000, 0), Verdict.FINE),
        (Seen(None, True, 10_000, SILENT_LOOKS - 1), Verdict.FINE),
        (Seen(None, True, 10, SILENT_LOOKS), Verdict.SILENT),
        (Seen(KILLED, True, 10, 0), Verdict.DEAD),
        (Seen(KILLED, False, 1, 0), Verdict.DEAD),  # out of memory, or by hand: it might start another time
        (Seen(0, True, 10, 0), Verdict.DEAD),
        (Seen(1, True, 10, 0), Verdict.DEAD),
        (Seen(0, False, 1, 0), Verdict.DEAD),
        (Seen(3, False, 1, 0), Verdict.BROKEN),
    ],
)
def test_a_worker_is_given_time_to_import_and_then_has_to_be_heard(seen: Seen, expected: Verdict) -> None:
    assert verdict(seen) is expected


def test_one_that_hangs_is_found_in_time_to_be_replaced_within_5_seconds() -> None:
    assert (SILENT_LOOKS + 1) * LOOK_SECONDS < REPLACED_SECONDS
    assert RESTART_SECONDS[0] == 0


def test_one_that_ends_before_it_is_ready_again_and_again_is_started_less_and_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 100.0)
    slot, waits = WorkerSlot(), []
    for _ in range(len(RESTART_SECONDS) + 1):
        slot.worker = Worker(None, None, 0.0)  # type: ignore[arg-type]  # it is neither asked nor ended
        slot.vacate()
        waits.append(slot.due_at - 100.0)
    assert waits == [*RESTART_SECONDS[1:], RESTART_SECONDS[-1], RESTART_SECONDS[-1]]
    slot.worker = Worker(None, None, 0.0, is_ready=True)  # type: ignore[arg-type]
    slot.vacate()
    assert slot.due_at == 100.0
