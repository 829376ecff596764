"""Selections of plain fields, compiled: a function that makes their result of an object, or of a list of them, at once.

It knows the regular case alone. Whatever is not as the schema says (a null where none may be, a number that is none, a
resolver that raises) raises inside, and the caller lets graphql-core execute the same again, which tells what is wrong
and where. That is no different from executing it once, since plain fields only read.
"""

from collections.abc import Callable
from typing import Any

from graphql import (
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
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
from strawberry.types.base import StrawberryObjectDefinition

from graphql_app.domain.access import View
from graphql_app.domain.workstation import Workstation
from graphql_app.graph.api.markers import InstanceOf
from graphql_app.graph.compile.code_writer import FunctionText
from graphql_app.graph.compile.field_access import NotPlain, Reading, admission, reading
from graphql_app.graph.compile.scalars import AS_IN_COLUMNS, NAMED, write_enum, write_scalar
from graphql_app.services.office.table import COLUMNS, LABELLED, LABELS_AT, PLACED, WIDTH, Table

LISTS_MOST = 8  # one in another; Python's own limit is 20 blocks

Projection = Callable[[Any], Any]
Subfields = Callable[[GraphQLObjectType, FieldDetailsList], GroupedFieldSet]
_WORKSTATION = InstanceOf(Workstation)
_NOWHERE = (None,) * len(PLACED)


def projection(
    of: GraphQLOutputType, details: FieldDetailsList, subfields: Subfields, view: View, lists_most: int = LISTS_MOST
) -> Projection | None:
    """What makes the result of a value of the type, as the view may see it; None when not all below it is plain.

    The projection raises for a value that graphql-core has more to say about. `lists_most`: in one another.
    """
    writer = _Writer(subfields, view, lists_most)
    try:
        return writer.function(of, details)
    except NotPlain:
        return None


class _Row:
    """The variables that hold a row of a Table, and the one that will hold what its labels are made to."""

    def __init__(self, text: FunctionText, table: str) -> None:
        self.columns = [text.name() for _ in range(WIDTH)]
        self._text = text
        self._labels = text.assigned(f"{table}.labels")
        self._found: str | None = None
        self._place = {attribute: text.name() for attribute in PLACED}
        text.line(f"{', '.join(self._place.values())} = {table}.place or NOWHERE")

    def labels(self) -> str:
        if self._found is None:
            self._found = self._text.assigned(f"{self._labels}[{self.columns[LABELS_AT]}]")
        return self._found

    def column(self, attribute: str) -> str:
        column, shared = self.columns[COLUMNS[attribute]], self._place.get(attribute)
        if shared is not None:
            self._text.line(f"if {shared} is not None: {column} = {shared}")
        return column


class _Writer:
    """Writes the function. A name stands for an object, or for a row."""

    def __init__(self, subfields: Subfields, view: View, lists_most: int) -> None:
        self._subfields = subfields
        self._view = view
        self._lists_most = lists_most
        self._lists = 0
        self._text = FunctionText("given", {**NAMED, "Table": Table, "NOWHERE": _NOWHERE})
        self._rows: dict[str, _Row] = {}
        self._columns: set[str] = set()  # variables that hold a column

    def function(self, of: GraphQLOutputType, details: FieldDetailsList) -> Projection:
        return self._text.function(self._value(of, details, "given"))

    def _value(self, of: GraphQLOutputType, details: FieldDetailsList, read: str) -> str:
        """Writes what makes the result of the value that the expression reads. Returns where it is."""
        is_column = read in self._columns
        if is_column and of in AS_IN_COLUMNS:
            return read
        name = self._text.assigned(read)
        if is_non_null_type(of):
            self._text.line(f"if {name} is None: raise Irregular")
            return self._some(of.of_type, details, name, is_column)
        with self._text.block(f"if {name} is not None"):
            made = self._some(of, details, name, is_column)
            self._text.line(f"{name} = {made}" if made != name else "pass")
        return name

    def _some(self, of: Any, details: FieldDetailsList, name: str, is_column: bool) -> str:
        if is_list_type(of):
            return self._list(of.of_type, details, name)
        if is_object_type(of):
            return self._object(of, details, name)
        if is_union_type(of):
            return self._union(of, details, name)
        if is_enum_type(of):
            return write_enum(self._text, of, name, is_column=is_column)
        if is_scalar_type(of):
            return write_scalar(self._text, of, name, is_column=is_column)
        raise NotPlain

    def _list(self, item: GraphQLOutputType, details: FieldDetailsList, name: str) -> str:
        text = self._text
        self._lists += 1
        if self._lists > self._lists_most:
            raise NotPlain
        made = text.assigned("[]")
        append = text.assigned(f"{made}.append")
        kind = get_nullable_type(item)
        if is_object_type(kind) and kind.is_type_of == _WORKSTATION:
            with text.block(f"if {name}.__class__ is Table"):
                self._table(kind, details, name, append)
                text.line(f"{name} = ()")
        text.line(f"if {name}.__class__ is not list and {name}.__class__ is not tuple: raise Irregular")
        one = text.name()
        with text.block(f"for {one} in {name}"):
            text.line(f"{append}({self._value(item, details, one)})")
        self._lists -= 1
        return made

    def _table(self, of: GraphQLObjectType, details: FieldDetailsList, name: str, append: str) -> None:
        """Takes the values of a Table by their places."""
        row = _Row(self._text, name)
        self._columns.update(row.columns)
        in_row = self._text.name()
        self._rows[in_row] = row
        with self._text.block(f"for {', '.join(row.columns)} in {name}.rows"):
            self._text.line(f"{append}({self._fields(of, details, in_row)})")

    def _object(self, of: GraphQLObjectType, details: FieldDetailsList, name: str) -> str:
        known: set[type] = set()
        admit = self._text.bind(admission(of, known))
        self._text.line(f"if {name}.__class__ not in {self._text.bind(known)}: {admit}({name})")
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
            raise NotPlain
        return self._text.assigned(f"{self._text.bind(made)}[{name}.__class__]({name})")

    def _fields(self, of: GraphQLObjectType, details: FieldDetailsList, name: str) -> str:
        pairs = []
        for key, selected in self._subfields(of, details).items():
            pairs.append(f"{self._text.bind(key)}: {self._field(of, selected, name)}")
        return self._text.assigned("{" + ", ".join(pairs) + "}")

    def _field(self, of: GraphQLObjectType, details: FieldDetailsList, name: str) -> str:
        node = details[0].node
        if node.name.value == "__typename":
            return self._text.bind(of.name)
        field = of.fields.get(node.name.value)
        if field is None or field.args or node.arguments:
            raise NotPlain
        read = reading(field, self._view)
        return "None" if read is None else self._value(field.type, details, self._expression(read, name))

    def _expression(self, read: Reading, name: str) -> str:
        """What reads the field of an object, or the same of a row."""
        if read.carrier is not None:
            self._text.line(f"if {name}.__class__ is not {self._text.bind(read.carrier)}: raise Irregular")
        if read.attribute is not None:
            held = self._attribute(name, read.attribute)
        elif name not in self._rows:
            held = name
        else:
            raise NotPlain
        return held if read.make is None else f"{self._text.bind(read.make)}({held})"

    def _attribute(self, name: str, attribute: str) -> str:
        row = self._rows.get(name)
        if row is None:
            return f"{name}.{attribute}"
        if attribute in COLUMNS:
            return row.column(attribute)
        if attribute not in LABELLED:
            raise NotPlain
        return f"{row.labels()}[{LABELLED[attribute]}]"
