"""Several workstations at once: all of them, or none."""

from typing import Annotated, Any

import strawberry
from strawberry import argument

from graphql_app.domain import identifiers
from graphql_app.domain.errors import about
from graphql_app.graph.api.context import AppInfo
from graphql_app.graph.api.inputs import CreateWorkstationInput, WorkstationStatusInput, input_values
from graphql_app.graph.api.mutations import idempotency, mutation_result
from graphql_app.graph.api.refusals import CreateSeveralResult, SetStatusesResult, WorkstationsChanged
from graphql_app.services.office.arrange_several import ArrangedSeveral, StatusChange


@strawberry.type(description="What can be changed of several workstations at once.")
class SeveralMutations:
    @strawberry.mutation(
        graphql_type=CreateSeveralResult,
        description="Puts up several workstations, at most 500: all of them or none. `index` of a refusal says which"
        " was in the way.",
    )
    async def create_workstations(
        self,
        info: AppInfo,
        input: Annotated[list[CreateWorkstationInput], argument(description="What they are like.")],
    ) -> Any:
        several, caller, key = info.context.services.several, info.context.caller, idempotency(info)
        return await mutation_result(
            info, lambda: several.create(caller, [_values(at, one) for at, one in enumerate(input)], key), _changed
        )

    @strawberry.mutation(
        graphql_type=SetStatusesResult,
        description="Sets the statuses of several workstations, at most 500 and each named once, by the rules of"
        " `setWorkstationStatus`: all of them or none. `index` of a refusal says which was in the way.",
    )
    async def set_workstation_statuses(
        self,
        info: AppInfo,
        input: Annotated[list[WorkstationStatusInput], argument(description="Which is to get which status.")],
    ) -> Any:
        several, caller, key = info.context.services.several, info.context.caller, idempotency(info)
        return await mutation_result(
            info,
            lambda: several.set_statuses(caller, [_change(at, one) for at, one in enumerate(input)], key),
            _changed,
        )


def _values(index: int, given: CreateWorkstationInput) -> dict[str, Any]:
    with about(index):
        return input_values(given)


def _change(index: int, given: WorkstationStatusInput) -> StatusChange:
    with about(index):
        return StatusChange(identifiers.row(given.id, "Workstation"), given.status, given.expected_version)


def _changed(done: ArrangedSeveral) -> WorkstationsChanged:
    return WorkstationsChanged(workstations=done.workstations, receipt=done.receipt)  # type: ignore[arg-type]  # resolved from the domain's
