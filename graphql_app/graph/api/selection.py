"""What an operation selects: the fields below a resolver, and the guarded ones that its view will find masked."""

from collections.abc import Iterator, Sequence
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLObjectType,
    GraphQLResolveInfo,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    get_named_type,
)
from graphql.type import GraphQLCompositeType, GraphQLSchema, is_composite_type
from strawberry.types import Info
from strawberry.utils.str_converters import to_camel_case

from graphql_app.domain.access import GUARDED, Scope
from graphql_app.domain.workstation import Workstation

Fragments = dict[str, FragmentDefinitionNode]


class Nodes(list[FieldNode]):
    """The nodes of a field that is resolved again and again: what was found below them is kept with them."""

    def __init__(self, nodes: Sequence[FieldNode]) -> None:
        super().__init__(nodes)
        self.selected: dict[tuple[str, ...], frozenset[str]] = {}


def selected(info: Info[Any, Any], *path: str) -> frozenset[str]:
    """Returns the Python names of the fields selected at the path below this resolver, whatever fragments they are
    in."""
    raw: GraphQLResolveInfo[Any] = info._raw_info
    kept = raw.field_nodes.selected if isinstance(raw.field_nodes, Nodes) else {}
    found = kept.get(path)
    if found is None:
        names = set(_below(raw.field_nodes, path, raw.fragments))
        found = kept[path] = frozenset(_SNAKE.get(name, name) for name in names)
    return found


def _below(nodes: Sequence[FieldNode], path: Sequence[str], fragments: Fragments) -> Iterator[str]:
    fields = [field for node in nodes if node.selection_set for field in _fields(node.selection_set, fragments, set())]
    if not path:
        yield from (field.name.value for field in fields)
        return
    yield from _below([field for field in fields if field.name.value == path[0]], path[1:], fragments)


def _fields(selections: SelectionSetNode, fragments: Fragments, seen: set[str]) -> Iterator[FieldNode]:
    for node in selections.selections:
        if isinstance(node, FieldNode):
            yield node
        elif isinstance(node, InlineFragmentNode):
            yield from _fields(node.selection_set, fragments, seen)
        elif isinstance(node, FragmentSpreadNode) and node.name.value not in seen:
            seen.add(node.name.value)
            yield from _fields(fragments[node.name.value].selection_set, fragments, seen)


def root_fields(fragments: Fragments, operation: OperationDefinitionNode) -> set[str]:
    """Returns the fields of the root type that an operation selects."""
    return {field.name.value for field in _fields(operation.selection_set, fragments, set())}


_SNAKE = {to_camel_case(name): name for name in Workstation.__dataclass_fields__}

# The guarded fields by their names in the schema.
_GUARDED: dict[str, dict[str, Scope]] = {
    type_name: {to_camel_case(field): scope for field, scope in fields.items()} for type_name, fields in GUARDED.items()
}

Guarded = list[tuple[str, Scope]]


def guarded_paths(
    schema: GraphQLSchema, root: GraphQLObjectType, selections: SelectionSetNode, fragments: Fragments
) -> Guarded:
    """The response paths (no list indexes) of the guarded fields that an operation asks for, each with its scope.

    Unfolds its fragments: `limits` has seen to it that this comes to an end.
    """
    found: dict[str, Scope] = {}
    pending: list[tuple[str, GraphQLCompositeType, SelectionSetNode]] = [("", root, selections)]
    while pending:
        path, parent, current = pending.pop()
        for node in current.selections:
            if isinstance(node, InlineFragmentNode):
                name = node.type_condition and node.type_condition.name.value
                pending.append((path, _composite(schema, name) or parent, node.selection_set))
            elif isinstance(node, FragmentSpreadNode):
                fragment = fragments[node.name.value]
                inner = _composite(schema, fragment.type_condition.name.value)
                pending.append((path, inner or parent, fragment.selection_set))
            elif isinstance(node, FieldNode):
                here = f"{path}.{(node.alias or node.name).value}".lstrip(".")
                scope = _GUARDED.get(parent.name, {}).get(node.name.value)
                if scope is not None:
                    found[here] = scope
                below = _type_of(schema, parent, node.name.value)
                if node.selection_set is not None and below is not None:
                    pending.append((here, below, node.selection_set))
    return sorted(found.items())


def _composite(schema: GraphQLSchema, name: Any) -> GraphQLCompositeType | None:
    found = schema.get_type(name) if name else None
    return found if is_composite_type(found) else None


def _type_of(schema: GraphQLSchema, parent: GraphQLCompositeType, name: str) -> GraphQLCompositeType | None:
    field = schema.get_field(parent, name)
    if field is None:
        return None
    found = get_named_type(field.type)
    return found if is_composite_type(found) else None
