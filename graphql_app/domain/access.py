"""Who may see and do what: scopes, the one table of guarded fields, and the redaction of every answer."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any
from uuid import UUID

from graphql_app.domain.errors import Forbidden, public_name
from graphql_app.domain.workstation import Employee, Workstation


class Scope(StrEnum):
    READ = "workstations:read"
    WRITE = "workstations:write"
    COORDINATES = "coordinates:read"
    EMPLOYEES = "employees:read"
    NOTIFY = "notifications:write"
    SERVER = "server:read"
    ADMIN = "admin"


# Type -> field -> the scope without which the field is null. The only place that decides it.
GUARDED: Mapping[str, Mapping[str, Scope]] = {
    "Workstation": {
        "x_position": Scope.COORDINATES,
        "y_position": Scope.COORDINATES,
        "width": Scope.COORDINATES,
        "height": Scope.COORDINATES,
        "employee_id": Scope.EMPLOYEES,
        "version": Scope.WRITE,
        "updated_at": Scope.WRITE,
    },
    "Employee": {"employee_number": Scope.EMPLOYEES},
}

# The shipped roles; GRAPHQL_APP_ROLES adds to them or replaces one.
ROLES: Mapping[str, frozenset[Scope]] = {
    "visitor": frozenset({Scope.READ}),
    "employee": frozenset({Scope.READ, Scope.COORDINATES}),
    "facilities": frozenset({Scope.READ, Scope.WRITE, Scope.COORDINATES}),
    "hr": frozenset({Scope.READ, Scope.EMPLOYEES}),
    "operator": frozenset({Scope.READ, Scope.SERVER, Scope.NOTIFY}),
    "admin": frozenset(Scope),
}


@dataclass(frozen=True, slots=True)
class View:
    """What may be seen. Small and hashable: all viewers with the same view share one answer."""

    scopes: frozenset[Scope]

    def has(self, scope: Scope) -> bool:
        return scope in self.scopes


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who asks: a subject with a view. `expires_at` is when the token ends, in seconds since 1970.

    `reads_primary`: the answer must hold a write that this process may not have heard of, so what it keeps in memory
    will not do.
    """

    subject: str
    roles: tuple[str, ...]
    view: View
    employee_key: UUID | None
    employee_number: str | None
    expires_at: float
    request_id: str | None = None
    reads_primary: bool = False


def scopes_of(roles: Iterable[str], table: Mapping[str, frozenset[Scope]]) -> frozenset[Scope]:
    """All scopes of the roles. A role that the table does not know gives none."""
    return frozenset(scope for role in roles for scope in table.get(role, ()))


def require(viewer: Viewer, scope: Scope) -> None:
    """Raises Forbidden unless the viewer has the scope."""
    if not viewer.view.has(scope):
        raise Forbidden(f"This needs the scope {scope}; ask an administrator for a role that has it.", scope=str(scope))


def guarding_scope(type_name: str, field: str) -> Scope | None:
    return GUARDED.get(type_name, {}).get(field)


def may_see(view: View, type_name: str, field: str) -> bool:
    scope = guarding_scope(type_name, field)
    return scope is None or view.has(scope)


def require_fields(view: View, type_name: str, fields: Iterable[str]) -> None:
    """Raises Forbidden when a field is hidden from the view: filtering or sorting by it would tell its value."""
    for field in fields:
        if not may_see(view, type_name, field):
            scope = guarding_scope(type_name, field)
            shown = public_name(field)
            raise Forbidden(f"Filtering or ordering by {shown} needs the scope {scope}.", field=shown, scope=str(scope))


def hidden_fields(view: View, type_name: str) -> dict[str, Any]:
    """The fields of the type that the view may not see, as the replacement that hides them."""
    return {field: None for field, scope in GUARDED.get(type_name, {}).items() if not view.has(scope)}


def redact_employee(view: View, employee: Employee) -> Employee:
    hidden = hidden_fields(view, "Employee")
    return replace(employee, **hidden) if hidden else employee


def redact(view: View, workstation: Workstation) -> Workstation:
    """The workstation as this view may see it."""
    hidden = hidden_fields(view, "Workstation")
    if not hidden and not hidden_fields(view, "Employee"):
        return workstation
    employee = workstation.employee and redact_employee(view, workstation.employee)
    return replace(workstation, employee=employee, **hidden)
