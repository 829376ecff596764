"""Who is interested in a change: an index from its attributes to those who follow them."""

from collections.abc import Hashable, Iterator
from itertools import product
from math import prod
from typing import Any, Generic, TypeAlias, TypeVar

from graphql_app.domain.change import Change
from graphql_app.domain.interest import Attribute, Interest

COMBINATIONS_MOST = 1000  # entries for one follower; an interest that needs more is indexed by fewer of its attributes

F = TypeVar("F", bound=Hashable)
Attributes: TypeAlias = tuple[Attribute, ...]
Values: TypeAlias = tuple[Hashable, ...]


class Interests(Generic[F]):
    """Followers by what they follow. A change costs one look-up for each set of attributes that anybody asks for, of
    which there are few; followers of other values cost nothing."""

    def __init__(self) -> None:
        self._by_entity: dict[str, dict[Attributes, dict[Values, dict[F, Interest]]]] = {}
        self._interests: dict[F, Interest] = {}

    def __iter__(self) -> Iterator[F]:
        return iter(self._interests)

    def add(self, follower: F, interest: Interest) -> None:
        attributes, combinations = _indexed(interest)
        for values in combinations:
            tables = self._by_entity.setdefault(interest.entity, {})
            tables.setdefault(attributes, {}).setdefault(values, {})[follower] = interest
        self._interests[follower] = interest

    def remove(self, follower: F) -> None:
        interest = self._interests.pop(follower, None)
        if interest is None:
            return
        attributes, combinations = _indexed(interest)
        for values in combinations:
            tables = self._by_entity[interest.entity]
            del tables[attributes][values][follower]
            if not tables[attributes][values]:
                del tables[attributes][values]
            if not tables[attributes]:
                del tables[attributes]
            if not tables:
                del self._by_entity[interest.entity]

    def of(self, change: Change[Any]) -> list[F]:
        """Those who can notice it: whose interest the entity meets now, or met before. Each once."""
        tables = self._by_entity.get(change.entity)
        if not tables:
            return []
        states = [state for state in (change.before, change.after) if state is not None]
        found: dict[F, None] = {}
        for attributes, table in tables.items():
            for state in states:
                for follower, interest in table.get(tuple([read(state) for read in attributes]), {}).items():
                    if follower not in found and interest.matches(state):
                        found[follower] = None
        return list(found)


def _indexed(interest: Interest) -> tuple[Attributes, list[Values]]:
    """The attributes to index by, and the combinations of their values. The longest lists are left to `matches`."""
    wanted = sorted(interest.wanted, key=lambda one: len(one[1]))
    while prod(len(values) for _, values in wanted) > COMBINATIONS_MOST:
        wanted.pop()
    # In the order given, so that whoever asks for the same attributes shares one table.
    kept = [(read, values) for read, values in interest.wanted if (read, values) in wanted]
    return tuple(read for read, _ in kept), list(product(*(values for _, values in kept)))
