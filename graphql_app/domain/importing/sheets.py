"""CSV (RFC 4180): a header that names the columns, then one row after the other, each with the line where it starts."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence

from graphql_app.domain.importing import rows
from graphql_app.domain.importing.columns import KEYS, ImportKind
from graphql_app.domain.importing.formulas import restored
from graphql_app.domain.importing.report import ROW_MOST, Fault, Unreadable
from graphql_app.domain.importing.rows import BadRow, Plan, Row
from graphql_app.domain.importing.values import is_blank, shown

Record = tuple[int, list[str] | Fault]

_NEVER_CLOSED = 'a quote (") in the row that starts here is never closed'
_CELL = r'(?: "(?:[^"]|"")*" | [^",]* )'
_ROW = re.compile(rf"{_CELL} (?: , {_CELL} )* [\r\n]*", re.VERBOSE)
_LATE = re.compile(r'(?:^|,)\s+"')
_SEPARATOR = re.compile(r"sep=(.)\s*", re.IGNORECASE)


def read(lines: Iterable[str], kind: ImportKind | None) -> Iterator[Row | BadRow]:
    """The rows in order. `kind` None is recognised from the header. Raises Unreadable."""
    records = _records(lines)
    plan = _plan(records, kind)
    for index, (line, cells) in enumerate(records):
        if isinstance(cells, Fault):
            yield BadRow(plan.kind, index, line, (cells,))
        elif len(cells) != len(plan.columns):
            yield BadRow(plan.kind, index, line, (_miscounted(len(cells), len(plan.columns)),))
        else:
            yield plan.row(index, line, [restored(cell) for cell in cells])


def _records(lines: Iterable[str]) -> Iterator[Record]:
    """The cells of each row that has any."""
    row = _RowLines(_without_separator(lines))
    reader = csv.reader(row, strict=True)
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
        if (fault := _misquoted(line, row.lines)) is not None:
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


def _without_separator(lines: Iterable[str]) -> Iterator[str]:
    """Passes over what tells Excel of commas. Raises Unreadable where it tells of something else."""
    for number, line in enumerate(lines):
        found = _SEPARATOR.fullmatch(line) if number == 0 else None
        if found is not None and found[1] != ",":
            reason = f"{shown(line.strip())} says that cells are not separated by commas: save the file with commas"
            raise Unreadable(1, Fault(None, reason))
        yield line if found is None else "\n"


def _misquoted(line: int, written: Sequence[str]) -> Fault | None:
    """What is wrong with the quotes of a row. The csv module takes one within a cell that does not begin with it for
    the cell's own, and so a quote after a blank. Raises Unreadable when it cannot be told where the next row starts."""
    row = "".join(written)
    if '"' not in row or _ROW.fullmatch(row):
        return None
    if _is_open(written):
        raise Unreadable(line, Fault(None, _NEVER_CLOSED))
    if _LATE.search(row):
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


def _miscounted(count: int, expected: int) -> Fault:
    hint = "; quote cells that hold a comma" if count > expected else ""
    return Fault(None, f"has {count} cells where the header has {expected}{hint}")


def _plan(records: Iterator[Record], kind: ImportKind | None) -> Plan:
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
    return plan


def _unrecognised(names: list[str]) -> Fault:
    if len(names) == 1 and any(mark in names[0] for mark in ";\t|"):
        return Fault(None, f"{shown(names[0])} is not separated by commas: save it with commas")
    needs = "; ".join(f"{kind} need {', '.join(keys)}" for kind, keys in KEYS.items())
    return Fault(
        None,
        f"the first line must name the columns, and {shown(', '.join(names))} does not tell which kind it is: {needs}."
        " Name the columns, or say which kind it is with --kind",
    )
