"""The office as a file: read back exactly as it was, with nothing that a spreadsheet runs, and nothing hidden."""

import csv
import io
import json
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from graphql_app.domain.access import GUARDED, ROLES, View
from graphql_app.domain.exporting import CsvWriter, JsonWriter, exported_columns
from graphql_app.domain.importing import COLUMNS, ImportKind, Row, documents, sheets, text
from graphql_app.domain.importing.formulas import defused, restored
from graphql_app.domain.names import normal, unseen
from graphql_app.domain.values import text_problem

NAMES = ("building", "floor_number", "name", "employee_number", "x_position", "status", "notes")
DANGEROUS = "=+-@\t\r\n＝＋－＠"
ALL, NOTHING = View(ROLES["admin"]), View(ROLES["visitor"])
# Starts that spreadsheets and readers of CSV stumble over, and then whatever there is.
starts = st.text("='+-@\t\r\n\",;＝＋－＠| ", max_size=4)
hostile = st.builds(str.__add__, starts, st.text(st.characters(exclude_categories=["Cs", "Cn", "Co"]), max_size=8))
visible = st.characters(categories=["L", "N", "P", "S"])
hostile_names = st.builds(
    str.__add__, st.text("='+-@\",;＝＋－＠|", max_size=4), st.text(visible, min_size=1, max_size=8)
)


def kept(value: str) -> bool:
    """Whether the office may hold it as a name."""
    return bool(value) and value == value.strip() == normal(value) and unseen(value) is None


names = hostile_names.map(normal).map(str.strip).filter(kept).filter(lambda one: text_problem(one, 32) is None)
notes = hostile.filter(lambda one: bool(one.strip()) and text_problem(one, 10_000) is None)
coordinates = st.decimals(-99_999_999, 99_999_999, places=2)
desks = st.tuples(names, st.integers(-9, 99), names, names, coordinates, st.just("occupied"), st.none() | notes)


def file(writer: CsvWriter | JsonWriter, rows: list[Any]) -> bytes:
    kind = ImportKind.WORKSTATIONS
    pieces = (writer.begin(), writer.begin_kind(kind, NAMES), writer.rows(rows), writer.end_kind(), writer.end())
    return b"".join(pieces)


def values(rows: Any) -> list[tuple[Any, ...]]:
    read = list(rows)
    assert all(isinstance(row, Row) for row in read), read
    return [tuple(row.values[name] for name in NAMES) for row in read]


@given(st.lists(desks, max_size=4))
def test_a_csv_is_read_back_exactly_as_it_was(rows: list[Any]) -> None:
    written = file(CsvWriter(), rows)
    assert values(sheets.Sheet(text.lines(text.cut(io.BytesIO(written))), ImportKind.WORKSTATIONS).rows()) == rows


@given(st.lists(desks, max_size=4))
def test_json_is_read_back_exactly_as_it_was(rows: list[Any]) -> None:
    assert values(documents.read(text.blocks([file(JsonWriter(), rows)]), None)) == rows


@given(st.lists(desks, min_size=1, max_size=4))
def test_no_cell_of_text_begins_as_a_formula_does(rows: list[Any]) -> None:
    _, *records = csv.reader(io.StringIO(file(CsvWriter(), rows).decode("utf-8-sig"), newline=""))
    for record in records:
        cells = dict(zip(NAMES, record, strict=True))
        assert not any(cells[name].startswith(tuple(DANGEROUS)) for name in ("building", "name", "notes"))


@given(hostile)
def test_what_is_defused_is_restored(value: str) -> None:
    assert restored(defused(value)) == value


def test_a_text_that_looks_defused_is_not_taken_for_one() -> None:
    assert [defused(one) for one in ("=1", "'=1", "'a", "a=1", "")] == ["'=1", "''=1", "'a", "a=1", ""]


def test_coordinates_are_written_as_people_write_them() -> None:
    row = ("A", 1, "D", None, Decimal("100.50"), "available", None)
    assert b"\r\nA,1,D,,100.5,available,\r\n" in file(CsvWriter(), [row])
    assert json.loads(file(JsonWriter(), [row]))["workstations"][0]["x_position"] == 100.5


def test_a_hidden_column_is_left_out_so_that_an_import_clears_nothing() -> None:
    assert exported_columns(NOTHING, ImportKind.EMPLOYEES) == ("name", "department")
    assert not {"x_position", "width", "employee_number"} & {*exported_columns(NOTHING, ImportKind.WORKSTATIONS)}
    for kind, columns in COLUMNS.items():
        assert exported_columns(ALL, kind) == tuple(column.name for column in columns)


def test_every_guarded_field_that_is_a_column_is_guarded_as_one() -> None:
    for kind, type_name in ((ImportKind.EMPLOYEES, "Employee"), (ImportKind.WORKSTATIONS, "Workstation")):
        for column in COLUMNS[kind]:
            fields = {column.name, {"employee_number": "employee_id"}.get(column.name, column.name)}
            guarded = fields & GUARDED[type_name].keys()
            assert (column.guard is not None) == bool(guarded), column.name
            assert column.guard is None or column.guard == (type_name, *guarded)
