"""Operations of one root field, answered without graphql-core: variables that stand as they are, the resolver called,
its value projected.

It knows the regular case alone. Other variables are left to graphql-core from the start; a resolver that raises, or a
value that is not as the schema says, is handed to it as it is, so that it tells what is wrong and where: no resolver is
called twice.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    FieldNode,
    GraphQLBoolean,
    GraphQLField,
    GraphQLFloat,
    GraphQLID,
    GraphQLInputType,
    GraphQLInt,
    GraphQLNamedInputType,
    GraphQLResolveInfo,
    GraphQLString,
    OperationDefinitionNode,
    VariableNode,
    get_nullable_type,
    is_enum_type,
    is_non_null_type,
    is_required_argument,
    type_from_ast,
)
from graphql.execution.values import VariableValues, coerce_argument
from strawberry.types import Info
from strawberry.types.field import StrawberryField

from graphql_app.graph.context import Context
from graphql_app.graph.projection import Projection
from graphql_app.graph.selection import Nodes

Coerce = Callable[[Any], Any]
Variables = Mapping[str, Any]
_NOTHING: Variables = {}
_NO_HELPERS: Any = None  # nothing here asks for graphql-core's


class NotRegular(Exception):
    """A value needs graphql-core's coercion, or its explanation."""


class _NotShort(Exception):
    """The operation takes the ordinary way."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One parameter of a resolver: the value of a variable, or what stands for it where none was given."""

    name: str
    variable: str | None
    otherwise: Variables  # the value as {name: value}; nothing where the resolver's own default is meant
    needs_value: bool  # null will not do

    def put(self, given: Variables, into: dict[str, Any]) -> None:
        if self.variable is None or self.variable not in given:
            if self.needs_value and not self.otherwise:
                raise NotRegular
            into.update(self.otherwise)
            return
        value = into[self.name] = given[self.variable]
        if value is None and self.needs_value:
            raise NotRegular


@dataclass(frozen=True, slots=True)
class EventShortcut:
    """The same for the events of a subscription: they come resolved."""

    key: str
    _project: Projection

    def data(self, event: object) -> dict[str, Any] | None:
        """What is shown of the event; None when graphql-core has more to say about it."""
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
    _field: StrawberryField
    _info: GraphQLResolveInfo[Any]
    _variables: Mapping[str, tuple[Coerce, bool]]  # and whether null, or nothing, will do
    _arguments: tuple[Argument, ...]

    async def outcome(self, variables: Variables, context: Context) -> Outcome | None:
        """What comes of it; None, and nothing is done, for variables that graphql-core must look at."""
        try:
            resolving = self._begun(variables, context)
        except NotRegular:
            return None
        try:
            value = await resolving
        except Exception as error:  # noqa: BLE001  # told by graphql-core, at its path
            return Outcome(None, error=error)
        try:
            return Outcome({self.key: self._project(value)})
        except Exception:  # noqa: BLE001  # likewise
            return Outcome(None, value)

    def _begun(self, variables: Variables, context: Context) -> Awaitable[Any]:
        given: dict[str, Any] = {}
        for name, (coerce, is_nullable) in self._variables.items():
            value = variables.get(name, _NOTHING)
            if value is not _NOTHING and value is not None:
                given[name] = coerce(value)
            elif not is_nullable:
                raise NotRegular
            elif value is None:
                given[name] = None
        values: dict[str, Any] = {}
        for argument in self._arguments:
            argument.put(given, values)
        raw = self._info._replace(variable_values=VariableValues({}, given), context=context)
        return self._resolve(None, info=Info(_raw_info=raw, _field=self._field), **values)


def shortcut(
    of: GraphQLField, operation: OperationDefinitionNode, info: GraphQLResolveInfo[Any], project: Projection
) -> Shortcut | None:
    """The short way to the one root field of an operation; None where it needs more than its resolver."""
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
    converter = info.schema._strawberry_schema.config.name_converter  # type: ignore[attr-defined]  # Strawberry puts it there
    names = {converter.from_argument(argument): argument.python_name for argument in definition.arguments}
    return Shortcut(
        key=str(info.path.key),
        _project=project,
        _resolve=resolver,
        _field=definition,
        # Nothing of the execution that it was made in: it had a person.
        _info=info._replace(field_nodes=Nodes(info.field_nodes), context=None, async_helpers=_NO_HELPERS),
        _variables=dict(_variables(info, operation)),
        _arguments=tuple(_argument(of, name, names[name], info.field_nodes[0]) for name in of.args),
    )


def _variables(info: GraphQLResolveInfo[Any], operation: OperationDefinitionNode) -> Any:
    for node in operation.variable_definitions or ():
        of: Any = type_from_ast(info.schema, node.type)
        # One with a default counts as needed: where it is not given, graphql-core finds the default.
        yield node.variable.name.value, (_coercion(of), not is_non_null_type(of) and node.default_value is None)


def _argument(of: GraphQLField, name: str, python_name: str, node: FieldNode) -> Argument:
    definition = of.args[name]
    _coercion(definition.type)
    given = next((one for one in node.arguments or () if one.name.value == name), None)
    variable = given.value.name.value if given is not None and isinstance(given.value, VariableNode) else None
    found: dict[str, Any] = {}
    if not (variable and is_required_argument(definition)):
        coerce_argument(found, node, name, definition, given, VariableValues({}, {}), None)
    otherwise = {python_name: found[name]} if name in found else {}
    return Argument(python_name, variable, otherwise, is_non_null_type(definition.type))


def _coercion(of: GraphQLInputType) -> Coerce:
    """What lets a value pass that stands as it is. Of what a list or an object would need, graphql-core knows more."""
    inner: GraphQLNamedInputType = get_nullable_type(of)  # type: ignore[assignment]  # a list is in no table
    if is_enum_type(inner):
        members = {name: inner.coerce_input_value(name) for name in inner.values}
        return lambda value: members[value] if value.__class__ is str and value in members else _refuse()
    fits = _FITTING.get(inner)
    if fits is None:
        raise _NotShort
    return lambda value: value if fits(value) else _refuse()


def _refuse() -> Any:
    raise NotRegular


_FITTING: Mapping[Any, Callable[[Any], bool]] = {
    GraphQLString: lambda value: value.__class__ is str,
    GraphQLID: lambda value: value.__class__ is str,
    GraphQLBoolean: lambda value: value.__class__ is bool,
    GraphQLInt: lambda value: value.__class__ is int and -2147483648 <= value <= 2147483647,
    GraphQLFloat: lambda value: value.__class__ is float and value - value == 0.0,
}
