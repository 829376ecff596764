"""Which status may follow which, and what makes two workstations the same."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import product

import pytest

from graphql_app.domain.workstation import Counts, Floor, Place, Status, Workstation, may_become
from tests.examples import workstation

AVAILABLE, OCCUPIED, MAINTENANCE, RESERVED = Status.AVAILABLE, Status.OCCUPIED, Status.MAINTENANCE, Status.RESERVED
ALLOWED = {
    (AVAILABLE, OCCUPIED),
    (AVAILABLE, MAINTENANCE),
    (AVAILABLE, RESERVED),
    (OCCUPIED, AVAILABLE),
    (OCCUPIED, MAINTENANCE),
    (RESERVED, AVAILABLE),
    (RESERVED, OCCUPIED),
    (RESERVED, MAINTENANCE),
    (MAINTENANCE, AVAILABLE),
}


@pytest.mark.parametrize(("now", "then"), list(product(Status, Status)))
def test_a_status_follows_another_only_if_the_table_says_so_and_may_always_stay(now: Status, then: Status) -> None:
    assert may_become(now, then) == (now == then or (now, then) in ALLOWED)


@pytest.mark.parametrize(
    "other",
    [
        replace(workstation(), version=2),
        replace(workstation(), updated_at=datetime(2030, 1, 1, tzinfo=UTC)),
    ],
)
def test_version_and_updated_at_take_no_part_in_the_comparison(other: Workstation) -> None:
    assert other == workstation()


def test_two_workstations_that_show_something_else_are_not_the_same() -> None:
    assert workstation(notes="broken lamp") != workstation()


@pytest.mark.parametrize(("building", "number"), [(None, None), ("HQ", None), (None, 1)])
def test_a_workstation_that_stands_nowhere_has_no_place(building: str | None, number: int | None) -> None:
    assert workstation(building=building, floor_number=number).place is None


def test_a_workstation_and_its_floor_have_the_same_place() -> None:
    assert workstation(building="HQ", floor_number=3).place == Floor(1, "HQ", 3, "third").place == Place("HQ", 3)


def test_the_total_of_counts_is_their_sum() -> None:
    assert Counts(None, {AVAILABLE: 1, OCCUPIED: 2, MAINTENANCE: 3, RESERVED: 4}).total == 10
