"""Who is connected where."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from graphql_app.domain.names import normal
from graphql_app.domain.workstation import Place


@dataclass(frozen=True, slots=True)
class Person:
    """One subject: a pseudonym that is the same in every process, and the employee that the token names, if it does."""

    pseudonym: bytes
    employee_key: UUID | None


@dataclass(frozen=True, slots=True)
class Present:
    """Who is on a floor. `is_partial`: other processes could not be asked, these are those of this one."""

    place: Place
    count: int
    people: frozenset[UUID] | None  # keys of those who are employees; guarded
    is_partial: bool


@dataclass(frozen=True, slots=True)
class Places:
    """The floors that somebody watches: of one building, of one number, or both, or all."""

    building: str | None = None
    number: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "building", self.building and normal(self.building))

    @property
    def only(self) -> Place | None:
        """The one floor, if it is but one."""
        if self.building is None or self.number is None:
            return None
        return Place(self.building, self.number)

    def include(self, place: Place) -> bool:
        return self.building in (None, place.building) and self.number in (None, place.number)


def present(place: Place, people: Iterable[Person], *, is_partial: bool) -> Present:
    """However many connections and processes a subject is in, it counts once."""
    found = list(people)
    subjects = {person.pseudonym for person in found}
    employees = frozenset(person.employee_key for person in found if person.employee_key is not None)
    return Present(place, len(subjects), employees, is_partial)
