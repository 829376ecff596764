"""Exporting from a real database: what comes out goes in again and changes nothing, and shows no more than it may."""

import json
import tracemalloc
from collections.abc import Sequence
from io import BytesIO

import pytest
from sqlalchemy import text

from graphql_app.domain.access import ROLES, Scope, View, Viewer
from graphql_app.domain.caller import Caller, by_command
from graphql_app.domain.errors import Forbidden
from graphql_app.domain.exporting import ExportFormat
from graphql_app.domain.importing import ImportKind, ImportOutcome, ImportTally
from graphql_app.services.importing.exporting import Exporting
from graphql_app.services.importing.files import ImportFile
from graphql_app.services.importing.importing import Importing
from graphql_app.services.importing.seeding import seed
from graphql_app.store.office import exporting as statements
from graphql_app.store.postgres.database import Database

HOSTILE = ("=1+1", "'=1+1", "+a", "-1", "@SUM(A1)", "＝1", 'a"b', "a,b;c", "'", "NULL", "sep=;")
EVERYTHING = by_command("export")
# Where their numbers are hidden, employees cannot be told apart, so that no import reads them.
READABLE = [
    (role, kind)
    for role in ("admin", "facilities", "hr", "visitor")
    for kind in ImportKind
    if kind is not ImportKind.EMPLOYEES or Scope.EMPLOYEES in ROLES[role]
]


def of_role(role: str) -> Caller:
    return Caller(Viewer(role, (role,), View(ROLES[role]), None, None, float("inf")))


async def exported(
    database: Database, kinds: Sequence[ImportKind], form: ExportFormat, caller: Caller = EVERYTHING
) -> bytes:
    export = Exporting(database).begin(caller, kinds, form)
    return b"".join([piece async for piece in export.pieces()])


@pytest.fixture
async def hostile_office(database: Database) -> None:
    await seed(database, by_command("seed"))
    rows = [
        {"building": "总部A座", "floor_number": 1, "name": name, "x_position": -1.5, "y_position": 2,
         "notes": f"{name}\t\r\n =", "equipment": json.dumps({"=": name})}
        for name in HOSTILE
    ]  # fmt: skip
    office = {
        "departments": [{"name": name} for name in HOSTILE],
        "employees": [{"employee_number": name, "name": name, "department": name} for name in HOSTILE],
        "workstations": rows,
    }
    content = json.dumps(office).encode()
    source = ImportFile("office.json", "json", BytesIO(content), len(content))
    assert (await Importing(database).take(by_command("import"), source)).outcome is ImportOutcome.WRITTEN


@pytest.mark.usefixtures("hostile_office")
@pytest.mark.parametrize("form", ExportFormat)
@pytest.mark.parametrize(("role", "kind"), READABLE)
async def test_what_comes_out_goes_in_again_and_changes_nothing(
    database: Database, kind: ImportKind, form: ExportFormat, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statements, "PART_ROWS", 7)
    content = await exported(database, [kind], form, of_role(role))
    source = ImportFile(f"office.{form}", form.value, BytesIO(content), len(content))
    report = await Importing(database).take(by_command("import"), source, kind=kind)
    count = await database.scalar(text(f"SELECT count(*) FROM {kind}"))
    assert not report.problems, report.problems[0]
    assert report.kinds == {kind: ImportTally(unchanged=count)}


@pytest.mark.usefixtures("hostile_office")
async def test_all_kinds_of_one_moment_make_the_same_office_elsewhere(database: Database) -> None:
    before = await exported(database, list(ImportKind), ExportFormat.JSON)
    for kind in reversed(ImportKind):
        async with database.writing(by_command("test")) as transaction:
            await transaction.connection.execute(text(f"DELETE FROM {kind}"))
    source = ImportFile("office.json", "json", BytesIO(before), len(before))
    assert (await Importing(database).take(by_command("import"), source)).outcome is ImportOutcome.WRITTEN
    assert await exported(database, list(ImportKind), ExportFormat.JSON) == before


@pytest.mark.usefixtures("hostile_office")
async def test_a_role_is_given_what_it_may_see_and_no_more(database: Database) -> None:
    shown = await exported(database, list(ImportKind), ExportFormat.JSON, of_role("visitor"))
    office = json.loads(shown)
    assert office["employees"][0].keys() == {"name", "department"}
    assert "E0001" not in shown.decode()
    assert not {"x_position", "y_position", "width", "height", "employee_number"} & office["workstations"][0].keys()


@pytest.mark.usefixtures("hostile_office")
async def test_the_order_of_people_does_not_tell_their_numbers(database: Database) -> None:
    shown = await exported(database, [ImportKind.EMPLOYEES], ExportFormat.JSON, of_role("visitor"))
    people = [(one["name"], one["department"]) for one in json.loads(shown)["employees"]]
    rows = await database.fetch(
        text("SELECT e.name, d.name AS department FROM employees e LEFT JOIN departments d ON d.id = e.department_id"
             " ORDER BY 1, 2")
    )  # fmt: skip
    assert people == [(row["name"], row["department"]) for row in rows]


async def test_who_may_not_read_exports_nothing(database: Database) -> None:
    nobody = Caller(Viewer("nobody", (), View(frozenset()), None, None, float("inf")))
    with pytest.raises(Forbidden):
        Exporting(database).begin(nobody, [ImportKind.BUILDINGS], ExportFormat.CSV)


@pytest.mark.usefixtures("hostile_office")
async def test_workstations_on_no_floor_are_left_out_and_counted(database: Database) -> None:
    async with database.writing(by_command("test")) as transaction:
        change = "UPDATE workstations SET building = NULL, floor_number = NULL WHERE name = 'A1-01'"
        await transaction.connection.execute(text(change))
    export = Exporting(database).begin(EVERYTHING, [ImportKind.WORKSTATIONS], ExportFormat.CSV)
    content = b"".join([piece async for piece in export.pieces()])
    assert export.left_out == 1
    assert b"A1-01" not in content


async def test_no_more_is_held_than_a_part_of_the_rows(database: Database) -> None:
    await seed(database, by_command("seed"))
    async with database.writing(by_command("test")) as transaction:
        many = (
            "INSERT INTO departments (name) SELECT repeat('x', 80) || number FROM generate_series(1, 50000) AS number"
        )
        await transaction.connection.execute(text(many))
    export = Exporting(database).begin(EVERYTHING, [ImportKind.DEPARTMENTS], ExportFormat.CSV)
    tracemalloc.start()
    try:
        size = sum([len(piece) async for piece in export.pieces()])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size > 4_000_000
    assert peak < size / 2
