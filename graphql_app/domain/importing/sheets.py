"""CSV (RFC 4180, and other separators): a header that names the columns, then row after row, each with its line."""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Final

from graphql_app.domain.importing import rows
from graphql_app.domain.importing.columns import KEYS, ImportKind
from graphql_app.domain.importing.formulas import restored
from graphql_app.domain.importing.report import ROW_MOST, Fault, Unreadable
from graphql_app.domain.importing.rows import BadRow, Plan, Row
from graphql_app.domain.importing.values import is_blank, shown, with_decimal_point

Record = tuple[int, list[str] | Fault]
Words = Mapping[ImportKind, Mapping[str, str]]  # of each kind its columns, as the file calls them

_NEVER_CLOSED = 'a quote (") in the row that starts here is never closed'
_SEPARATOR = re.compile(r"sep=(.)\s*", re.IGNORECASE)
_ONE: Final = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
HEADER_CHARACTERS_MOST: Final = 10_000
DELIMITERS: Final = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the cells of a sheet are written; what is None is recognised. `decimal_comma`: 10,5 is ten and a half."""

    delimiter: str | None = None
    decimal_comma: bool | None = None


RECOGNISED: Final = Dialect()


class HeadedTable:
    """Rows of cells with their header read. `words`: its columns, as the header calls them."""

    def __init__(self, records: Iterator[Record], kind: ImportKind | None) -> None:
        """`kind` None is recognised from the header. Raises Unreadable."""
        self._records = records
        self._plan, names = _plan(records, kind)
        self.words = {column.name: name.strip() for column, name in zip(self._plan.columns, names, strict=True)}

    @property
    def kind(self) -> ImportKind:
        return self._plan.kind

    def rows(self) -> Iterator[Row | BadRow]:
        """Yields the rows in order, once. Raises Unreadable."""
        plan = self._plan
        for index, (line, cells) in enumerate(self._records):
            if isinstance(cells, Fault):
                yield BadRow(plan.kind, index, line, (cells,))
            elif len(cells) != len(plan.columns):
                yield BadRow(plan.kind, index, line, (self._miscounted(len(cells)),))
            else:
                yield plan.row(index, line, self._meant(cells))

    def _meant(self, cells: list[str]) -> list[str]:
        """Returns the cells as they were meant."""
        return cells

    def _miscounted(self, count: int) -> Fault:
        return Fault(None, f"has {count} cells where the header has {len(self._plan.columns)}")


class Sheet(HeadedTable):
    """A table as CSV. `delimiter`: what separates its cells."""

    def __init__(self, lines: Iterable[str], kind: ImportKind | None, dialect: Dialect = RECOGNISED) -> None:
        """`kind` None is recognised from the header. Raises Unreadable."""
        lines = iter(lines)
        begun = _up_to_a_word(lines)
        self.delimiter = dialect.delimiter or delimiter_of(begun[-1] if begun else "", kind)
        super().__init__(records(chain(begun, lines), self.delimiter), kind)
        has_comma = dialect.decimal_comma if dialect.decimal_comma is not None else self.delimiter != ","
        self._with_commas = self._plan.decimals if has_comma else ()

    def _meant(self, cells: list[str]) -> list[str]:
        given = [restored(cell) for cell in cells]
        for at in self._with_commas:
            given[at] = with_decimal_point(given[at])
        return given

    def _miscounted(self, count: int) -> Fault:
        fault = super()._miscounted(count)
        mark = _ONE.get(self.delimiter, shown(self.delimiter))
        hint = f"; quote cells that hold {mark}" if count > len(self._plan.columns) else ""
        return Fault(None, fault.reason + hint)


def _up_to_a_word(lines: Iterator[str]) -> list[str]:
    """Takes the lines up to the first that is not empty: the header, or what tells of the separator."""
    taken = []
    for line in lines:
        taken.append(line)
        if not is_blank(line):
            break
    return taken


def delimiter_of(first: str, kind: ImportKind | None) -> str:
    """Returns what separates cells: what the line says of itself (`sep=;`), or what makes most columns of it that are
    known; a comma where several do."""
    if (said := _SEPARATOR.fullmatch(first)) is not None and said[1] in DELIMITERS:
        return said[1]
    header = first[:HEADER_CHARACTERS_MOST]
    return max(DELIMITERS, key=lambda mark: rows.known_columns(header.split(mark), kind))


def records(lines: Iterable[str], delimiter: str = ",") -> Iterator[Record]:
    """Yields the cells of each row that has any. Raises Unreadable."""
    row = _RowLines(_without_separator(lines, delimiter))
    reader = csv.reader(row, strict=True, delimiter=delimiter)
    shape = _RowShape.of(delimiter)
    while True:
        line = reader.line_num + 1
        row.begin(line)
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, _malformed(line, error, row.lines)
            continue
        if (fault := _misquoted(line, row.lines, shape)) is not None:
            yield line, fault
        elif not all(map(is_blank, cells)):
            yield line, cells


class _RowLines:
    """The lines of one row after the other: a quoted cell may hold any number of them. They are remembered, since
    the csv module does not say of a cell how it was written."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._left = ROW_MOST
        self._first = 1
        self.lines: list[str] = []

    def begin(self, line: int) -> None:
        """A row starts in this line."""
        self._left, self._first = ROW_MOST, line
        self.lines.clear()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        """Raises Unreadable for a row that is too long."""
        line = next(self._lines)
        self._left -= len(line)
        if self._left < 0:
            reason = f"the row that starts here is longer than {ROW_MOST:,} characters, or a quote is never closed"
            raise Unreadable(self._first, Fault(None, reason))
        self.lines.append(line)
        return line


def _without_separator(lines: Iterable[str], delimiter: str) -> Iterator[str]:
    """Passes over what tells Excel of the separator. Raises Unreadable where it tells of another one."""
    for number, line in enumerate(lines):
        found = _SEPARATOR.fullmatch(line) if number == 0 else None
        if found is not None and found[1] != delimiter:
            reason = (
                f"{shown(line.strip())} is not what separates cells here: say it with --delimiter, or take the line out"
            )
            raise Unreadable(1, Fault(None, reason))
        yield line if found is None else "\n"


@dataclass(frozen=True, slots=True)
class _RowShape:
    """A row that is written well, and a quote behind a blank that opens its cell too late."""

    whole: re.Pattern[str]
    late: re.Pattern[str]

    @classmethod
    @cache
    def of(cls, delimiter: str) -> "_RowShape":
        mark = re.escape(delimiter)
        cell = rf'(?: "(?:[^"]|"")*" | [^"{mark}]* )'
        return cls(
            re.compile(rf"{cell} (?: {mark} {cell} )* [\r\n]*", re.VERBOSE),
            re.compile(rf'(?:^|{mark})[^\S{mark}]+"'),
        )


def _misquoted(line: int, written: Sequence[str], shape: _RowShape) -> Fault | None:
    """What is wrong with the quotes of a row. The csv module takes one within a cell that does not begin with it for
    the cell's own, and so a quote after a blank. Raises Unreadable when it cannot be told where the next row starts."""
    row = "".join(written)
    if '"' not in row or shape.whole.fullmatch(row):
        return None
    if _is_open(written):
        raise Unreadable(line, Fault(None, _NEVER_CLOSED))
    if shape.late.search(row):
        return Fault(None, 'a quote (") opens a cell only where the cell begins: take out the blank before it')
    return Fault(None, 'a quote (") within a cell must be doubled, and the cell quoted')


def _malformed(line: int, error: csv.Error, written: Sequence[str]) -> Fault:
    """What the csv module found, in plain words. Raises Unreadable when it cannot be told where the next row starts."""
    reason = str(error)
    if "field limit" in reason:
        long = f"a cell of the row that starts here is longer than {csv.field_size_limit():,} characters"
        raise Unreadable(line, Fault(None, f"{long}, or a quote is never closed")) from error
    if "end of data" in reason or _is_open(written):
        raise Unreadable(line, Fault(None, _NEVER_CLOSED)) from error
    return Fault(None, f'a quote (") within a cell must be doubled, and the cell quoted ({reason})')


def _is_open(written: Sequence[str]) -> bool:
    return sum(line.count('"') for line in written) % 2 == 1


def _plan(records: Iterator[Record], kind: ImportKind | None) -> tuple[Plan, Sequence[str]]:
    """Returns the plan, and the header that it is of. Raises Unreadable."""
    line, names = next(records, (1, Fault(None, "the file is empty")))
    if isinstance(names, Fault):
        raise Unreadable(line, names)
    if (many := rows.too_many(names)) is not None:
        raise Unreadable(line, many)
    found = kind or rows.recognised(names)
    if found is None:
        raise Unreadable(line, _unrecognised(names))
    plan = rows.plan(found, names)
    if not isinstance(plan, Plan):
        raise Unreadable(line, *plan)
    return plan, names


def _unrecognised(names: list[str]) -> Fault:
    needs = "; ".join(f"{kind} need {', '.join(keys)}" for kind, keys in KEYS.items())
    return Fault(
        None,
        f"the first line must name the columns, and {shown(', '.join(names))} does not tell which kind it is: {needs}."
        " Name the columns, or say which kind it is with --kind",
    )
