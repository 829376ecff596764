"""The queries of the office."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import strawberry
from strawberry import argument

from graphql_app.aio.deferred import Deferred
from graphql_app.domain import identifiers
from graphql_app.domain import workstation as domain
from graphql_app.domain.access import Viewer
from graphql_app.domain.errors import TooMany
from graphql_app.domain.workstation import Counts, named_place
from graphql_app.graph.api import nodes
from graphql_app.graph.api.connections import EmployeeConnection, WorkstationConnection
from graphql_app.graph.api.context import AppInfo, Context
from graphql_app.graph.api.inputs import FilterInput, OrderInput, StatsGroup, filter_of, orders_of
from graphql_app.graph.api.markers import ImmediateResolver
from graphql_app.graph.api.paging import After, Before, First, Last
from graphql_app.graph.api.selection import selected
from graphql_app.graph.api.types import (
    Department,
    Floor,
    Me,
    Node,
    Workstation,
    WorkstationStats,
    floor_of,
)
from graphql_app.services.listing import Listing, Paging

NODES_MOST = 100

Filter = Annotated[FilterInput | None, argument(description="Which workstations are meant; all, unless told.")]
BuildingName = Annotated[str, argument(description="Name of the building.")]


def _deferred_workstation(
    context: Context, fields: frozenset[str], id: str
) -> domain.Workstation | Deferred[domain.Workstation | None]:
    return context.services.browse.deferred_workstation(context.caller, identifiers.row(id, "Workstation"), fields)


@strawberry.type(description="What can be asked.")
class Query:
    @strawberry.field(graphql_type=Floor | None, description="One floor; null when there is none.")
    async def floor(
        self,
        info: AppInfo,
        building: BuildingName,
        number: Annotated[int, argument(description="Number of the floor.")],
    ) -> domain.Floor | None:
        _look_for_cursor(info)
        return await floor_of(info, named_place(building, number))

    @strawberry.field(graphql_type=list[Floor], description="The floors of one building, or of all.")
    async def floors(
        self, info: AppInfo, building: Annotated[str | None, argument(description="Name of the building.")] = None
    ) -> Sequence[domain.Floor]:
        _look_for_cursor(info)
        return await info.context.services.browse.floors(info.context.caller, building)

    @strawberry.field(
        graphql_type=Workstation | None,
        description="One workstation; null when there is none.",
        metadata={ImmediateResolver: ImmediateResolver(_deferred_workstation)},
    )
    async def workstation(
        self, info: AppInfo, id: Annotated[strawberry.ID, argument(description="Its global ID.")]
    ) -> domain.Workstation | None:
        return await nodes.workstation(info, id)

    @strawberry.field(
        graphql_type=WorkstationConnection,
        description="A page of workstations. Paging on neither skips nor repeats one, even while the list changes.",
    )
    async def workstations(
        self,
        info: AppInfo,
        filter: Filter = None,
        order_by: Annotated[list[OrderInput] | None, argument(description="By id, unless told.")] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Listing[domain.Workstation]:
        return await info.context.services.browse.workstations(
            info.context.caller,
            filter_of(filter),
            orders_of(order_by),
            Paging(first, after, last, before),
            selected(info, "edges", "node") | selected(info, "nodes"),
            is_counted="totalCount" in selected(info),
        )

    @strawberry.field(graphql_type=list[WorkstationStats], description="How many workstations are in each status.")
    async def workstation_stats(
        self,
        info: AppInfo,
        filter: Filter = None,
        group_by: Annotated[StatsGroup | None, argument(description="One row in all, unless told.")] = None,
    ) -> Sequence[Counts]:
        group = group_by.value if group_by else None
        return await info.context.services.browse.workstation_counts(info.context.caller, filter_of(filter), group)

    @strawberry.field(graphql_type=list[Department], description="All departments, by name.")
    async def departments(self, info: AppInfo) -> Sequence[domain.Department]:
        return await info.context.services.browse.departments(info.context.caller)

    @strawberry.field(graphql_type=EmployeeConnection, description="A page of employees, by name.")
    async def employees(
        self,
        info: AppInfo,
        department_id: Annotated[strawberry.ID | None, argument(description="Of this department only.")] = None,
        name_contains: Annotated[str | None, argument(description="Part of the name.")] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Listing[domain.Employee]:
        return await info.context.services.browse.employees(
            info.context.caller,
            Paging(first, after, last, before),
            None if department_id is None else identifiers.row(department_id, "Department", "departmentId"),
            name_contains,
        )

    @strawberry.field(graphql_type=Me, description="Whom the server takes you for.")
    def me(self, info: AppInfo) -> Viewer:
        return info.context.caller.viewer

    @strawberry.field(graphql_type=Node | None, description="Anything with a global ID; null when there is none.")
    async def node(self, info: AppInfo, id: Annotated[strawberry.ID, argument(description="A global ID.")]) -> Any:
        _look_for_cursor(info)
        return await nodes.node(info, id)

    @strawberry.field(
        graphql_type=list[Node | None], description="Several of them, in the order asked for; at most 100."
    )
    async def nodes(
        self, info: AppInfo, ids: Annotated[list[strawberry.ID], argument(description="Global IDs.")]
    ) -> Sequence[Any]:
        if len(ids) > NODES_MOST:
            message = f"`ids` takes at most {NODES_MOST}, {len(ids)} were given."
            raise TooMany(message, measure="ids", limit=NODES_MOST, asked=len(ids))
        _look_for_cursor(info)
        # All at once, so that the loaders fetch each type with one statement.
        return await asyncio.gather(*(nodes.node(info, id) for id in ids))


def _look_for_cursor(info: AppInfo) -> None:
    if "cursor" in selected(info):
        info.context.exact_floors = True
