"""The office as files that an import reads: which columns a view is given, and its rows as CSV or JSON."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar, Protocol

from graphql_app.domain.access import View, may_see
from graphql_app.domain.importing.columns import COLUMNS, ImportKind
from graphql_app.domain.importing.formulas import defused

Rows = Iterable[Sequence[Any]]


class ExportFormat(StrEnum):
    CSV = "csv"
    JSON = "json"
    XLSX = "xlsx"


def exported_columns(view: View, kind: ImportKind) -> tuple[str, ...]:
    """Returns the columns that the view may see. A hidden one is left out and not emptied: an import would take an
    empty cell for one to clear."""
    return tuple(column.name for column in COLUMNS[kind] if column.guard is None or may_see(view, *column.guard))


class Writer(Protocol):
    """Makes the pieces of a file. `is_slow`: not on the loop."""

    is_slow: ClassVar[bool]

    def begin(self) -> bytes: ...
    def begin_kind(self, kind: ImportKind, names: Sequence[str]) -> bytes: ...
    def rows(self, rows: Rows) -> bytes: ...
    def end_kind(self) -> bytes: ...
    def end(self) -> bytes: ...
    def close(self) -> None: ...


class CsvWriter:
    """Makes the pieces of a CSV (RFC 4180), marked as UTF-8 since Excel takes it for another encoding otherwise."""

    is_slow: ClassVar[bool] = False

    def begin(self) -> bytes:
        return b"\xef\xbb\xbf"

    def begin_kind(self, kind: ImportKind, names: Sequence[str]) -> bytes:
        return _records([names])

    def rows(self, rows: Rows) -> bytes:
        return _records([_cell(value) for value in row] for row in rows)

    def end_kind(self) -> bytes:
        return b""

    def end(self) -> bytes:
        return b""

    def close(self) -> None:
        pass


def _records(records: Iterable[Sequence[str]]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out).writerows(records)
    return out.getvalue().encode()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return defused(value) if isinstance(value, str) else str(plain(value))


class JsonWriter:
    """Makes the pieces of a JSON object with a list of each kind, a row in a line."""

    is_slow: ClassVar[bool] = False

    def __init__(self) -> None:
        self._names: Sequence[str] = ()
        self._is_first_kind = True
        self._is_first_row = True

    def begin(self) -> bytes:
        return b"{"

    def begin_kind(self, kind: ImportKind, names: Sequence[str]) -> bytes:
        comma = "" if self._is_first_kind else ","
        self._names, self._is_first_kind, self._is_first_row = names, False, True
        return f'{comma}\n"{kind}": ['.encode()

    def rows(self, rows: Rows) -> bytes:
        return "".join(map(self._row, rows)).encode()

    def _row(self, row: Sequence[Any]) -> str:
        comma, self._is_first_row = "" if self._is_first_row else ",", False
        values = dict(zip(self._names, map(plain, row), strict=True))
        return f"{comma}\n{json.dumps(values, ensure_ascii=False)}"

    def end_kind(self) -> bytes:
        return b"\n]"

    def end(self) -> bytes:
        return b"\n}\n"

    def close(self) -> None:
        pass


def plain(value: Any) -> Any:
    """Returns a coordinate as people write it: 100 and 100.5. Its ten digits are fewer than a float holds."""
    if not isinstance(value, Decimal):
        return value
    return int(value) if value == int(value) else float(value)
