"""Counts the values that an answer really has, in lists whose length is unknown beforehand.

What is selected twice counts twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from graphql.execution.collect_fields import FieldDetailsList

from graphql_app.graph.compile.measures import limit_refusal


@dataclass(frozen=True, slots=True)
class Counting:
    """`nodes`: the values in an item, for each node of such a list, by its identity: a document keeps its nodes."""

    nodes: Mapping[int, int]
    most: int

    @property
    def is_of_several(self) -> bool:
        """Whether there is more than one such list, even where there is but one floor."""
        return len(self.nodes) > 1

    def per_item(self, details: FieldDetailsList) -> int:
        return sum(self.nodes.get(id(one.node), 0) for one in details)


NOTHING = Counting({}, 0)


class Count:
    """The count of one execution."""

    __slots__ = ("_counting", "_lists", "_values")

    def __init__(self, counting: Counting) -> None:
        self._counting = counting
        self._values = self._lists = 0

    def add(self, details: FieldDetailsList, items: int) -> None:
        """Counts a list. Raises TooMany. A single list is let through: a floor is shown whole, however full it is."""
        per_item = self._counting.per_item(details)
        if not per_item or not items:
            return
        self._values += per_item * items
        self._lists += 1
        if self._lists > 1 and self._values > self._counting.most:
            raise limit_refusal("cost", self._counting.most, self._values)
