"""Who is interested in a change: an index from its attributes to those who follow them."""

from collections.abc import Hashable, Iterator, Sequence
from itertools import product
from typing import Any, Generic, TypeAlias, TypeVar

from graphql_app.domain.change import Change
from graphql_app.domain.interest import Attribute, Interest

COMBINATIONS_MOST = 1000  # entries for one follower
TOGETHER_MOST = 16  # entries of several attributes: a long list is looked up by itself, and the rest left to `matches`

F = TypeVar("F", bound=Hashable)
Attributes: TypeAlias = tuple[Attribute, ...]


class Interests(Generic[F]):
    """Followers by what they follow. A change costs one look-up for each set of attributes that anybody asks for, of
    which there are few; followers of other values cost nothing.

    An entry is a follower, or a dict where there are several: most of a long list are followed by one alone, and a
    dict for each of 500 ids would take more than all else of a subscription.
    """

    def __init__(self) -> None:
        self._by_entity: dict[str, dict[Attributes, dict[Hashable, F | dict[F, None]]]] = {}
        self._interests: dict[F, Interest] = {}

    def __iter__(self) -> Iterator[F]:
        return iter(self._interests)

    def add(self, follower: F, interest: Interest) -> None:
        attributes, keys = _indexed(interest)
        for key in keys:
            table = self._by_entity.setdefault(interest.entity, {}).setdefault(attributes, {})
            entry = table.setdefault(key, follower)
            if isinstance(entry, dict):
                entry[follower] = None
            elif entry is not follower:
                table[key] = {entry: None, follower: None}
        self._interests[follower] = interest

    def remove(self, follower: F) -> None:
        interest = self._interests.pop(follower, None)
        if interest is None:
            return
        attributes, keys = _indexed(interest)
        tables = self._by_entity.get(interest.entity, {})
        table = tables.get(attributes, {})
        for key in keys:
            entry = table[key]
            if isinstance(entry, dict):
                del entry[follower]
            if not entry or not isinstance(entry, dict):
                del table[key]
        if not table:
            tables.pop(attributes, None)
        if not tables:
            self._by_entity.pop(interest.entity, None)

    def of(self, change: Change[Any]) -> list[F]:
        """Those who can notice it: whose interest the entity meets now, or met before. Each once."""
        tables = self._by_entity.get(change.entity)
        if not tables:
            return []
        states = [state for state in (change.before, change.after) if state is not None]
        found: dict[F, None] = {}
        for attributes, table in tables.items():
            for state in states:
                entry = table.get(_key([read(state) for read in attributes]))
                if entry is None:
                    continue
                for follower in entry if isinstance(entry, dict) else (entry,):
                    if follower not in found and self._interests[follower].matches(state):
                        found[follower] = None
        return list(found)


def _key(values: Sequence[Hashable]) -> Hashable:
    """One value stands for itself: it is in memory already."""
    return values[0] if len(values) == 1 else tuple(values)


def _indexed(interest: Interest) -> tuple[Attributes, Iterator[Hashable]]:
    """The attributes to index by, the most telling first, and what their values come to."""
    kept: list[tuple[Attribute, frozenset[Hashable]]] = []
    size = 1
    for read, values in interest.wanted:
        most = TOGETHER_MOST if kept else COMBINATIONS_MOST
        if size * len(values) <= most:
            kept.append((read, values))
            size *= len(values)
    return tuple(read for read, _ in kept), map(_key, product(*(values for _, values in kept)))
