"""Rows and images of the database, as domain objects."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from asyncpg import Record

from graphql_app.domain.notification import Level, Notification
from graphql_app.domain.workstation import Department, Employee, Floor, Status, Workstation


def department(label: Mapping[str, Any] | None) -> Department | None:
    return Department(label["id"], label["name"]) if label else None


def occupant(label: Mapping[str, Any] | None) -> Employee | None:
    if not label:
        return None
    return Employee(UUID(label["key"]), label["name"], department(label["department"]), label["number"])


def workstation(row: Mapping[str, Any] | Record) -> Workstation:
    """From a row of `workstations`, or from an image of one in change_log. A column that was not selected is None."""
    get = row.get
    labels = get("labels") or {}
    label = labels.get("employee")
    status = get("status")
    return Workstation(
        id=row["id"],
        name=get("name"),  # type: ignore[arg-type]  # None only where the caller did not select it
        status=Status(status) if status else None,  # type: ignore[arg-type]  # likewise
        building=get("building"),
        floor_number=get("floor_number"),
        floor_name=labels.get("floor"),
        department=department(labels.get("department")),
        employee=occupant(label),
        x_position=_number(get("x_position")),
        y_position=_number(get("y_position")),
        width=_number(get("width")),
        height=_number(get("height")),
        employee_id=label["number"] if label else None,
        equipment=get("equipment"),
        notes=get("notes"),
        created_at=moment(get("created_at")),
        updated_at=moment(get("updated_at")),
        version=get("version"),
    )


def notification(row: Mapping[str, Any] | Record) -> Notification:
    """From a row of `notifications`, or from an image of one in change_log."""
    return Notification(
        id=row["id"],
        level=Level(row["level"]),
        title=row["title"],
        body=row["body"],
        building=row["building"],
        floor_number=row["floor_number"],
        department_id=row["department_id"],
        role=row["role"],
        created_at=moment(row["created_at"]),
        expires_at=moment(row["expires_at"]),
    )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def moment(value: Any) -> Any:
    """A datetime, from a column or from JSON; None stays None."""
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def floor(row: Mapping[str, Any]) -> Floor:
    return Floor(row["id"], row["building"], row["number"], row["name"])


def _as_it_is(image: Mapping[str, Any]) -> Mapping[str, Any]:
    return image


# How the images of each entity in change_log are read. Those of people and buildings only say that something changed.
IMAGES: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "workstation": workstation,
    "notification": notification,
    "floor": floor,
    "department": department,
    "employee": _as_it_is,
    "building": _as_it_is,
}
