"""The bodies of the register in REST, as OpenAPI describes them."""

from typing import Any

from pydantic import Field

from graphql_app.domain import identifiers
from graphql_app.rest.models import DepartmentShown, Integer, Model

_ZONE = "A name of IANA's list, such as Asia/Shanghai."


class BuildingShown(Model):
    id: str
    name: str
    time_zone: str
    version: int


class FloorShown(Model):
    id: str
    building: str
    number: int
    name: str
    version: int


class RegisteredDepartment(Model):
    id: str
    name: str
    version: int


class RegisteredEmployee(Model):
    """An employee as your token may see them; guarded fields are null without their scope."""

    id: str
    name: str
    department: DepartmentShown | None
    employee_number: str | None = Field(description="Needs employees:read.")
    version: int | None = Field(description="Needs employees:read.")


class BuildingsListed(Model):
    items: list[BuildingShown]


class FloorsListed(Model):
    items: list[FloorShown]


class DepartmentsListed(Model):
    items: list[RegisteredDepartment]


class EmployeesListed(Model):
    """A page; `next` is the address of the one after it."""

    items: list[RegisteredEmployee]
    next: str | None


class NewBuilding(Model):
    name: str
    time_zone: str = Field("UTC", description=_ZONE)


class BuildingChanges(Model):
    """What is left out stays."""

    name: str | None = None
    time_zone: str | None = Field(None, description=_ZONE)


class NewFloor(Model):
    building: str
    number: Integer
    name: str = ""


class FloorChanges(Model):
    """What is left out stays."""

    building: str | None = None
    number: Integer | None = None
    name: str | None = None


class NewDepartment(Model):
    name: str


class DepartmentChanges(Model):
    """What is left out stays."""

    name: str | None = None


class NewEmployee(Model):
    name: str
    employee_number: str
    department_id: str | None = None


class EmployeeChanges(Model):
    """What is left out stays; null clears what can be empty."""

    name: str | None = None
    employee_number: str | None = None
    department_id: str | None = None


def register_values(given: Model, *, is_new: bool) -> dict[str, Any]:
    """The domain's fields that were given. Raises InvalidInput for an id that is none."""
    values = given.model_dump(exclude_unset=not is_new)
    if values.get("department_id") is not None:
        values["department_id"] = identifiers.row(values["department_id"], "Department", "departmentId")
    return values
