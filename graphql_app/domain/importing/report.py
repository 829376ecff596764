"""What came of an import: how many of each kind, and every problem with its file, line, column and reason."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from graphql_app.domain.importing.columns import SINGULAR, ImportKind
from graphql_app.domain.importing.values import shown

ROW_MOST = 1024 * 1024  # characters; also bounds what is read in search of the end of a broken one


class Fault(NamedTuple):
    """One thing that is wrong; `column` is None when it is the row as a whole."""

    column: str | None
    reason: str


class Unreadable(Exception):
    """From this line on the file cannot be understood at all: nothing of it is written, not even with --skip-bad."""

    def __init__(self, line: int, *faults: Fault) -> None:
        super().__init__(line, *faults)
        self.line = line
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Problem:
    """`line` is that of the file where the row starts; `index` its position in a JSON list, from 0."""

    file: str
    line: int
    column: str | None
    reason: str
    kind: ImportKind | None = None
    index: int | None = None

    def __str__(self) -> str:
        row = f"{self.kind}[{self.index}]" if self.kind is not None and self.index is not None else None
        where = ".".join(part for part in (row, self.column) if part)
        return f"{self.file}:{self.line}: {f'{where}: ' if where else ''}{self.reason}"


@dataclass(frozen=True, slots=True)
class ImportTally:
    """How many rows of one kind. `bad` rows were left out."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    bad: int = 0


@dataclass(frozen=True, slots=True)
class Difference:
    """One row that an import adds or changes: what it is about, and for each column the value before and after."""

    kind: ImportKind
    line: int
    key: tuple[Any, ...]
    is_new: bool
    changes: Mapping[str, tuple[Any, Any]]

    def __str__(self) -> str:
        what = f"{'new' if self.is_new else 'changed'} {SINGULAR[self.kind]} {', '.join(map(str, self.key))}"
        told = [f"{name} {_value(before)} -> {_value(after)}" for name, (before, after) in self.changes.items()]
        return f"line {self.line}: {what}{': ' if told else ''}{'; '.join(told)}"


def _value(value: Any) -> str:
    if value is None:
        return "(empty)"
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return shown(value) if isinstance(value, str) else str(value)


class ImportOutcome(StrEnum):
    WRITTEN = "written"
    DRY_RUN = "dry_run"  # it would have been written
    REFUSED = "refused"  # there are problems, so nothing was written


@dataclass(frozen=True, slots=True)
class Report:
    """`kinds` holds the kinds that the file has. When it was refused, `added` and `changed` are those found so far.
    `problems` is bounded, `problem_count` is not. `unreadable`: the file must be mended, --skip-bad would not help."""

    outcome: ImportOutcome
    kinds: Mapping[ImportKind, ImportTally]
    problems: Sequence[Problem]
    problem_count: int
    unreadable: bool = False
    differences: Sequence[Difference] = ()
    difference_count: int = 0  # as many as are listed, and those beyond
    read_as: str | None = None  # in which encoding and with which separators, where they are not the usual ones
