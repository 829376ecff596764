"""The types of the schema. Resolvers hand out domain objects, already redacted; the fields read their attributes."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NewType

import strawberry
from strawberry import Parent
from strawberry.scalars import JSON

from graphql_app.domain import workstation as domain
from graphql_app.domain.access import Viewer
from graphql_app.domain.identifiers import global_ids
from graphql_app.domain.workstation import Counts, Place
from graphql_app.graph.api import enums
from graphql_app.graph.api.context import AppInfo
from graphql_app.graph.api.markers import InstanceOf, carried_by, derived
from graphql_app.graph.api.permissions import guarded
from graphql_app.graph.api.selection import selected
from graphql_app.services.following.follow import FloorSnapshot
from graphql_app.services.office.table import LAYOUT

Cursor = NewType("Cursor", str)
CURSOR = strawberry.scalar(
    name="Cursor",
    description="A place in the history of changes. Opaque: give it back as `after` to resume with nothing lost.",
    serialize=str,
    parse_value=str,
)

# Before any annotation that uses it is met: Strawberry would name it by its class, and the schema would have both.
enums.publish(
    domain.Status,
    {
        domain.Status.AVAILABLE: "Free to take.",
        domain.Status.OCCUPIED: "Somebody sits there.",
        domain.Status.MAINTENANCE: "Not to be used for the present.",
        domain.Status.RESERVED: "Kept for somebody.",
    },
    name="WorkstationStatus",
    description="What a workstation is used for now.",
)


@strawberry.interface(description="Anything that `node(id:)` can fetch again.")
class Node:
    @strawberry.field(description="Opaque and global: unique over all types.")
    def id(self) -> strawberry.ID:
        raise TypeError("every type that implements Node resolves its own id")


@strawberry.type(description="A department of the company.")
class Department(Node):
    name: str = strawberry.field(description="Unique.")

    id: strawberry.ID = derived(
        "id", global_ids("Department"), strawberry.ID, "Opaque and global: unique over all types."
    )

    is_type_of = InstanceOf(domain.Department)


@strawberry.type(description="Somebody who may sit at a workstation.")
class Employee(Node):
    name: str = strawberry.field(description="Full name.")
    department: Department | None = strawberry.field(description="Where they belong, if anywhere.")
    employee_number: str | None = guarded("Employee", "employee_number", "The employee number (工号).")

    id: strawberry.ID = derived(
        "key",
        global_ids("Employee"),
        strawberry.ID,
        "Opaque and global; made from a random key, never from the employee number.",
    )

    is_type_of = InstanceOf(domain.Employee)


@strawberry.type(description="A desk on a floor plan (工位).")
class Workstation(Node):
    name: str = strawberry.field(description="Unique on its floor.")
    status: domain.Status = strawberry.field(description="What it is used for now.")
    building: str | None = strawberry.field(description="Name of the building; null when it stands nowhere.")
    floor_number: int | None = strawberry.field(description="Number of the floor; null when it stands nowhere.")
    floor_name: str | None = strawberry.field(description="Name of the floor.")
    department: Department | None = strawberry.field(description="The department that it belongs to.")
    employee: Employee | None = strawberry.field(description="Who sits there.")
    notes: str | None = strawberry.field(description="Free text.")
    created_at: datetime = strawberry.field(description="When it was created.")
    x_position: float | None = guarded("Workstation", "x_position", "Left edge, in units of the floor plan.")
    y_position: float | None = guarded("Workstation", "y_position", "Top edge, in units of the floor plan.")
    width: float | None = guarded("Workstation", "width", "Width, in units of the floor plan.")
    height: float | None = guarded("Workstation", "height", "Height, in units of the floor plan.")
    employee_id: str | None = guarded("Workstation", "employee_id", "The occupant's employee number (工号).")
    version: int | None = guarded(
        "Workstation", "version", "Grows with every change; give it back as `expectedVersion`."
    )
    updated_at: datetime | None = guarded("Workstation", "updated_at", "When it last changed.")

    id: strawberry.ID = derived(
        "id", global_ids("Workstation"), strawberry.ID, "Opaque and global: unique over all types."
    )

    equipment: JSON | None = derived("equipment", domain.equipment_value, JSON | None, "What stands on it, as JSON.")

    is_type_of = InstanceOf(domain.Workstation, LAYOUT)


@strawberry.type(description="How many workstations of a group are in each status.")
class WorkstationStats:
    key: str | None = strawberry.field(description="Names the group; null for those without one, and for the whole.")
    total: int = strawberry.field(description="All of them.")

    @strawberry.field(description="Free to be taken.")
    @staticmethod
    def available(root: Parent[Counts]) -> int:
        return root.by_status[domain.Status.AVAILABLE]

    @strawberry.field(description="Somebody sits there.")
    @staticmethod
    def occupied(root: Parent[Counts]) -> int:
        return root.by_status[domain.Status.OCCUPIED]

    @strawberry.field(description="Out of use.")
    @staticmethod
    def maintenance(root: Parent[Counts]) -> int:
        return root.by_status[domain.Status.MAINTENANCE]

    @strawberry.field(description="Kept for somebody.")
    @staticmethod
    def reserved(root: Parent[Counts]) -> int:
        return root.by_status[domain.Status.RESERVED]


@strawberry.type(description="A floor of a building.")
class Floor(Node):
    building: str = strawberry.field(description="Name of the building.")
    number: int = strawberry.field(description="Number of the floor; below ground it is negative.")
    name: str = strawberry.field(description="What people call it; may be empty.")

    id: strawberry.ID = derived("id", global_ids("Floor"), strawberry.ID, "Opaque and global: unique over all types.")

    @strawberry.field(
        description="Where the history stood when these workstations were read: give it as `after` to"
        " `workstationChanges(filter: {building, floorNumber})` to hear of every later change."
    )
    @staticmethod
    async def cursor(root: Parent[domain.Floor], info: AppInfo) -> Cursor:
        return Cursor((await _exactly(info, root.place)).cursor)

    @strawberry.field(
        graphql_type=list[Workstation],
        description="Every workstation of the floor, by id.",
        metadata=carried_by(domain.WholeFloor),
    )
    @staticmethod
    async def workstations(root: Parent[domain.Floor], info: AppInfo) -> Sequence[domain.Workstation]:
        if isinstance(root, domain.WholeFloor):
            return root.workstations
        context, fields = info.context, selected(info)
        if context.exact_floors:
            return (await _exactly(info, root.place)).workstations
        found: Sequence[domain.Workstation] = await context.load(
            ("floor workstations", fields),
            root.place,
            lambda places: context.services.browse.workstations_by_place(context.caller, places, fields),
        )
        return found

    @strawberry.field(graphql_type=WorkstationStats, description="How many of its workstations are in each status.")
    @staticmethod
    async def stats(root: Parent[domain.Floor], info: AppInfo) -> Counts:
        context = info.context
        counts: Counts = await context.load(
            "floor stats", root.place, lambda places: context.services.browse.counts_by_place(context.caller, places)
        )
        return counts

    is_type_of = InstanceOf(domain.Floor)


# Resolvers hand out services/listing.Listing, which has all that is shown of a page.


@strawberry.type(description="Where a page stands in its list (Relay).")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether there is more after it.")
    has_previous_page: bool = strawberry.field(description="Whether there is more before it.")
    start_cursor: str | None = strawberry.field(description="Of the first edge; null on an empty page.")
    end_cursor: str | None = strawberry.field(description="Of the last edge; null on an empty page.")


@strawberry.type(description="A workstation and its place in the list.")
class WorkstationEdge:
    cursor: str = strawberry.field(description="Give it as `after` or `before`.")
    node: Workstation = strawberry.field(description="The workstation.")


@strawberry.type(description="A page of workstations.")
class WorkstationConnection:
    edges: list[WorkstationEdge] = strawberry.field(description="The workstations with their cursors.")
    nodes: list[Workstation] = strawberry.field(description="The workstations alone.")
    page_info: PageInfo = strawberry.field(description="Where this page stands.")
    total_count: int = strawberry.field(
        description="How many match the filter, on all pages. Costs a count: ask for it when you show it."
    )


@strawberry.type(description="An employee and their place in the list.")
class EmployeeEdge:
    cursor: str = strawberry.field(description="Give it as `after` or `before`.")
    node: Employee = strawberry.field(description="The employee.")


@strawberry.type(description="A page of employees.")
class EmployeeConnection:
    edges: list[EmployeeEdge] = strawberry.field(description="The employees with their cursors.")
    nodes: list[Employee] = strawberry.field(description="The employees alone.")
    page_info: PageInfo = strawberry.field(description="Where this page stands.")


@strawberry.type(name="Viewer", description="Whom the server takes you for.")
class Me:
    subject: str = strawberry.field(description="The `sub` of your token.")

    @strawberry.field(description="The roles in your token.")
    @staticmethod
    def roles(root: Parent[Viewer]) -> list[str]:
        return list(root.roles)

    @strawberry.field(description="What these roles allow.")
    @staticmethod
    def scopes(root: Parent[Viewer]) -> list[str]:
        return sorted(root.view.scopes)

    @strawberry.field(
        graphql_type=Employee | None, description="Your own record as an employee, if your token names one."
    )
    @staticmethod
    async def employee(root: Parent[Viewer], info: AppInfo) -> domain.Employee | None:
        return await info.context.services.browse.own_employee(root)

    @strawberry.field(description="Your own employee number (工号), if your token names one.")
    @staticmethod
    def employee_number(root: Parent[Viewer]) -> str | None:
        return root.employee_number


async def floor_of(info: AppInfo, place: Place) -> domain.Floor | None:
    """The floor; where its workstations are asked for too, they come with it in one statement."""
    context = info.context
    caller, browse = context.caller, context.services.browse
    fields = selected(info, "workstations")

    async def fetch(places: Collection[Place]) -> Mapping[Place, domain.Floor]:
        # By now every field of the operation has said whether it asks for a cursor.
        if fields and not context.exact_floors:
            return await browse.whole_floors(caller, places, fields)
        return await browse.floors_by_place(caller, places)

    if context.is_alone:
        return (await fetch([place])).get(place)
    floor: domain.Floor | None = await context.load(("floor", fields), place, fetch)
    return floor


async def _exactly(info: AppInfo, place: Place) -> FloorSnapshot:
    """The floor's workstations and its cursor as of one moment, for all floors of the operation at once."""
    context = info.context
    follow = context.services.follow
    snapshot: FloorSnapshot = await context.load(
        "floor snapshot", place, lambda places: follow.floors(context.caller, places)
    )
    return snapshot
