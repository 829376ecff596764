"""What changed, and what a viewer is told of it."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from typing import Any, Generic, NamedTuple, Protocol, TypeVar
from uuid import UUID

from graphql_app.domain.topics import Topic
from graphql_app.domain.workstation import Place

T = TypeVar("T")


class Identified(Protocol):
    @property
    def id(self) -> int: ...


E = TypeVar("E", bound=Identified)


class Head(NamedTuple):
    """A place in a history: the epoch names the history, the revision counts its changes."""

    epoch: UUID
    revision: int


@dataclass(frozen=True, slots=True)
class Change(Generic[T]):
    """One committed change of an entity, with the images of it: `before` is None when it was created, `after` when it
    was deleted. `key` names it among those of its kind."""

    revision: int
    entity: str
    key: int
    logged_at: datetime
    before: T | None
    after: T | None
    transaction_id: int = 0


def places_of(change: Change[Any]) -> set[Place]:
    """Returns where the entity was, and where it is; nothing for what stands on no floor."""
    places = (getattr(state, "place", None) for state in (change.before, change.after))
    return {place for place in places if place is not None}


class Kind(StrEnum):
    SNAPSHOT = "snapshot"
    CHANGES = "changes"
    RESYNC = "resync"
    PROGRESS = "progress"


class Notice(StrEnum):
    """What a subscriber who receives nothing should know."""

    NO_SUCH_BUILDING = "no_such_building"
    NO_SUCH_FLOOR = "no_such_floor"
    FEED_SILENT = "feed_silent"
    FEED_HEARD = "feed_heard"


@dataclass(frozen=True, slots=True)
class Batch(Generic[T]):
    """Everything new since the last batch, redacted. `revision` is where the next one starts."""

    kind: Kind
    revision: int
    states: Sequence[T] = ()  # the newest of each that is new or changed
    removed: Sequence[int] = ()
    merged: bool = False
    complete: bool = True
    reason: str | None = None  # of a RESYNC
    notice: Notice | None = None  # of the first one, where nothing is followed; of PROGRESS, whether the feed is heard
    logged_at: datetime | None = None  # when the oldest change in it was made


BETWEEN_MOST = 16  # states are kept to tell whether one was skipped; a reader that is far behind needs no more of them


class Merged(NamedTuple, Generic[T]):
    """What one entity went through: its state before, its state after, and those between, skipped."""

    before: T | None
    after: T | None
    between: list[T | None]


def add(merged: dict[int, Merged[T]], change: Change[T]) -> None:
    """Notes one more change of its entity: the first `before` stays, the last `after` counts."""
    seen = merged.get(change.key)
    if seen is None:
        merged[change.key] = Merged(change.before, change.after, [])
    else:
        if len(seen.between) < BETWEEN_MOST:
            seen.between.append(seen.after)
        merged[change.key] = Merged(seen.before, change.after, seen.between)


def merge(changes: Iterable[Change[T]]) -> dict[int, Merged[T]]:
    """Returns each entity's first `before` and last `after`, by its key, in the order of first change."""
    merged: dict[int, Merged[T]] = {}
    for change in changes:
        add(merged, change)
    return merged


def tell(merged: dict[int, Merged[T]], topic: Topic[T], revision: int, logged_at: datetime | None = None) -> Batch[T]:
    """Returns what subscribers of the topic are told: new states, removals, and nothing that they cannot notice."""

    def shown(state: T | None) -> T | None:
        return None if state is None else topic.shown(state)

    states: list[T] = []
    removed: list[int] = []
    several = False
    for key, (before, after, between) in merged.items():
        was, now = shown(before), shown(after)
        seen = [was, *map(shown, between), now]
        steps = sum(one != other for one, other in pairwise(seen))
        # There and back again is news to whoever is shown the version: the one that they hold is out of date.
        has_new_version = getattr(now, "version", None) is not None and steps > 0
        if was == now and not has_new_version:
            continue
        if now is None:
            removed.append(key)
        else:
            states.append(now)
        # What was skipped counts only as far as this view could have noticed it.
        several = several or steps > 1
    return Batch(Kind.CHANGES, revision, states, removed, merged=several, logged_at=logged_at)


def combined(parts: Sequence[Batch[E]]) -> Batch[E]:
    """The batches as one, each entity once with its newest state; a snapshot replaces all before it."""
    first, begins = parts[0], True
    states: dict[int, E] = {}
    removed: dict[int, None] = {}
    for part in parts:
        if begins and part.kind in (Kind.SNAPSHOT, Kind.RESYNC):
            first = part
            states.clear()
            removed.clear()
        begins = part.complete
        for state in part.states:
            states[state.id] = state
            removed.pop(state.id, None)
        for key in part.removed:
            states.pop(key, None)
            removed[key] = None
    # A snapshot is all there is: what was removed since it began is simply not in it.
    gone = list(removed) if first.kind is Kind.CHANGES else []
    merged = any(part.merged for part in parts)
    return replace(
        first, revision=parts[-1].revision, states=list(states.values()), removed=gone, merged=merged, complete=True
    )


class Rewinding(Generic[E]):
    """Undoes the changes that have no revision yet: rows as they were at the head; in parts, by id."""

    def __init__(self, unnumbered: Iterable[Change[E]]) -> None:
        self._before = {key: before for key, (before, _, _) in merge(unnumbered).items()}

    def part(self, rows: Sequence[E]) -> Sequence[E]:
        """Rewinds rows that others follow."""
        return self._rewound(rows, [key for key in self._before if key <= rows[-1].id])

    def rest(self, rows: Sequence[E]) -> Sequence[E]:
        """Rewinds the last rows, if there are any."""
        return self._rewound(rows, list(self._before))

    def _rewound(self, rows: Sequence[E], keys: Collection[int]) -> Sequence[E]:
        if not keys:
            return rows
        state = {row.id: row for row in rows}
        for key in keys:
            state.pop(key, None)
            before = self._before.pop(key)
            if before is not None:
                state[key] = before
        return sorted(state.values(), key=lambda row: row.id)


def rewind(rows: Iterable[E], unnumbered: Iterable[Change[E]]) -> Sequence[E]:
    """Returns all rows as they were before these changes."""
    return Rewinding(unnumbered).rest(sorted(rows, key=lambda row: row.id))
