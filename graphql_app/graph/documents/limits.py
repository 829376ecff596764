"""What a document may ask for, measured before it is validated.

It takes time linear in the text of the document. Only what is within the limits is unfolded, and compared name with
name: validation takes a time that is quadratic in equal names, and linear in all else that is bounded here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from graphql import DocumentNode, FragmentDefinitionNode, GraphQLSchema, OperationDefinitionNode, SelectionSetNode

from graphql_app.graph.compile.measures import limit_refusal
from graphql_app.graph.documents.comparisons import comparisons
from graphql_app.graph.documents.sizes import Fragments, Size, Walk, node_count, paged_types


@dataclass(frozen=True, slots=True)
class DocumentLimits:
    """The limits of a document. The defaults are several times what documents of real clients take."""

    bytes: int = 64 * 1024
    tokens: int = 2000
    depth: int = 12
    aliases: int = 200
    directives: int = 200
    nodes: int = 5000
    comparisons: int = 5000
    cost: int = 100_000
    page: int = 500  # the largest page there is: what a `first` in a variable may be


class Measured(NamedTuple):
    cost: int  # values that the answer could have, of the dearest operation
    counted: Mapping[int, int]  # nodes of lists that are counted as they are made: the values in an item


class Measure:
    """Measures documents of one schema."""

    def __init__(self, schema: GraphQLSchema, limits: DocumentLimits) -> None:
        self._schema = schema
        self._limits = limits
        self._paged = frozenset(paged_types(schema))

    def check(self, document: DocumentNode) -> Measured:
        """Raises TooMany for what is over a limit, and GraphQLError for fragments that spread each other in a circle.

        The document need not be valid: what the schema does not have counts as the least that it could be.
        """
        fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
        walk = Walk(self._schema, self._limits.page, self._paged, fragments)
        roots = self._sizes(document, walk, fragments)
        total = Size()
        for _, size in roots:
            total.add(size)
        # Only one operation is executed, so that the dearest counts; all of them are validated.
        total.cost = max((size.cost for _, size in roots), default=0)
        for measure in ("depth", "aliases", "directives", "nodes", "cost"):
            self._bound(measure, getattr(total, measure))
        self._bound("comparisons", sum(comparisons(root, fragments) for root, _ in roots))
        return Measured(total.cost, walk.counted)

    def _sizes(self, document: DocumentNode, walk: Walk, fragments: Fragments) -> list[tuple[SelectionSetNode, Size]]:
        """Returns the sizes of every operation, and of the fragments that none of them spreads."""
        found = []
        for node in document.definitions:
            if isinstance(node, OperationDefinitionNode):
                size = walk.definition(node, self._schema.get_root_type(node.operation))
                size.nodes += node_count(node.variable_definitions or ())
                found.append((node.selection_set, size))
        for name, fragment in fragments.items():
            if name not in walk.known:
                found.append((fragment.selection_set, walk.fragment(name)))
        return found

    def _bound(self, measure: str, asked: int) -> None:
        limit: int = getattr(self._limits, measure)
        if asked > limit:
            raise limit_refusal(measure, limit, asked)
