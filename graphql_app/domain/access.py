"""Who may see and do what: scopes, the one table of guarded fields, and the redaction of every answer."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from graphql_app.domain.account import Account, SignIn
from graphql_app.domain.errors import Forbidden, public_name
from graphql_app.domain.frozen import copier
from graphql_app.domain.presence import Present
from graphql_app.domain.reservation import Reservation, Visibility
from graphql_app.domain.workstation import Employee, Workstation

T = TypeVar("T")
VIEWS_KEPT = 1000


class Scope(StrEnum):
    READ = "workstations:read"
    WRITE = "workstations:write"
    COORDINATES = "coordinates:read"
    EMPLOYEES = "employees:read"
    OFFICE = "office:write"
    STAFF = "employees:write"
    NOTIFY = "notifications:write"
    RESERVE = "reservations:write"
    RESERVATIONS = "reservations:read"
    MANAGE_RESERVATIONS = "reservations:manage"
    SERVER = "server:read"
    SCHEMA = "schema:read"
    ADMIN = "admin"


_DESK: Mapping[str, Scope] = {
    "x_position": Scope.COORDINATES,
    "y_position": Scope.COORDINATES,
    "width": Scope.COORDINATES,
    "height": Scope.COORDINATES,
    "employee_id": Scope.EMPLOYEES,
    "version": Scope.WRITE,
    "updated_at": Scope.WRITE,
}
# Type -> field -> the scope without which the field is null. The only place that decides it.
GUARDED: Mapping[str, Mapping[str, Scope]] = {
    "Workstation": _DESK,
    "WorkstationImage": _DESK,  # the same thing, as it was
    # A version would tell of a number that was changed.
    "Employee": {"employee_number": Scope.EMPLOYEES, "version": Scope.EMPLOYEES},
    "PresenceChange": {"people": Scope.EMPLOYEES},
}

# The shipped roles; GRAPHQL_APP_ROLES adds to them or replaces one.
ROLES: Mapping[str, frozenset[Scope]] = {
    "visitor": frozenset({Scope.READ}),
    "employee": frozenset({Scope.READ, Scope.COORDINATES, Scope.RESERVE}),
    "facilities": frozenset(
        {
            Scope.READ,
            Scope.WRITE,
            Scope.COORDINATES,
            Scope.OFFICE,
            Scope.RESERVE,
            Scope.RESERVATIONS,
            Scope.MANAGE_RESERVATIONS,
        }
    ),
    "hr": frozenset({Scope.READ, Scope.EMPLOYEES, Scope.STAFF, Scope.RESERVATIONS}),
    "operator": frozenset({Scope.READ, Scope.SERVER, Scope.SCHEMA, Scope.NOTIFY}),
    "admin": frozenset(Scope),
}


class View(NamedTuple):
    """What may be seen. All viewers with the same view share one answer, so that it is a part of most keys: as a tuple
    it is hashed in a fifth of the time of a dataclass."""

    scopes: frozenset[Scope]

    def has(self, scope: Scope) -> bool:
        return scope in self.scopes


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who asks: a subject with a view. `expires_at` is when the token ends, in seconds since 1970.

    `sign_in` and `account`: who logged in here, and what their account was when this was made of it.
    """

    subject: str
    roles: tuple[str, ...]
    view: View
    employee_key: UUID | None
    employee_number: str | None
    expires_at: float
    sign_in: SignIn | None = None
    account: Account | None = None


# Who has not said who they are: may log in, and nothing else.
ANONYMOUS = Viewer("", (), View(frozenset()), None, None, float("inf"))


def scopes_of(roles: Iterable[str], table: Mapping[str, frozenset[Scope]]) -> frozenset[Scope]:
    """Returns all scopes of the roles. A role that the table does not know gives none."""
    return frozenset(scope for role in roles for scope in table.get(role, ()))


def require(viewer: Viewer, *scopes: Scope) -> None:
    """Raises Forbidden unless the viewer has all the scopes."""
    for scope in scopes:
        if not viewer.view.has(scope):
            message = f"This needs the scope {scope}; ask an administrator for a role that has it."
            raise Forbidden(message, scope=str(scope))


def guarding_scope(type_name: str, field: str) -> Scope | None:
    return GUARDED.get(type_name, {}).get(field)


def may_see(view: View, type_name: str, field: str) -> bool:
    scope = guarding_scope(type_name, field)
    return scope is None or view.has(scope)


def require_fields(view: View, type_name: str, fields: Iterable[str], doing: str = "Filtering or ordering by") -> None:
    """Raises Forbidden when a field is hidden from the view. Filtering or sorting by it would tell its value, and so
    would writing a guess: nothing changes where the guess is right."""
    for field in fields:
        if not may_see(view, type_name, field):
            scope = guarding_scope(type_name, field)
            shown = public_name(field)
            raise Forbidden(f"{doing} {shown} needs the scope {scope}.", field=shown, scope=str(scope))


def _nothing(_: object) -> None:
    return None


def _hiding(view: View, type_name: str) -> dict[str, Callable[[Any], Any]]:
    """Returns the change that hides the fields which the view may not see."""
    return {field: _nothing for field, scope in GUARDED.get(type_name, {}).items() if not view.has(scope)}


@lru_cache(VIEWS_KEPT)
def employee_redactor(view: View) -> Callable[[Employee], Employee]:
    """Returns what redacts employees for the view. Made once for a view: every row that leaves goes through it."""
    hiding, fields = _hiding(view, "Employee"), Employee.__dataclass_fields__
    return copier(Employee, {name: hiding[name] for name in hiding if name in fields}) if hiding else _as_it_is


@lru_cache(VIEWS_KEPT)
def redactor(view: View) -> Callable[[Workstation], Workstation]:
    """Returns what redacts workstations for the view. Made once for a view, as employee_redactor."""
    hiding = _hiding(view, "Workstation")
    if _hiding(view, "Employee"):
        redacted = employee_redactor(view)
        hiding["employee"] = lambda employee: employee and redacted(employee)
    return copier(Workstation, hiding) if hiding else _as_it_is


@lru_cache(VIEWS_KEPT)
def hidden(view: View, type_name: str = "Workstation") -> frozenset[str]:
    """Returns the fields of the type that the view may not see."""
    return frozenset(_hiding(view, type_name))


@lru_cache(VIEWS_KEPT)
def hides(view: View) -> bool:
    """Returns whether there is anything of a workstation that the view may not see."""
    return bool(hidden(view, "Workstation") or hidden(view, "Employee"))


def seen(view: View, fields: Iterable[str]) -> frozenset[str]:
    """Returns the fields of a workstation that are worth fetching for this view: the others would be redacted."""
    return frozenset(fields) - hidden(view)


def redact_employee(view: View, employee: Employee) -> Employee:
    """Returns the employee as this view may see it."""
    return employee_redactor(view)(employee)


def redact_employee_row(view: View, row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns a row of `employees` as this view may see it."""
    return {name: value for name, value in row.items() if name not in hidden(view, "Employee")}


def shows_version(view: View) -> bool:
    """Returns whether the view is shown the versions of workstations: then it notices every change of one."""
    return may_see(view, "Workstation", "version")


def redact_present(view: View, present: Present) -> Present:
    """Returns how many are there, and who, as far as this view may see it."""
    hidden: dict[str, Any] = dict.fromkeys(_hiding(view, "PresenceChange"))
    return replace(present, **hidden)


# Whoever has one of these knows that there are bookings at all.
BOOKING_SCOPES = (Scope.RESERVE, Scope.RESERVATIONS, Scope.MANAGE_RESERVATIONS)


class Onlooker(NamedTuple):
    """Who looks at bookings, as far as it decides what of them is shown: `employee_id` is their own row, None where
    they are anybody."""

    view: View
    department_id: int | None = None
    employee_id: int | None = None


def require_bookings(viewer: Viewer) -> None:
    """Raises Forbidden unless the viewer may know of bookings."""
    if not any(map(viewer.view.has, BOOKING_SCOPES)):
        raise Forbidden(f"This needs the scope {Scope.RESERVE}.", scope=str(Scope.RESERVE))


def redact_reservation(onlooker: Onlooker, reservation: Reservation) -> Reservation:
    """Returns the booking as the onlooker may see it: whose it is, by the rule of the booking itself."""
    is_own = onlooker.employee_id is not None and onlooker.employee_id == reservation.holder_id
    if is_own or onlooker.view.has(Scope.RESERVATIONS) or onlooker.view.has(Scope.MANAGE_RESERVATIONS):
        return reservation
    is_near = onlooker.department_id is not None and onlooker.department_id == reservation.department_id
    is_named = reservation.visibility is Visibility.EVERYONE or (
        reservation.visibility is Visibility.DEPARTMENT and is_near
    )
    holder_id = reservation.holder_id if is_named else None
    return replace(reservation, holder_id=holder_id, booked_by=None, note=None, department_id=None, version=None)


def redact(view: View, workstation: Workstation) -> Workstation:
    """Returns the workstation as this view may see it."""
    return redactor(view)(workstation)


def _as_it_is(value: T) -> T:
    return value
