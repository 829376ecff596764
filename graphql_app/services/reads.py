"""What is read while an answer is made: said by the services that read, heard by whoever wants to keep the answer."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from graphql_app.domain.filters import WorkstationFilter
from graphql_app.domain.interest import Interest
from graphql_app.domain.workstation import Place


@dataclass(frozen=True, slots=True)
class Read:
    """No longer true after a change of that interest. `place` is the floor, when it was workstations of one floor."""

    interest: Interest
    place: Place | None = None


# Of one operation, and of the tasks that it starts: loaders fetch in tasks of their own.
_HEARD: ContextVar[list[Read] | None] = ContextVar("reads", default=None)


@contextmanager
def record_reads() -> Iterator[list[Read]]:
    """The list of all that is read from now on."""
    heard: list[Read] = []
    token = _HEARD.set(heard)
    try:
        yield heard
    finally:
        _HEARD.reset(token)


def reads(*entities: str) -> None:
    """All of these kinds are about to be read."""
    if (heard := _HEARD.get()) is not None:
        heard.extend(Read(Interest(entity)) for entity in entities)


def reads_workstations(matching: WorkstationFilter) -> None:
    """Those that match are about to be read."""
    if (heard := _HEARD.get()) is not None:
        heard.append(Read(matching.interest(), matching.place))


def reads_ids(ids: Collection[int]) -> None:
    """The workstations of these ids are about to be read."""
    if _HEARD.get() is not None:
        reads_workstations(WorkstationFilter(ids=frozenset(ids)))


def reads_floors(*places: Place) -> None:
    """The workstations of these floors are about to be read."""
    for place in places:
        reads_workstations(WorkstationFilter(building=place.building, floor_number=place.number))
