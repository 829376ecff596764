"""Operations of one root field, answered without graphql-core: variables that stand as they are, the resolver called,
its value projected.

It knows the regular case alone. Other variables are left to graphql-core from the start; a resolver that raises, or a
value that is not as the schema says, is handed to it as it is, so that it tells what is wrong and where: no resolver is
called twice.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from graphql import (
    GraphQLField,
    GraphQLResolveInfo,
    OperationDefinitionNode,
)
from graphql.execution.values import VariableValues
from strawberry.types import Info
from strawberry.types.field import StrawberryField

from graphql_app.aio.deferred import Deferred
from graphql_app.graph.api.markers import ImmediateResolver
from graphql_app.graph.api.selection import Nodes, selected
from graphql_app.graph.compile.arguments import Arguments, NotRegular, Variables, arguments
from graphql_app.graph.compile.projection import Projection

_NO_HELPERS: Any = None  # nothing here asks for graphql-core's


class ResolverContext(Protocol):
    """What resolvers are given. `is_alone`: one resolver is all that runs."""

    is_alone: bool


class _NotShort(Exception):
    """The operation takes the ordinary way."""


@dataclass(frozen=True, slots=True)
class EventShortcut:
    """The shortcut of a subscription: projects its events, which come resolved."""

    key: str
    _project: Projection

    def data(self, event: object) -> dict[str, Any] | None:
        """Returns the data for the event; None when graphql-core has to report an error."""
        try:
            return {self.key: self._project(event)}
        except Exception:  # noqa: BLE001  # said by graphql-core, with its error, at its path
            return None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a resolver did; `data` is the answer, when that was regular."""

    data: dict[str, Any] | None
    value: Any = None
    error: Exception | None = None

    async def again(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.value


@dataclass(frozen=True, slots=True)
class Shortcut:
    key: str
    _project: Projection
    _resolve: Callable[..., Awaitable[Any]]
    _deferred_outcome: Callable[..., Any] | None
    _selected: frozenset[str]
    _field: StrawberryField
    _info: GraphQLResolveInfo[Any]
    _arguments: Arguments

    async def outcome(self, variables: Variables, context: ResolverContext) -> Outcome | None:
        """Calls the resolver and projects its value. Returns None, and calls nothing, for variables that graphql-core
        must coerce."""
        try:
            resolving = self._called(self._resolve, variables, context)
        except NotRegular:
            return None
        context.is_alone = True
        try:
            value = await resolving
        except Exception as error:  # noqa: BLE001  # told by graphql-core, at its path
            return Outcome(None, error=error)
        finally:
            context.is_alone = False
        return self._of(value)

    def deferred_outcome(self, variables: Variables, context: ResolverContext) -> Outcome | Deferred[Outcome] | None:
        """Does so without a coroutine. Returns None, and does nothing, where the field cannot or a value is not
        regular."""
        if self._deferred_outcome is None:
            return None
        try:
            value = self._deferred_outcome(context, self._selected, **self._arguments(variables).arguments)
        except Exception:  # noqa: BLE001  # whoever is asked next says what it is
            return None
        if value.__class__ is Deferred:
            return Deferred(value.start, partial(self._come, value.make))
        return self._of(value)

    def _come(self, make: Callable[[Any], Any], came: asyncio.Future[Any]) -> Outcome:
        try:
            value = make(came)
        except Exception as error:  # noqa: BLE001  # told by graphql-core, at its path
            return Outcome(None, error=error)
        return self._of(value)

    def _of(self, value: Any) -> Outcome:
        try:
            return Outcome({self.key: self._project(value)})
        except Exception:  # noqa: BLE001  # likewise
            return Outcome(None, value)

    def _called(self, resolve: Callable[..., Any], variables: Variables, context: ResolverContext) -> Any:
        given, values = self._arguments(variables)
        raw = self._info._replace(variable_values=VariableValues({}, given), context=context)
        return resolve(None, info=Info(_raw_info=raw, _field=self._field), **values)


def shortcut(
    of: GraphQLField, operation: OperationDefinitionNode, info: GraphQLResolveInfo[Any], project: Projection
) -> Shortcut | None:
    """Returns the shortcut to the one root field of an operation; None where it needs more than its resolver."""
    try:
        return _shortcut(of, operation, info, project)
    except _NotShort:
        return None


def _shortcut(
    of: GraphQLField, operation: OperationDefinitionNode, info: GraphQLResolveInfo[Any], project: Projection
) -> Shortcut:
    definition = of.extensions.get("strawberry-definition")
    if not isinstance(definition, StrawberryField) or definition.extensions or not definition.is_async:
        raise _NotShort
    resolver = definition.base_resolver
    if resolver is None or not (resolver.self_parameter and resolver.info_parameter):
        raise _NotShort
    its_arguments = arguments(of, operation, info)
    if its_arguments is None:
        raise _NotShort
    deferred_outcome: ImmediateResolver | None = definition.metadata.get(ImmediateResolver)
    # Nothing of the execution that it was made in: it had a person, and what they gave.
    lasting = info._replace(
        field_nodes=Nodes(info.field_nodes),
        context=None,
        variable_values=VariableValues({}, {}),
        async_helpers=_NO_HELPERS,
    )
    return Shortcut(
        key=str(info.path.key),
        _project=project,
        _resolve=resolver,
        _deferred_outcome=deferred_outcome.resolve if deferred_outcome is not None else None,
        _selected=selected(Info(_raw_info=lasting, _field=definition)),
        _field=definition,
        _info=lasting,
        _arguments=its_arguments,
    )
