"""The mutations of workstations. Each answers the changed thing, or the typed refusal."""

from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Annotated, Any
from uuid import UUID

import strawberry
from strawberry import argument

from graphql_app.domain import identifiers
from graphql_app.domain.arranging import Idempotency
from graphql_app.domain.errors import Refusal
from graphql_app.domain.workstation import Status
from graphql_app.graph.api.context import AppInfo
from graphql_app.graph.api.inputs import CreateWorkstationInput, UpdateWorkstationInput, input_values
from graphql_app.graph.api.refusals import (
    AssignResult,
    CreateResult,
    DeleteResult,
    Refused,
    ReleaseResult,
    SetStatusResult,
    UpdateResult,
    WorkstationChanged,
    WorkstationDeleted,
    is_among,
)
from graphql_app.services.office.arrange import Arranged

Id = Annotated[strawberry.ID, argument(description="The workstation's global ID.")]
ExpectedVersion = Annotated[
    int | None, argument(description="The version that you saw; when it is another by now, nothing is done.")
]


@strawberry.type(description="What can be changed about workstations.")
class Mutation:
    @strawberry.mutation(graphql_type=CreateResult, description="Puts up a new workstation.")
    async def create_workstation(
        self, info: AppInfo, input: Annotated[CreateWorkstationInput, argument(description="What it is like.")]
    ) -> Any:
        arrange, caller, key = info.context.services.arrange, info.context.caller, idempotency(info)
        return await mutation_result(info, lambda: arrange.create(caller, input_values(input), key))

    @strawberry.mutation(graphql_type=UpdateResult, description="Edits or moves a workstation.")
    async def update_workstation(
        self,
        info: AppInfo,
        id: Id,
        input: Annotated[UpdateWorkstationInput, argument(description="What is to change.")],
        expected_version: ExpectedVersion = None,
    ) -> Any:
        arrange, caller, key = info.context.services.arrange, info.context.caller, idempotency(info)
        return await mutation_result(
            info, lambda: arrange.edit(caller, _row(id), input_values(input), expected_version, key)
        )

    @strawberry.mutation(graphql_type=DeleteResult, description="Takes a workstation away.")
    async def delete_workstation(self, info: AppInfo, id: Id, expected_version: ExpectedVersion = None) -> Any:
        arrange, caller, key = info.context.services.arrange, info.context.caller, idempotency(info)
        return await mutation_result(
            info,
            lambda: arrange.delete(caller, _row(id), expected_version, key),
            lambda done: WorkstationDeleted(id=id, receipt=done.receipt),
        )

    @strawberry.mutation(
        graphql_type=SetStatusResult,
        description="Sets the status. AVAILABLE may become any other; OCCUPIED: AVAILABLE or MAINTENANCE; RESERVED:"
        " any other; MAINTENANCE: AVAILABLE only. What becomes AVAILABLE loses its occupant.",
    )
    async def set_workstation_status(
        self,
        info: AppInfo,
        id: Id,
        status: Annotated[Status, argument(description="The new status.")],
        expected_version: ExpectedVersion = None,
    ) -> Any:
        arrange, caller, key = info.context.services.arrange, info.context.caller, idempotency(info)
        return await mutation_result(info, lambda: arrange.set_status(caller, _row(id), status, expected_version, key))

    @strawberry.mutation(graphql_type=AssignResult, description="Seats an employee; the workstation becomes OCCUPIED.")
    async def assign_workstation(
        self,
        info: AppInfo,
        id: Id,
        employee_id: Annotated[strawberry.ID, argument(description="The employee's global ID.")],
        expected_version: ExpectedVersion = None,
    ) -> Any:
        arrange, caller, key = info.context.services.arrange, info.context.caller, idempotency(info)
        return await mutation_result(
            info, lambda: arrange.assign(caller, _row(id), _employee(employee_id), expected_version, key)
        )

    @strawberry.mutation(graphql_type=ReleaseResult, description="Frees the workstation; it becomes AVAILABLE.")
    async def release_workstation(self, info: AppInfo, id: Id, expected_version: ExpectedVersion = None) -> Any:
        arrange, caller, key = info.context.services.arrange, info.context.caller, idempotency(info)
        return await mutation_result(info, lambda: arrange.release(caller, _row(id), expected_version, key))


def _row(identifier: str) -> int:
    return identifiers.row(identifier, "Workstation")


def _employee(identifier: str) -> UUID:
    return identifiers.public_key(identifier, "Employee", "employeeId")


def _changed(done: Arranged) -> WorkstationChanged:
    return WorkstationChanged(workstation=done.workstation, receipt=done.receipt)  # type: ignore[arg-type]  # resolved from the domain's


async def mutation_result(
    info: AppInfo, do: Callable[[], Awaitable[Any]], show: Callable[[Any], object] = _changed
) -> object:
    """Returns what was done, or the refusal as a value. A refusal that the answer of this mutation has no type for
    becomes an error of the operation."""
    try:
        return show(await do())
    except Refusal as refusal:
        refused = Refused(refusal)
        if not is_among(refused, info._raw_info.return_type):
            raise
        return refused


def idempotency(info: AppInfo) -> Idempotency | None:
    """Returns the request's key, made unique for each field of it; what is asked is told apart by the field's own text.

    Raises InvalidInput for a key that is empty or too long.
    """
    key = info.context.idempotency_key
    if key is None:
        return None
    raw = info._raw_info
    path = ".".join(map(str, raw.path.as_list()))
    fields = [node.loc and node.loc.source.body[node.loc.start : node.loc.end] for node in raw.field_nodes]
    asked = repr((fields, raw.variable_values.coerced))
    return Idempotency(key and f"{key}:{path}", sha256(asked.encode()).hexdigest())
