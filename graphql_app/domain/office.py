"""Buildings, floors, departments and employees as they are kept, with their versions; the rules for writing them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql_app.domain import workstation
from graphql_app.domain.access import Scope
from graphql_app.domain.errors import InUse, InvalidInput, VersionConflict, public_name
from graphql_app.domain.names import hint, normal, unseen
from graphql_app.domain.values import text_problem, time_zone_problem
from graphql_app.domain.workstation import Department, Employee, Floor


@dataclass(frozen=True, slots=True)
class Building:
    id: int
    name: str
    time_zone: str  # of IANA's list
    version: int = field(compare=False)


# What workstations show of these has no version: only what is read from their own tables has one.


@dataclass(frozen=True, slots=True)
class VersionedFloor(Floor):
    version: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class VersionedDepartment(Department):
    version: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class VersionedEmployee(Employee):
    version: int = field(compare=False)  # guarded


Registered = Building | VersionedFloor | VersionedDepartment | Employee

# Given the public name of a field and a value: the value as it is kept. Raises InvalidInput.
Check = Callable[[str, Any], Any]


@dataclass(frozen=True, slots=True)
class OfficeKind:
    """What is said of one of the four: what the log and the schema call it, who may write it, and what it takes."""

    entity: str
    type_name: str
    scope: Scope
    checks: Mapping[str, Check]


def _refuse(field: str, problem: str | None) -> None:
    if problem is not None:
        raise InvalidInput(f"`{field}` {problem}.", field=field)


def _name(most: int, *, may_be_empty: bool = False) -> Check:
    def check(field: str, value: str | None) -> str:
        kept = normal((value or "").strip())
        if not kept and not may_be_empty:
            _refuse(field, "must not be empty")
        found = unseen(kept)
        _refuse(field, text_problem(kept, most) or (hint(found) if found else None))
        return kept

    return check


def _given(field: str, value: Any) -> Any:
    _refuse(field, "must not be empty" if value is None else None)
    return value


def _time_zone(field: str, value: str | None) -> str:
    kept = (value or "").strip()
    _refuse(field, time_zone_problem(kept))
    return kept


def _any(_: str, value: Any) -> Any:
    return value


BUILDING = OfficeKind(workstation.BUILDING, "Building", Scope.OFFICE, {"name": _name(50), "time_zone": _time_zone})
FLOOR = OfficeKind(
    workstation.FLOOR,
    "Floor",
    Scope.OFFICE,
    {"building": _name(50), "number": _given, "name": _name(100, may_be_empty=True)},
)
DEPARTMENT = OfficeKind(workstation.DEPARTMENT, "Department", Scope.OFFICE, {"name": _name(100)})
EMPLOYEE = OfficeKind(
    workstation.EMPLOYEE,
    "Employee",
    Scope.STAFF,
    {"name": _name(100), "employee_number": _name(32), "department_id": _any},
)
KINDS = (BUILDING, FLOOR, DEPARTMENT, EMPLOYEE)


def checked_values(kind: OfficeKind, values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values as they are kept. Raises InvalidInput naming the field."""
    return {name: kind.checks[name](public_name(name), value) for name, value in values.items()}


def require_version(current: Any, expected: int | None, *, is_another: bool = False) -> None:
    """Raises VersionConflict when somebody else was faster. `is_another`: the database has said so already."""
    if is_another or (expected is not None and current.version != expected):
        raise VersionConflict(
            "Somebody else changed this meanwhile; read it again and decide anew.", expectedVersion=expected
        )


def require_unused(references: Mapping[str, int]) -> None:
    """Raises InUse when anything still refers to what is to be deleted: names what, and how many."""
    left = {name: count for name, count in references.items() if count}
    if left:
        named = " and ".join(f"{count} {name if count > 1 else name.removesuffix('s')}" for name, count in left.items())
        raise InUse(f"Still referred to by {named}; move or delete these first.", references=left)
