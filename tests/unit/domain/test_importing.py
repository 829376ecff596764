"""Files to import, without a disk and without a database: values, columns, rows, lines, and what is wrong with them."""

import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphql_app.domain.importing import (
    COLUMNS,
    KEYS,
    BadRow,
    Check,
    Fault,
    ImportFinding,
    ImportKind,
    Problem,
    Row,
    Unreadable,
    documents,
    rows,
    sheets,
    text,
    values,
    window,
    worded,
)
from graphql_app.domain.importing.sheets import Dialect
from graphql_app.store.schema.tables import metadata

PAGE = Path(__file__).parents[3] / "docs" / "import.md"


def csv(content: str | bytes, kind: ImportKind | None = None) -> list[Row | BadRow]:
    raw = content.encode() if isinstance(content, str) else content
    return list(sheets.Sheet(text.lines(raw.splitlines(keepends=True)), kind).rows())


def jsons(content: str, kind: ImportKind | None = None) -> list[Row | BadRow]:
    return list(documents.read([content], kind))


def desk(**cells: str) -> Row | BadRow:
    """One row of a CSV of workstations."""
    given = {"building": "A", "floor_number": "3", "name": "A-01", **cells}
    plan = rows.plan(ImportKind.WORKSTATIONS, list(given))
    assert isinstance(plan, rows.Plan)
    return plan.row(0, 2, list(given.values()))


def faults(row: Row | BadRow) -> list[Fault]:
    assert isinstance(row, BadRow), row
    return list(row.faults)


def refusal(read: Any) -> Unreadable:
    with pytest.raises(Unreadable) as caught:
        read()
    return caught.value


# --- values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("12.5", "12.50"),
        ("-3", "-3.00"),
        (" 7 ", "7.00"),
        ("1.500", "1.50"),
        (".5", "0.50"),
        ("1e3", "1000.00"),
        ("-0", "0.00"),
    ],
)
def test_a_coordinate_is_kept_exactly(cell: str, value: str) -> None:
    assert values.coordinate(cell) == Decimal(value)


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("1.005", "more than 2 decimals"),
        ("1e-400", "more than 2 decimals"),
        ("99999999.999", "more than 2 decimals"),
        ("100000000", "too large"),
        ("1e400", "too large"),
        ("-1e99", "too large"),
        ("NaN", "not a number"),
        ("inf", "not a number"),
        ("-Infinity", "not a number"),
        ("1,200", "not a number"),
        ("1_000", "not a number"),
        ("１２", "not a number"),
        ("12 m", "not a number"),
        ("9" * 5000, "not a number"),
        ("1e9999", "not a number"),
    ],
)
def test_a_coordinate_that_cannot_be_stored_is_refused_with_the_reason(cell: str, reason: str) -> None:
    with pytest.raises(values.Bad, match=reason):
        values.coordinate(cell)


@pytest.mark.parametrize("cell", ["0", "-1", "0.00"])
def test_a_size_is_above_nothing(cell: str) -> None:
    with pytest.raises(values.Bad, match="not above 0"):
        values.size(cell)


@pytest.mark.parametrize(
    ("cell", "reason"), [("2147483648", "too large"), ("3.5", "whole number"), ("3F", "not a number")]
)
def test_a_floor_is_a_whole_number(cell: str, reason: str) -> None:
    with pytest.raises(values.Bad, match=reason):
        values.whole(cell)


@pytest.mark.parametrize(("cell", "value"), [("-1", -1), ("3.0", 3), ("+2", 2)])
def test_a_whole_number_may_be_written_in_several_ways(cell: str, value: int) -> None:
    assert values.whole(cell) == value


@pytest.mark.parametrize(
    ("cell", "value"),
    [("available", "available"), ("OCCUPIED", "occupied"), ("空闲", "available"), ("使用中", "occupied"),
     ("维护中", "maintenance"), (" 已预订 ", "reserved"), ("已预定", "reserved")],
)  # fmt: skip
def test_a_status_may_be_english_or_chinese(cell: str, value: str) -> None:
    assert values.status(cell) == value


def test_an_unknown_status_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(values.Bad, match=r"'busy' is no status; it is one of available, .*空闲"):
        values.status("busy")


@pytest.mark.parametrize("cell", ['{"monitors": 2}', '["雷电"]', "null", "9" * 15, '"' + "9" * 5000 + '"'])
def test_equipment_is_kept_as_it_was_written(cell: str) -> None:
    assert values.equipment(cell) == cell


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("{monitors: 2}", "is not JSON: Expecting property name enclosed in double quotes at character 2"),
        ("two monitors", "is not JSON"),
        ('{"a": NaN}', "NaN is no JSON number"),
        ('"' + "x" * 20_000 + '"', "at most 20,000 characters, this has 20,002"),
        ('{"a": "\x00"}', "Invalid control character"),
        ('"\\ud83d"', "half a character"),
        ("9" * 5000, "an integer beyond ±9007199254740991"),
        ('{"a": 1e999}', "too large or too small for a double"),
        ("[" * 193 + "]" * 193, "nested too deeply"),
    ],
)
def test_equipment_that_is_not_json_is_refused(cell: str, reason: str) -> None:
    with pytest.raises(values.Bad, match=reason):
        values.equipment(cell)


def test_a_text_is_neither_cut_nor_stored_with_a_nul() -> None:
    read = values.text(5)
    assert read(" 工位一二三 ") == "工位一二三"
    with pytest.raises(values.Bad, match="at most 5 characters, this has 6"):
        read("工位一二三四")
    with pytest.raises(values.Bad, match="NUL"):
        read("a\x00b")


@pytest.mark.parametrize("cell", ["Asia", "../etc/passwd", "CEST", "Asia/Peking", "asia/shanghai"])
def test_a_time_zone_is_one_of_iana(cell: str) -> None:
    assert values.time_zone("Asia/Shanghai") == "Asia/Shanghai"
    with pytest.raises(values.Bad, match="IANA"):
        values.time_zone(cell)


# --- columns ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("name,time_zone", ImportKind.BUILDINGS),
        ("building,number", ImportKind.FLOORS),
        ("楼栋,楼层", ImportKind.FLOORS),
        ("部门", ImportKind.DEPARTMENTS),
        ("工号,姓名,部门", ImportKind.EMPLOYEES),
        ("employee_number,department", ImportKind.EMPLOYEES),
        ("building,floor_number,name,x_position,y_position", ImportKind.WORKSTATIONS),
        ("Building,Floor Number,Name,xPosition,yPosition,employeeNumber", ImportKind.WORKSTATIONS),
        ("楼栋,楼层,工位,部门,工号,横坐标,纵坐标,宽度,高度,状态,设备,备注", ImportKind.WORKSTATIONS),
        ("building,floor_number,name,colour", ImportKind.WORKSTATIONS),
        ("name", None),
        ("colour", None),
    ],
)
def test_the_kind_is_recognised_from_the_header(header: str, kind: ImportKind | None) -> None:
    assert rows.recognised(header.split(",")) is kind


@pytest.mark.parametrize(
    ("names", "fault"),
    [
        (["name", "colour"], ("colour", r"'colour' is not a column of departments; the columns are name")),
        (["name", ""], (None, r"column 2, which has no name, is not a column")),
        (["name", "部门"], ("name", r"is there twice, as 'name' and '部门'")),
        (["colour"], ("name", r"is missing: departments are told apart by it")),
    ],
)
def test_wrong_columns_are_named(names: list[str], fault: tuple[str | None, str]) -> None:
    found = rows.plan(ImportKind.DEPARTMENTS, names)
    assert not isinstance(found, rows.Plan)
    assert any(column == fault[0] and re.search(fault[1], reason) for column, reason in found), found


def test_no_two_columns_of_a_kind_have_the_same_name() -> None:
    for kind, columns in COLUMNS.items():
        names = [rows.folded(name) for column in columns for name in (column.name, *column.aliases)]
        assert sorted(set(names)) == sorted(names), kind


def test_defaults_are_those_of_the_tables() -> None:
    for kind, columns in COLUMNS.items():
        table = metadata.tables[kind.value].c
        for column in columns:
            if column.name in table:
                server = table[column.name].server_default
                assert (server is None) == (column.default is None), column
                assert server is None or str(server.arg) == str(column.default)  # type: ignore[attr-defined]


def test_the_page_documents_every_column_and_every_name_of_it() -> None:
    page = PAGE.read_text()
    sections = {
        heading.strip(): body for heading, body in re.findall(r"^### (.+)\n((?:(?!^#).*\n)*)", page, re.MULTILINE)
    }
    for kind, columns in COLUMNS.items():
        documented = dict(re.findall(r"^\| `(\w+)`.*? \| (.*?) \|", sections[kind.value], re.MULTILINE))
        assert list(documented) == [column.name for column in columns]
        for column in columns:
            assert set(re.findall(r"`(.+?)`", documented[column.name])) == set(column.aliases)
    assert all(f"`{word}`" in page for word in values.STATUSES)


# --- rows ------------------------------------------------------------------------------------------------------------


def test_a_row_holds_what_the_file_gives_and_nothing_else() -> None:
    row = desk(x_position="1.5", notes="靠窗")
    assert isinstance(row, Row)
    assert row.values == {
        "building": "A", "floor_number": 3, "name": "A-01", "x_position": Decimal("1.50"), "notes": "靠窗",
    }  # fmt: skip


def test_an_empty_cell_clears_or_takes_the_default() -> None:
    row = desk(width="", status=" ", notes="", department="", equipment="  ")
    assert isinstance(row, Row)
    assert row.values["width"] == 120
    assert row.values["status"] == "available"
    assert [row.values[name] for name in ("notes", "department", "equipment")] == [None, None, None]


def test_an_empty_cell_where_a_value_is_needed_is_bad() -> None:
    assert faults(desk(name=" ", x_position="")) == [
        Fault("name", "must not be empty"),
        Fault("x_position", "must not be empty"),
    ]


def test_all_that_is_wrong_with_a_row_is_told_at_once() -> None:
    wrong = faults(desk(floor_number="B1", status="busy", x_position="nan", name="x" * 101))
    assert [fault.column for fault in wrong] == ["floor_number", "name", "status", "x_position"]


@pytest.mark.parametrize(
    ("cells", "status", "occupant"),
    [
        ({"employee_number": "E1"}, "occupied", "E1"),
        ({"employee_number": "E1", "status": ""}, "occupied", "E1"),
        ({"employee_number": "E1", "status": "reserved"}, "reserved", "E1"),
        ({"employee_number": "", "status": ""}, "available", None),
        ({"status": "available"}, "available", None),
        ({"status": "occupied"}, "occupied", "absent"),
        ({"employee_number": ""}, "absent", None),
    ],
)
def test_status_and_occupant_stay_in_step(cells: dict[str, str], status: str, occupant: str | None) -> None:
    row = desk(**cells)
    assert isinstance(row, Row)
    assert row.values.get("status", "absent") == status
    assert row.values.get("employee_number", "absent") == occupant


def test_an_available_workstation_with_an_occupant_is_bad() -> None:
    assert "has no occupant" in faults(desk(employee_number="E1", status="空闲"))[0].reason


# --- CSV -------------------------------------------------------------------------------------------------------------


def test_lines_are_those_of_the_file_even_when_cells_span_several() -> None:
    content = (
        'building,floor_number,name,notes\r\nA,1,a,"one\r\ntwo"\r\n\r\nA,1,b,\r\n,,,\r\nA,x,c,"1\n2\n3"\r\nA,y,d,\r\n'
    )
    found = csv(content)
    assert [(row.line, row.index) for row in found] == [(2, 0), (5, 1), (7, 2), (10, 3)]
    assert isinstance(found[0], Row)
    assert found[0].values["notes"] == "one\r\ntwo"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_may_end_as_on_any_system(end: str) -> None:
    found = csv(end.join(["name,time_zone", "A,UTC", "B,Mars", ""]))
    assert [(type(row), row.line) for row in found] == [(Row, 2), (BadRow, 3)]


def test_the_mark_of_utf8_is_no_part_of_the_first_name() -> None:
    assert len(csv(b"\xef\xbb\xbf" + "部门\n研发部\n".encode())) == 1


def test_a_wrong_number_of_cells_is_bad_and_the_next_row_is_not() -> None:
    short, long, good = csv("name,time_zone\nA\nB,UTC,x\nC,UTC\n")
    assert faults(short) == [Fault(None, "has 1 cells where the header has 2")]
    assert faults(long) == [Fault(None, "has 3 cells where the header has 2; quote cells that hold a comma")]
    assert isinstance(good, Row)


def test_a_misplaced_quote_is_bad_and_the_next_row_is_not() -> None:
    bad, good = csv('name,time_zone\n"A"B,UTC\nC,UTC\n')
    assert "must be doubled" in faults(bad)[0].reason
    assert (bad.line, good.line) == (2, 3)
    assert isinstance(good, Row)


MISQUOTED = {
    "a quote after a blank": (' "A",UTC', "take out the blank"),
    "one after a blank within the row": ('A, "UTC"', "take out the blank"),
    "one after a tab": ('A,\t"UTC"', "take out the blank"),
    "a comma in what was meant to be quoted": (' "A,B",UTC', "take out the blank"),
    "text behind the closing quote": ('"A"B,UTC', "must be doubled"),
    "a blank behind the closing quote": ('"A" ,UTC', "must be doubled"),
    "quotes within a cell": ('say "A",UTC', "must be doubled"),
    "doubled ones within a cell that is not quoted": ('say ""A"",UTC', "must be doubled"),
}


@pytest.mark.parametrize("what", MISQUOTED)
def test_what_is_not_quoted_as_rfc_4180_says_is_bad_and_never_taken_as_it_looks(what: str) -> None:
    row, reason = MISQUOTED[what]
    bad, good = csv(f"name,time_zone\n{row}\nC,UTC\n")

    assert reason in faults(bad)[0].reason
    assert (bad.line, good.line) == (2, 3)
    assert isinstance(good, Row)


@pytest.mark.parametrize("row", ['A 5",UTC', ' "A\nB",UTC', '"A" "\nB,UTC\n",UTC', 'A,"UTC" "'])
def test_where_quotes_do_not_pair_nothing_behind_is_taken_for_a_row(row: str) -> None:
    refused = refusal(lambda: csv(f"name,time_zone\n{row}\nC,UTC\n"))
    assert refused.line == 2
    assert "never closed" in refused.faults[0].reason


@given(st.lists(st.lists(st.text('a", \n\t', max_size=6), min_size=2, max_size=2), max_size=4))
def test_what_is_written_as_rfc_4180_says_is_read_as_it_was(cells: list[list[str]]) -> None:
    quoted = ["".join(f'"{cell.replace(chr(34), chr(34) * 2)}",' for cell in row)[:-1] for row in cells]
    found = list(sheets.records("\n".join(quoted).splitlines(keepends=True)))

    assert [row for _, row in found] == [row for row in cells if any(cell.strip() for cell in row)]


def test_what_tells_excel_of_commas_is_passed_over_and_lines_are_counted_with_it() -> None:
    (bad,) = csv("sep=,\r\nname,time_zone\r\nA,Mars\r\n")
    assert bad.line == 3


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_another_separator_is_recognised_with_and_without_a_word_of_it(mark: str) -> None:
    content = f'name{mark}time_zone\nA{mark}UTC\n"B, ""b"""{mark}UTC\n'
    for told in ("", f"sep={mark}\n", "\r\n \n"):
        first, second = csv(told + content)
        assert isinstance(first, Row)
        assert isinstance(second, Row)
        assert (first.values["name"], second.values["name"]) == ("A", 'B, "b"')


def test_a_separator_that_is_told_in_two_ways_is_refused_with_what_to_do() -> None:
    content = "sep=;\nname;time_zone\nA;UTC\n"
    refused = refusal(lambda: list(sheets.Sheet(content.splitlines(keepends=True), None, Dialect(",")).rows()))
    assert (refused.line, len(refused.faults)) == (1, 1)
    assert "--delimiter" in refused.faults[0].reason


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_a_quote_behind_a_blank_is_refused_whatever_separates(mark: str) -> None:
    (bad,) = csv(f'name{mark}time_zone\nA{mark} "UTC"\n')
    assert isinstance(bad, BadRow)
    assert "take out the blank" in bad.faults[0].reason


DESKS = "building;floor_number;name;x_position;y_position\nHQ;1;A;10,5;-,25\n"


def test_a_comma_that_separates_no_cells_is_a_decimal_point() -> None:
    (row,) = csv(DESKS)
    assert isinstance(row, Row)
    assert (row.values["x_position"], row.values["y_position"]) == (Decimal("10.5"), Decimal("-0.25"))


@pytest.mark.parametrize(
    ("content", "dialect", "is_number"),
    [
        (DESKS, Dialect(decimal_comma=False), False),
        (DESKS.replace(",", ".").replace(";", ","), Dialect(), True),
        ('building,floor_number,name,x_position,y_position\nHQ,1,A,"10,5",1\n', Dialect(), False),
        ('building,floor_number,name,x_position,y_position\nHQ,1,A,"10,5",1\n', Dialect(decimal_comma=True), True),
        (DESKS.replace("10,5", "1,000"), Dialect(), True),  # is 1, as a German writes it
        (DESKS.replace("10,5", "1.000,5"), Dialect(), False),
    ],
)
def test_whether_a_comma_is_a_decimal_point_can_be_said(content: str, dialect: Dialect, is_number: bool) -> None:
    (row,) = sheets.Sheet(content.splitlines(keepends=True), None, dialect).rows()
    assert isinstance(row, Row) == is_number


@pytest.mark.parametrize(
    ("kind", "name", "meant"),
    [
        (ImportKind.WORKSTATIONS, "floor_nummber", "is floor_number meant?"),
        (ImportKind.WORKSTATIONS, "XPositon", "is x_position meant?"),
        (ImportKind.EMPLOYEES, "员工姓", "is 员工姓名 meant?"),
        (ImportKind.EMPLOYEES, "colour", ""),
    ],
)
def test_of_a_misspelt_column_it_is_said_which_one_is_meant(kind: ImportKind, name: str, meant: str) -> None:
    fault = rows.plan(kind, [*KEYS[kind], name])
    assert isinstance(fault, tuple)
    assert (meant in fault[-1].reason) if meant else ("meant" not in fault[-1].reason)


@pytest.mark.parametrize("rest", ["", "x" * 200_000])
def test_a_quote_that_is_never_closed_makes_the_file_unreadable(rest: str) -> None:
    refused = refusal(lambda: csv('name,time_zone\nA,UTC\n"B,UTC\nC,UTC\n' + rest))
    assert refused.line == 3
    assert "never closed" in refused.faults[0].reason


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        ("", 1, "empty"),
        ("\n\n", 1, "empty"),
        (
            "总部A座,3,A-01,10,20\n",
            1,
            "the first line must name the columns.*workstations need building, floor_number, name",
        ),
        ("name\nA\n", 1, "--kind"),
        ("building/floor_number/name\n", 1, "does not tell which kind it is"),
        (
            "\nbuilding,floor_number,name,colour\n",
            2,
            "'colour' is not a column of workstations; the columns are building, ",
        ),
    ],
)
def test_a_file_without_a_usable_header_is_unreadable(content: str, line: int, reason: str) -> None:
    refused = refusal(lambda: csv(content))
    assert refused.line == line
    assert re.search(reason, refused.faults[0].reason)


class Read(io.BytesIO):
    """A file that counts what is read of it."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.taken = 0

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        self.taken += len(line)
        return line


TOO_LARGE = {
    "columns": (b"name," + b"c," * 200 + b"\n" + b"A,\n", 1, "names 202 columns, and at most 100 are read"),
    "a million columns": (b"name," + b"column," * 1_000_000, 1, "longer than 1,048,576 bytes"),
    "a line": (b"name\nA\n" + b"x" * 5_000_000 + b"\n", 3, "longer than 1,048,576 bytes"),
    "a cell": (b'name\nA\n"' + b"x" * 200_000 + b'"\n', 3, "a cell of the row that starts here is longer than"),
    "a row of many lines": (b"name\nA\n" + b'"x\n",' * 1_000_000, 3, "longer than 1,048,576 characters"),
}


@pytest.mark.parametrize("what", TOO_LARGE)
@pytest.mark.parametrize("kind", [ImportKind.BUILDINGS, None])
def test_what_is_larger_than_any_row_is_refused_with_its_line_before_it_is_read(
    what: str, kind: ImportKind | None
) -> None:
    content, line, reason = TOO_LARGE[what]
    file = Read(content)

    refused = refusal(lambda: list(sheets.Sheet(text.lines(text.cut(file)), kind or ImportKind.DEPARTMENTS).rows()))

    assert refused.line == line
    assert reason in refused.faults[0].reason
    assert len(refused.faults) == 1
    assert file.taken <= 2 * text.LINE_MOST


def test_an_object_of_many_names_is_a_bad_row_and_is_not_kept() -> None:
    names = ", ".join(f'"{"n" * 100}{number}": 1' for number in range(1000))
    bad, good = jsons(f'[{{{names}}}, {{"name": "A"}}]', ImportKind.BUILDINGS)

    assert [fault.reason for fault in faults(bad)] == [
        "names 1,000 columns, and at most 100 are read: leave out what is not needed"
    ]
    assert isinstance(good, Row)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a_file_is_cut_after_its_lines_however_they_end(end: bytes) -> None:
    content = end.join(b"%d,%b" % (number, b"x" * 1000) for number in range(5000)) + end

    found = list(text.lines(text.cut(io.BytesIO(content))))

    assert "".join(found).encode() == content
    assert len(found) == 5000


def test_a_given_kind_is_not_guessed() -> None:
    assert [row.kind for row in csv("name\nA\n", ImportKind.BUILDINGS)] == [ImportKind.BUILDINGS]


@pytest.mark.parametrize(
    ("raw", "line", "reason"),
    [
        (b"name\nA\xff\xfe\n", 2, r"not UTF-8 \(byte 0xff\)"),
        ("name\n研".encode()[:-1], 2, "not UTF-8"),
    ],
)
def test_what_is_no_utf8_is_refused_with_the_line_and_what_to_do(raw: bytes, line: int, reason: str) -> None:
    refused = refusal(lambda: csv(raw, ImportKind.DEPARTMENTS))
    assert refused.line == line
    assert re.search(reason, refused.faults[0].reason)


# --- JSON ------------------------------------------------------------------------------------------------------------


def test_an_object_may_hold_any_kinds_in_any_order() -> None:
    found = jsons(
        '{"workstations": [\n{"building": "A", "floor_number": 1, "name": "a"}],\n"buildings": [{"name": "A"}]}'
    )
    assert [(row.kind, row.line, row.index) for row in found] == [
        (ImportKind.WORKSTATIONS, 2, 0),
        (ImportKind.BUILDINGS, 3, 0),
    ]


def test_rows_may_differ_in_what_they_give() -> None:
    first, second = jsons('[{"name": "A"},\n {"time_zone": null, "name": "B"}]', ImportKind.BUILDINGS)
    assert isinstance(first, Row)
    assert isinstance(second, Row)
    assert first.values == {"name": "A"}
    assert second.values == {"name": "B", "time_zone": "UTC"}


def test_numbers_keep_every_digit() -> None:
    content = (
        '[{"building": "A", "floor_number": 1, "name": 101, "x_position": 0.1, "equipment": {"kg": 1.50, "n": 1e2}}]'
    )
    row = jsons(content, ImportKind.WORKSTATIONS)[0]
    assert isinstance(row, Row)
    assert row.values["name"] == "101"
    assert row.values["x_position"] == Decimal("0.10")
    assert row.values["equipment"] == '{"kg": 1.50, "n": 1e2}'
    over = jsons(content.replace("0.1,", "0.1000000000000000055,"), ImportKind.WORKSTATIONS)
    assert "more than 2 decimals" in faults(over[0])[0].reason


@pytest.mark.parametrize(
    ("row", "column", "reason"),
    [
        ('"A"', None, "must be an object"),
        ('{"name": "A", "colour": 1}', "colour", "is not a column of buildings"),
        ('{"name": "A", "name": "B"}', None, "names a column twice"),
        ('{"name": ["A"]}', "name", "must be a text or a number, not a list"),
        ('{"name": true}', "name", "not true"),
        ('{"name": NaN}', "name", "not NaN"),
        ('{"name": "\\ud800"}', "name", "half a character"),
        ('{"name": "a\\u0000b"}', "name", "NUL"),
        ('{"time_zone": "UTC"}', "name", "is missing"),
    ],
)
def test_a_bad_row_of_json_is_told_with_its_column_and_the_next_is_read(
    row: str, column: str | None, reason: str
) -> None:
    bad, good = jsons(f'[\n{row},\n{{"name": "C"}}]', ImportKind.BUILDINGS)
    assert (bad.line, bad.index, good.line, good.index) == (2, 0, 3, 1)
    assert faults(bad)[0].column == column
    assert reason in faults(bad)[0].reason
    assert isinstance(good, Row)


@pytest.mark.parametrize("equipment", ['{"a": NaN}', '{"a": {"b": 1, "b": 2}}', '"not json"'])
def test_equipment_in_json_is_checked_too(equipment: str) -> None:
    row = jsons(
        f'[{{"building": "A", "floor_number": 1, "name": "a", "equipment": {equipment}}}]', ImportKind.WORKSTATIONS
    )[0]
    assert faults(row)[0].column == "equipment"


@pytest.mark.parametrize("depth", [600, 5_000, 9_999])
def test_deep_nesting_is_refused(depth: int) -> None:
    """Also where Python cannot follow it."""
    nested = "[" * depth + "]" * depth
    content = f'[{{"building": "A", "floor_number": 1, "name": "a", "equipment": {nested}}}]'
    reads: list[Callable[[], Row | BadRow]] = [
        lambda: jsons(content, ImportKind.WORKSTATIONS)[0],
        lambda: desk(equipment=nested),
    ]
    for read in reads:
        try:
            row = read()
        except Unreadable as unreadable:
            reason = unreadable.faults[0].reason
        else:
            reason = "" if isinstance(row, Row) else faults(row)[0].reason
        assert "nested too deeply" in reason


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        ("", 1, "empty"),
        ("\n 5", 2, "a JSON object or a list"),
        ('[{"name": "A"}]', 1, "say so with --kind"),
        ('{"desks": []}', 1, "'desks' is none of buildings, floors"),
        ('{"buildings": {}}', 1, r"here must be \["),
        ('{"buildings": [],\n"buildings": []}', 2, "twice"),
        ('{"buildings": [{"name": "A"}\n{"name": "B"}]}', 2, "a comma or ]"),
        ('{"buildings": [{"name": "A"},\n]}', 2, "a comma stands before ]"),
        ('{"buildings": [],}', 1, "a comma stands before }"),
        (
            '{"buildings": [\n{"name": "A",\n"time_zone" "UTC"}]}',
            3,
            r"Expecting ':' delimiter \(character 13 of the line\)",
        ),
        ('{"buildings": [\n{"name": "A}]}', 2, "Unterminated string"),
        ('{"buildings": [', 1, "this is not JSON"),
        ('{"buildings": []} x', 1, "after the end"),
        ('{"buildings": [' + "[" * 100_000, 1, "nested too deeply"),
    ],
)
def test_what_is_not_json_makes_the_file_unreadable_with_the_line(content: str, line: int, reason: str) -> None:
    refused = refusal(lambda: jsons(content))
    assert refused.line == line
    assert re.search(reason, refused.faults[0].reason)


def test_a_kind_that_contradicts_the_file_is_refused() -> None:
    assert "--kind says floors" in refusal(lambda: jsons('{"buildings": []}', ImportKind.FLOORS)).faults[0].reason


def test_a_quote_that_is_never_closed_does_not_fill_the_memory() -> None:
    read: list[int] = []

    def endless() -> Iterator[str]:
        yield '[{"name": "'
        for number in range(1000):
            read.append(number)
            yield "x" * 65536

    assert "longer than" in refusal(lambda: list(documents.read(endless(), ImportKind.BUILDINGS))).faults[0].reason
    assert len(read) < 20


def pieces(content: str, cuts: Iterable[int]) -> list[str]:
    places = [0, *sorted(cut % (len(content) + 1) for cut in cuts), len(content)]
    return [content[start:end] for start, end in pairwise(places)]


_plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(_plain, max_size=6), st.lists(st.integers(0, 10_000), max_size=8), st.sampled_from([None, 1]))
def test_json_is_read_the_same_however_it_is_cut(equipment: list[Any], cuts: list[int], indent: int | None) -> None:
    content = json.dumps(
        [{"building": "A", "floor_number": 1, "name": "a", "equipment": json.dumps(one)} for one in equipment],
        indent=indent,
    )
    assert list(documents.read(pieces(content, cuts), ImportKind.WORKSTATIONS)) == jsons(
        content, ImportKind.WORKSTATIONS
    )
    mixed = json.dumps(equipment, indent=indent)
    assert list(documents.read(pieces(mixed, cuts), ImportKind.BUILDINGS)) == jsons(mixed, ImportKind.BUILDINGS)


@given(_plain)
def test_equipment_that_is_no_text_is_written_as_the_json_that_it_was(value: Any) -> None:
    read, _ = window.DECODER.raw_decode(json.dumps(value))
    assert json.loads(window.written(read)) == value


@given(st.text(max_size=60), st.lists(st.integers(0, 200), max_size=5))
def test_bytes_are_decoded_the_same_however_they_are_cut(content: str, cuts: list[int]) -> None:
    raw = content.encode()
    places = [0, *sorted(cut % (len(raw) + 1) for cut in cuts), len(raw)]
    cut = [raw[start:end] for start, end in pairwise(places)]
    assert "".join(text.blocks(cut)) == content.removeprefix("\ufeff")


cells = st.sampled_from(
    ["building", "floor_number", "name", "1", '"', '""', "名称", "楼层", "\x00", "-0", "1e999", "[]"]
)
files = (
    st.binary(max_size=80)
    | st.text(max_size=80).map(str.encode)
    | st.lists(cells | st.sampled_from([",", "\n", "\r\n", ";", "\t", "\ufeff"]), max_size=25)
    .map("".join)
    .map(str.encode)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | cells,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["buildings", "workstations", "name", "building", "equipment"]), inner)
        ),
        max_leaves=10,
    ).map(lambda value: json.dumps(value).encode())
)


@given(files, st.sampled_from([None, *ImportKind]))
def test_any_file_is_rows_or_is_told_what_is_wrong_with_it(content: bytes, kind: ImportKind | None) -> None:
    with suppress(Unreadable):
        assert all(isinstance(row, (Row, BadRow)) for row in csv(content, kind))
    with suppress(Unreadable):
        assert all(isinstance(row, (Row, BadRow)) for row in documents.read(text.blocks([content]), kind))


def test_json_in_another_encoding_is_refused_with_its_line() -> None:
    raw = '[\n{"name": "研发部"}]'.encode("gbk")
    for size in (1, 7, 100):
        cut = (raw[at : at + size] for at in range(0, len(raw), size))
        refused = refusal(lambda cut=cut: list(text.blocks(cut)))
        assert refused.line == 2
        assert "not UTF-8" in refused.faults[0].reason


# --- words -----------------------------------------------------------------------------------------------------------


def test_a_problem_reads_as_a_place_and_a_reason() -> None:
    assert str(Problem("a.csv", 3, "status", "is odd", ImportKind.WORKSTATIONS)) == "a.csv:3: status: is odd"
    assert str(Problem("a.json", 1, "status", "is odd", ImportKind.FLOORS, 4)) == "a.json:1: floors[4].status: is odd"
    assert str(Problem("a.csv", 1, None, "is empty")) == "a.csv:1: is empty"


def test_what_the_database_finds_is_put_into_words() -> None:
    found = [
        ImportFinding(4, 6, "name", Check.REPEATED, ["2", "0"]),
        ImportFinding(4, 6, "floor_number", Check.UNKNOWN, ["floors", "总部A座", "9"]),
        ImportFinding(4, 6, "x_position", Check.NEEDED, []),
    ]
    assert [worded(ImportKind.WORKSTATIONS, one).reason for one in found] == [
        "this workstation is in the file already: line 2, row 1 of workstations",
        "there is no floor '总部A座', '9', neither in the office nor among the good rows of this file",
        "is missing, and there is no such workstation yet: a new one needs it",
    ]
