"""The rules for changing a workstation: what may be asked of one in its present state, as the fields to write."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from graphql_app.domain.errors import Conflict, InvalidInput, VersionConflict, public_name
from graphql_app.domain.names import hint, normal, unseen
from graphql_app.domain.values import JSON_MOST, json_problem, number_problem, text_problem
from graphql_app.domain.workstation import MAY_FOLLOW, Employee, Status, Workstation, may_become

NAME_MOST = 100
BUILDING_MOST = 50
NOTES_MOST = 10_000
KEY_MOST = 255


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A key that the client made up, unique per user, and what was asked with it. Raises InvalidInput."""

    key: str
    request: str

    def __post_init__(self) -> None:
        if not self.key or len(self.key) > KEY_MOST or not self.key.isprintable():
            raise InvalidInput(
                f"An idempotency key takes 1 to {KEY_MOST} characters that can be printed, with the name of the field."
            )


def require_version(workstation: Workstation, expected: int | None) -> None:
    """Raises VersionConflict when somebody else was faster."""
    if expected is not None and workstation.version != expected:
        raise VersionConflict(
            "Somebody else changed this workstation meanwhile; look at `current` and decide again.",
            expectedVersion=expected,
        )


def change_status(workstation: Workstation, status: Status) -> dict[str, Any]:
    """Raises Conflict when the table of transitions does not allow it. Who frees a desk, frees it of its occupant."""
    if not may_become(workstation.status, status):
        allowed = sorted(MAY_FOLLOW[workstation.status])
        raise Conflict(
            f"{workstation.status.upper()} cannot become {status.upper()}; "
            f"it may become {' or '.join(name.upper() for name in allowed)}.",
            allowed=[name.upper() for name in allowed],
        )
    return with_status(status)


def with_status(status: Status) -> dict[str, Any]:
    """What is written to whatever gets the status: who frees a desk, frees it of its occupant."""
    changes: dict[str, Any] = {"status": status.value}
    if status is Status.AVAILABLE:
        changes["employee_key"] = None
    return changes


_ALLOWING = {then: frozenset(now for now in Status if may_become(now, then)) for then in Status}


@dataclass(frozen=True, slots=True)
class ConditionalUpdate:
    """A change that needs no look at the workstation: what to write, if it has one of these statuses."""

    changes: Mapping[str, Any]
    statuses: frozenset[Status]


def conditional_update(changes: Mapping[str, Any]) -> ConditionalUpdate | None:
    """Returns what edit() writes to each workstation that allows it; None when no workstation does."""
    if "status" not in changes:
        return ConditionalUpdate(changes, frozenset(Status))
    status = changes["status"]
    if status is None:
        return None
    return ConditionalUpdate({**changes, **with_status(status)}, _ALLOWING[status])


def edit(workstation: Workstation, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes, a status among them by the rules of statuses. Raises Conflict, InvalidInput."""
    if "status" not in changes:
        return dict(changes)
    if changes["status"] is None:
        raise InvalidInput("`status` must not be empty.", field="status")
    return {**changes, **change_status(workstation, changes["status"])}


def assign(workstation: Workstation, employee: Employee) -> dict[str, Any]:
    """Raises Conflict when somebody else sits there, or when the desk cannot be occupied now."""
    occupant = workstation.employee
    if workstation.status is Status.OCCUPIED and occupant is not None and occupant.key != employee.key:
        raise Conflict("Somebody else sits there; release the workstation first.")
    return {**change_status(workstation, Status.OCCUPIED), "employee_key": employee.key}


def checked(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values to write, each within its bounds. Raises InvalidInput naming the field."""
    for field, check in _CHECKS.items():
        if field in values:
            check(public_name(field), values[field])
    if ("building" in values) != ("floor_number" in values):
        raise InvalidInput("`building` and `floorNumber` go together.", field="floorNumber")
    kept = dict(values)
    for field in ("name", "building"):
        if kept.get(field) is not None:
            kept[field] = normal(kept[field].strip() if field == "name" else kept[field])
    return kept


def equipment_text(value: Any) -> str:
    """The equipment as it is stored. Raises InvalidInput for what cannot be written as JSON, or not be read by all."""
    problem = json_problem(value)
    if problem is not None:
        raise InvalidInput(f"`equipment` {problem}.", field="equipment")
    try:
        return orjson.dumps(value).decode()
    except (orjson.JSONEncodeError, TypeError) as error:
        raise InvalidInput(f"`equipment` cannot be written as JSON: {error}", field="equipment") from error


def _name(field: str, value: str | None) -> None:
    _text(NAME_MOST, required=True)(field, value and normal(value))
    if value is not None and (found := unseen(value.strip())) is not None:
        raise InvalidInput(f"`{field}` {hint(found)}.", field=field)


def _text(most: int, *, required: bool = False) -> Any:
    def check(field: str, value: str | None) -> None:
        if value is None and not required:
            return
        if value is None or (required and not value.strip()):
            raise InvalidInput(f"`{field}` must not be empty.", field=field)
        problem = text_problem(value, most)
        if problem is not None:
            raise InvalidInput(f"`{field}` {problem}.", field=field)

    return check


def _number(field: str, value: float | None) -> None:
    problem = "must not be empty" if value is None else number_problem(value)
    if problem is not None:
        raise InvalidInput(f"`{field}` {problem}.", field=field)


def _size(field: str, value: float | None) -> None:
    _number(field, value)
    if value is not None and round(value, 2) <= 0:
        raise InvalidInput(f"`{field}` must be above 0.", field=field)


_CHECKS = {
    "name": _name,
    "building": _text(BUILDING_MOST),
    "notes": _text(NOTES_MOST),
    "equipment": _text(JSON_MOST),
    "x_position": _number,
    "y_position": _number,
    "width": _size,
    "height": _size,
}
