"""Selections of plain fields, compiled: a function that makes their result of an object, or of a list of them, at once.

It knows the regular case alone. Whatever is not as the schema says (a null where none may be, a number that is none, a
resolver that raises) raises inside, and the caller lets graphql-core execute the same again, which tells what is wrong
and where. That is no different from executing it once, since plain fields only read.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from types import CodeType
from typing import Any

from graphql import (
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLField,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLScalarType,
    GraphQLString,
    GraphQLUnionType,
    get_nullable_type,
    is_enum_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
    is_scalar_type,
    is_union_type,
)
from graphql.execution.collect_fields import FieldDetailsList, GroupedFieldSet
from graphql.pyutils import Undefined, is_awaitable
from strawberry.extensions import FieldExtension
from strawberry.permission import PermissionExtension
from strawberry.schema.types.base_scalars import DateTimeDefinition
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.field import StrawberryField
from strawberry.types.fields.resolver import StrawberryResolver

from graphql_app.domain.access import View
from graphql_app.domain.workstation import Workstation
from graphql_app.graph.permissions import HasScope
from graphql_app.graph.plain import Carried, Derived, InstanceOf
from graphql_app.services.table import COLUMNS, LABELLED, LABELS_AT, MOMENT_TEXTS, Table

LISTS_MOST = 8  # one in another; Python's own limit is 20 blocks

Projection = Callable[[Any], Any]
Subfields = Callable[[GraphQLObjectType, FieldDetailsList], GroupedFieldSet]


class Irregular(Exception):
    """A value is not what the schema says."""


class _NotPlain(Exception):
    """Something in the selection needs more than the object that it is read from."""


def projection(
    of: GraphQLOutputType, details: FieldDetailsList, subfields: Subfields, view: View, lists_most: int = LISTS_MOST
) -> Projection | None:
    """What makes the result of a value of the type, as the view may see it; None when not all below it is plain.

    The projection raises for a value that graphql-core has more to say about. `lists_most`: in one another.
    """
    writer = _Writer(subfields, view, lists_most)
    try:
        result = writer.value(of, details, "given")
    except _NotPlain:
        return None
    return writer.function(result)


# Scalar -> when a value cannot stand as it is. What may be coerced but need not (an Int for a String) is left to
# graphql-core: our resolvers do not do that.
_NOT_AS_IT_IS: Mapping[GraphQLScalarType, str] = {
    GraphQLString: "{0}.__class__ is not str",
    GraphQLID: "{0}.__class__ is not str",
    GraphQLBoolean: "{0}.__class__ is not bool",
    GraphQLInt: "{0}.__class__ is not int or not -2147483648 <= {0} <= 2147483647",
    GraphQLFloat: "{0}.__class__ is not float or {0} - {0} != 0.0",  # infinite, or not a number
}
# What PostgreSQL lets into a column of them is fit.
_AS_IN_COLUMNS: frozenset[Any] = frozenset({GraphQLString, GraphQLBoolean, GraphQLInt})
_WORKSTATION = InstanceOf(Workstation)
_JSON_CLASSES = frozenset({str, int, float, bool, dict, list})
_FIXED = {
    "Irregular": Irregular,
    "JSON": _JSON_CLASSES,
    "READ": _JSON_CLASSES | {datetime},
    "Table": Table,
    "UTC": UTC,
    "date": datetime,
}


class _Writer:
    """Writes the function. Its text holds names made here alone; all that a client named is bound to one of them."""

    def __init__(self, subfields: Subfields, view: View, lists_most: int) -> None:
        self._subfields = subfields
        self._view = view
        self._lists_most = lists_most
        self._lines: list[str] = []
        self._indent = 1
        self._lists = 0
        self._names = 0
        self._bound: dict[str, Any] = dict(_FIXED)
        self._labels: dict[str, str] = {}  # of each variable that is a row: what its labels are looked up in
        self._row_labels: dict[str, str] = {}  # of those whose labels are looked up by now: where they are
        self._columns: set[str] = set()  # expressions that read a column

    def function(self, result: str) -> Projection:
        source = "\n".join(["def project(given):", *self._lines, f" return {result}"])
        scope = dict(self._bound)
        exec(_code(source), scope)  # noqa: S102  # see the class: no text of a client's is in it
        made: Projection = scope["project"]
        return made

    def value(self, of: GraphQLOutputType, details: FieldDetailsList, read: str) -> str:
        """Writes what makes the result of the value that the expression reads. Returns where it is."""
        is_column = read in self._columns
        if is_column and of in _AS_IN_COLUMNS:
            return read
        name = self._name()
        self._line(f"{name} = {read}")
        if is_non_null_type(of):
            self._line(f"if {name} is None: raise Irregular")
            return self._some(of.of_type, details, name, is_column)
        self._line(f"if {name} is not None:")
        self._indent += 1
        made = self._some(of, details, name, is_column)
        if made != name:
            self._line(f"{name} = {made}")
        self._line("pass")
        self._indent -= 1
        return name

    def _some(self, of: Any, details: FieldDetailsList, name: str, is_column: bool) -> str:
        if is_list_type(of):
            return self._list(of.of_type, details, name)
        if is_object_type(of):
            return self._object(of, details, name)
        if is_union_type(of):
            return self._union(of, details, name)
        if is_enum_type(of):
            return self._enum(of, name, is_column)
        if is_scalar_type(of):
            return self._scalar(of, name, is_column)
        raise _NotPlain

    def _list(self, item: GraphQLOutputType, details: FieldDetailsList, name: str) -> str:
        self._lists += 1
        if self._lists > self._lists_most:
            raise _NotPlain
        made, append, one = self._name(), self._name(), self._name()
        self._line(f"{made} = []")
        self._line(f"{append} = {made}.append")
        kind = get_nullable_type(item)
        if is_object_type(kind) and kind.is_type_of == _WORKSTATION:
            self._line(f"if {name}.__class__ is Table:")
            self._indent += 1
            self._rows(kind, details, name, append)
            self._line(f"{name} = ()")
            self._indent -= 1
        self._line(f"if {name}.__class__ is not list and {name}.__class__ is not tuple: raise Irregular")
        self._line(f"for {one} in {name}:")
        self._indent += 1
        self._line(f"{append}({self.value(item, details, one)})")
        self._indent -= 1
        self._lists -= 1
        return made

    def _rows(self, of: GraphQLObjectType, details: FieldDetailsList, name: str, append: str) -> None:
        """Takes the values of a Table by their places."""
        labels, row = self._name(), self._name()
        self._labels[row] = labels
        self._line(f"{labels} = {name}.labels")
        self._line(f"for {row} in {name}.rows:")
        self._indent += 1
        self._line(f"{append}({self._fields(of, details, row)})")
        self._indent -= 1

    def _object(self, of: GraphQLObjectType, details: FieldDetailsList, name: str) -> str:
        known: set[type] = set()
        admit = self._bind(_admission(of, known))
        self._line(f"if {name}.__class__ not in {self._bind(known)}: {admit}({name})")
        return self._fields(of, details, name)

    def _union(self, of: GraphQLUnionType, details: FieldDetailsList, name: str) -> str:
        """By the class of the value, where that says which member it is."""
        made = {}
        for member in of.types:
            definition = member.extensions.get("strawberry-definition")
            if member.is_type_of is None and isinstance(definition, StrawberryObjectDefinition):
                project = projection(GraphQLNonNull(member), details, self._subfields, self._view, self._lists_most)
                if project is not None:
                    made[definition.origin] = project
        if not made:
            raise _NotPlain
        return self._assigned(f"{self._bind(made)}[{name}.__class__]({name})")

    def _fields(self, of: GraphQLObjectType, details: FieldDetailsList, name: str) -> str:
        pairs = []
        for key, selected in self._subfields(of, details).items():
            pairs.append(f"{self._bind(key)}: {self._field(of, selected, name)}")
        return self._assigned("{" + ", ".join(pairs) + "}")

    def _field(self, of: GraphQLObjectType, details: FieldDetailsList, name: str) -> str:
        node = details[0].node
        if node.name.value == "__typename":
            return self._bind(of.name)
        field = of.fields.get(node.name.value)
        if field is None or field.args or node.arguments:
            raise _NotPlain
        read = self._read(field, name)
        return "None" if read is None else self.value(field.type, details, read)

    def _read(self, field: GraphQLField, name: str) -> str | None:
        """The expression that resolves the field of an object; None for what the view may not see."""
        definition = field.extensions.get("strawberry-definition")
        if not isinstance(definition, StrawberryField):
            raise _NotPlain
        if not all(_permits(extension, self._view) for extension in definition.extensions):
            return None
        resolver = definition.base_resolver
        if resolver is None:
            if definition.default_resolver is not getattr or not definition.python_name.isidentifier():
                raise _NotPlain
            return self._attribute(name, definition.python_name)
        carried = definition.metadata.get(Carried)
        if carried is not None:
            self._line(f"if {name}.__class__ is not {self._bind(carried.by)}: raise Irregular")
            return self._attribute(name, definition.python_name)
        derived = definition.metadata.get(Derived)
        if derived is not None:
            return f"{self._bind(derived.make)}({self._attribute(name, derived.attribute)})"
        if name in self._labels or not _reads_its_object_alone(resolver):
            raise _NotPlain
        return f"{self._bind(resolver.wrapped_func)}({name})"

    def _attribute(self, name: str, attribute: str) -> str:
        """The expression that reads an attribute of an object, or the same of a row."""
        if name not in self._labels:
            return f"{name}.{attribute}"
        if attribute in COLUMNS:
            column = f"{name}[{COLUMNS[attribute]}]"
            self._columns.add(column)
            return column
        if attribute not in LABELLED:
            raise _NotPlain
        if name not in self._row_labels:
            self._row_labels[name] = self._assigned(f"{self._labels[name]}[{name}[{LABELS_AT}]]")
        return f"{self._row_labels[name]}[{LABELLED[attribute]}]"

    def _enum(self, of: GraphQLEnumType, name: str, is_column: bool) -> str:
        members = getattr(of, "wrapped_cls", None)
        if members is None:
            raise _NotPlain
        if is_column:
            return self._assigned(f"{self._bind({one.value: of.coerce_output_value(one) for one in members})}[{name}]")
        names = {member._name_: of.coerce_output_value(member) for member in members}
        self._line(f"if {name}.__class__ is not {self._bind(members)}: raise Irregular")
        return self._assigned(f"{self._bind(names)}[{name}._name_]")

    def _scalar(self, of: GraphQLScalarType, name: str, is_column: bool) -> str:
        if is_column and of in _AS_IN_COLUMNS:
            return name
        unfit = _NOT_AS_IT_IS.get(of)
        if unfit is not None:
            self._line(f"if {unfit.format(name)}: raise Irregular")
            return name
        coerce = self._bind(of.coerce_output_value)
        if of.coerce_output_value is DateTimeDefinition.serialize:
            if is_column:
                return self._assigned(f"{self._bind(MOMENT_TEXTS)}[{name}]")
            # orjson writes a moment of UTC as isoformat() does, in a tenth of the time.
            self._line(f"if {name}.__class__ is not date: raise Irregular")
            return self._assigned(f"{name} if {name}.tzinfo is UTC else {coerce}({name})")
        self._line(f"if {name}.__class__ not in READ: raise Irregular")
        made = self._assigned(f"{coerce}({name})")
        self._line(f"if {made}.__class__ not in JSON: raise Irregular")
        return made

    def _name(self) -> str:
        self._names += 1
        return f"v{self._names}"

    def _line(self, text: str) -> None:
        self._lines.append(" " * self._indent + text)

    def _assigned(self, expression: str) -> str:
        name = self._name()
        self._line(f"{name} = {expression}")
        return name

    def _bind(self, value: Any) -> str:
        name = f"c{len(self._bound)}"
        self._bound[name] = value
        return name


def _permits(extension: FieldExtension, view: View) -> bool:
    """Whether the view passes the extension: decided once, since a scope does not depend on the row."""
    if not isinstance(extension, PermissionExtension) or not extension.fail_silently or extension.return_empty_list:
        raise _NotPlain
    for permission in extension.permissions:
        if not isinstance(permission, HasScope):
            raise _NotPlain
        if not permission.permits(view):
            return False
    return True


def _reads_its_object_alone(resolver: StrawberryResolver[Any]) -> bool:
    """Whether it is given its object and nothing else: then it depends on nothing else."""
    takes_object = resolver.self_parameter or resolver.root_parameter or resolver.parent_parameter
    return bool(takes_object) and len(resolver.signature.parameters) == 1 and not resolver.is_async


def _admission(of: GraphQLObjectType, known: set[type]) -> Callable[[Any], None]:
    """What lets a value pass as one of the type, or raises; puts its class among the known where that decides."""

    def admit(value: Any) -> None:
        if value is Undefined or isinstance(value, Exception) or is_awaitable(value):
            raise Irregular
        if of.is_type_of is not None and not of.is_type_of(value, None):  # type: ignore[arg-type]  # ours take no info
            raise Irregular
        if of.is_type_of is None or isinstance(of.is_type_of, InstanceOf):
            known.add(value.__class__)

    return admit


@lru_cache(maxsize=256)
def _code(source: str) -> CodeType:
    """Compiled. Selections of one shape are one text, whatever their response keys are."""
    return compile(source, "<projection>", "exec")
