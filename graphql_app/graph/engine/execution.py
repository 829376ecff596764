"""Executes the operations of the schema."""

from collections.abc import AsyncIterable, Mapping
from typing import Any

import orjson
import strawberry
from graphql import ExecutionResult, GraphQLSchema, create_source_event_stream
from graphql.execution import execute_root_selection_set, execute_subscription_event

from graphql_app.aio.cooperative import CooperativeScheduler
from graphql_app.aio.deadlines import Deadline, Deadlines
from graphql_app.aio.deferred import Deferred
from graphql_app.domain.access import Scope, View, Viewer, require
from graphql_app.domain.caller import Caller
from graphql_app.domain.errors import Unavailable
from graphql_app.graph.api.context import Context
from graphql_app.graph.compile.executor import PlannedExecutor
from graphql_app.graph.compile.shortcut import Outcome
from graphql_app.graph.documents.document import Mistakes, Operation
from graphql_app.graph.engine.results import answer, formatted

INTROSPECTION = frozenset({"__schema", "__type"})  # the fields of Query that show the schema


class Execution:
    """Runs operations of the schema. Unless it is explorable, introspection needs a scope."""

    def __init__(self, schema: strawberry.Schema, *, seconds: float, is_explorable: bool = True) -> None:
        # graphql-core's own schema: parsing, validating and executing go past Strawberry's per-request layers.
        self.schema: GraphQLSchema = schema._schema
        self.deadlines = Deadlines(seconds)
        self._is_explorable = is_explorable
        self.scheduler = CooperativeScheduler()

    async def run(
        self, operation: Operation, variables: Mapping[str, Any], context: Context, outcome: Outcome | None = None
    ) -> dict[str, Any]:
        """Returns the answer to a query or mutation, ready to be serialised. `outcome`: that of deferred_outcome().

        Raises BadVariables and Forbidden.
        """
        try:
            with Deadline(self.deadlines):
                result = await self.result(operation, variables, context, outcome)
        except TimeoutError:
            return self.overdue
        return answer(result, operation.masked(context.caller.view))

    async def result(
        self, operation: Operation, variables: Mapping[str, Any], context: Context, outcome: Outcome | None = None
    ) -> ExecutionResult:
        """Executes by the shortcut, if there is one, else by graphql-core. Raises BadVariables and Forbidden."""
        shortcut = operation.plans.shortcuts.get(context.caller.view)
        if outcome is None and shortcut is not None:
            outcome = await shortcut.outcome(variables, context)
        if outcome is not None and outcome.data is not None:
            return ExecutionResult(outcome.data, None)
        result = execute_root_selection_set(self.executor(operation, variables, context, outcome))
        return result if isinstance(result, ExecutionResult) else await result

    def deferred_outcome(
        self, operation: Operation, variables: Mapping[str, Any], context: Context
    ) -> Outcome | Deferred[Outcome] | None:
        """Executes by the shortcut without a coroutine. Returns None where only run() can."""
        shortcut = operation.plans.shortcuts.get(context.caller.view)
        return shortcut.deferred_outcome(variables, context) if shortcut is not None else None

    @property
    def overdue(self) -> dict[str, Any]:
        """Returns the answer to what took too long."""
        slow = Unavailable(f"The operation took longer than {self.deadlines.seconds:g} s and was ended; ask for less.")
        return {"data": None, "errors": [formatted(slow)]}

    def executor(
        self, operation: Operation, variables: Mapping[str, Any], context: Context, outcome: Outcome | None = None
    ) -> PlannedExecutor:
        """Returns the executor of the operation. Raises BadVariables, and Forbidden for introspection that is off."""
        if not self._is_explorable and not INTROSPECTION.isdisjoint(operation.roots):
            require(context.caller.viewer, Scope.SCHEMA)
        built = PlannedExecutor.build(
            self.schema,
            operation.document,
            context_value=context,
            raw_variable_values=dict(variables),
            operation_name=operation.name,
            plans=operation.plans,
            scheduler=self.scheduler,
            outcome=outcome,
            hide_suggestions=not self._is_explorable,
        )
        if isinstance(built, list):
            raise BadVariables(built)
        assert isinstance(built, PlannedExecutor)
        return built

    async def source(self, executor: PlannedExecutor) -> AsyncIterable[Any]:
        """Returns what the subscription's resolver returned. Raises GraphQLError."""
        source = create_source_event_stream(executor)
        if not isinstance(source, (ExecutionResult, AsyncIterable)):
            source = await source
        if isinstance(source, ExecutionResult):
            assert source.errors
            raise source.errors[0]
        return source

    async def event(self, executor: PlannedExecutor, event: object, context: Context, masked: list[str]) -> bytes:
        """Returns the serialised payload for one event of a subscription."""
        return orjson.dumps(answer(await self.shown(executor, event, context), masked))

    async def shown(self, executor: PlannedExecutor, event: object, context: Context) -> ExecutionResult:
        """Executes one event of a subscription: by its shortcut, if there is one, else by graphql-core."""
        shortcut = executor.plans.events.get(context.caller.view)
        data = shortcut.data(event) if shortcut is not None else None
        if data is not None:
            return ExecutionResult(data, None)
        of_event = executor.build_per_event_executor(event)
        of_event.context_value = context
        result = execute_subscription_event(of_event)
        return result if isinstance(result, ExecutionResult) else await result


class BadVariables(Mistakes):
    """The variables do not fit their types."""


def shared_caller(view: View) -> Caller:
    """Returns a caller who is nobody in particular: a shared execution is given it, so that it cannot show anybody's
    own data."""
    return Caller(Viewer("", (), view, None, None, 0))
