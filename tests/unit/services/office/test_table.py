"""Rows of a statement, shown to one view: their labels hold more than everybody may see."""

from typing import Any

import orjson
import pytest

from graphql_app.domain.access import View, redact
from graphql_app.domain.workstation import Place, Workstation
from graphql_app.services.office.table import LAYOUT, Table, labels_for
from graphql_app.store.schema.rows import SELECTED
from tests.examples import ADA, RESEARCH, occupied, view

HERE = Place("HQ", 1)
NUMBER, NAME = ADA.employee_number, ADA.name
LABELS = b"\x01" + orjson.dumps(
    {
        "floor": "Lobby",
        "department": {"id": RESEARCH.id, "name": RESEARCH.name},
        "employee": {
            "key": str(ADA.key),
            "name": NAME,
            "number": NUMBER,
            "department": {"id": RESEARCH.id, "name": RESEARCH.name},
        },
    }
)
SHOWN = occupied(created_at=None, updated_at=None)
ROW: list[Any] = [
    LABELS if name == "labels" else SHOWN.status.value if name == "status" else getattr(SHOWN, name)
    for name in SELECTED
]


@pytest.mark.parametrize("role", ["visitor", "employee", "facilities", "hr", "admin"])
def test_whatever_is_taken_of_a_row_is_redacted(role: str) -> None:
    table, wanted = Table([[*ROW, None]], view(role), HERE), redact(view(role), SHOWN)
    assert table[0] == wanted
    assert list(table) == [wanted]
    assert list(table[:]) == [wanted]


def shown_labels(sight: View) -> tuple[Any, ...]:
    """What a plan takes out of the labels of a row: the name, the number of the employee, the number at the desk."""
    _, _, employee, number = Table([ROW], sight).unpacked[LABELS]
    assert employee is not None
    return employee.name, employee.employee_number, number


@pytest.mark.parametrize("role", ["visitor", "employee", "facilities"])
def test_the_number_of_an_employee_is_in_no_labels_that_are_not_to_show_it(role: str) -> None:
    assert shown_labels(view(role)) == (NAME, None, None)


@pytest.mark.parametrize("role", ["hr", "admin"])
def test_who_may_see_numbers_finds_them_there(role: str) -> None:
    assert shown_labels(view(role)) == (NAME, NUMBER, NUMBER)


def test_views_that_see_the_same_of_labels_share_what_was_made_of_them() -> None:
    assert labels_for(view("visitor")) is labels_for(view("facilities"))
    assert labels_for(view("visitor")) is not labels_for(view("hr"))
    assert LAYOUT.packed_at == SELECTED.index("labels")


def test_where_a_floor_was_asked_for_its_rows_need_not_tell() -> None:
    silent = [
        None if name in ("building", "floor_number") else value for name, value in zip(SELECTED, ROW, strict=True)
    ]
    found: Workstation = Table([silent], view("admin"), HERE)[0]
    assert found.place == HERE
