"""Which workstations are meant: one filter, matched in memory against live changes and turned into SQL by the store."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any
from uuid import UUID

from graphql_app.domain.errors import InvalidInput, public_name
from graphql_app.domain.interest import Attribute, Interest
from graphql_app.domain.names import normal
from graphql_app.domain.values import text_problem
from graphql_app.domain.workstation import WORKSTATION, Place, Status, Workstation

TEXT_MOST = 100
IDS_MOST = 500


class _Matching:
    """A place for what a filter comes to, made when it is used first. Not a field: it follows from the fields."""

    __slots__ = ("_matcher",)
    _matcher: Callable[[Workstation], bool]


@dataclass(frozen=True, slots=True)
class WorkstationFilter(_Matching):
    """All that is given must hold; None asks nothing. Texts are matched as part of the value, whatever the case."""

    ids: frozenset[int] | None = None
    building: str | None = None
    floor_number: int | None = None
    department_ids: frozenset[int] | None = None
    statuses: frozenset[Status] | None = None
    employee_key: UUID | None = None
    name_contains: str | None = None
    equipment_contains: str | None = None
    x_min: float | None = None
    x_max: float | None = None
    y_min: float | None = None
    y_max: float | None = None
    employee_number: str | None = None

    def __post_init__(self) -> None:
        """However names were typed, they are looked for as they are kept."""
        for name in ("building", "name_contains", "employee_number"):
            value = getattr(self, name)
            if value is not None and not value.isascii():
                object.__setattr__(self, name, normal(value))

    def matches(self, workstation: Workstation) -> bool:
        try:
            matcher = self._matcher
        except AttributeError:
            matcher = self._made_matcher()
            object.__setattr__(self, "_matcher", matcher)  # frozen, but for what follows from the rest
        return matcher(workstation)

    def interest(self) -> Interest:
        """The changes that whoever follows this filter can notice."""
        return Interest(WORKSTATION, tuple(self._wanted()), self.matches)

    def guarded_fields(self) -> Iterable[str]:
        """The guarded fields of Workstation that this filter would tell about."""
        return [field for name, field in _GUARDED_BY.items() if getattr(self, name) is not None]

    @property
    def place(self) -> Place | None:
        """The one floor that this filter stays on, if it does."""
        if self.building is None or self.floor_number is None:
            return None
        return Place(self.building, self.floor_number)

    @property
    def values(self) -> int:
        """How many values its lists have: what it takes to keep it grows with them."""
        return sum(len(value) for value in (self.ids, self.department_ids, self.statuses) if value is not None)

    def _wanted(self) -> Iterator[tuple[Attribute, frozenset[Hashable]]]:
        for name, read in _EQUALITIES.items():
            value = getattr(self, name)
            if value is not None:
                yield read, value if isinstance(value, frozenset) else frozenset((value,))

    def _made_matcher(self) -> Callable[[Workstation], bool]:
        """Looks at what is asked for alone: every change is matched several times, by every filter that may mean it."""
        wanted = tuple(self._wanted())
        asked = ((test, getattr(self, name)) for name, test in _TESTS.items())
        tests = tuple((test, value) for test, value in asked if value is not None)

        def matches(workstation: Workstation) -> bool:
            for read, values in wanted:
                if read(workstation) not in values:
                    return False
            return all(test(value, workstation) for test, value in tests)

        return matches

    def normalised(self) -> tuple[tuple[str, Any], ...]:
        """What is asked, in one order whatever way it was written: equal for filters that mean the same."""
        pairs = ((f.name, getattr(self, f.name)) for f in fields(self))
        return tuple(
            (name, sorted(map(str, value)) if isinstance(value, frozenset) else str(value))
            for name, value in pairs
            if value is not None
        )


def checked_filter(matching: WorkstationFilter) -> WorkstationFilter:
    """The filter itself. Raises InvalidInput when a part of it is out of bounds."""
    for name in ("name_contains", "equipment_contains"):
        text = getattr(matching, name)
        problem = None if text is None else text_problem(text, TEXT_MOST)
        if problem is not None:
            raise InvalidInput(f"`{public_name(name)}` {problem}.", field=public_name(name))
    for name in ("ids", "department_ids"):
        values = getattr(matching, name)
        if values is not None and len(values) > IDS_MOST:
            shown = public_name(name)
            raise InvalidInput(f"`{shown}` takes at most {IDS_MOST} ids, {len(values)} were given.", field=shown)
    return matching


_GUARDED_BY = {
    "x_min": "x_position",
    "x_max": "x_position",
    "y_min": "y_position",
    "y_max": "y_position",
    "employee_number": "employee_id",
}


_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def _contains(text: str | None, part: str) -> bool:
    """Folds ASCII only, as lower() does under the collation "C": memory and SQL must never disagree."""
    return text is not None and part.translate(_LOWER) in text.translate(_LOWER)


# What is asked for by value, and how it is read off a workstation; live/feed/interests finds followers by these.
_EQUALITIES: Mapping[str, Attribute] = {
    "ids": lambda w: w.id,
    "building": lambda w: w.building,
    "floor_number": lambda w: w.floor_number,
    "department_ids": lambda w: w.department and w.department.id,
    "statuses": lambda w: w.status,
    "employee_key": lambda w: w.employee and w.employee.key,
    "employee_number": lambda w: w.employee_id,
}

# The others, each given what is asked for.
_TESTS: Mapping[str, Callable[[Any, Workstation], bool]] = {
    "name_contains": lambda part, w: _contains(w.name, part),
    "equipment_contains": lambda part, w: _contains(w.equipment, part),
    "x_min": lambda least, w: w.x_position is not None and w.x_position >= least,
    "x_max": lambda most, w: w.x_position is not None and w.x_position <= most,
    "y_min": lambda least, w: w.y_position is not None and w.y_position >= least,
    "y_max": lambda most, w: w.y_position is not None and w.y_position <= most,
}
