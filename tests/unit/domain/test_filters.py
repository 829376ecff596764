"""One filter: what it matches, what it would tell, and when two mean the same."""

from dataclasses import fields, replace
from typing import Any
from uuid import UUID

import pytest

from graphql_app.domain.access import GUARDED
from graphql_app.domain.errors import InvalidInput
from graphql_app.domain.filters import WorkstationFilter, checked_filter
from graphql_app.domain.workstation import Place, Status
from tests.examples import ADA, RESEARCH, WEI, occupied, workstation

# A filter that matches the desk of Ada, and one like it that does not.
ASKED: dict[str, tuple[Any, Any]] = {
    "ids": (frozenset({1, 2}), frozenset({2})),
    "building": ("HQ", "hq"),
    "floor_number": (1, -1),
    "department_ids": (frozenset({RESEARCH.id}), frozenset({99})),
    "statuses": (frozenset({Status.OCCUPIED}), frozenset({Status.AVAILABLE})),
    "employee_key": (ADA.key, WEI.key),
    "name_contains": ("a-0", "b"),
    "equipment_contains": ("MONITOR", "dock"),
    "x_min": (10.5, 10.6),
    "x_max": (10.5, 10.4),
    "y_min": (20.25, 20.26),
    "y_max": (20.25, 20.24),
    "employee_number": ("E-1001", "e-1001"),
}


def test_every_part_of_the_filter_is_tested_here() -> None:
    assert set(ASKED) == {f.name for f in fields(WorkstationFilter)}


@pytest.mark.parametrize("part", ASKED)
def test_each_part_lets_through_what_it_asks_for(part: str) -> None:
    assert WorkstationFilter(**{part: ASKED[part][0]}).matches(occupied(ADA))


@pytest.mark.parametrize("part", ASKED)
def test_each_part_holds_back_everything_else(part: str) -> None:
    assert not WorkstationFilter(**{part: ASKED[part][1]}).matches(occupied(ADA))


@pytest.mark.parametrize("part", ASKED)
def test_one_part_that_does_not_hold_is_enough(part: str) -> None:
    others = {name: values[0] for name, values in ASKED.items()}

    assert not WorkstationFilter(**{**others, part: ASKED[part][1]}).matches(occupied(ADA))


def test_a_filter_that_asks_nothing_matches_everything() -> None:
    assert WorkstationFilter().matches(workstation(building=None, floor_number=None, department=None))


NULLABLE: dict[str, dict[str, Any]] = {
    "building": {"building": None, "floor_number": None},
    "floor_number": {"building": None, "floor_number": None},
    "department_ids": {"department": None},
    "employee_key": {"employee": None, "employee_id": None},
    "employee_number": {"employee": None, "employee_id": None},
    "equipment_contains": {"equipment": None},
}


@pytest.mark.parametrize("part", NULLABLE)
def test_what_is_not_there_matches_nothing_that_is_asked_of_it(part: str) -> None:
    assert not WorkstationFilter(**{part: ASKED[part][0]}).matches(replace(occupied(ADA), **NULLABLE[part]))


@pytest.mark.parametrize("part", ["ids", "department_ids", "statuses"])
def test_one_of_nothing_matches_nothing(part: str) -> None:
    nothing: frozenset[Any] = frozenset()

    assert not WorkstationFilter(**{part: nothing}).matches(occupied(ADA))  # type: ignore[arg-type]  # one of three sets


@pytest.mark.parametrize(
    ("name", "asked", "matches"),
    [
        ("ABC", "abc", True),
        ("abc", "ABC", True),
        ("A%B", "%", True),
        ("AB", "%", False),
        ("A_B", "a_b", True),
        ("AXB", "a_b", False),
        ("a\\b", "\\", True),
        ("工位甲", "位", True),
        ("Ärger", "ä", False),  # only A to Z are folded: SQL does the same
        ("İ", "i", False),
        ("\u212a", "k", False),  # the sign for kelvin
        ("anything", "", True),
    ],
)
def test_texts_are_parts_of_the_value_whatever_the_case_of_a_to_z(name: str, asked: str, matches: bool) -> None:
    assert WorkstationFilter(name_contains=asked).matches(workstation(name=name)) is matches


@pytest.mark.parametrize("part", ASKED)
def test_only_the_parts_that_would_tell_of_a_guarded_field_are_guarded(part: str) -> None:
    guarded = list(WorkstationFilter(**{part: ASKED[part][0]}).guarded_fields())

    expected = {"x_min": "x_position", "x_max": "x_position", "y_min": "y_position", "y_max": "y_position"}
    expected["employee_number"] = "employee_id"
    assert guarded == ([expected[part]] if part in expected else [])
    assert set(guarded) <= set(GUARDED["Workstation"])


def test_a_bound_of_zero_is_asked_for_too() -> None:
    assert WorkstationFilter(x_min=0.0).guarded_fields() == ["x_position"]


@pytest.mark.parametrize(
    ("building", "floor", "place"),
    [("HQ", 1, Place("HQ", 1)), ("HQ", 0, Place("HQ", 0)), ("HQ", None, None), (None, 1, None), (None, None, None)],
)
def test_a_filter_stays_on_a_floor_only_if_it_names_building_and_number(
    building: str | None, floor: int | None, place: Place | None
) -> None:
    assert WorkstationFilter(building=building, floor_number=floor).place == place


def test_filters_that_mean_the_same_are_normalised_to_the_same() -> None:
    one = WorkstationFilter(ids=frozenset([3, 1, 2]), statuses=frozenset([Status.RESERVED, Status.AVAILABLE]))
    other = WorkstationFilter(ids=frozenset([2, 3, 1]), statuses=frozenset([Status.AVAILABLE, Status.RESERVED]))

    assert one.normalised() == other.normalised()


@pytest.mark.parametrize("part", ASKED)
def test_filters_that_ask_something_else_are_normalised_to_something_else(part: str) -> None:
    here, there = (WorkstationFilter(**{part: value}).normalised() for value in ASKED[part])

    assert here != there != WorkstationFilter().normalised()


def test_an_empty_set_is_not_the_same_as_no_set() -> None:
    assert WorkstationFilter(ids=frozenset()).normalised() != WorkstationFilter().normalised()


@pytest.mark.parametrize(
    ("matching", "field"),
    [
        (WorkstationFilter(name_contains="n" * 101), "nameContains"),
        (WorkstationFilter(name_contains="\x00"), "nameContains"),
        (WorkstationFilter(equipment_contains="e" * 101), "equipmentContains"),
        (WorkstationFilter(ids=frozenset(range(501))), "ids"),
        (WorkstationFilter(department_ids=frozenset(range(501))), "departmentIds"),
    ],
)
def test_a_filter_out_of_bounds_is_refused_and_its_part_named_as_clients_write_it(
    matching: WorkstationFilter, field: str
) -> None:
    with pytest.raises(InvalidInput, match=field) as refused:
        checked_filter(matching)

    assert refused.value.field == field


def test_a_filter_just_within_bounds_is_kept_as_it_is() -> None:
    matching = WorkstationFilter(
        ids=frozenset(range(500)), name_contains="n" * 100, equipment_contains="", employee_key=UUID(int=1)
    )

    assert checked_filter(matching) is matching
