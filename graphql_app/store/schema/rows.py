"""Rows and images of the database, as domain objects."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import orjson
from asyncpg import Record

from graphql_app.aio.memo import Memo
from graphql_app.domain.account import Account, LoginSession
from graphql_app.domain.frozen import maker
from graphql_app.domain.notification import Level, Notification
from graphql_app.domain.reservation import Ending, Reservation, ReservationState, Visibility
from graphql_app.domain.workstation import STATUSES, Department, Employee, Floor, Place, Workstation
from graphql_app.store.postgres import timestamps as moments

_workstation = maker(Workstation)
_employee = maker(Employee)
_department = maker(Department)
# floor name, department, employee, employee number
Labels = tuple[str | None, Department | None, Employee | None, str | None]
_LEVELS: Mapping[str, Level] = {level.value: level for level in Level}
_UNLABELLED: Labels = (None, None, None, None)
LABELS_KEPT = 20_000  # of about 1 KB
MOMENTS_KEPT = 100_000  # of about 200 bytes


def department(label: Mapping[str, Any] | None) -> Department | None:
    return _department(label["id"], label["name"]) if label else None


def occupant(label: Mapping[str, Any] | None) -> Employee | None:
    if not label:
        return None
    return _employee(UUID(label["key"]), label["name"], department(label["department"]), label["number"])


def labels(image: Any) -> Labels:
    """Returns the labels of a row; none of one that triggers did not make (they can be switched off)."""
    try:
        employee = image.get("employee")
        number = employee["number"] if employee else None
        return image.get("floor"), department(image.get("department")), occupant(employee), number
    except (AttributeError, KeyError, TypeError, ValueError):
        return _UNLABELLED


def _labels_of(sent: bytes | None) -> Labels:
    return labels(orjson.loads(sent[1:])) if sent is not None else _UNLABELLED


# Of a row these seldom change, and to make their objects takes longer than all the rest of it.
LABELS = Memo(_labels_of, LABELS_KEPT)
MOMENTS = Memo(moments.from_bytes, MOMENTS_KEPT)
ONCE_KEPT = 1000  # of each, where rows go by that are not read again

# The columns of selected(), in its order: moments and labels as PostgreSQL sends them (JSON behind the number of its
# format: bytes to look up need not be made to a text), numbers as the domain holds them.
SELECTED = (
    "id",
    "name",
    "status",
    "building",
    "floor_number",
    "labels",
    "x_position",
    "y_position",
    "width",
    "height",
    "equipment",
    "notes",
    "created_at",
    "updated_at",
    "version",
)

# A row that tells of the whole as well (which floor it is, or how many rows there are) has so many columns more, at its
# end.
BEHIND = 1
PLACES: Mapping[str, int] = {name: place for place, name in enumerate(SELECTED)}
# The fields that the column `labels` holds, in the order of Labels.
LABELLED: Mapping[str, int] = {"floor_name": 0, "department": 1, "employee": 2, "employee_id": 3}


def selected(
    row: Iterable[Any],
    place: Place | None = None,
    labels: Memo[bytes | None, Labels] = LABELS,
    times: Memo[bytes, datetime] = MOMENTS,
) -> Workstation:
    """Returns the workstation of a row of SELECTED; what was not asked for is null in it. `place`: where it stands, if
    not the row tells."""
    key, name, status, building, floor, label, x, y, width, height, equipment, notes, created, updated, version = row
    if place is not None:
        building, floor = place
    floor_name, its_department, employee, number = labels[label]
    return _workstation(
        key,
        name,
        STATUSES[status],
        building,
        floor,
        floor_name,
        its_department,
        employee,
        x,
        y,
        width,
        height,
        number,
        equipment,
        notes,
        times[created] if created is not None else None,
        times[updated] if updated is not None else None,
        version,
    )


def selected_once() -> Callable[[Iterable[Any]], Workstation]:
    """Returns workstations of many rows that are not read again soon: the shared memos are left as they are."""
    return partial(selected, labels=Memo(_labels_of, ONCE_KEPT), times=Memo(moments.from_bytes, ONCE_KEPT))


def workstation(image: Mapping[str, Any]) -> Workstation:
    """From an image in change_log. Of another release it may lack columns: those that may be null are null then, and
    without another there is no workstation. Raises KeyError."""
    key, column = image["id"], image.get
    floor_name, its_department, employee, number = labels(column("labels"))
    return _workstation(
        key,
        image["name"],
        STATUSES[image["status"]],
        image["building"],
        image["floor_number"],
        floor_name,
        its_department,
        employee,
        _number(column("x_position")),
        _number(column("y_position")),
        _number(column("width")),
        _number(column("height")),
        number,
        column("equipment"),
        column("notes"),
        moment(image["created_at"]),
        moment(image["updated_at"]),
        image["version"],
    )


def notification(row: Mapping[str, Any] | Record) -> Notification:
    """From a row of `notifications`, or from an image of one in change_log. Each field says whom it is for or until
    when: no default can stand for a missing one. Raises KeyError."""
    return Notification(
        id=row["id"],
        level=_LEVELS.get(row["level"], Level.INFO),
        title=row["title"],
        body=row["body"],
        building=row["building"],
        floor_number=row["floor_number"],
        department_id=row["department_id"],
        role=row["role"],
        created_at=moment(row["created_at"]),
        expires_at=moment(row["expires_at"]),
    )


def reservation(row: Mapping[str, Any] | Record) -> Reservation:
    """Returns the booking of a row of `reservations`, or of an image of one in change_log. Who may see whose it is
    follows from it: no default can stand for a missing field. Raises KeyError for one."""
    return Reservation(
        id=row["id"],
        workstation_id=row["workstation_id"],
        floor_id=row["floor_id"],
        desk_name=row["desk_name"],
        holder_id=row["holder_id"],
        booked_by=row["booked_by"],
        note=row["note"],
        department_id=row["department_id"],
        state=ReservationState(row["state"]),
        starts_at=_moment(row["starts_at"]),
        ends_at=_moment(row["ends_at"]),
        local_start=_wall_clock(row["local_start"]),
        local_end=_wall_clock(row["local_end"]),
        time_zone=row["time_zone"],
        check_in_from=moment(row["check_in_from"]),
        check_in_by=moment(row["check_in_by"]),
        checked_in_at=moment(row["checked_in_at"]),
        ended_at=moment(row["ended_at"]),
        ended_why=Ending(row["ended_why"]) if row["ended_why"] is not None else None,
        visibility=Visibility(row["visibility"]),
        version=row["version"],
    )


def _moment(value: Any) -> datetime:
    found: datetime = moment(value)
    return found


def _wall_clock(value: datetime | str) -> datetime:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def account(row: Mapping[str, Any] | Record) -> Account:
    """From a row of `accounts` with the employee's number, or from an image of one in change_log. Who may come in
    follows from it: no default can stand for a missing field. Raises KeyError."""
    return Account(
        id=row["id"],
        name=row["name"],
        role=row["role"],
        is_disabled=row["disabled"],
        tokens_from=moment(row["tokens_from"]),
        employee_key=_uuid(row["employee_key"]),
        employee_number=row["employee_number"],
        version=row["version"],
    )


def login_session(row: Mapping[str, Any] | Record) -> LoginSession:
    """From a row of `login_sessions`, or from an image of one in change_log. Raises KeyError for a missing field, as
    account() does."""
    return LoginSession(
        row["id"], _uuid(row["key"]), row["account_id"], moment(row["created_at"]), moment(row["revoked_at"])
    )


def _uuid(value: Any) -> Any:
    """A UUID, from a column or from JSON; None stays None."""
    return UUID(value) if isinstance(value, str) else value


def _number(value: Any) -> float | None:
    """Numeric columns take NaN, which no answer can show."""
    number = None if value is None else float(value)
    return None if number != number else number  # noqa: PLR0124  # so is NaN told


def moment(value: Any) -> Any:
    """A datetime, from a column or from JSON; None stays None."""
    return moments.from_text(value) if isinstance(value, str) else value


def floor(row: Mapping[str, Any]) -> Floor:
    """Returns the floor of an image. Raises KeyError for a missing field but its name."""
    return Floor(row["id"], row["building"], row["number"], row.get("name") or "")


def department_row(row: Mapping[str, Any]) -> Department:
    """Returns the department of an image. Raises KeyError for a missing field."""
    return _department(row["id"], row["name"])


def employee_row(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """An image of an employee as it is, with all that is asked of it: memberships and accounts follow from that, so
    that no default can stand for a missing field. Raises KeyError."""
    for name in _OF_EMPLOYEE:
        row[name]
    return row


_OF_EMPLOYEE = ("public_key", "employee_number", "department_id")


def as_it_is(image: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the image: nothing of it is asked but that something changed."""
    return image
