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
from graphql_app.domain.row_layout import RowLayout
from graphql_app.graph.api.markers import InstanceOf
from graphql_app.graph.compile.code_writer import FunctionText
from graphql_app.graph.compile.field_access import NotPlain, Reading, admission, reading
from graphql_app.graph.compile.scalars import AS_IN_COLUMNS, NAMED, write_enum, write_scalar

LISTS_MOST = 8  # one in another; Python's own limit is 20 blocks

Projection = Callable[[Any], Any]
Subfields = Callable[[GraphQLObjectType, FieldDetailsList], GroupedFieldSet]


def projection(
    of: GraphQLOutputType, details: FieldDetailsList, subfields: Subfields, view: View, lists_most: int = LISTS_MOST
) -> Projection | None:
    """Returns the function that makes the result of a value of the type, as the view may see it; None when not all
    below it is plain.

    The projection raises for a value that graphql-core has more to say about. `lists_most`: how many lists may be
    nested.
    """
    writer = _Writer(subfields, view, lists_most)
    try:
        return writer.function(of, details)
    except NotPlain:
        return None


class _Row:
    """The variables of one row in a loop over a RowSequence, named where they are first needed."""

    def __init__(self, text: FunctionText, layout: RowLayout, sequence: str) -> None:
        """`sequence`: the variable that holds the RowSequence."""
        self.layout = layout
        self.columns = [text.name() for _ in range(layout.width)]
        self._text = text
        self._unpacked = text.assigned(f"{sequence}.unpacked")
        self._found: str | None = None
        self._shared = {attribute: text.name() for attribute in layout.shared}
        if layout.shared:
            nothing = text.bind((None,) * len(layout.shared))
            text.line(f"{', '.join(self._shared.values())}, = {sequence}.shared or {nothing}")

    def attribute(self, name: str) -> str:
        """The expression for a field. Raises NotPlain for one that is not in the row."""
        if name in self.layout.columns:
            return self._column(name)
        if name not in self.layout.packed:
            raise NotPlain
        return f"{self._packed()}[{self.layout.packed[name]}]"

    def _packed(self) -> str:
        if self._found is None:
            self._found = self._text.assigned(f"{self._unpacked}[{self.columns[self.layout.packed_at]}]")
        return self._found

    def _column(self, name: str) -> str:
        column, shared = self.columns[self.layout.columns[name]], self._shared.get(name)
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
        self._text = FunctionText("given", NAMED)
        self._rows: dict[str, _Row] = {}
        self._columns: dict[str, RowLayout] = {}  # the variables that hold a column

    def function(self, of: GraphQLOutputType, details: FieldDetailsList) -> Projection:
        return self._text.function(self._value(of, details, "given"))

    def _value(self, of: GraphQLOutputType, details: FieldDetailsList, read: str) -> str:
        """Writes what makes the result of the value that the expression `read` gives. Returns the variable of it."""
        layout = self._columns.get(read)
        if layout is not None and of in AS_IN_COLUMNS:
            return read
        name = self._text.assigned(read)
        if is_non_null_type(of):
            self._text.line(f"if {name} is None: raise Irregular")
            return self._some(of.of_type, details, name, layout)
        with self._text.block(f"if {name} is not None"):
            made = self._some(of, details, name, layout)
            self._text.line(f"{name} = {made}" if made != name else "pass")
        return name

    def _some(self, of: Any, details: FieldDetailsList, name: str, layout: RowLayout | None) -> str:
        if is_list_type(of):
            return self._list(of.of_type, details, name)
        if is_object_type(of):
            return self._object(of, details, name)
        if is_union_type(of):
            return self._union(of, details, name)
        if is_enum_type(of):
            return write_enum(self._text, of, name, layout)
        if is_scalar_type(of):
            return write_scalar(self._text, of, name, layout)
        raise NotPlain

    def _list(self, item: GraphQLOutputType, details: FieldDetailsList, name: str) -> str:
        text = self._text
        self._lists += 1
        if self._lists > self._lists_most:
            raise NotPlain
        made = text.assigned("[]")
        append = text.assigned(f"{made}.append")
        kind: Any = get_nullable_type(item)
        layout = _layout(kind)
        if layout is not None:
            with text.block(f"if {name}.__class__ is {text.bind(layout.sequence)}"):
                self._rows_of(layout, kind, details, name, append)
                text.line(f"{name} = ()")
        text.line(f"if {name}.__class__ is not list and {name}.__class__ is not tuple: raise Irregular")
        one = text.name()
        with text.block(f"for {one} in {name}"):
            text.line(f"{append}({self._value(item, details, one)})")
        self._lists -= 1
        return made

    def _rows_of(
        self, layout: RowLayout, of: GraphQLObjectType, details: FieldDetailsList, name: str, append: str
    ) -> None:
        """Writes the loop that takes the values of a RowSequence by their indexes."""
        row = _Row(self._text, layout, name)
        self._columns.update(dict.fromkeys(row.columns, layout))
        in_row = self._text.name()
        self._rows[in_row] = row
        with self._text.block(f"for {', '.join(row.columns)}, in {name}.rows"):
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
        """Returns the expression that reads the field of an object or of a row."""
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
        return f"{name}.{attribute}" if row is None else row.attribute(attribute)


def _layout(of: Any) -> RowLayout | None:
    """How lists of the type may come as rows, as its `is_type_of` says."""
    decides = of.is_type_of if is_object_type(of) else None
    return decides.layout if isinstance(decides, InstanceOf) else None
