"""The rules for changing a workstation."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphql_app.domain.arranging import (
    Idempotency,
    assign,
    change_status,
    checked,
    conditional_update,
    edit,
    require_version,
)
from graphql_app.domain.errors import Conflict, InvalidInput, VersionConflict
from graphql_app.domain.workstation import MAY_FOLLOW, Status
from tests.examples import ADA, WEI, occupied, workstation


@pytest.mark.parametrize("now", Status)
@pytest.mark.parametrize("then", Status)
def test_a_status_changes_as_the_table_allows_and_not_otherwise(now: Status, then: Status) -> None:
    desk = workstation(status=now)

    if now == then or then in MAY_FOLLOW[now]:
        assert change_status(desk, then)["status"] == then.value
    else:
        with pytest.raises(Conflict):
            change_status(desk, then)


def test_a_refused_status_says_which_would_be_allowed() -> None:
    with pytest.raises(
        Conflict, match=r"OCCUPIED cannot become RESERVED; it may become AVAILABLE or MAINTENANCE\."
    ) as no:
        change_status(occupied(), Status.RESERVED)

    assert no.value.data == {"allowed": ["AVAILABLE", "MAINTENANCE"]}


@pytest.mark.parametrize("now", Status)
def test_a_desk_that_becomes_available_loses_its_occupant(now: Status) -> None:
    assert change_status(occupied(status=now), Status.AVAILABLE) == {"status": "available", "employee_key": None}


@pytest.mark.parametrize(("now", "then"), [(Status.OCCUPIED, Status.MAINTENANCE), (Status.RESERVED, Status.OCCUPIED)])
def test_any_other_status_leaves_the_occupant_alone(now: Status, then: Status) -> None:
    assert change_status(workstation(status=now), then) == {"status": then.value}


@pytest.mark.parametrize("now", [Status.AVAILABLE, Status.RESERVED])
def test_whoever_is_assigned_occupies_the_desk(now: Status) -> None:
    assert assign(workstation(status=now), ADA) == {"status": "occupied", "employee_key": ADA.key}


def test_assigning_the_same_person_again_is_no_conflict() -> None:
    assert assign(occupied(ADA), ADA) == {"status": "occupied", "employee_key": ADA.key}


def test_a_desk_that_somebody_else_occupies_is_not_given_away() -> None:
    with pytest.raises(Conflict, match="release the workstation first"):
        assign(occupied(ADA), WEI)


def test_an_occupied_desk_whose_occupant_is_unknown_can_be_assigned() -> None:
    assert assign(workstation(status=Status.OCCUPIED), WEI)["employee_key"] == WEI.key


def test_nobody_is_seated_at_a_desk_in_maintenance() -> None:
    with pytest.raises(Conflict, match="MAINTENANCE cannot become OCCUPIED"):
        assign(workstation(status=Status.MAINTENANCE), ADA)


@pytest.mark.parametrize("now", Status)
def test_releasing_frees_a_desk_whatever_its_status(now: Status) -> None:
    assert change_status(occupied(status=now), Status.AVAILABLE) == {"status": "available", "employee_key": None}


@pytest.mark.parametrize("expected", [None, 7])
def test_the_version_that_was_seen_or_none_at_all_is_no_conflict(expected: int | None) -> None:
    require_version(workstation(version=7), expected)


@pytest.mark.parametrize("expected", [6, 8, 0])
def test_another_version_is_a_conflict(expected: int) -> None:
    with pytest.raises(VersionConflict) as conflict:
        require_version(workstation(version=7), expected)

    assert conflict.value.data == {"expectedVersion": expected}


@pytest.mark.parametrize("changes", [{}, {"name": "B-01"}, {"notes": None, "x_position": 1.0}])
def test_an_edit_without_a_status_is_made_as_it_is(changes: dict[str, Any]) -> None:
    assert edit(occupied(), changes) == changes


def test_a_status_in_an_edit_keeps_the_rules_of_statuses() -> None:
    freed = edit(occupied(), {"name": "B-01", "status": Status.AVAILABLE})

    assert freed == {"name": "B-01", "status": "available", "employee_key": None}
    with pytest.raises(Conflict, match="OCCUPIED cannot become RESERVED"):
        edit(occupied(), {"status": Status.RESERVED})


def test_a_status_cannot_be_cleared() -> None:
    with pytest.raises(InvalidInput) as refused:
        edit(occupied(), {"status": None})

    assert refused.value.field == "status"


# --- bounds ----------------------------------------------------------------------------------------------------------

OUT_OF_BOUNDS: list[tuple[str, Any]] = [
    *[
        (field, value)
        for field in ("x_position", "y_position", "width", "height")
        for value in (math.nan, math.inf, -math.inf, 1e8, -1e8, None)
    ],
    *[(field, value) for field in ("width", "height") for value in (0.0, -1.0, 0.004, -0.0)],
    *[("name", value) for value in (None, "", "   ", "\t\n", "n" * 101, "a\x00b")],
    *[("building", value) for value in ("b" * 51, "a\x00b")],
    *[("notes", value) for value in ("n" * 10_001, "\x00")],
    *[("equipment", value) for value in ('"' + "e" * 20_000 + '"', "\x00")],
]
PUBLIC = {"x_position": "xPosition", "y_position": "yPosition"}


@pytest.mark.parametrize(("field", "value"), OUT_OF_BOUNDS)
def test_a_value_out_of_bounds_is_refused_and_named_as_clients_write_it(field: str, value: Any) -> None:
    values = {field: value, **({"floor_number": 1} if field == "building" else {})}

    with pytest.raises(InvalidInput) as refused:
        checked(values)

    assert refused.value.field == refused.value.data["field"] == PUBLIC.get(field, field)


IN_BOUNDS: list[tuple[str, Any]] = [
    ("name", "n" * 100),
    ("name", "工位 12"),
    ("x_position", 99_999_999.99),
    ("y_position", -99_999_999.99),
    ("x_position", 0),
    ("width", 0.01),
    ("notes", "n" * 10_000),
    ("notes", None),
    ("notes", ""),
    ("equipment", None),
]


@pytest.mark.parametrize(("field", "value"), IN_BOUNDS)
def test_a_value_just_within_bounds_is_kept_as_it_is(field: str, value: Any) -> None:
    assert checked({field: value}) == {field: value}


def test_a_name_is_kept_without_the_spaces_around_it() -> None:
    assert checked({"name": "  A-01\n"}) == {"name": "A-01"}


@pytest.mark.parametrize("values", [{"building": "HQ"}, {"floor_number": 1}, {"building": None}])
def test_building_and_floor_are_changed_together(values: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="go together") as refused:
        checked(values)

    assert refused.value.field == "floorNumber"


@pytest.mark.parametrize("values", [{"building": "HQ", "floor_number": 1}, {"building": None, "floor_number": None}])
def test_a_workstation_may_be_moved_to_a_floor_or_nowhere(values: dict[str, Any]) -> None:
    assert checked(values) == values


def test_nothing_is_asked_of_what_is_not_changed() -> None:
    assert checked({}) == {}


@given(st.floats(), st.sampled_from(["x_position", "width"]))
def test_a_number_is_either_refused_or_fits_its_column(value: float, field: str) -> None:
    try:
        kept = checked({field: value})[field]
    except InvalidInput:
        return
    assert abs(kept) < 1e8
    assert field != "width" or round(kept, 2) > 0


@given(st.text())
def test_a_name_is_either_refused_or_can_be_stored(name: str) -> None:
    try:
        kept = checked({"name": name})["name"]
    except InvalidInput:
        return
    assert 0 < len(kept) <= 100
    assert "\x00" not in kept


@pytest.mark.parametrize("key", ["", "k" * 256])
def test_an_idempotency_key_is_neither_empty_nor_too_long_to_be_kept(key: str) -> None:
    with pytest.raises(InvalidInput, match="1 to 255"):
        Idempotency(key, "request")


def test_the_longest_idempotency_key_is_taken() -> None:
    assert Idempotency("k" * 255, "request").key == "k" * 255


changes_asked = st.fixed_dictionaries(
    {},
    optional={"notes": st.none() | st.just("x"), "status": st.sampled_from(Status), "employee_key": st.just(ADA.key)},
)


@given(changes=changes_asked, now=st.sampled_from(Status))
def test_a_conditional_update_is_what_an_edit_makes_wherever_that_is_allowed(
    changes: dict[str, Any], now: Status
) -> None:
    decided = conditional_update(changes)
    assert decided is not None
    try:
        expected = edit(occupied(status=now), changes)
    except Conflict:
        assert now not in decided.statuses
    else:
        assert now in decided.statuses
        assert decided.changes == expected


def test_no_status_at_all_is_never_allowed() -> None:
    assert conditional_update({"status": None}) is None
