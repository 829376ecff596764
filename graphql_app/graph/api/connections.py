"""Pages of workstations and of employees, in the words of Relay."""

import strawberry

from graphql_app.graph.api.paging import PageInfo
from graphql_app.graph.api.types import Employee, Workstation

# Resolvers hand out services/listing.Listing, which has all that is shown of a page.


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
