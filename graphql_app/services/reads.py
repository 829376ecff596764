"""Records what is read while an answer is made: the services say it, and the response cache drops the answer when it
changes."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from graphql_app.domain.filters import WorkstationFilter
from graphql_app.domain.interest import Interest
from graphql_app.domain.workstation import Place


@dataclass(frozen=True, slots=True)
class Read:
    """Something that was read: no longer true after a change of that interest. `place` is the floor, when it was
    workstations of one floor."""

    interest: Interest
    place: Place | None = None


# Of one operation, and of the tasks that it starts: loaders fetch in tasks of their own.
_HEARD: ContextVar[list[Read] | None] = ContextVar("reads", default=None)


@contextmanager
def record_reads() -> Iterator[list[Read]]:
    """Records everything that is read within the block."""
    heard: list[Read] = []
    token = _HEARD.set(heard)
    try:
        yield heard
    finally:
        _HEARD.reset(token)


def reads(*entities: str) -> None:
    """Records that entities of these kinds are read."""
    if (heard := _HEARD.get()) is not None:
        heard.extend(Read(Interest(entity)) for entity in entities)


def reads_workstations(matching: WorkstationFilter) -> None:
    """Records that the workstations that match are read."""
    if (heard := _HEARD.get()) is not None:
        heard.append(Read(matching.interest(), matching.place))


def reads_ids(ids: Collection[int]) -> None:
    """Records that the workstations of these ids are read."""
    if _HEARD.get() is not None:
        reads_workstations(WorkstationFilter(ids=frozenset(ids)))


def reads_floors(*places: Place) -> None:
    """Records that the workstations of these floors are read."""
    for place in places:
        reads_workstations(WorkstationFilter(building=place.building, floor_number=place.number))
