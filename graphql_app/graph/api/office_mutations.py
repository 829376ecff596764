"""What can be changed of the office's register: buildings, floors, departments and employees."""

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import strawberry
from strawberry import UNSET, argument

from graphql_app.domain import identifiers
from graphql_app.domain.office import BUILDING, DEPARTMENT, EMPLOYEE, FLOOR, OfficeKind
from graphql_app.graph.api.context import AppInfo
from graphql_app.graph.api.mutations import ExpectedVersion, idempotency, mutation_result
from graphql_app.graph.api.office import Building
from graphql_app.graph.api.refusals import (
    Conflict,
    Forbidden,
    InUse,
    InvalidInput,
    NameTaken,
    NotFound,
    ReadOnly,
    union,
)
from graphql_app.graph.api.types import Department, Employee, Floor
from graphql_app.services.office.register import Recorded, Struck

_RECEIPT = "Names the write: a request with it in the header X-Min-Cursor sees it."

Id = Annotated[strawberry.ID, argument(description="Its global ID.")]

# --- what is handed in -----------------------------------------------------------------------------------------------


@strawberry.input(description="A new building.")
class CreateBuildingInput:
    name: str = strawberry.field(description="Unique; at most 50 characters.")
    time_zone: str = strawberry.field(default="UTC", description="A name of IANA's list, such as Asia/Shanghai.")


@strawberry.input(description="Changes of a building. What is left out stays.")
class UpdateBuildingInput:
    name: str | None = strawberry.field(
        default=UNSET, description="Unique; at most 50 characters. Its floors and all that stands there move along."
    )
    time_zone: str | None = strawberry.field(default=UNSET, description="A name of IANA's list, such as Asia/Shanghai.")


@strawberry.input(description="A new floor.")
class CreateFloorInput:
    building: str = strawberry.field(description="Name of the building.")
    number: int = strawberry.field(description="Unique in its building; below ground it is negative.")
    name: str = strawberry.field(default="", description="What people call it; at most 100 characters, may be empty.")


@strawberry.input(description="Changes of a floor. What is left out stays; all that stands there moves along.")
class UpdateFloorInput:
    building: str | None = strawberry.field(default=UNSET, description="Name of the building.")
    number: int | None = strawberry.field(default=UNSET, description="Unique in its building.")
    name: str | None = strawberry.field(
        default=UNSET, description="What people call it; at most 100 characters, may be empty."
    )


@strawberry.input(description="A new department.")
class CreateDepartmentInput:
    name: str = strawberry.field(description="Unique; at most 100 characters.")


@strawberry.input(description="Changes of a department. What is left out stays.")
class UpdateDepartmentInput:
    name: str | None = strawberry.field(default=UNSET, description="Unique; at most 100 characters.")


@strawberry.input(description="A new employee.")
class CreateEmployeeInput:
    name: str = strawberry.field(description="Full name; at most 100 characters.")
    employee_number: str = strawberry.field(
        description="The employee number (工号): unique, at most 32 characters. Needs `employees:read`."
    )
    department_id: strawberry.ID | None = strawberry.field(default=None, description="Where they belong, if anywhere.")


@strawberry.input(description="Changes of an employee. What is left out stays; null clears what can be empty.")
class UpdateEmployeeInput:
    name: str | None = strawberry.field(default=UNSET, description="Full name; at most 100 characters.")
    employee_number: str | None = strawberry.field(
        default=UNSET, description="The employee number (工号): unique, at most 32 characters. Needs `employees:read`."
    )
    department_id: strawberry.ID | None = strawberry.field(default=UNSET, description="Where they belong, if anywhere.")


def input_values(given: Any) -> dict[str, Any]:
    """The domain's fields that were given. Raises InvalidInput."""
    values = {name: value for name, value in vars(given).items() if value is not UNSET}
    if values.get("department_id") is not None:
        values["department_id"] = identifiers.row(values["department_id"], "Department", "departmentId")
    return values


# --- what is answered ------------------------------------------------------------------------------------------------


@strawberry.type(description="The building as it is now.")
class BuildingChanged:
    building: Building = strawberry.field(description="Its new state.")
    receipt: str = strawberry.field(description=_RECEIPT)


@strawberry.type(description="The floor as it is now.")
class FloorChanged:
    floor: Floor = strawberry.field(description="Its new state.")
    receipt: str = strawberry.field(description=_RECEIPT)


@strawberry.type(description="The department as it is now.")
class DepartmentChanged:
    department: Department = strawberry.field(description="Its new state.")
    receipt: str = strawberry.field(description=_RECEIPT)


@strawberry.type(description="The employee as they are now.")
class EmployeeChanged:
    employee: Employee = strawberry.field(description="Their new state.")
    receipt: str = strawberry.field(description=_RECEIPT)


@strawberry.type(description="A building, floor, department or employee that is gone.")
class OfficeDeleted:
    id: strawberry.ID = strawberry.field(description="The global ID that it had.")
    receipt: str = strawberry.field(description=_RECEIPT)


def _created(name: str, changed: Any) -> Any:
    return Annotated[
        changed | InvalidInput | NameTaken | Conflict | Forbidden | ReadOnly,
        union(f"Create{name}Result", f"create{name}"),
    ]


def _updated(name: str, changed: Any) -> Any:
    return Annotated[
        changed | NotFound | InvalidInput | NameTaken | Conflict | Forbidden | ReadOnly,
        union(f"Update{name}Result", f"update{name}"),
    ]


def _deleted(name: str) -> Any:
    return Annotated[
        OfficeDeleted | NotFound | InvalidInput | InUse | Conflict | Forbidden | ReadOnly,
        union(f"Delete{name}Result", f"delete{name}"),
    ]


# --- what is done ----------------------------------------------------------------------------------------------------


class _Doing(NamedTuple):
    """The three changes of one kind. `changed` makes the answer of what was changed and a receipt."""

    kind: OfficeKind
    key: Callable[[str], Any]
    changed: Callable[..., object]

    async def create(self, info: AppInfo, given: Any) -> object:
        register, caller, key = info.context.services.register, info.context.caller, idempotency(info)
        return await mutation_result(
            info, lambda: register.create(caller, self.kind, input_values(given), key), self._show
        )

    async def update(self, info: AppInfo, id: str, given: Any, expected: int | None) -> object:
        register, caller, key = info.context.services.register, info.context.caller, idempotency(info)
        return await mutation_result(
            info,
            lambda: register.edit(caller, self.kind, self.key(id), input_values(given), expected, key),
            self._show,
        )

    async def delete(self, info: AppInfo, id: str, expected: int | None) -> object:
        register, caller, key = info.context.services.register, info.context.caller, idempotency(info)

        def gone(done: Struck) -> OfficeDeleted:
            return OfficeDeleted(id=strawberry.ID(id), receipt=done.receipt)

        return await mutation_result(
            info, lambda: register.delete(caller, self.kind, self.key(id), expected, key), gone
        )

    def _show(self, done: Recorded) -> object:
        return self.changed(**{self.kind.entity: done.value}, receipt=done.receipt)


_BUILDING = _Doing(BUILDING, lambda id: identifiers.row(id, "Building"), BuildingChanged)
_FLOOR = _Doing(FLOOR, lambda id: identifiers.row(id, "Floor"), FloorChanged)
_DEPARTMENT = _Doing(DEPARTMENT, lambda id: identifiers.row(id, "Department"), DepartmentChanged)
_EMPLOYEE = _Doing(EMPLOYEE, lambda id: identifiers.public_key(id, "Employee"), EmployeeChanged)

_CREATED = "What it is like."
_CHANGES = "What is to change."
_IN_USE = "Refused with IN_USE while others refer to it."


@strawberry.type(description="What can be changed of the register.")
class OfficeMutations:
    @strawberry.mutation(
        graphql_type=_created("Building", BuildingChanged), description="Adds a building. Needs `office:write`."
    )
    async def create_building(
        self, info: AppInfo, input: Annotated[CreateBuildingInput, argument(description=_CREATED)]
    ) -> Any:
        return await _BUILDING.create(info, input)

    @strawberry.mutation(
        graphql_type=_updated("Building", BuildingChanged),
        description="Renames a building, or moves it to another time zone. Needs `office:write`.",
    )
    async def update_building(
        self,
        info: AppInfo,
        id: Id,
        input: Annotated[UpdateBuildingInput, argument(description=_CHANGES)],
        expected_version: ExpectedVersion = None,
    ) -> Any:
        return await _BUILDING.update(info, id, input, expected_version)

    @strawberry.mutation(
        graphql_type=_deleted("Building"), description=f"Deletes a building. {_IN_USE} Needs `office:write`."
    )
    async def delete_building(self, info: AppInfo, id: Id, expected_version: ExpectedVersion = None) -> Any:
        return await _BUILDING.delete(info, id, expected_version)

    @strawberry.mutation(
        graphql_type=_created("Floor", FloorChanged), description="Adds a floor to a building. Needs `office:write`."
    )
    async def create_floor(
        self, info: AppInfo, input: Annotated[CreateFloorInput, argument(description=_CREATED)]
    ) -> Any:
        return await _FLOOR.create(info, input)

    @strawberry.mutation(
        graphql_type=_updated("Floor", FloorChanged),
        description="Renames, renumbers or moves a floor. Needs `office:write`.",
    )
    async def update_floor(
        self,
        info: AppInfo,
        id: Id,
        input: Annotated[UpdateFloorInput, argument(description=_CHANGES)],
        expected_version: ExpectedVersion = None,
    ) -> Any:
        return await _FLOOR.update(info, id, input, expected_version)

    @strawberry.mutation(
        graphql_type=_deleted("Floor"), description=f"Deletes a floor. {_IN_USE} Needs `office:write`."
    )
    async def delete_floor(self, info: AppInfo, id: Id, expected_version: ExpectedVersion = None) -> Any:
        return await _FLOOR.delete(info, id, expected_version)

    @strawberry.mutation(
        graphql_type=_created("Department", DepartmentChanged), description="Adds a department. Needs `office:write`."
    )
    async def create_department(
        self, info: AppInfo, input: Annotated[CreateDepartmentInput, argument(description=_CREATED)]
    ) -> Any:
        return await _DEPARTMENT.create(info, input)

    @strawberry.mutation(
        graphql_type=_updated("Department", DepartmentChanged),
        description="Renames a department. Needs `office:write`.",
    )
    async def update_department(
        self,
        info: AppInfo,
        id: Id,
        input: Annotated[UpdateDepartmentInput, argument(description=_CHANGES)],
        expected_version: ExpectedVersion = None,
    ) -> Any:
        return await _DEPARTMENT.update(info, id, input, expected_version)

    @strawberry.mutation(
        graphql_type=_deleted("Department"), description=f"Deletes a department. {_IN_USE} Needs `office:write`."
    )
    async def delete_department(self, info: AppInfo, id: Id, expected_version: ExpectedVersion = None) -> Any:
        return await _DEPARTMENT.delete(info, id, expected_version)

    @strawberry.mutation(
        graphql_type=_created("Employee", EmployeeChanged),
        description="Adds an employee. Needs `employees:write` and `employees:read`.",
    )
    async def create_employee(
        self, info: AppInfo, input: Annotated[CreateEmployeeInput, argument(description="Who they are.")]
    ) -> Any:
        return await _EMPLOYEE.create(info, input)

    @strawberry.mutation(
        graphql_type=_updated("Employee", EmployeeChanged),
        description="Changes an employee. Needs `employees:write`; `employees:read` too where a number or an"
        " `expectedVersion` is given.",
    )
    async def update_employee(
        self,
        info: AppInfo,
        id: Id,
        input: Annotated[UpdateEmployeeInput, argument(description=_CHANGES)],
        expected_version: ExpectedVersion = None,
    ) -> Any:
        return await _EMPLOYEE.update(info, id, input, expected_version)

    @strawberry.mutation(
        graphql_type=_deleted("Employee"),
        description="Deletes an employee. Refused with IN_USE while they sit somewhere, or an account is theirs. Needs"
        " `employees:write`.",
    )
    async def delete_employee(self, info: AppInfo, id: Id, expected_version: ExpectedVersion = None) -> Any:
        return await _EMPLOYEE.delete(info, id, expected_version)
