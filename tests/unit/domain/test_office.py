"""The rules for writing the register: what each field takes, and what keeps one from being deleted."""

from typing import Any

import pytest

from graphql_app.domain.errors import InUse, InvalidInput, VersionConflict
from graphql_app.domain.office import (
    BUILDING,
    DEPARTMENT,
    EMPLOYEE,
    FLOOR,
    Building,
    OfficeKind,
    checked_values,
    require_unused,
    require_version,
)

TOWER = Building(1, "Tower", "UTC", 3)

KEPT = [
    (BUILDING, {"name": "  Tower ", "time_zone": " Asia/Shanghai "}, {"name": "Tower", "time_zone": "Asia/Shanghai"}),
    (FLOOR, {"building": "Tower", "number": -1, "name": " "}, {"building": "Tower", "number": -1, "name": ""}),
    (FLOOR, {"name": None}, {"name": ""}),
    (DEPARTMENT, {"name": "Cafe\u0301"}, {"name": "Caf\u00e9"}),
    (EMPLOYEE, {"employee_number": " E-1 ", "department_id": None}, {"employee_number": "E-1", "department_id": None}),
]


@pytest.mark.parametrize(("kind", "given", "kept"), KEPT)
def test_values_are_kept_in_their_normal_form(kind: OfficeKind, given: dict[str, Any], kept: dict[str, Any]) -> None:
    assert checked_values(kind, given) == kept


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (BUILDING, "name", None),
        (BUILDING, "name", "x" * 51),
        (BUILDING, "time_zone", "asia/shanghai"),
        (FLOOR, "number", None),
        (FLOOR, "name", "x" * 101),
        (DEPARTMENT, "name", "a\u202eb"),
        (EMPLOYEE, "employee_number", "x" * 33),
        (EMPLOYEE, "name", "\ud800"),
    ],
)
def test_what_cannot_be_right_is_refused(kind: OfficeKind, field: str, value: Any) -> None:
    with pytest.raises(InvalidInput):
        checked_values(kind, {field: value})


def test_nothing_is_compared_where_no_version_is_expected() -> None:
    require_version(TOWER, None)
    require_version(TOWER, 3)


@pytest.mark.parametrize(("expected", "is_another"), [(2, False), (3, True)])
def test_another_version_is_a_conflict(expected: int, is_another: bool) -> None:
    with pytest.raises(VersionConflict):
        require_version(TOWER, expected, is_another=is_another)


def test_what_is_in_use_says_by_what_and_by_how_many() -> None:
    with pytest.raises(InUse, match="referred to by 1 employee and 20 workstations;") as refused:
        require_unused({"employees": 1, "floors": 0, "workstations": 20})

    assert refused.value.data == {"references": {"employees": 1, "workstations": 20}}


def test_what_nothing_refers_to_may_go() -> None:
    require_unused({"employees": 0})
