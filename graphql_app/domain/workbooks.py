"""Workbooks of Excel (.xlsx): sheets as tables to import, and tables as sheets. Needs the extra `xlsx`."""

import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import date, time, timedelta
from types import ModuleType
from typing import Any, BinaryIO, ClassVar, Final

from graphql_app.domain.errors import InvalidInput
from graphql_app.domain.exporting import plain
from graphql_app.domain.importing import BadRow, Fault, ImportKind, Row, Unreadable
from graphql_app.domain.importing.sheets import HeadedTable, Record, Words
from graphql_app.domain.importing.values import is_blank, shown

BLOCK_BYTES: Final = 64 * 1024
REFERENCE_BYTES_MOST: Final = 100
_MERGED: Final = re.compile(rb'<mergeCell ref="([A-Z0-9:]+)"')
_PROPERTIES: Final = "docProps/core.xml"
_MOMENT: Final = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_LONG_AGO: Final = b"1980-01-01T00:00:00Z"
_ESCAPED: Final = re.compile("_x([0-9A-Fa-f]{4})_")
# The second: an underscore with which a text begins that only looks like an escape.
_UNFIT: Final = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")
_DATES: Final = (date, time, timedelta)


def _library() -> ModuleType:
    """Raises InvalidInput where the extra is not installed."""
    try:
        import openpyxl  # noqa: PLC0415  # of an extra
    except ModuleNotFoundError as error:
        raise InvalidInput(
            "Workbooks need the package openpyxl: pip install 'graphql-app[xlsx]', or use CSV.", field="format"
        ) from error
    return openpyxl


# --- in --------------------------------------------------------------------------------------------------------------


class Workbook:
    """A workbook to import: each sheet that holds anything is a table of one kind."""

    def __init__(self, file: BinaryIO, kind: ImportKind | None) -> None:
        """Raises InvalidInput, Unreadable."""
        openpyxl = _library()
        _require_unmerged(file)
        file.seek(0)
        try:
            self._book = openpyxl.load_workbook(file, read_only=True, data_only=False)
        except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
            raise Unreadable(1, Fault(None, "this is no workbook of Excel (.xlsx)")) from error
        self.tables = list(self._tables(kind))
        if not self.tables:
            raise Unreadable(1, Fault(None, "the file is empty"))

    @property
    def words(self) -> Words:
        return {table.kind: table.words for table in self.tables}

    def rows(self) -> Iterator[Row | BadRow]:
        """Yields the rows of one sheet after the other. Raises Unreadable."""
        for table in self.tables:
            yield from table.rows()

    def _tables(self, kind: ImportKind | None) -> Iterator[HeadedTable]:
        met: dict[ImportKind, str] = {}
        for sheet in self._book.worksheets:
            records = _records(sheet)
            first = next(records, None)
            if first is None:
                continue
            named = ImportKind(sheet.title) if sheet.title in set(ImportKind) else None
            try:
                table = HeadedTable(_again(first, records), kind or named)
            except Unreadable as unreadable:
                faults = [Fault(one.column, f"sheet {shown(sheet.title)}: {one.reason}") for one in unreadable.faults]
                raise Unreadable(unreadable.line, *faults) from unreadable
            if table.kind in met:
                reason = f"sheets {shown(met[table.kind])} and {shown(sheet.title)} both hold {table.kind}: join them"
                raise Unreadable(1, Fault(None, reason))
            met[table.kind] = sheet.title
            yield table


def _again(first: Record, rest: Iterator[Record]) -> Iterator[Record]:
    yield first
    yield from rest


def _records(sheet: Any) -> Iterator[Record]:
    """Yields the cells of each row that has any, as many as the header has at least."""
    width = 0
    for line, row in enumerate(sheet.iter_rows(), start=1):
        if all(cell.value is None for cell in row):
            continue
        try:
            cells = [_text(cell) for cell in row]
        except _Unfit as unfit:
            yield line, Fault(None, str(unfit))
            continue
        while len(cells) > width and is_blank(cells[-1]):
            cells.pop()
        cells += [""] * (width - len(cells))
        if any(not is_blank(cell) for cell in cells):
            width = width or len(cells)
            yield line, cells


class _Unfit(Exception):
    """A cell that holds no text and no number."""


def _text(cell: Any) -> str:
    """Returns what a CSV would have there. Raises _Unfit."""
    value = cell.value
    if value is None:
        return ""
    if cell.data_type == "f":
        raise _Unfit(f"cell {cell.coordinate} holds a formula: paste its value in place of it")
    if cell.data_type == "e":
        raise _Unfit(f"cell {cell.coordinate} holds the error {value}")
    if isinstance(value, _DATES):
        raise _Unfit(f"cell {cell.coordinate} holds a date; Excel makes one of texts as 3-12: format it as text")
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return unescaped(value) if isinstance(value, str) else str(value)


def _require_unmerged(file: BinaryIO) -> None:
    """Raises Unreadable where cells are merged: all but the first of them are empty, and nobody sees it."""
    file.seek(0)
    with suppress(zipfile.BadZipFile), zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            if name.startswith("xl/worksheets/"):
                with archive.open(name) as part:
                    found = _first_merged(iter(lambda: part.read(BLOCK_BYTES), b""))  # used at once
                if found is not None:
                    reason = f"the cells {found} are merged: unmerge them, and write into each what it means"
                    raise Unreadable(1, Fault(None, reason))


def _first_merged(blocks: Iterable[bytes]) -> str | None:
    before = b""
    for block in blocks:
        found = _MERGED.search(before + block)
        if found is not None:
            return found[1].decode()
        before = block[-REFERENCE_BYTES_MOST:]
    return None


# --- out -------------------------------------------------------------------------------------------------------------


class WorkbookWriter:
    """Makes a workbook with a sheet for each kind: all of it comes at the end, as its parts are packed together."""

    is_slow: ClassVar[bool] = True

    def __init__(self) -> None:
        """Raises InvalidInput where the extra is not installed."""
        self._book = _library().Workbook(write_only=True)
        self._sheet: Any = None
        self._is_saved = False

    def begin(self) -> bytes:
        return b""

    def begin_kind(self, kind: ImportKind, names: Sequence[str]) -> bytes:
        self._sheet = self._book.create_sheet(kind)
        self._sheet.freeze_panes = "A2"
        self._sheet.append(list(names))
        return b""

    def rows(self, rows: Iterable[Sequence[Any]]) -> bytes:
        for row in rows:
            self._sheet.append([self._cell(value) for value in row])
        return b""

    def end_kind(self) -> bytes:
        return b""

    def end(self) -> bytes:
        out = io.BytesIO()
        self._is_saved = True
        self._book.save(out)
        return timeless(out)

    def close(self) -> None:
        """Lets go of a workbook that nobody waits for: saving it is what does away with its temporary files."""
        if self._sheet is not None and not self._is_saved:
            self.end()

    def _cell(self, value: Any) -> Any:
        """A text is one whatever it begins with: no program runs it."""
        if not isinstance(value, str):
            return plain(value)
        from openpyxl.cell import WriteOnlyCell  # noqa: PLC0415  # of an extra

        cell = WriteOnlyCell(self._sheet, escaped(value))
        cell.data_type = "s"
        return cell


def timeless(workbook: BinaryIO) -> bytes:
    """Returns the workbook without the moment in it when it was made: the same rows are the same bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(workbook) as made, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in made.namelist():
            part = made.read(name)
            archive.writestr(_entry(name), _MOMENT.sub(_LONG_AGO, part) if name == _PROPERTIES else part)
    return out.getvalue()


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)  # of 1980, as a zip without times has it
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


# --- texts -----------------------------------------------------------------------------------------------------------


def escaped(text: str) -> str:
    """Returns the text as a workbook holds it: characters that XML has not, as `_x0001_` (ECMA-376, 22.9.2.19)."""
    return _UNFIT.sub(lambda found: f"_x{ord(found[0]):04X}_", text)


def unescaped(text: str) -> str:
    """Returns the text that a workbook holds as that."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
