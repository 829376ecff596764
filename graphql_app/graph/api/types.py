"""The types of the schema. Resolvers hand out domain objects, already redacted; the fields read their attributes."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, NewType

import strawberry
from strawberry import Parent
from strawberry.scalars import JSON

from graphql_app.domain import office
from graphql_app.domain import workstation as domain
from graphql_app.domain.access import Viewer
from graphql_app.domain.identifiers import global_ids
from graphql_app.domain.workstation import Counts, Place
from graphql_app.graph.api import enums
from graphql_app.graph.api.context import AppInfo
from graphql_app.graph.api.markers import InstanceOf, carried_by, derived
from graphql_app.graph.api.paging import After, Before, First, Last
from graphql_app.graph.api.permissions import guarded
from graphql_app.graph.api.selection import selected
from graphql_app.services.following.follow import FloorSnapshot
from graphql_app.services.listing import Listing, Paging
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


_VERSION = "Grows with every change; give it back as `expectedVersion`. Null when it is gone meanwhile."


async def _version(info: AppInfo, kind: office.OfficeKind, known: type, root: Any, key: Any) -> int | None:
    """What is read from its own table brings its version along; of what others show it is read, of all at once."""
    if isinstance(root, known):
        return root.version  # type: ignore[attr-defined, no-any-return]  # of each such class
    directory, caller = info.context.services.directory, info.context.caller
    found: int | None = await info.context.load(
        f"version of {kind.entity}", key, lambda keys: directory.versions(caller, kind, keys)
    )
    return found


# Defined there, of the types here.
_CONNECTIONS = strawberry.lazy("graphql_app.graph.api.connections")


@strawberry.type(description="A department of the company.")
class Department(Node):
    name: str = strawberry.field(description="Unique.")

    @strawberry.field(description=_VERSION, metadata=carried_by(office.VersionedDepartment))
    @staticmethod
    async def version(root: Parent[domain.Department], info: AppInfo) -> int | None:
        return await _version(info, office.DEPARTMENT, office.VersionedDepartment, root, root.id)

    @strawberry.field(
        graphql_type=Annotated["EmployeeConnection", _CONNECTIONS],  # noqa: F821
        description="A page of those who belong to it, by name.",
    )
    @staticmethod
    async def employees(
        root: Parent[domain.Department],
        info: AppInfo,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Listing[domain.Employee]:
        directory, caller = info.context.services.directory, info.context.caller
        paging = Paging(first, after, last, before)
        found: Listing[domain.Employee] = await info.context.load(
            ("employees of department", paging),
            root.id,
            lambda ids: directory.employees_of_departments(caller, ids, paging),
        )
        return found

    @strawberry.field(
        graphql_type=Annotated["WorkstationConnection", _CONNECTIONS],  # noqa: F821
        description="A page of the workstations that belong to it, by id.",
    )
    @staticmethod
    async def workstations(
        root: Parent[domain.Department],
        info: AppInfo,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Listing[domain.Workstation]:
        directory, caller = info.context.services.directory, info.context.caller
        paging, is_counted = Paging(first, after, last, before), "totalCount" in selected(info)
        fields = selected(info, "edges", "node") | selected(info, "nodes")
        found: Listing[domain.Workstation] = await info.context.load(
            ("workstations of department", paging, fields, is_counted),
            root.id,
            lambda ids: directory.workstations_of_departments(caller, ids, paging, fields, is_counted=is_counted),
        )
        return found

    id: strawberry.ID = derived(
        "id", global_ids("Department"), strawberry.ID, "Opaque and global: unique over all types."
    )

    is_type_of = InstanceOf(domain.Department)


async def _employee_version(root: Parent[domain.Employee], info: AppInfo) -> int | None:
    return await _version(info, office.EMPLOYEE, office.VersionedEmployee, root, root.key)


@strawberry.type(description="Somebody who may sit at a workstation.")
class Employee(Node):
    name: str = strawberry.field(description="Full name.")
    department: Department | None = strawberry.field(description="Where they belong, if anywhere.")
    employee_number: str | None = guarded("Employee", "employee_number", "The employee number (工号).")
    version: int | None = guarded(
        "Employee",
        "version",
        _VERSION,
        resolver=_employee_version,
        graphql_type=int | None,
        metadata=carried_by(office.VersionedEmployee),
    )

    @strawberry.field(
        graphql_type=Annotated["Workstation", strawberry.lazy("graphql_app.graph.api.types")] | None,
        description="Where they sit, if anywhere: the first workstation that was put up, where there are several.",
    )
    @staticmethod
    async def workstation(root: Parent[domain.Employee], info: AppInfo) -> domain.Workstation | None:
        directory, caller, fields = info.context.services.directory, info.context.caller, selected(info)
        found: domain.Workstation | None = await info.context.load(
            ("seat", fields), root.key, lambda keys: directory.seats(caller, keys, fields)
        )
        return found

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

    @strawberry.field(description=_VERSION, metadata=carried_by(office.VersionedFloor))
    @staticmethod
    async def version(root: Parent[domain.Floor], info: AppInfo) -> int | None:
        return await _version(info, office.FLOOR, office.VersionedFloor, root, root.id)

    id: strawberry.ID = derived("id", global_ids("Floor"), strawberry.ID, "Opaque and global: unique over all types.")

    @strawberry.field(
        description="The time zone of its building, by its name in IANA's list: bookings are meant by its clock. Null"
        " once the floor is gone."
    )
    @staticmethod
    async def time_zone(root: Parent[domain.Floor], info: AppInfo) -> str | None:
        context = info.context
        found: str | None = await context.load(
            "time zone", root.id, lambda ids: context.services.directory.time_zones(context.caller, ids)
        )
        return found

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
    """Returns the floor; where its workstations are selected too, they come with it in one statement."""
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
    """Returns the floor's workstations and its cursor as of one moment, for all floors of the operation at once."""
    context = info.context
    follow = context.services.follow
    snapshot: FloorSnapshot = await context.load(
        "floor snapshot", place, lambda places: follow.floors(context.caller, places)
    )
    return snapshot
