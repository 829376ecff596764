"""Workbooks of Excel: read as the CSV of the same cells would be, and nothing in them is guessed."""

import io
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphql_app.domain.errors import InvalidInput
from graphql_app.domain.importing import BadRow, Fault, ImportKind, Row, Unreadable
from graphql_app.domain.workbooks import Workbook, WorkbookWriter, escaped, unescaped

DESKS = ["building", "floor_number", "name", "x_position", "y_position"]


def book(*rows: Sequence[Any], change: Callable[[Any], None] = lambda _: None, title: str = "Sheet") -> io.BytesIO:
    made = openpyxl.Workbook()
    sheet: Any = made.active
    sheet.title = title
    for row in rows:
        sheet.append(list(row))
    change(made)
    file = io.BytesIO()
    made.save(file)
    return file


def read(file: io.BytesIO, kind: ImportKind | None = None) -> list[Row | BadRow]:
    return list(Workbook(file, kind).rows())


def refusal(file: io.BytesIO, kind: ImportKind | None = None) -> Fault:
    with pytest.raises(Unreadable) as refused:
        read(file, kind)
    return refused.value.faults[0]


def test_numbers_and_texts_are_what_a_csv_would_have_there() -> None:
    typed, as_texts = read(book(DESKS, ["HQ", 3, "A-1", 10.5, 20], ["HQ", "3", "A-2", "10.50", "2e1"]))
    assert isinstance(typed, Row)
    assert isinstance(as_texts, Row)
    assert {**typed.values, "name": ""} == {**as_texts.values, "name": ""}
    assert (typed.line, as_texts.line) == (2, 3)


def test_empty_rows_and_columns_are_passed_over_and_lines_are_those_of_the_sheet() -> None:
    (row,) = read(book([], ["name", "time_zone", None, None], [], ["A", None, None], [None, " "]))
    assert isinstance(row, Row)
    assert (row.line, row.values["name"], row.values["time_zone"]) == (4, "A", "UTC")


def test_a_million_rows_that_are_empty_cost_little() -> None:
    def far_below(made: Any) -> None:
        made.active.cell(1_000_000, 1, "B")

    first, last = read(book(["name", "time_zone"], ["A", "UTC"], change=far_below))
    assert (first.line, last.line) == (2, 1_000_000)


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("=1+1", "cell C2 holds a formula: paste its value"),
        ("#N/A", "cell C2 holds the error #N/A"),
        (date(2026, 12, 3), "cell C2 holds a date"),
    ],
)
def test_what_is_no_text_and_no_number_is_a_bad_row_with_its_cell(cell: Any, reason: str) -> None:
    bad, good = read(book(DESKS, ["HQ", 1, cell, 1, 1], ["HQ", 1, "A", 1, 1]))
    assert isinstance(bad, BadRow)
    assert reason in bad.faults[0].reason
    assert isinstance(good, Row)


def test_merged_cells_are_refused_with_where_they_are() -> None:
    fault = refusal(book(DESKS, ["HQ", 1, "A", 1, 1], change=lambda made: made.active.merge_cells("A2:A5")))
    assert "A2:A5 are merged" in fault.reason


def test_each_sheet_is_of_the_kind_that_it_is_called_or_that_its_columns_tell() -> None:
    def another(made: Any) -> None:
        made.create_sheet("departments").append(["name"])
        made["departments"].append(["研发部"])
        made.create_sheet("empty")

    found = read(book(DESKS, ["HQ", 1, "A", 1, 1], change=another))
    assert [row.kind for row in found] == [ImportKind.WORKSTATIONS, ImportKind.DEPARTMENTS]


def test_two_sheets_of_one_kind_and_one_that_nothing_is_known_of_are_refused() -> None:
    def twice(made: Any) -> None:
        made.create_sheet("More").append(DESKS)

    assert "'Sheet' and 'More' both hold workstations" in refusal(book(DESKS, change=twice)).reason
    assert "sheet 'Notes': the first line must name the columns" in refusal(book(["hello"], title="Notes")).reason


def test_what_is_no_workbook_is_refused() -> None:
    nothing = io.BytesIO()
    with zipfile.ZipFile(nothing, "w") as archive:
        archive.writestr("hello.txt", "hello")
    for file in (io.BytesIO(b"name\nA\n"), io.BytesIO(b"PK\x03\x04broken"), nothing):
        assert "no workbook" in refusal(file).reason
    assert "empty" in refusal(book()).reason


def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    for asked in (WorkbookWriter, lambda: Workbook(io.BytesIO(), None)):
        with pytest.raises(InvalidInput, match=r"graphql-app\[xlsx\]"):
            asked()


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20)


@given(st.one_of(TEXTS, st.from_regex("(_x[0-9a-fA-F]{4}_|_|x)*", fullmatch=True)))
def test_a_text_is_escaped_and_back(text: str) -> None:
    assert unescaped(escaped(text)) == text


@settings(deadline=None, max_examples=30)
@given(st.lists(TEXTS.filter(lambda text: text.strip() != ""), min_size=1, max_size=5))
def test_a_text_comes_back_as_it_was_and_is_never_a_formula(texts: list[str]) -> None:
    writer = WorkbookWriter()
    writer.begin_kind(ImportKind.WORKSTATIONS, ["notes"])
    writer.rows([(text,) for text in texts])
    written = writer.end()

    sheet: Any = openpyxl.load_workbook(io.BytesIO(written)).active
    cells = [row[0] for row in sheet.iter_rows(min_row=2)]
    assert [unescaped(cell.value) for cell in cells] == texts
    assert {cell.data_type for cell in cells} == {"s"}
    with zipfile.ZipFile(io.BytesIO(written)) as archive:
        assert b"<f>" not in archive.read("xl/worksheets/sheet1.xml")


def test_a_workbook_that_nobody_waits_for_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    writer = WorkbookWriter()
    writer.begin_kind(ImportKind.DEPARTMENTS, ["name"])
    writer.rows([("Sales",)])
    assert list(tmp_path.iterdir()) != []
    for _ in range(2):
        writer.close()
    assert list(tmp_path.iterdir()) == []


def test_a_column_is_called_as_its_own_sheet_calls_it() -> None:
    def another(made: Any) -> None:
        made.create_sheet("departments").append(["部门名称"])

    words = Workbook(book(["楼栋", "楼层", "工位"], change=another), None).words
    assert (words[ImportKind.WORKSTATIONS]["name"], words[ImportKind.DEPARTMENTS]["name"]) == ("工位", "部门名称")


def test_the_same_rows_are_the_same_bytes_whenever_they_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    for year in (2026, 2031):
        monkeypatch.setattr(time, "localtime", lambda *_, year=year: time.struct_time((year, 5, 4, 3, 2, 1, 0, 0, 0)))
        writer = WorkbookWriter()
        writer.begin_kind(ImportKind.DEPARTMENTS, ["name"])
        writer.rows([("Sales",)])
        writer._book.properties.created = datetime(year, 1, 1, tzinfo=UTC)
        written.append(writer.end())
    assert written[0] == written[1]
    with zipfile.ZipFile(io.BytesIO(written[0])) as archive:
        assert {entry.date_time[0] for entry in archive.infolist()} == {1980}
        assert b"1980-01-01" in archive.read("docProps/core.xml")
