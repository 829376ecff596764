"""What clients hand in: filters, orders and the values of mutations, turned into the domain's own."""

from enum import Enum
from typing import Any

import strawberry
from strawberry import UNSET
from strawberry.scalars import JSON

from graphql_app.domain import identifiers
from graphql_app.domain.arranging import equipment_text
from graphql_app.domain.filters import WorkstationFilter
from graphql_app.domain.paging import Order, OrderField
from graphql_app.domain.workstation import Status
from graphql_app.graph.api import (
    enums,  # names the enum Status for the schema, before an input uses it
    types,  # noqa: F401  # names the enum Status for the schema, before an input uses it
)


@strawberry.input(
    name="WorkstationFilter",
    description="All that is given must hold. Texts match as a part, whatever the case (of A to Z).",
)
class FilterInput:
    ids: list[strawberry.ID] | None = strawberry.field(default=None, description="One of these; at most 500.")
    building: str | None = strawberry.field(default=None, description="In this building.")
    floor_number: int | None = strawberry.field(default=None, description="On floors of this number.")
    department_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="Of one of these departments."
    )
    statuses: list[Status] | None = strawberry.field(default=None, description="In one of these statuses.")
    employee_id: strawberry.ID | None = strawberry.field(
        default=None, description="Where this employee sits (a global ID)."
    )
    name_contains: str | None = strawberry.field(default=None, description="Part of the name.")
    equipment_contains: str | None = strawberry.field(default=None, description="Part of the equipment's JSON text.")
    x_min: float | None = strawberry.field(default=None, description="xPosition at least. Needs `coordinates:read`.")
    x_max: float | None = strawberry.field(default=None, description="xPosition at most. Needs `coordinates:read`.")
    y_min: float | None = strawberry.field(default=None, description="yPosition at least. Needs `coordinates:read`.")
    y_max: float | None = strawberry.field(default=None, description="yPosition at most. Needs `coordinates:read`.")
    employee_number: str | None = strawberry.field(
        default=None, description="The occupant's number. Needs `employees:read`."
    )


def filter_of(given: FilterInput | None) -> WorkstationFilter:
    """Raises InvalidInput for ids that are none."""
    if given is None:
        return WorkstationFilter()
    return WorkstationFilter(
        ids=None if given.ids is None else frozenset(identifiers.row(i, "Workstation", "ids") for i in given.ids),
        building=given.building,
        floor_number=given.floor_number,
        department_ids=None
        if given.department_ids is None
        else frozenset(identifiers.row(i, "Department", "departmentIds") for i in given.department_ids),
        statuses=None if given.statuses is None else frozenset(given.statuses),
        employee_key=None
        if given.employee_id is None
        else identifiers.public_key(given.employee_id, "Employee", "employeeId"),
        name_contains=given.name_contains,
        equipment_contains=given.equipment_contains,
        x_min=given.x_min,
        x_max=given.x_max,
        y_min=given.y_min,
        y_max=given.y_max,
        employee_number=given.employee_number,
    )


enums.publish(
    OrderField,
    {
        OrderField.ID: "In the order in which they were made.",
        OrderField.NAME: "By their names.",
        OrderField.STATUS: "By what they are used for, in alphabetical order.",
        OrderField.BUILDING: "By the names of their buildings.",
        OrderField.FLOOR_NUMBER: "By the numbers of their floors.",
        OrderField.CREATED_AT: "By when they were created.",
        OrderField.UPDATED_AT: "By when they last changed; guarded.",
        OrderField.X_POSITION: "By their left edges; guarded.",
        OrderField.Y_POSITION: "By their top edges; guarded.",
    },
    name="WorkstationOrderField",
    description="What a list can be ordered by. Guarded fields need their scope.",
)


class OrderDirection(Enum):
    ASC = "asc"
    DESC = "desc"


enums.publish(
    OrderDirection,
    {OrderDirection.ASC: "The least first.", OrderDirection.DESC: "The greatest first."},
    name="OrderDirection",
    description="Which end comes first.",
)


class StatsGroup(Enum):
    BUILDING = "building"
    FLOOR = "floor"
    DEPARTMENT = "department"


enums.publish(
    StatsGroup,
    {
        StatsGroup.BUILDING: "One row for each building.",
        StatsGroup.FLOOR: "One row for each floor of each building.",
        StatsGroup.DEPARTMENT: "One row for each department.",
    },
    name="StatsGroup",
    description="What statistics are counted by.",
)


@strawberry.input(name="WorkstationOrder", description="One criterion; later ones decide between equals.")
class OrderInput:
    field: OrderField = strawberry.field(description="What to order by.")
    direction: OrderDirection = strawberry.field(default=OrderDirection.ASC, description="Which end comes first.")


def orders_of(given: list[OrderInput] | None) -> list[Order]:
    return [Order(order.field, order.direction is OrderDirection.DESC) for order in given or []]


@strawberry.input(description="A new workstation. It starts AVAILABLE.")
class CreateWorkstationInput:
    name: str = strawberry.field(description="Unique on its floor; at most 100 characters.")
    x_position: float = strawberry.field(description="Left edge, in units of the floor plan; kept to 2 decimals.")
    y_position: float = strawberry.field(description="Top edge, in units of the floor plan; kept to 2 decimals.")
    width: float = strawberry.field(default=120.0, description="Width, in units of the floor plan.")
    height: float = strawberry.field(default=80.0, description="Height, in units of the floor plan.")
    building: str | None = strawberry.field(default=None, description="Goes together with floorNumber.")
    floor_number: int | None = strawberry.field(default=None, description="Goes together with building.")
    department_id: strawberry.ID | None = strawberry.field(
        default=None, description="The department that it belongs to."
    )
    equipment: JSON | None = strawberry.field(default=None, description="What stands on it, any JSON.")
    notes: str | None = strawberry.field(default=None, description="Free text; at most 10,000 characters.")


@strawberry.input(description="Changes of a workstation. What is left out stays; null clears what can be empty.")
class UpdateWorkstationInput:
    name: str | None = strawberry.field(default=UNSET, description="Unique on its floor; at most 100 characters.")
    x_position: float | None = strawberry.field(
        default=UNSET, description="Left edge, in units of the floor plan. Needs `coordinates:read`."
    )
    y_position: float | None = strawberry.field(
        default=UNSET, description="Top edge, in units of the floor plan. Needs `coordinates:read`."
    )
    width: float | None = strawberry.field(
        default=UNSET, description="Width, in units of the floor plan. Needs `coordinates:read`."
    )
    height: float | None = strawberry.field(
        default=UNSET, description="Height, in units of the floor plan. Needs `coordinates:read`."
    )
    building: str | None = strawberry.field(default=UNSET, description="Moves it; goes together with floorNumber.")
    floor_number: int | None = strawberry.field(default=UNSET, description="Moves it; goes together with building.")
    department_id: strawberry.ID | None = strawberry.field(
        default=UNSET, description="The department that it belongs to."
    )
    equipment: JSON | None = strawberry.field(default=UNSET, description="What stands on it, any JSON.")
    notes: str | None = strawberry.field(default=UNSET, description="Free text; at most 10,000 characters.")


def input_values(given: CreateWorkstationInput | UpdateWorkstationInput) -> dict[str, Any]:
    """Returns the domain's fields that were given. Raises InvalidInput."""
    values = {name: value for name, value in vars(given).items() if value is not UNSET}
    if values.get("department_id") is not None:
        values["department_id"] = identifiers.row(values["department_id"], "Department", "departmentId")
    if values.get("equipment") is not None:
        values["equipment"] = equipment_text(values["equipment"])
    return values


@strawberry.input(description="A new status for one of several workstations.")
class WorkstationStatusInput:
    id: strawberry.ID = strawberry.field(description="The workstation's global ID.")
    status: Status = strawberry.field(description="The new status.")
    expected_version: int | None = strawberry.field(
        default=None, description="The version that you saw; when it is another by now, nothing is done."
    )
