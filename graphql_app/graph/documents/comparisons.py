"""How often validation compares names: it takes a time that is quadratic in equal ones."""

from collections import defaultdict
from collections.abc import Mapping

from graphql import FieldNode, FragmentSpreadNode, InlineFragmentNode, SelectionSetNode

from graphql_app.graph.documents.sizes import Fragments, node_count


def comparisons(root: SelectionSetNode, fragments: Fragments) -> int:
    """How often validation compares two fields, arguments and all, or a field with a fragment's.

    Every two fields with one name at one place of the answer must be the same field, with the same arguments.
    """
    total = 0
    pending = [[root]]
    while pending:
        named, spreads = _level(pending.pop(), fragments)
        fields = sum(map(len, named.values()))
        total += spreads * (spreads - 1) // 2 + spreads * fields
        for same in named.values():
            others = len(same) - 1
            if others:
                total += len(same) * others // 2 + others * sum(node_count(node.arguments or ()) for node in same)
            below = [node.selection_set for node in same if node.selection_set is not None]
            if below:
                pending.append(below)
    return total


def _level(selections: list[SelectionSetNode], fragments: Fragments) -> tuple[Mapping[str, list[FieldNode]], int]:
    """The fields of one place by their names in the answer, and how many fragments these are written in."""
    named: dict[str, list[FieldNode]] = defaultdict(list)
    spread: set[str] = set()
    pending = list(selections)
    while pending:
        for node in pending.pop().selections:
            if isinstance(node, FieldNode):
                named[(node.alias or node.name).value].append(node)
            elif isinstance(node, InlineFragmentNode):
                pending.append(node.selection_set)
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in spread:
                spread.add(node.name.value)
                if (fragment := fragments.get(node.name.value)) is not None:
                    pending.append(fragment.selection_set)
    return named, len(spread)
