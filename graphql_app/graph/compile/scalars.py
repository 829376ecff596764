"""How the values that have no fields are written into an answer: enums and scalars, of an object or of a column."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from graphql import (
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLScalarType,
    GraphQLString,
)
from strawberry.schema.types.base_scalars import DateTimeDefinition

from graphql_app.domain.row_layout import RowLayout
from graphql_app.graph.compile.code_writer import FunctionText
from graphql_app.graph.compile.field_access import Irregular, NotPlain

# Scalar -> when a value cannot stand as it is. What may be coerced but need not (an Int for a String) is left to
# graphql-core: our resolvers do not do that.
_NOT_AS_IT_IS: Mapping[GraphQLScalarType, str] = {
    GraphQLString: "{0}.__class__ is not str",
    GraphQLID: "{0}.__class__ is not str",
    GraphQLBoolean: "{0}.__class__ is not bool",
    GraphQLInt: "{0}.__class__ is not int or not -2147483648 <= {0} <= 2147483647",
    GraphQLFloat: "{0}.__class__ is not float or {0} - {0} != 0.0",  # infinite, or not a number
}
# What PostgreSQL lets into a column of them is fit; but for a float, which is fit as far as it is a number.
AS_IN_COLUMNS: frozenset[Any] = frozenset({GraphQLString, GraphQLBoolean, GraphQLInt})
_UNFIT_IN_COLUMNS = {GraphQLFloat: "{0} - {0}"}
_JSON_CLASSES = frozenset({str, int, float, bool, dict, list})
# What the lines written here name.
NAMED: Mapping[str, Any] = {
    "Irregular": Irregular,
    "JSON": _JSON_CLASSES,
    "READ": _JSON_CLASSES | {datetime},
    "UTC": UTC,
    "date": datetime,
}


def write_enum(text: FunctionText, of: GraphQLEnumType, name: str, layout: RowLayout | None) -> str:
    """Writes what makes the name of a member. Returns the variable that holds it.

    `layout`: of the row, where the value is a column of one. The value is not None. Raises NotPlain for an enum that no
    Python enum stands behind.
    """
    members = getattr(of, "wrapped_cls", None)
    if members is None:
        raise NotPlain
    if layout is not None:
        if members not in layout.enums:
            raise NotPlain
        lookup = layout.enums[members]({member.value: of.coerce_output_value(member) for member in members})
        return text.assigned(f"{text.bind(lookup)}[{name}]")
    names = {member._name_: of.coerce_output_value(member) for member in members}
    text.line(f"if {name}.__class__ is not {text.bind(members)}: raise Irregular")
    return text.assigned(f"{text.bind(names)}[{name}._name_]")


def write_scalar(text: FunctionText, of: GraphQLScalarType, name: str, layout: RowLayout | None) -> str:
    """Writes what makes the result of a scalar. Returns the expression for it. Arguments as of write_enum."""
    if layout is not None and of in AS_IN_COLUMNS:
        return name
    unfit = _UNFIT_IN_COLUMNS.get(of) if layout is not None else _NOT_AS_IT_IS.get(of)
    if unfit is not None:
        text.line(f"if {unfit.format(name)}: raise Irregular")
        return name
    if of.coerce_output_value is DateTimeDefinition.serialize:
        return _write_moment(text, of, name, layout)
    text.line(f"if {name}.__class__ not in READ: raise Irregular")
    made = text.assigned(f"{text.bind(of.coerce_output_value)}({name})")
    text.line(f"if {made}.__class__ not in JSON: raise Irregular")
    return made


def _write_moment(text: FunctionText, of: GraphQLScalarType, name: str, layout: RowLayout | None) -> str:
    if layout is not None:
        return text.assigned(f"{text.bind(layout.timestamps)}[{name}]")
    # orjson writes a moment of UTC as isoformat() does, in a tenth of the time.
    text.line(f"if {name}.__class__ is not date: raise Irregular")
    return text.assigned(f"{name} if {name}.tzinfo is UTC else {text.bind(of.coerce_output_value)}({name})")
