"""How much is selected of what: fields, arguments and values, and how many values an answer could have.

Each fragment is measured once, so that it takes time linear in the text of the document, however often its fragments
are spread.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from graphql import (
    DirectiveNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    Node,
    NullValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    get_named_type,
    is_list_type,
    is_non_null_type,
)
from graphql.type import is_composite_type

Fragments = Mapping[str, FragmentDefinitionNode]

PAGE_ARGUMENTS = ("first", "last")
PAGE_DEFAULT = 50

# How long a list without a size of its own is taken to be, where it is not about ten.
LIST_DEFAULT = 10
LISTS: Mapping[str, int] = {
    "Floor.workstations": 100,
    "Building.floors": 20,
    "Query.buildings": 20,
    "Query.departments": 50,
    "Query.floors": 20,
    "Query.nodes": 100,
    "WorkstationFeed.workstations": 100,
    "WorkstationsChanged.workstations": 100,
    # Of introspection, about what this schema has.
    "__Directive.args": 2,
    "__Directive.locations": 3,
    "__Field.args": 2,
    "__Schema.types": 60,
    "__Type.enumValues": 1,
    "__Type.fields": 6,
    "__Type.inputFields": 2,
    "__Type.interfaces": 1,
    "__Type.possibleTypes": 1,
}

# Of those that may be of any length, however long they are taken to be: they are counted when they are there.
COUNTED = frozenset({"Floor.workstations"})


@dataclass(slots=True)
class Size:
    """The size of a selection, with its fragments in place."""

    depth: int = 0  # levels of fields; introspection does not count
    aliases: int = 0
    directives: int = 0
    nodes: int = 0
    cost: int = 0  # values in the answer
    per_item: int = 0  # and for each item of the page that this is selected on

    def add(self, other: "Size") -> None:
        self.depth = max(self.depth, other.depth)
        self.aliases += other.aliases
        self.directives += other.directives
        self.nodes += other.nodes
        self.cost += other.cost
        self.per_item += other.per_item

    def direct(self, directives: Sequence[DirectiveNode] | None) -> None:
        if directives:
            self.directives += len(directives)
            self.nodes += node_count(directives)


class Walk:
    """Walks one document. Each fragment is measured once."""

    def __init__(self, schema: GraphQLSchema, page_most: int, paged: frozenset[str], fragments: Fragments) -> None:
        self._schema = schema
        self._page_most = page_most
        self._paged = paged
        self._fragments = fragments
        self.known: dict[str, Size | None] = {}  # None while it is being measured
        self.counted: dict[int, int] = {}  # values in an item, of each node of a list that is counted as it is made

    def definition(self, node: OperationDefinitionNode | FragmentDefinitionNode, of: GraphQLNamedType | None) -> Size:
        size = self._selections(node.selection_set, of)
        size.direct(node.directives)
        return size

    def fragment(self, name: str) -> Size:
        if name in self.known:
            known = self.known[name]
            if known is None:
                raise GraphQLError(f"Cannot spread fragment '{name}' within itself.", self._fragments[name])
            return known
        node = self._fragments.get(name)
        if node is None:
            return Size()
        self.known[name] = None
        size = self.known[name] = self.definition(node, self._schema.get_type(node.type_condition.name.value))
        return size

    def _selections(self, selections: SelectionSetNode, of: GraphQLNamedType | None) -> Size:
        size = Size()
        for node in selections.selections:
            size.nodes += 1
            size.direct(node.directives)
            if isinstance(node, FieldNode):
                self._add_field(size, node, of)
            elif isinstance(node, FragmentSpreadNode):
                size.add(self.fragment(node.name.value))
            elif isinstance(node, InlineFragmentNode):
                condition = node.type_condition and self._schema.get_type(node.type_condition.name.value)
                size.add(self._selections(node.selection_set, condition or of))
        return size

    def _add_field(self, size: Size, node: FieldNode, of: GraphQLNamedType | None) -> None:
        name = node.name.value
        field = self._schema.get_field(of, name) if of is not None and is_composite_type(of) else None
        if node.alias is not None:
            size.aliases += 1
        if node.arguments:
            size.nodes += node_count(node.arguments)
        below, values = Size(), 1
        if node.selection_set is not None:
            below = self._selections(node.selection_set, get_named_type(field.type) if field else None)
            values += below.cost + below.per_item * self._page(node)
        if of is not None and f"{of.name}.{name}" in COUNTED:
            self.counted[id(node)] = values
        is_paged = of is not None and of.name in self._paged and is_list(field)
        size.add(
            Size(
                0 if name.startswith("__") else 1 + below.depth,
                below.aliases,
                below.directives,
                below.nodes,
                0 if is_paged else values * self._times(node, of, field),
                values if is_paged else 0,
            )
        )

    def _page(self, node: FieldNode) -> int:
        """Returns how many items the page of this field can have, if it has one."""
        given = [argument.value for argument in node.arguments or () if argument.name.value in PAGE_ARGUMENTS]
        asked = [self._number(value) for value in given if not isinstance(value, NullValueNode)]
        return max(asked, default=PAGE_DEFAULT)

    def _number(self, value: Node) -> int:
        # A variable can be given whatever its default is: it counts as the largest page.
        if not isinstance(value, IntValueNode) or len(value.value) > 9:
            return self._page_most
        return max(0, min(int(value.value), self._page_most))

    def _times(self, node: FieldNode, of: GraphQLNamedType | None, field: GraphQLField | None) -> int:
        """Returns the assumed length of the field's list; 1 for what is no list."""
        if of is None or not is_list(field):
            return 1
        for argument in node.arguments or ():
            if argument.name.value == "ids" and isinstance(argument.value, ListValueNode):
                return len(argument.value.values)
        return LISTS.get(f"{of.name}.{node.name.value}", LIST_DEFAULT)


def is_list(field: GraphQLField | None) -> bool:
    if field is None:
        return False
    return is_list_type(field.type.of_type if is_non_null_type(field.type) else field.type)


def paged_types(schema: GraphQLSchema) -> Iterator[str]:
    """Returns the types whose lists are as long as `first` or `last` says on the field that they come from."""
    for of in schema.type_map.values():
        for field in getattr(of, "fields", {}).values():
            if any(name in getattr(field, "args", {}) for name in PAGE_ARGUMENTS) and not is_list(field):
                yield get_named_type(field.type).name


def node_count(nodes: Iterable[Node]) -> int:
    """Returns how many nodes these are, with all below them."""
    found = 0
    pending = list(nodes)
    while pending:
        node = pending.pop()
        found += 1
        for key in node.keys:
            below = getattr(node, key, None)
            if isinstance(below, Node):
                pending.append(below)
            elif isinstance(below, (list, tuple)):
                pending.extend(below)
    return found
