"""Importing into a real database: what is written, what is left alone, and what is refused as a whole."""

import asyncio
import csv
import json
from collections.abc import Callable, Coroutine
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from graphql_app.domain.access import Scope, View, Viewer
from graphql_app.domain.caller import Caller
from graphql_app.domain.errors import Forbidden, InvalidInput
from graphql_app.domain.importing import ImportKind, ImportOutcome, ImportTally, Report
from graphql_app.services.importing import importing
from graphql_app.services.importing.files import ImportFile, ReadOptions
from graphql_app.services.importing.importing import Importing
from graphql_app.store.postgres.database import Database

OFFICE: dict[str, list[dict[str, Any]]] = {
    # Out of order on purpose: each kind is needed by those that stand before it.
    "workstations": [
        {"building": "总部A座", "floor_number": 3, "name": "A-01", "department": "研发部", "employee_number": "E1",
         "x_position": 10.25, "y_position": 20, "equipment": {"monitors": 2}, "notes": "靠窗"},
        {"building": "总部A座", "floor_number": 3, "name": "A-02", "x_position": 130, "y_position": 20},
    ],
    "employees": [
        {"employee_number": "E1", "name": "王伟", "department": "研发部"},
        {"employee_number": "E2", "name": "Ann", "department": "Sales"},
    ],
    "departments": [{"name": "研发部"}, {"name": "Sales"}],
    "floors": [{"building": "总部A座", "number": 3, "name": "三层"}],
    "buildings": [{"name": "总部A座", "time_zone": "Asia/Shanghai"}],
}  # fmt: skip
HEADER = "building,floor_number,name,x_position,y_position"

Import = Callable[..., Coroutine[Any, Any, Report]]


def caller(*scopes: Scope) -> Caller:
    return Caller(Viewer("importer", (), View(frozenset(scopes)), None, None, 0.0), "request-1")


@pytest.fixture
def bring(database: Database, tmp_path: Path) -> Import:
    """Imports this content: a dict or list as JSON, a text as CSV."""

    async def bring(content: Any, *, kind: str | None = None, dry_run: bool = False, skip_bad: bool = False) -> Report:
        path = tmp_path / ("desks.csv" if isinstance(content, str) else "office.json")
        path.write_text(content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, indent=1))
        return await Importing(database).run(
            caller(Scope.ADMIN), path, kind=kind, dry_run=dry_run, skip_bad=skip_bad, progress=lambda done, total: None
        )

    return bring


@pytest.fixture
async def office(bring: Import) -> None:
    assert (await bring(OFFICE)).outcome is ImportOutcome.WRITTEN


async def rows(database: Database, statement: str) -> list[Any]:
    async with database.reading() as connection:
        return [tuple(row) for row in await connection.fetch(text(statement))]


async def state(database: Database) -> list[Any]:
    """All that an import could touch."""
    tables = ("buildings", "floors", "departments", "employees", "workstations", "change_log")
    return [await rows(database, f"SELECT xmin::text, t::text FROM {table} t ORDER BY 2") for table in tables]


async def desk(database: Database, name: str) -> dict[str, Any]:
    found = await database.row(text("SELECT * FROM workstations WHERE name = :name"), {"name": name})
    assert found is not None
    return dict(found)


# --- what is written -------------------------------------------------------------------------------------------------


async def test_a_whole_office_comes_in_whatever_the_order_of_its_lists(database: Database, bring: Import) -> None:
    report = await bring(OFFICE)
    assert report == Report(
        ImportOutcome.WRITTEN,
        {
            ImportKind.BUILDINGS: ImportTally(added=1),
            ImportKind.FLOORS: ImportTally(added=1),
            ImportKind.DEPARTMENTS: ImportTally(added=2),
            ImportKind.EMPLOYEES: ImportTally(added=2),
            ImportKind.WORKSTATIONS: ImportTally(added=2),
        },
        [],
        0,
    )
    first = await desk(database, "A-01")
    assert (first["x_position"], first["width"], first["status"]) == (Decimal("10.25"), Decimal(120), "occupied")
    assert (first["equipment"], first["notes"]) == ('{"monitors": 2}', "靠窗")
    assert first["labels"]["employee"]["name"] == "王伟"
    assert first["labels"]["floor"] == "三层"
    assert (await desk(database, "A-02"))["status"] == "available"


async def test_what_is_imported_is_logged_with_who_did_it_in_the_order_of_the_file(
    database: Database, bring: Import
) -> None:
    await bring(OFFICE)
    logged = await rows(
        database,
        "SELECT actor, request_id, version, before, after ->> 'name' FROM change_log WHERE entity = 'workstation'"
        " ORDER BY seq",
    )
    assert logged == [("importer", "request-1", 1, None, "A-01"), ("importer", "request-1", 1, None, "A-02")]


@pytest.mark.usefixtures("office")
async def test_running_it_twice_touches_nothing(database: Database, bring: Import) -> None:
    before = await state(database)
    report = await bring(OFFICE)
    assert await state(database) == before
    assert {kind: tally.unchanged for kind, tally in report.kinds.items()} == {
        ImportKind.BUILDINGS: 1,
        ImportKind.FLOORS: 1,
        ImportKind.DEPARTMENTS: 2,
        ImportKind.EMPLOYEES: 2,
        ImportKind.WORKSTATIONS: 2,
    }
    assert all(tally.added == tally.changed == 0 for tally in report.kinds.values())


@pytest.mark.usefixtures("office")
async def test_only_what_differs_is_changed(database: Database, bring: Import) -> None:
    report = await bring(f"{HEADER}\n总部A座,3,A-01,11,20\n总部A座,3,A-02,130,20.00\n")
    assert report.kinds == {ImportKind.WORKSTATIONS: ImportTally(changed=1, unchanged=1)}
    assert [(await desk(database, name))["version"] for name in ("A-01", "A-02")] == [2, 1]


@pytest.mark.usefixtures("office")
async def test_a_missing_column_stays_and_an_empty_cell_clears(database: Database, bring: Import) -> None:
    report = await bring("building,floor_number,name,notes,width\n总部A座,3,A-01,,\n总部A座,3,A-02,门边,99.5\n")
    assert report.kinds == {ImportKind.WORKSTATIONS: ImportTally(changed=2)}
    first, second = await desk(database, "A-01"), await desk(database, "A-02")
    assert (first["notes"], first["width"]) == (None, Decimal(120))
    assert (first["equipment"], first["status"], first["employee_id"]) == ('{"monitors": 2}', "occupied", 1)
    assert (second["notes"], second["width"], second["x_position"]) == ("门边", Decimal("99.5"), Decimal(130))


@pytest.mark.usefixtures("office")
async def test_each_row_of_json_may_give_other_columns(database: Database, bring: Import) -> None:
    place = {"building": "总部A座", "floor_number": 3}
    await bring([{**place, "name": "A-01", "notes": "a"}, {**place, "name": "A-02", "height": 60}], kind="workstations")
    first, second = await desk(database, "A-01"), await desk(database, "A-02")
    assert (first["notes"], first["height"]) == ("a", Decimal(80))
    assert (second["notes"], second["height"]) == (None, Decimal(60))


@pytest.mark.usefixtures("office")
async def test_chinese_columns_and_words_mean_the_same(database: Database, bring: Import) -> None:
    await bring('\ufeff楼栋,楼层,工位,部门,工号,状态,设备\n总部A座,3,A-02,Sales,E2,已预订,"{""显示器"": 1}"\n')
    found = await desk(database, "A-02")
    assert (found["status"], found["equipment"]) == ("reserved", '{"显示器": 1}')
    assert found["labels"]["employee"]["number"] == "E2"


@pytest.mark.usefixtures("office")
async def test_who_frees_a_desk_frees_it_of_its_occupant(database: Database, bring: Import) -> None:
    await bring("building,floor_number,name,status\n总部A座,3,A-01,空闲\n")
    found = await desk(database, "A-01")
    assert (found["status"], found["employee_id"]) == ("available", None)


@pytest.mark.usefixtures("office")
async def test_a_changed_name_reaches_the_desks_that_show_it(database: Database, bring: Import) -> None:
    report = await bring(
        {"employees": [{"employee_number": "E1", "name": "王大伟", "department": "Sales"}],
         "floors": [{"building": "总部A座", "number": 3, "name": "三层 研发"}]}
    )  # fmt: skip
    assert (report.kinds[ImportKind.FLOORS], report.kinds[ImportKind.EMPLOYEES]) == (
        ImportTally(changed=1),
        ImportTally(changed=1),
    )
    labels = (await desk(database, "A-01"))["labels"]
    assert (labels["employee"]["name"], labels["employee"]["department"]["name"]) == ("王大伟", "Sales")
    assert labels["floor"] == "三层 研发"


async def test_more_rows_than_a_batch_and_a_slice(
    database: Database, bring: Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "BATCH_ROWS", 7)
    monkeypatch.setattr(importing, "SLICE_ROWS", 10)
    many = [{**OFFICE["workstations"][1], "name": f"B-{n:02}"} for n in range(53)]
    report = await bring({**OFFICE, "workstations": many})
    assert report.kinds[ImportKind.WORKSTATIONS] == ImportTally(added=53)
    changed = [{**row, "notes": "x"} if n % 2 else row for n, row in enumerate(many)]
    assert (await bring({"workstations": changed})).kinds[ImportKind.WORKSTATIONS] == ImportTally(
        changed=26, unchanged=27
    )
    names = [row[0] for row in await rows(database, "SELECT name FROM workstations ORDER BY id")]
    assert names == [row["name"] for row in many]


async def test_progress_goes_from_the_first_bytes_to_all_of_them(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "SLICE_ROWS", 1)
    path = tmp_path / "office.json"
    path.write_text(json.dumps(OFFICE))
    told: list[tuple[int, int]] = []
    await Importing(database).run(
        caller(Scope.ADMIN), path, kind=None, dry_run=False, skip_bad=False,
        progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    size = path.stat().st_size
    assert {total for _, total in told} == {size}
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1] == (size, size)
    assert len(told) > 8


# --- what is refused -------------------------------------------------------------------------------------------------

BAD = f"""{HEADER},department,employee_number,notes
总部A座,3,B-01,1,1,,,
总部A座,3,B-02,NaN,1,,,"two
lines"
总部A座,9,B-03,1,1,,,
总部A座,3,B-04,1,1,法务部,E9,
总部A座,3,B-01,2,2,,,
总部A座,3,B-05,1,1,研发部,E2,
"""


@pytest.mark.usefixtures("office")
async def test_one_bad_row_refuses_the_file_and_all_bad_rows_are_told(database: Database, bring: Import) -> None:
    before = await state(database)
    report = await bring(BAD)
    assert await state(database) == before
    assert report.outcome is ImportOutcome.REFUSED
    assert report.kinds[ImportKind.WORKSTATIONS].bad == 4
    assert [(p.file, p.line, p.column) for p in report.problems] == [
        ("desks.csv", 3, "x_position"),
        ("desks.csv", 5, "floor_number"),
        ("desks.csv", 6, "department"),
        ("desks.csv", 6, "employee_number"),
        ("desks.csv", 7, "name"),
    ]
    assert [p.reason.split(",")[0] for p in report.problems] == [
        "'NaN' is not a number; write it as 120 or 12.5",
        "there is no floor '总部A座'",
        "there is no department '法务部'",
        "there is no employee 'E9'",
        "this workstation is in the file already: line 2",
    ]


@pytest.mark.usefixtures("office")
async def test_skip_bad_writes_the_good_rows(database: Database, bring: Import) -> None:
    report = await bring(BAD, skip_bad=True)
    assert report.outcome is ImportOutcome.WRITTEN
    assert report.kinds[ImportKind.WORKSTATIONS] == ImportTally(added=2, bad=4)
    assert report.problem_count == 5
    assert (await desk(database, "B-01"))["x_position"] == 1
    assert (await desk(database, "B-05"))["labels"]["employee"]["number"] == "E2"


@pytest.mark.usefixtures("office")
@pytest.mark.parametrize("skip_bad", [False, True])
async def test_a_dry_run_tells_the_same_and_writes_nothing(database: Database, bring: Import, skip_bad: bool) -> None:
    before = await state(database)
    tried = await bring(BAD, dry_run=True, skip_bad=skip_bad)
    assert await state(database) == before
    done = await bring(BAD, skip_bad=skip_bad)
    assert tried.outcome is (ImportOutcome.DRY_RUN if skip_bad else ImportOutcome.REFUSED)
    assert (tried.kinds, tried.problems) == (done.kinds, done.problems)


@pytest.mark.usefixtures("office")
async def test_problems_of_json_name_line_and_place(bring: Import) -> None:
    report = await bring({"employees": [{"employee_number": "E3", "name": "x"}, {"employee_number": "E4", "name": 5,
                                         "department": "?"}]})  # fmt: skip
    assert [str(problem).partition(": there")[0] for problem in report.problems] == [
        "office.json:7: employees[1].department"
    ]


@pytest.mark.usefixtures("office")
async def test_a_new_row_needs_what_has_no_default(bring: Import) -> None:
    report = await bring("building,floor_number,name,status\n总部A座,3,A-01,维护中\n总部A座,3,new,维护中\n")
    assert [(p.line, p.column) for p in report.problems] == [(3, "x_position"), (3, "y_position")]
    assert report.kinds[ImportKind.WORKSTATIONS].bad == 1


@pytest.mark.usefixtures("office")
@pytest.mark.parametrize("content", [f"{HEADER},colour\n", f'{HEADER}\n总部A座,3,B-01,1,1\n总部A座,3,"B-02,1,1\n', ""])
async def test_an_unreadable_file_writes_nothing_even_with_skip_bad(
    database: Database, bring: Import, content: str
) -> None:
    before = await state(database)
    report = await bring(content, skip_bad=True)
    assert await state(database) == before
    assert (report.outcome, report.unreadable, report.problem_count) == (ImportOutcome.REFUSED, True, 1)


AS_PEOPLE_HAVE_IT = {
    "in GBK": ("departments.csv", "部门\n研发部\n".encode("gbk"), "in GB18030"),
    "in UTF-16": ("departments.csv", "部门\n研发部\n".encode("utf-16"), "in UTF-16"),
    "from a spreadsheet": ("buildings.txt", "楼栋名称\t时区\r\n研发楼\tUTC\r\n".encode("utf-16"), "separated by tabs"),
    "with semicolons": ("buildings.csv", b"name;time_zone\nA;UTC\n", "separated by semicolons"),
    "JSON in GBK": ("office.json", '{"buildings": [{"name": "研发楼"}]}'.encode("gbk"), "in GB18030"),
}


@pytest.mark.parametrize("what", AS_PEOPLE_HAVE_IT)
async def test_a_file_is_read_as_people_have_it_and_the_report_says_how(
    database: Database, tmp_path: Path, what: str
) -> None:
    name, content, said = AS_PEOPLE_HAVE_IT[what]
    path = tmp_path / name
    path.write_bytes(content)
    report = await Importing(database).run(
        caller(Scope.ADMIN), path, kind=None, dry_run=False, skip_bad=False, progress=lambda done, total: None
    )
    assert (report.outcome, report.problem_count) == (ImportOutcome.WRITTEN, 0)
    assert report.read_as is not None
    assert said in report.read_as
    assert sum(tally.added for tally in report.kinds.values()) == 1


async def test_an_encoding_that_is_said_is_believed(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "departments.csv"
    path.write_bytes("name\nMüller\n".encode("cp1252"))

    async def read(encoding: str | None) -> Report:
        return await Importing(database).run(
            caller(Scope.ADMIN), path, kind="departments", dry_run=False, skip_bad=False,
            progress=lambda done, total: None, reading=ReadOptions(encoding),
        )  # fmt: skip

    refused = await read(None)
    assert (refused.unreadable, refused.problems[0].line) == (True, 2)
    assert "--encoding" in refused.problems[0].reason
    assert (await read("cp1252")).outcome is ImportOutcome.WRITTEN
    assert await rows(database, "SELECT name FROM departments WHERE name LIKE 'M%'") == [("Müller",)]
    with pytest.raises(InvalidInput, match="no encoding 'klingon'"):
        await read("klingon")


@pytest.mark.usefixtures("office")
async def test_a_dry_run_lists_what_would_be_added_and_changed_and_from_what(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await state(database)
    path = tmp_path / "desks.csv"
    shown = await rows(
        database, "SELECT name, x_position, notes FROM workstations WHERE building = '总部A座' ORDER BY id"
    )
    name, x, notes = shown[0]
    lines = [f"总部A座,3,{name},{x + 1},counted", f"总部A座,3,{name}-b,1,", f"总部A座,3,{name}-c,1,"]
    path.write_text("\n".join(["楼栋,楼层,工位,横坐标,备注,y", *(f"{line},2" for line in lines)]))

    async def listed() -> Report:
        return await Importing(database).run(
            caller(Scope.ADMIN), path, kind=None, dry_run=True, skip_bad=False, lists_differences=True,
            progress=lambda done, total: None,
        )  # fmt: skip

    report = await listed()
    changed, *added = report.differences
    assert await state(database) == before
    assert (changed.line, changed.is_new, changed.key) == (2, False, ("总部A座", 3, name))
    assert changed.changes["横坐标"] == (x, x + 1)
    assert changed.changes["备注"] == (notes, "counted")
    assert f"横坐标 {x.normalize():f} -> {(x + 1).normalize():f}" in str(changed)
    assert [str(one) for one in added] == [
        f"line {line}: new workstation 总部A座, 3, {name}-{mark}" for line, mark in ((3, "b"), (4, "c"))
    ]
    monkeypatch.setattr(importing, "DIFFERENCES_MOST", 2)
    report = await listed()
    assert (len(report.differences), report.difference_count) == (2, 3)


@pytest.mark.usefixtures("office")
async def test_a_department_and_an_occupant_differ_by_their_names(database: Database) -> None:
    content = "building,floor_number,name,department,employee_number,status\n总部A座,3,A-01,Sales,E2,\n".encode()
    source = ImportFile("desks.csv", "csv", BytesIO(content), len(content))
    report = await Importing(database).take(caller(Scope.ADMIN), source, dry_run=True, lists_differences=True)
    (changed,) = report.differences
    assert changed.changes == {"department": ("研发部", "Sales"), "employee_number": ("E1", "E2")}


@pytest.mark.usefixtures("office")
async def test_problems_name_a_column_as_the_file_does(bring: Import) -> None:
    report = await bring("楼栋,楼层,工位,横坐标,纵坐标,部门\n总部A座,3,新,x,1,研发部\n总部A座,3,新二,1,1,没有\n")
    assert [(problem.line, problem.column) for problem in report.problems] == [(2, "横坐标"), (3, "部门")]


@pytest.mark.usefixtures("office")
async def test_problems_are_bounded_and_counted(bring: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "PROBLEMS_MOST", 5)
    lines = [f"总部A座,{'x' if n % 2 else 9},B-{n},1,1" for n in range(40)]
    report = await bring("\n".join([HEADER, *lines]))
    assert report.problem_count == 40
    assert [problem.line for problem in report.problems] == [2, 3, 4, 5, 6]
    assert report.kinds[ImportKind.WORKSTATIONS].bad == 40


async def test_a_bad_row_is_no_row_that_others_may_refer_to(bring: Import) -> None:
    content = {"buildings": [{"name": "A", "time_zone": "Mars"}], "floors": [{"building": "A", "number": 1}]}
    report = await bring(content, skip_bad=True)
    assert report.kinds == {ImportKind.BUILDINGS: ImportTally(bad=1), ImportKind.FLOORS: ImportTally(bad=1)}


async def test_importing_is_for_administrators(database: Database, tmp_path: Path) -> None:
    with pytest.raises(Forbidden):
        await Importing(database).run(
            caller(Scope.WRITE), tmp_path / "x.csv", kind=None, dry_run=True, skip_bad=True,
            progress=lambda done, total: None,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("none.csv", None, "No such file"),
        ("a.ods", None, r"\.csv or \.json or \.xlsx"),
        ("a.csv", "desks", "one of buildings"),
    ],
)
async def test_what_cannot_be_opened_is_refused(
    database: Database, tmp_path: Path, name: str, kind: str | None, reason: str
) -> None:
    (tmp_path / "a.csv").write_text(HEADER)
    with pytest.raises(InvalidInput, match=reason):
        await Importing(database).run(
            caller(Scope.ADMIN), tmp_path / name, kind=kind, dry_run=False, skip_bad=False,
            progress=lambda done, total: None,
        )  # fmt: skip


# --- beside others ---------------------------------------------------------------------------------------------------


async def test_a_connection_is_as_before_after_an_import(database_url: str, tmp_path: Path) -> None:
    database = Database(database_url, pool=1, timeout_seconds=7)
    path = tmp_path / "office.json"
    path.write_text(json.dumps(OFFICE))
    for dry_run in (True, False, False):
        await Importing(database).run(
            caller(Scope.ADMIN), path, kind=None, dry_run=dry_run, skip_bad=False, progress=lambda done, total: None
        )
        assert await rows(database, "SHOW statement_timeout") == [("7s",)]
        assert await rows(database, "SELECT count(*) FROM pg_class WHERE relname LIKE 'import%'") == [(0,)]
    await database.close()


async def test_two_imports_at_once_come_in_one_after_the_other(bring: Import) -> None:
    reports = await asyncio.gather(bring(OFFICE), bring(OFFICE), bring(OFFICE))
    assert sorted(report.kinds[ImportKind.WORKSTATIONS].added for report in reports) == [0, 0, 2]


async def until_somebody_waits(database: Database) -> None:
    async with asyncio.timeout(10):
        while not await rows(database, "SELECT pid FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110  # no event tells
            await asyncio.sleep(0.01)


@pytest.mark.usefixtures("office")
async def test_a_desk_that_somebody_adds_meanwhile_is_changed_instead(
    database: Database, database_url: str, bring: Import
) -> None:
    rival = await asyncpg.connect(database_url)
    async with asyncio.TaskGroup() as group:
        async with rival.transaction():
            await rival.execute(
                "INSERT INTO workstations (building, floor_number, name, x_position, y_position, notes)"
                " VALUES ('总部A座', 3, 'B-01', 5, 5, 'theirs')"
            )
            task = group.create_task(bring(f"{HEADER}\n总部A座,3,B-01,1,1\n"))
            await until_somebody_waits(database)
        await rival.close()
    assert task.result().kinds[ImportKind.WORKSTATIONS] == ImportTally(changed=1)
    found = await desk(database, "B-01")
    assert (found["x_position"], found["notes"], found["version"]) == (1, "theirs", 2)


async def test_a_session_that_changed_one_desk_changes_thousands_as_fast(database_url: str, tmp_path: Path) -> None:
    """PL/pgSQL keeps the plan of a trigger's first run: one made for a single row must not be used for thousands."""
    database = Database(database_url, pool=1)
    path = tmp_path / "office.json"

    async def bring(notes: str, count: int) -> Report:
        desks = [{**OFFICE["workstations"][1], "name": f"D-{n}", "notes": notes} for n in range(count)]
        path.write_text(json.dumps({**OFFICE, "workstations": desks}))
        return await Importing(database).run(
            caller(Scope.ADMIN), path, kind=None, dry_run=False, skip_bad=False, progress=lambda done, total: None
        )

    await bring("first", 5000)
    await bring("one", 1)
    async with asyncio.timeout(6):
        assert (await bring("all", 5000)).kinds[ImportKind.WORKSTATIONS] == ImportTally(changed=5000)
    await database.close()


@pytest.mark.parametrize("count", [10_000, pytest.param(100_000, marks=pytest.mark.conformance)])
async def test_many_workstations_come_in_within_a_minute_and_twice_change_nothing(
    database: Database, bring: Import, tmp_path: Path, count: int
) -> None:
    await bring({**OFFICE, "workstations": []})
    path = tmp_path / "many.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*HEADER.split(","), "equipment"])
        writer.writerows(["总部A座", 3, f"D-{n}", n, n / 4, '{"显示器": 2}'] for n in range(count))
    for expected in (ImportTally(added=count), ImportTally(unchanged=count)):
        async with asyncio.timeout(60):
            report = await Importing(database).run(
                caller(Scope.ADMIN), path, kind=None, dry_run=False, skip_bad=False, progress=lambda done, total: None
            )
        assert report.kinds == {ImportKind.WORKSTATIONS: expected}
    assert await rows(database, "SELECT count(*), max(version) FROM change_log WHERE entity = 'workstation'") == [
        (count, 1)
    ]
