"""The office's register in the schema: buildings, and what can be asked of the register."""

from collections.abc import Sequence
from typing import Annotated, Any

import strawberry
from strawberry import Parent, argument

from graphql_app.domain import office as domain
from graphql_app.domain import workstation
from graphql_app.domain.identifiers import global_ids
from graphql_app.graph.api import nodes
from graphql_app.graph.api.context import AppInfo
from graphql_app.graph.api.markers import InstanceOf, derived
from graphql_app.graph.api.types import Department, Employee, Floor, Node

ById = Annotated[strawberry.ID, argument(description="Its global ID.")]


@strawberry.type(description="A building of the office.")
class Building(Node):
    name: str = strawberry.field(description="Unique.")
    time_zone: str = strawberry.field(description="The time zone that it is in, by its name in IANA's list.")
    version: int | None = strawberry.field(
        description="Grows with every change; give it back as `expectedVersion`. Null when it is gone meanwhile."
    )

    id: strawberry.ID = derived(
        "id", global_ids("Building"), strawberry.ID, "Opaque and global: unique over all types."
    )

    @strawberry.field(graphql_type=list[Floor], description="Its floors, by number.")
    @staticmethod
    async def floors(root: Parent[domain.Building], info: AppInfo) -> Sequence[workstation.Floor]:
        directory, caller = info.context.services.directory, info.context.caller
        found: Sequence[workstation.Floor] = await info.context.load(
            "floors of building", root.name, lambda names: directory.floors_of_buildings(caller, names)
        )
        return found

    is_type_of = InstanceOf(domain.Building)


@strawberry.type(description="What can be asked of the register.")
class OfficeQueries:
    @strawberry.field(graphql_type=list[Building], description="All buildings, by name.")
    async def buildings(self, info: AppInfo) -> Sequence[domain.Building]:
        return await info.context.services.directory.buildings(info.context.caller)

    @strawberry.field(graphql_type=Building | None, description="One building; null when there is none.")
    async def building(self, info: AppInfo, id: ById) -> Any:
        return await nodes.building(info, id)

    @strawberry.field(graphql_type=Department | None, description="One department; null when there is none.")
    async def department(self, info: AppInfo, id: ById) -> Any:
        return await nodes.department(info, id)

    @strawberry.field(graphql_type=Employee | None, description="One employee; null when there is none.")
    async def employee(self, info: AppInfo, id: ById) -> Any:
        return await nodes.employee(info, id)
