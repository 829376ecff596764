"""The bodies of REST, as OpenAPI describes them."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from graphql_app.domain import identifiers
from graphql_app.domain.arranging import equipment_text
from graphql_app.domain.workstation import Status

Integer = Annotated[int, Field(ge=-(2**31), lt=2**31)]  # as GraphQL's Int, and PostgreSQL's
StatusName = Literal["AVAILABLE", "OCCUPIED", "MAINTENANCE", "RESERVED"]


class Model(BaseModel):
    # Unknown fields are an error: a typo must not be a silent no-op. A field has one name, that of the document.
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")


class DepartmentShown(Model):
    id: str
    name: str


class EmployeeShown(Model):
    id: str
    name: str
    department: DepartmentShown | None
    employee_number: str | None = Field(description="Null without the scope employees:read.")


class Shown(Model):
    """A workstation as your token may see it; guarded fields are null without their scope."""

    id: str
    name: str
    status: StatusName
    building: str | None
    floor_number: int | None
    floor_name: str | None
    department: DepartmentShown | None
    employee: EmployeeShown | None
    employee_id: str | None = Field(description="The occupant's employee number. Needs employees:read.")
    x_position: float | None = Field(description="Needs coordinates:read, as the next three.")
    y_position: float | None
    width: float | None
    height: float | None
    equipment: Any
    notes: str | None
    created_at: datetime
    updated_at: datetime | None = Field(description="Needs workstations:write, as version.")
    version: int | None


class Listed(Model):
    """A page; `next` is the address of the one after it."""

    items: list[Shown]
    next: str | None


class StatusCounts(Model):
    key: str | None
    total: int
    available: int
    occupied: int
    maintenance: int
    reserved: int


class WorkstationChanges(Model):
    """What is left out stays; null clears what can be empty."""

    name: str | None = None
    x_position: float | None = None
    y_position: float | None = None
    width: float | None = None
    height: float | None = None
    building: str | None = None
    floor_number: Integer | None = None
    department_id: str | None = None
    equipment: Any = None
    notes: str | None = None
    status: StatusName | None = None


class NewWorkstation(Model):
    """A new workstation; it starts AVAILABLE."""

    name: str
    x_position: float
    y_position: float
    width: float = 120.0
    height: float = 80.0
    building: str | None = None
    floor_number: Integer | None = None
    department_id: str | None = None
    equipment: Any = None
    notes: str | None = None


def values_of(given: WorkstationChanges | NewWorkstation) -> dict[str, Any]:
    """Returns the domain's fields that were given. Raises InvalidInput for an invalid id."""
    values = given.model_dump(exclude_unset=isinstance(given, WorkstationChanges))
    if values.get("department_id") is not None:
        values["department_id"] = identifiers.row(values["department_id"], "Department", "departmentId")
    if values.get("equipment") is not None:
        values["equipment"] = equipment_text(values["equipment"])
    if values.get("status") is not None:
        values["status"] = Status[values["status"]]
    return values
