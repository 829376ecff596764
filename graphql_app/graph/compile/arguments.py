"""The arguments of an operation's one root field: what its resolver is given, made of the variables of a request.

Most are variables that stand as they are. Where an argument is a list or an object, to make it by graphql-core and
Strawberry takes longer than to fetch what it asks for: what they made of the same variables before is remembered.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

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
    OperationType,
    VariableNode,
    get_nullable_type,
    is_enum_type,
    is_non_null_type,
    is_required_argument,
    type_from_ast,
)
from graphql.execution.values import VariableValues, coerce_argument, get_argument_values, get_variable_values
from strawberry.types.arguments import convert_arguments
from strawberry.types.field import StrawberryField

from graphql_app.aio.memo import Memo

REMEMBERED = 32  # of one operation
REMEMBERED_LENGTH = 500  # longer variables are made anew

Coerce = Callable[[Any], Any]
Variables = Mapping[str, Any]
_NOTHING: Variables = {}


class Given(NamedTuple):
    """The variables by their names, and the arguments by the names of the resolver's parameters."""

    variables: dict[str, Any]
    arguments: dict[str, Any]


# Raises NotRegular.
Arguments = Callable[[Variables], Given]


class NotRegular(Exception):
    """A value needs graphql-core's coercion, or its explanation."""


class _NotDirect(Exception):
    """A list or an object is among them."""


def arguments(of: GraphQLField, operation: OperationDefinitionNode, info: GraphQLResolveInfo[Any]) -> Arguments | None:
    """Returns what makes the arguments; None for an operation that has to make them by graphql-core each time."""
    try:
        return _direct(of, operation, info)
    except _NotDirect:
        # Objects may be shared by those who only read.
        return _remembered(of, operation, info) if operation.operation is OperationType.QUERY else None


# --- as they are -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Argument:
    """One parameter of a resolver: the value of a variable, or what stands for it where none was given."""

    name: str
    variable: str | None
    otherwise: Variables  # the value as {name: value}; nothing where the resolver's own default is meant
    needs_value: bool  # null will not do

    def put(self, given: Variables, into: dict[str, Any]) -> None:
        """Puts the value where the resolver finds it. Raises NotRegular where a required one is missing."""
        if self.variable is None or self.variable not in given:
            if self.needs_value and not self.otherwise:
                raise NotRegular
            into.update(self.otherwise)
            return
        value = into[self.name] = given[self.variable]
        if value is None and self.needs_value:
            raise NotRegular


@dataclass(frozen=True, slots=True)
class _Direct:
    variables: Mapping[str, tuple[Coerce, bool]]  # and whether null, or nothing, will do
    arguments: tuple[Argument, ...]

    def __call__(self, variables: Variables) -> Given:
        given: dict[str, Any] = {}
        for name, (coerce, is_nullable) in self.variables.items():
            value = variables.get(name, _NOTHING)
            if value is not _NOTHING and value is not None:
                given[name] = coerce(value)
            elif not is_nullable:
                raise NotRegular
            elif value is None:
                given[name] = None
        values: dict[str, Any] = {}
        for argument in self.arguments:
            argument.put(given, values)
        return Given(given, values)


def _direct(of: GraphQLField, operation: OperationDefinitionNode, info: GraphQLResolveInfo[Any]) -> Arguments:
    """Raises _NotDirect."""
    definition: StrawberryField = of.extensions["strawberry-definition"]
    converter = info.schema._strawberry_schema.config.name_converter  # type: ignore[attr-defined]  # Strawberry puts it there
    names = {converter.from_argument(argument): argument.python_name for argument in definition.arguments}
    variables = dict(_variables(info, operation))
    return _Direct(variables, tuple(_argument(of, name, names[name], info.field_nodes[0]) for name in of.args))


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
        raise _NotDirect
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


# --- remembered ------------------------------------------------------------------------------------------------------


def _remembered(of: GraphQLField, operation: OperationDefinitionNode, info: GraphQLResolveInfo[Any]) -> Arguments:
    definition: StrawberryField = of.extensions["strawberry-definition"]
    schema, node = info.schema, info.field_nodes[0]
    declared = [one.variable.name.value for one in operation.variable_definitions or ()]
    converter = schema._strawberry_schema.schema_converter  # type: ignore[attr-defined]  # as above

    def make(sent: str) -> Given:
        variables = get_variable_values(schema, operation.variable_definitions or (), json.loads(sent))
        if isinstance(variables, list):
            raise NotRegular
        try:
            values = get_argument_values(of, node, variables)
            values = convert_arguments(values, definition.arguments, converter.scalar_registry, converter.config)
        except Exception as error:
            raise NotRegular from error
        return Given(variables.coerced, values)

    made = Memo(make, REMEMBERED)

    def given(variables: Variables) -> Given:
        # As text, for 1, 1.0 and true are equal in Python; orjson would write NaN as null.
        sent = json.dumps({name: variables[name] for name in declared if name in variables})
        if len(sent) > REMEMBERED_LENGTH:
            raise NotRegular
        return made[sent]

    return given
