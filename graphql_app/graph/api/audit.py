"""The audit log in the schema: who did what to which workstation, when and from where; for administrators."""

from datetime import datetime
from functools import partial
from typing import Annotated

import strawberry
from strawberry import argument
from strawberry.scalars import JSON

from graphql_app.domain import audit as domain
from graphql_app.domain import identifiers
from graphql_app.domain import workstation as office
from graphql_app.domain.identifiers import global_id, global_ids
from graphql_app.graph.api import enums
from graphql_app.graph.api.context import AppInfo
from graphql_app.graph.api.markers import InstanceOf, derived
from graphql_app.graph.api.paging import After, Before, First, Last, PageInfo
from graphql_app.graph.api.permissions import guarded
from graphql_app.graph.api.types import Node
from graphql_app.services.listing import Listing, Paging

enums.publish(
    domain.Action,
    {
        domain.Action.CREATED: "It was put up.",
        domain.Action.CHANGED: "It was edited, moved, taken or freed, or a name that it shows was changed.",
        domain.Action.DELETED: "It was taken away.",
    },
    name="AuditAction",
    description="What was done to a workstation.",
)
enums.publish(
    domain.Transport,
    {
        domain.Transport.HTTP: "GraphQL over HTTP.",
        domain.Transport.SOCKET: "GraphQL over a WebSocket.",
        domain.Transport.REST: "The REST API.",
        domain.Transport.COMMAND: "A command of an operator, such as an import.",
        domain.Transport.SQL: "SQL, past the application.",
    },
    name="AuditTransport",
    description="The way by which a change came in.",
)


def _department_id(department: office.Department | None) -> strawberry.ID | None:
    return None if department is None else strawberry.ID(global_id("Department", department.id))


def _employee_key(employee: office.Employee | None) -> strawberry.ID | None:
    return None if employee is None else strawberry.ID(global_id("Employee", employee.key))


def _name(it: office.Department | office.Employee | None) -> str | None:
    return None if it is None else it.name


_guarded = partial(guarded, "WorkstationImage")


@strawberry.type(
    description="A workstation as it was. It has no identity and nothing in it has one, so that no client takes the"
    " past for the present."
)
class WorkstationImage:
    name: str = strawberry.field(description="Its name.")
    status: office.Status = strawberry.field(description="What it was used for.")
    building: str | None = strawberry.field(description="Name of the building; null when it stood nowhere.")
    floor_number: int | None = strawberry.field(description="Number of the floor; null when it stood nowhere.")
    floor_name: str | None = strawberry.field(description="Name of the floor.")
    notes: str | None = strawberry.field(description="Free text.")
    created_at: datetime = strawberry.field(description="When it was created.")
    x_position: float | None = _guarded("x_position", "Left edge, in units of the floor plan.")
    y_position: float | None = _guarded("y_position", "Top edge, in units of the floor plan.")
    width: float | None = _guarded("width", "Width, in units of the floor plan.")
    height: float | None = _guarded("height", "Height, in units of the floor plan.")
    employee_id: str | None = _guarded("employee_id", "The occupant's employee number (工号).")
    version: int | None = _guarded("version", "Its version.")
    updated_at: datetime | None = _guarded("updated_at", "When it had last changed.")

    department_id: strawberry.ID | None = derived(
        "department", _department_id, strawberry.ID | None, "Global ID of the department that it belonged to."
    )
    department_name: str | None = derived("department", _name, str | None, "Name of that department, at that time.")
    employee_key: strawberry.ID | None = derived(
        "employee", _employee_key, strawberry.ID | None, "Global ID of the employee who sat there."
    )
    employee_name: str | None = derived("employee", _name, str | None, "Name of that employee, at that time.")
    equipment: JSON | None = derived("equipment", office.equipment_value, JSON | None, "What stood on it, as JSON.")


@strawberry.type(description="One committed change of one workstation.")
class AuditEntry(Node):
    at: datetime = strawberry.field(description="When it was written, by the clock of the database.")
    action: domain.Action = strawberry.field(description="What was done.")
    actor: str = strawberry.field(
        description="Who did it: the `sub` of a token; `command:` and its name; `database:` and the user, for SQL."
    )
    transport: domain.Transport | None = strawberry.field(
        description="The way by which it came in; null where an earlier release did not say."
    )
    address: str | None = strawberry.field(
        description="The network address that it came from; null where there is none."
    )
    request_id: str | None = strawberry.field(
        description="The request, as the header X-Request-ID of its answer said; on a WebSocket, the client's id of the"
        " operation."
    )
    before: WorkstationImage | None = strawberry.field(description="What it was like; null when it was created.")
    after: WorkstationImage | None = strawberry.field(description="What it was like then; null when it was deleted.")
    changed: list[str] = strawberry.field(
        description="The fields of WorkstationImage that differ, as far as you may see them; `version` and `updatedAt`,"
        " which always do, are left out."
    )

    id: strawberry.ID = derived(
        "key", global_ids("AuditEntry"), strawberry.ID, "Opaque and global: unique over all types."
    )
    workstation_id: strawberry.ID = derived(
        "workstation_id", global_ids("Workstation"), strawberry.ID, "Global ID of the workstation."
    )

    is_type_of = InstanceOf(domain.Entry)


@strawberry.type(description="An entry of the audit log and its place there.")
class AuditEdge:
    cursor: str = strawberry.field(description="Give it as `after` or `before`.")
    node: AuditEntry = strawberry.field(description="The entry.")


@strawberry.type(description="A page of the audit log.")
class AuditConnection:
    edges: list[AuditEdge] = strawberry.field(description="The entries with their cursors.")
    nodes: list[AuditEntry] = strawberry.field(description="The entries alone.")
    page_info: PageInfo = strawberry.field(description="Where this page stands.")


@strawberry.input(description="Which entries are meant. All that is given must hold.")
class AuditFilter:
    workstation_id: strawberry.ID | None = strawberry.field(
        default=None, description="Of this workstation, also after it was deleted."
    )
    actor: str | None = strawberry.field(default=None, description="By exactly this actor.")
    since: datetime | None = strawberry.field(default=None, description="At this moment or later.")
    until: datetime | None = strawberry.field(default=None, description="Before this moment.")
    actions: list[domain.Action] | None = strawberry.field(default=None, description="One of these.")


def _filter_of(given: AuditFilter | None) -> domain.AuditFilter:
    """Raises InvalidInput."""
    if given is None:
        return domain.AuditFilter()
    desk = given.workstation_id
    return domain.AuditFilter(
        workstation_id=None if desk is None else identifiers.row(desk, "Workstation", "workstationId"),
        actor=given.actor,
        since=given.since,
        until=given.until,
        actions=None if given.actions is None else frozenset(given.actions),
    )


@strawberry.type(description="What can be asked of the audit log.")
class AuditQueries:
    @strawberry.field(
        graphql_type=AuditConnection,
        description="Who did what to which workstation, the newest first, whatever way it was done. Needs the scopes"
        " `admin` and `workstations:read`. Entries are kept for as long as the operator decided. What your scopes hide"
        " of a workstation is hidden here too, and a change of nothing else is not listed.",
    )
    async def audit_log(
        self,
        info: AppInfo,
        filter: Annotated[
            AuditFilter | None, argument(description="Which entries are meant; all, unless told.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Listing[domain.Entry]:
        paging = Paging(first, after, last, before)
        return await info.context.services.audit.log(info.context.caller, _filter_of(filter), paging)
