"""The newest changes, in order, found by the kind of entity and by the floor that they concern."""

from collections import deque
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from graphql_app.domain.change import Change, places_of
from graphql_app.domain.workstation import Place

Key: TypeAlias = tuple[str, Place | None]  # an entity, on one floor or anywhere


class Recent:
    """Holds every change after `begins`, at most `most`. What a reader finds costs by what is found, not by all that
    happened: each floor has a list of its own."""

    def __init__(self, most: int) -> None:
        self.begins = 0
        self._most = most
        self._all: deque[Change[Any]] = deque()
        self._by_key: dict[Key, deque[Change[Any]]] = {}

    @property
    def room(self) -> int:
        """How many older changes there is room for."""
        return self._most - len(self._all)

    def clear(self, begins: int) -> None:
        self._all.clear()
        self._by_key.clear()
        self.begins = begins

    def append(self, change: Change[Any]) -> None:
        self._all.append(change)
        for key in _keys(change):
            self._by_key.setdefault(key, deque()).append(change)
        if len(self._all) > self._most:
            self._drop_oldest()

    def prepend(self, changes: Sequence[Change[Any]], begins: int) -> None:
        """Takes in what is older, in order: every change after the revision, up to where memory began so far."""
        for change in reversed(changes):
            self._all.appendleft(change)
            for key in _keys(change):
                self._by_key.setdefault(key, deque()).appendleft(change)
        self.begins = begins
        while len(self._all) > self._most:
            self._drop_oldest()

    def drop_before(self, moment: datetime) -> None:
        while self._all and self._all[0].logged_at < moment:
            self._drop_oldest()

    def since(self, revision: int, last: int, entity: str, place: Place | None = None) -> list[Change[Any]] | None:
        """The entity's changes with revision < r <= last, of one floor or of all; None when memory does not reach back
        so far."""
        if revision < self.begins:
            return None
        found: list[Change[Any]] = []
        for change in reversed(self._by_key.get((entity, place), ())):
            if change.revision <= revision:
                break
            if change.revision <= last:
                found.append(change)
        return found[::-1]

    def _drop_oldest(self) -> None:
        oldest = self._all.popleft()
        self.begins = oldest.revision
        for key in _keys(oldest):  # oldest of all, it is the oldest of each of its lists
            listed = self._by_key[key]
            listed.popleft()
            if not listed:
                del self._by_key[key]


def _keys(change: Change[Any]) -> Iterator[Key]:
    """Its entity, and each floor that it was or is on."""
    yield change.entity, None
    for place in places_of(change):
        yield change.entity, place
