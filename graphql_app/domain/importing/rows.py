"""From the names of the columns to a plan, and by that plan from cells to the values of one row."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from graphql_app.domain.importing import values
from graphql_app.domain.importing.columns import COLUMNS, Column, ImportKind
from graphql_app.domain.importing.report import Fault
from graphql_app.domain.workstation import Status

COLUMNS_MOST = 100  # several times what any kind has; all that are unknown are named
NAME_SHOWN = 100  # characters of a column's name in a problem


@dataclass(frozen=True, slots=True)
class Row:
    """What the file gives of one row; a column that it does not give is absent. `index` counts the rows of the kind."""

    kind: ImportKind
    index: int
    line: int
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BadRow:
    kind: ImportKind
    index: int
    line: int
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Which cell is which column, in the order of the file."""

    kind: ImportKind
    columns: tuple[Column, ...]
    defaults: tuple[tuple[str, Any], ...]

    @property
    def decimals(self) -> tuple[int, ...]:
        """Where numbers stand that may have decimals."""
        return tuple(at for at, column in enumerate(self.columns) if column.read in (values.coordinate, values.size))

    def row(self, index: int, line: int, cells: Sequence[str]) -> Row | BadRow:
        given: dict[str, Any] = {}
        faults: list[Fault] = []
        for column, cell in zip(self.columns, cells, strict=True):
            try:
                given[column.name] = _value(column, cell)
            except values.Bad as bad:
                faults.append(Fault(column.name, str(bad)))
        if not faults and self.kind is ImportKind.WORKSTATIONS:
            faults += _seat(given)
        if faults:
            return BadRow(self.kind, index, line, tuple(faults))
        for name, default in self.defaults:
            if given[name] is None:
                given[name] = default
        return Row(self.kind, index, line, given)


def _value(column: Column, cell: str) -> Any:
    if not values.is_blank(cell):
        return column.read(cell)
    if column.key or column.needed:
        raise values.Bad("must not be empty")
    return None


def _seat(given: dict[str, Any]) -> list[Fault]:
    """Keeps status and occupant in step, as assigning and freeing do: who sits there occupies it, who frees a desk
    frees it of its occupant. A blank status follows the occupant."""
    occupant = given.get("employee_number")
    if given.get("status") is None and occupant is not None:
        given["status"] = Status.OCCUPIED.value
    elif given.get("status") == Status.AVAILABLE and occupant is not None:
        return [Fault("status", "an available workstation has no occupant; empty one of status and employee_number")]
    elif given.get("status", "") in (Status.AVAILABLE, None):
        given["employee_number"] = None
    return []


# --- the header ------------------------------------------------------------------------------------------------------


def folded(name: str) -> str:
    """floor_number, floorNumber and "Floor Number" are one."""
    return re.sub(r"[\s_-]", "", unicodedata.normalize("NFKC", name)).casefold()


_BY_NAME: Mapping[ImportKind, Mapping[str, Column]] = {
    kind: {folded(name): column for column in columns for name in (column.name, *column.aliases)}
    for kind, columns in COLUMNS.items()
}


def plan(kind: ImportKind, names: Sequence[str]) -> Plan | tuple[Fault, ...]:
    """How to read rows with these columns, or what is wrong with the columns."""
    if (many := too_many(names)) is not None:
        return (many,)
    found = [_BY_NAME[kind].get(folded(name)) for name in names]
    faults = [*_unknown(kind, names, found), *_twice(names, found), *_missing(kind, found)]
    if faults:
        return tuple(faults)
    columns = tuple(column for column in found if column is not None)
    return Plan(kind, columns, tuple((c.name, c.default) for c in columns if c.default is not None))


def too_many(names: Sequence[str]) -> Fault | None:
    """What is wrong when there are more columns than anybody has a use for."""
    if len(names) <= COLUMNS_MOST:
        return None
    return Fault(
        None, f"names {len(names):,} columns, and at most {COLUMNS_MOST} are read: leave out what is not needed"
    )


def _unknown(kind: ImportKind, names: Sequence[str], found: Sequence[Column | None]) -> list[Fault]:
    known = ", ".join(column.name for column in COLUMNS[kind])
    return [
        Fault(
            name.strip()[:NAME_SHOWN] or None,
            f"{_called(name, place)} is not a column of {kind}{_meant(kind, name)}; the columns are {known}",
        )
        for place, (name, column) in enumerate(zip(names, found, strict=True), start=1)
        if column is None
    ]


def _meant(kind: ImportKind, name: str) -> str:
    """Returns which column a misspelt one may be, as the file would write it."""
    spellings = {folded(one): one for column in COLUMNS[kind] for one in (column.name, *column.aliases)}
    close = get_close_matches(folded(name[:NAME_SHOWN]), spellings, n=1, cutoff=0.7)
    return f": is {spellings[close[0]]} meant?" if close else ""


def _called(name: str, place: int) -> str:
    return f"column {place}, which has no name," if values.is_blank(name) else values.shown(name.strip())


def _twice(names: Sequence[str], found: Sequence[Column | None]) -> list[Fault]:
    seen: dict[str, str] = {}
    faults: list[Fault] = []
    for name, column in zip(names, found, strict=True):
        if column is not None and column.name in seen:
            faults.append(
                Fault(column.name, f"is there twice, as {values.shown(seen[column.name])} and {values.shown(name)}")
            )
        elif column is not None:
            seen[column.name] = name
    return faults


def _missing(kind: ImportKind, found: Sequence[Column | None]) -> list[Fault]:
    return [
        Fault(column.name, f"is missing: {kind} are told apart by it")
        for column in COLUMNS[kind]
        if column.key and column not in found
    ]


def known_columns(names: Sequence[str], kind: ImportKind | None) -> int:
    """Returns how many of these are columns, of the kind or of the one that has most of them."""
    found = [folded(name.strip().strip('"')) for name in names]
    return max(sum(name in _BY_NAME[one] for name in found) for one in ([kind] if kind else ImportKind))


def recognised(names: Sequence[str]) -> ImportKind | None:
    """The one kind that these columns fit best: all that tells its rows apart is there, and the fewest are unknown.
    None when no kind or several fit."""
    unknown: dict[ImportKind, int] = {}
    for kind in ImportKind:
        found = [_BY_NAME[kind].get(folded(name)) for name in names]
        if not _missing(kind, found):
            unknown[kind] = found.count(None)
    best = [kind for kind, count in unknown.items() if count == min(unknown.values())]
    return best[0] if len(best) == 1 else None
