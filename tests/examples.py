"""Domain objects to begin with: one of each kind, and strategies that make many."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from graphql_app.domain.access import ROLES, Scope, View, Viewer
from graphql_app.domain.caller import Caller
from graphql_app.domain.change import Change
from graphql_app.domain.workstation import Department, Employee, Status, Workstation

THEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
RESEARCH = Department(1, "Research")
ADA = Employee(UUID(int=1), "Ada Lovelace", RESEARCH, "E-1001")
WEI = Employee(UUID(int=2), "张伟", None, "E-1002")


def workstation(**changes: Any) -> Workstation:
    """A free desk on the first floor; `changes` are its fields."""
    fields: dict[str, Any] = {
        "id": 1,
        "name": "A-01",
        "status": Status.AVAILABLE,
        "building": "HQ",
        "floor_number": 1,
        "floor_name": "Lobby",
        "department": RESEARCH,
        "employee": None,
        "x_position": 10.5,
        "y_position": 20.25,
        "width": 120.0,
        "height": 80.0,
        "employee_id": None,
        "equipment": '{"monitors": 2}',
        "notes": None,
        "created_at": THEN,
        "updated_at": THEN,
        "version": 1,
    }
    return Workstation(**{**fields, **changes})


def occupied(employee: Employee = ADA, **changes: Any) -> Workstation:
    """The same desk with somebody at it."""
    return workstation(
        **{"status": Status.OCCUPIED, "employee": employee, "employee_id": employee.employee_number, **changes}
    )


def change(
    before: Workstation | None, after: Workstation | None, revision: int = 1, logged_at: datetime = THEN
) -> Change[Workstation]:
    known = after or before
    assert known is not None
    return Change(revision, "workstation", known.id, logged_at, before, after)


def view(*roles: str) -> View:
    return View(frozenset(scope for role in roles for scope in ROLES[role]))


def viewer(*roles: str) -> Viewer:
    return Viewer("somebody", roles, view(*roles), None, None, float("inf"))


def caller(*roles: str) -> Caller:
    return Caller(viewer(*roles))


views = st.builds(View, st.frozensets(st.sampled_from(Scope)))
