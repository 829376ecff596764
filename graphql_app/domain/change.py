"""What changed, and what a viewer is told of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from typing import Generic, NamedTuple, TypeVar
from uuid import UUID

from graphql_app.domain.access import View, redact
from graphql_app.domain.filters import WorkstationFilter
from graphql_app.domain.workstation import Workstation

T = TypeVar("T")


class Head(NamedTuple):
    """How far a history has come: the epoch names the history, the revision counts its changes."""

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


class Kind(StrEnum):
    SNAPSHOT = "snapshot"
    CHANGES = "changes"
    RESYNC = "resync"
    PROGRESS = "progress"


@dataclass(frozen=True, slots=True)
class Batch:
    """All that is new since the last one, redacted. `revision` is where the next one starts."""

    kind: Kind
    revision: int
    workstations: Sequence[Workstation] = ()
    removed: Sequence[int] = ()
    merged: bool = False
    complete: bool = True
    reason: str | None = None  # of a RESYNC
    logged_at: datetime | None = None  # when the oldest change in it was made


BETWEEN_MOST = 16  # states are kept to tell whether one was skipped; a reader that is far behind needs no more of them


class Merged(NamedTuple):
    """What one workstation went through: its state before, its state after, and those between, skipped."""

    before: Workstation | None
    after: Workstation | None
    between: list[Workstation | None]


def add(merged: dict[int, Merged], change: Change[Workstation]) -> None:
    """Notes one more change of its workstation: the first `before` stays, the last `after` counts."""
    seen = merged.get(change.key)
    if seen is None:
        merged[change.key] = Merged(change.before, change.after, [])
    else:
        if len(seen.between) < BETWEEN_MOST:
            seen.between.append(seen.after)
        merged[change.key] = Merged(seen.before, change.after, seen.between)


def merge(changes: Iterable[Change[Workstation]]) -> dict[int, Merged]:
    """Each workstation's first `before` and last `after`, by id, in the order of first change."""
    merged: dict[int, Merged] = {}
    for change in changes:
        add(merged, change)
    return merged


def tell(
    merged: dict[int, Merged],
    matching: WorkstationFilter,
    view: View,
    revision: int,
    logged_at: datetime | None = None,
) -> Batch:
    """What a view that follows `matching` is told: new states, removals, and nothing of what it cannot notice."""

    def shown(state: Workstation | None) -> Workstation | None:
        return redact(view, state) if state is not None and matching.matches(state) else None

    states: list[Workstation] = []
    removed: list[int] = []
    several = False
    for workstation_id, (before, after, between) in merged.items():
        was, now = shown(before), shown(after)
        seen = [was, *map(shown, between), now]
        steps = sum(one != other for one, other in pairwise(seen))
        # There and back again is news to whoever is shown the version: the one that they hold is out of date.
        has_new_version = now is not None and now.version is not None and steps > 0
        if was == now and not has_new_version:
            continue
        if now is None:
            removed.append(workstation_id)
        else:
            states.append(now)
        # What was skipped counts only as far as this view could have noticed it.
        several = several or steps > 1
    return Batch(Kind.CHANGES, revision, states, removed, merged=several, logged_at=logged_at)


def joined(parts: Sequence[Batch]) -> Batch:
    """The batches as one, each workstation once with its newest state; a snapshot replaces all before it."""
    first, begins = parts[0], True
    states: dict[int, Workstation] = {}
    removed: dict[int, None] = {}
    for part in parts:
        if begins and part.kind in (Kind.SNAPSHOT, Kind.RESYNC):
            first = part
            states.clear()
            removed.clear()
        begins = part.complete
        for workstation in part.workstations:
            states[workstation.id] = workstation
            removed.pop(workstation.id, None)
        for workstation_id in part.removed:
            states.pop(workstation_id, None)
            removed[workstation_id] = None
    # A snapshot is all there is: what was removed since it began is simply not in it.
    gone = list(removed) if first.kind is Kind.CHANGES else []
    merged = any(part.merged for part in parts)
    return Batch(first.kind, parts[-1].revision, list(states.values()), gone, merged=merged, reason=first.reason)


def rewind(rows: Iterable[Workstation], unnumbered: Iterable[Change[Workstation]]) -> list[Workstation]:
    """The rows as they were before the changes that have no revision yet: exactly the state at the head."""
    state = {row.id: row for row in rows}
    for workstation_id, (before, _, _) in merge(unnumbered).items():
        state.pop(workstation_id, None)
        if before is not None:
            state[workstation_id] = before
    return sorted(state.values(), key=lambda row: row.id)
