"""The register of the office: buildings, floors, departments and employees, written by its use cases as by SQL."""

import asyncio
from dataclasses import replace
from uuid import UUID

import pytest
from sqlalchemy import text

from graphql_app.domain.access import Scope, View
from graphql_app.domain.arranging import Idempotency
from graphql_app.domain.errors import (
    Conflict,
    Forbidden,
    InUse,
    InvalidInput,
    NameTaken,
    NotFound,
    UnknownCursor,
    VersionConflict,
)
from graphql_app.domain.office import BUILDING, DEPARTMENT, EMPLOYEE, FLOOR, KINDS, OfficeKind, VersionedEmployee
from graphql_app.live.feed.hub import Hub
from graphql_app.live.feed.staleness import Staleness
from graphql_app.services.consistency import ConsistencyTokens
from graphql_app.services.cursors import FeedCursors, PageCursors
from graphql_app.services.listing import Paging
from graphql_app.services.office.directory import Directory
from graphql_app.services.office.register import Key, Register
from graphql_app.store.office import FIELDS
from graphql_app.store.office import register as statements_of
from graphql_app.store.postgres.database import Database
from tests.examples import caller
from tests.graphql_client import ADA_KEY, HQ, WEI_KEY, seed
from tests.statements import statements

SECRET = "a secret of thirty-two characters"
ADMIN = caller("admin").named("zhang.san")._replace(request_id="r-1")
KEYS: dict[str, Key] = {kind.entity: 1 for kind in KINDS} | {EMPLOYEE.entity: WEI_KEY}


@pytest.fixture
async def register(database: Database) -> Register:
    await seed(database)
    return Register(database, ConsistencyTokens(SECRET, FeedCursors(SECRET), Hub(10), Staleness()))


def directory_of(database: Database) -> Directory:
    return Directory(database, PageCursors(SECRET), page_most=500)


async def labels(database: Database) -> list[tuple[str, str, str, int]]:
    rows = await database.fetch(
        text(
            "SELECT building, labels #>> '{department,name}', labels #>> '{employee,number}', version"
            " FROM workstations WHERE id IN (1, 2) ORDER BY id"
        )
    )
    return [tuple(row) for row in rows]


async def test_a_name_that_is_changed_here_is_shown_by_every_workstation_at_once(
    register: Register, database: Database
) -> None:
    await register.edit(ADMIN, BUILDING, 1, {"name": "Tower"})
    await register.edit(ADMIN, DEPARTMENT, 1, {"name": "Science"})
    await register.edit(ADMIN, EMPLOYEE, WEI_KEY, {"employee_number": "E-7"})

    assert await labels(database) == [("Tower", "Science", "E-7", 4), ("Tower", "Science", None, 3)]


async def test_a_change_is_one_that_is_logged_with_its_author(register: Register, database: Database) -> None:
    await database.fetch(text("DELETE FROM change_log RETURNING 1"))

    await register.create(ADMIN, BUILDING, {"name": "Tower", "time_zone": "Asia/Shanghai"})
    await register.edit(ADMIN, FLOOR, 3, {"name": "Cellar"})

    logged = "SELECT entity, entity_id, actor, request_id FROM change_log WHERE entity <> 'workstation' ORDER BY seq"
    assert [tuple(row) for row in await database.fetch(text(logged))] == [
        ("building", "3", "zhang.san", "r-1"),
        ("floor", "3", "zhang.san", "r-1"),
    ]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.entity)
async def test_a_version_grows_with_every_change_and_with_nothing_else(
    register: Register, database: Database, kind: OfficeKind
) -> None:
    key = KEYS[kind.entity]

    async def version() -> int:
        return (await directory_of(database).versions(ADMIN, kind, [key]))[key]

    await register.edit(ADMIN, kind, key, {"name": "Another"})
    await register.edit(ADMIN, kind, key, {"name": "Another"})
    assert await version() == 2
    async with database.reading() as connection:
        table = f"{kind.entity}s"
        await connection.execute(text(f"UPDATE {table} SET name = 'By SQL', version = 70 WHERE name = 'Another'"))

    assert await version() == 3


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.entity)
async def test_of_rivals_who_saw_the_same_version_exactly_one_wins(register: Register, kind: OfficeKind) -> None:
    key = KEYS[kind.entity]
    rivals = [register.edit(ADMIN, kind, key, {"name": f"Rival {n}"}, 1) for n in range(5)]

    done = await asyncio.gather(*rivals, return_exceptions=True)

    refused = [one for one in done if isinstance(one, VersionConflict)]
    assert len(refused) == 4
    assert all(one.current.version == 2 for one in refused)


USED = [
    (BUILDING, 1, {"floors": 2}, "2 floors"),
    (FLOOR, 1, {"workstations": 2}, "2 workstations"),
    (DEPARTMENT, 1, {"employees": 1, "workstations": 2}, "1 employee and 2 workstations"),
    (EMPLOYEE, WEI_KEY, {"workstations": 1, "accounts": 1}, "1 workstation and 1 account"),
]


@pytest.mark.parametrize(("kind", "key", "references", "named"), USED, ids=lambda one: getattr(one, "entity", ""))
async def test_what_still_refers_to_it_is_named_and_counted_and_nothing_is_deleted(
    register: Register, database: Database, kind: OfficeKind, key: Key, references: dict[str, int], named: str
) -> None:
    insert = "INSERT INTO accounts (name, password_hash, role, employee_key) VALUES ('wei', 'x', 'hr', :key)"
    async with database.reading() as connection:
        await connection.execute(text("DELETE FROM accounts"))
        await connection.execute(text(insert), {"key": str(WEI_KEY)})

    with pytest.raises(InUse, match=named) as refused:
        await register.delete(ADMIN, kind, key)

    assert refused.value.data == {"references": references}
    assert refused.value.current.version == 1


async def test_every_foreign_key_that_keeps_a_row_is_counted(database: Database) -> None:
    """What cascades, or is set to null, does not keep it; of accounts it is counted all the same."""
    keeping = await database.fetch(
        text(
            "SELECT DISTINCT confrelid::regclass::text AS kept, conrelid::regclass::text AS by FROM pg_constraint"
            " WHERE contype = 'f' AND confdeltype IN ('a', 'r')"
        )
    )
    tables = {shelf.table.name: set(shelf.references) for shelf in statements_of._SHELVES.values()}
    found = {(row["kept"], row["by"]) for row in keeping if row["kept"] in tables}

    assert ("floors", "workstations") in found
    assert {(kept, by) for kept, by in found if by not in tables[kept]} == set()


async def test_nothing_comes_to_refer_to_what_is_being_deleted(register: Register, database: Database) -> None:
    """The desk is refused, or the floor stays: never a desk on no floor."""

    async def put_up(number: int) -> None:
        async with database.reading() as connection:
            await connection.execute(
                text(
                    "INSERT INTO workstations (name, x_position, y_position, building, floor_number)"
                    f" VALUES ('N', 1, 1, 'Annex', {number})"
                )
            )

    async def race(number: int) -> None:
        floor = await register.create(ADMIN, FLOOR, {"building": "Annex", "number": number})
        await asyncio.gather(put_up(number), register.delete(ADMIN, FLOOR, floor.value.id), return_exceptions=True)

    for number in range(10, 20):
        await race(number)

    lost = "SELECT count(*) FROM workstations w LEFT JOIN floors f ON f.building = w.building"
    assert await database.scalar(text(f"{lost} AND f.number = w.floor_number WHERE w.name = 'N' AND f.id IS NULL")) == 0


async def test_what_nothing_refers_to_is_deleted_with_the_notifications_about_it(
    register: Register, database: Database
) -> None:
    created = await register.create(ADMIN, DEPARTMENT, {"name": "Design"})
    async with database.reading() as connection:
        insert = text("INSERT INTO notifications (title, department_id) VALUES ('Hello', :id)")
        await connection.execute(insert, {"id": created.value.id})

    await register.delete(ADMIN, DEPARTMENT, created.value.id, expected=1)

    with pytest.raises(NotFound):
        await register.delete(ADMIN, DEPARTMENT, created.value.id)
    assert await database.scalar(text("SELECT count(*) FROM notifications")) == 0


BAD = [
    (BUILDING, {"time_zone": "Mars/Olympus"}, "timeZone", "no IANA time zone"),
    (BUILDING, {"time_zone": None}, "timeZone", "no IANA time zone"),
    (BUILDING, {"name": "  "}, "name", "must not be empty"),
    (BUILDING, {"name": "x" * 51}, "name", "at most 50"),
    (FLOOR, {"building": "Nowhere"}, "building", "no such building"),
    (FLOOR, {"number": None}, "number", "must not be empty"),
    (DEPARTMENT, {"name": "a\u200bb"}, "name", "U\\+200B"),
    (DEPARTMENT, {"name": "a\x00b"}, "name", "NUL"),
    (EMPLOYEE, {"department_id": 999}, "departmentId", "no such department"),
    (EMPLOYEE, {"employee_number": ""}, "employeeNumber", "must not be empty"),
]


@pytest.mark.parametrize(("kind", "values", "field", "message"), BAD)
async def test_what_cannot_be_right_is_refused_by_its_field(
    register: Register, kind: OfficeKind, values: dict[str, object], field: str, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message) as refused:
        await register.edit(ADMIN, kind, KEYS[kind.entity], values)

    assert refused.value.field == field


TAKEN = [
    (BUILDING, {"name": "Annex "}),
    (FLOOR, {"number": 2}),
    (DEPARTMENT, {"name": "人事部"}),
    (EMPLOYEE, {"employee_number": " E-1002"}),
]


@pytest.mark.parametrize(("kind", "values"), TAKEN, ids=lambda one: getattr(one, "entity", ""))
async def test_there_are_no_two_of_a_name_or_number(
    register: Register, kind: OfficeKind, values: dict[str, object]
) -> None:
    with pytest.raises(NameTaken):
        await register.edit(ADMIN, kind, KEYS[kind.entity], values)


async def test_however_its_accents_were_typed_a_name_is_one(register: Register) -> None:
    await register.create(ADMIN, BUILDING, {"name": "Cafe\u0301"})

    with pytest.raises(NameTaken):
        await register.create(ADMIN, BUILDING, {"name": "Caf\u00e9"})


async def test_a_key_that_is_used_again_does_nothing_twice_and_is_good_for_one_request_alone(
    register: Register, database: Database
) -> None:
    first = await register.create(ADMIN, FLOOR, {"building": HQ, "number": 7}, Idempotency("k", "a"))
    again = await register.create(ADMIN, FLOOR, {"building": HQ, "number": 7}, Idempotency("k", "a"))

    assert again.value == first.value
    with pytest.raises(Conflict, match="make a new one"):
        await register.create(ADMIN, FLOOR, {"building": HQ, "number": 8}, Idempotency("k", "b"))
    assert await database.scalar(text("SELECT count(*) FROM floors WHERE number IN (7, 8)")) == 1


SEEING = frozenset({Scope.READ, Scope.EMPLOYEES})


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.entity)
async def test_each_kind_is_written_with_its_own_scope_alone(register: Register, kind: OfficeKind) -> None:
    but_one = ADMIN._replace(viewer=replace(ADMIN.viewer, view=View(frozenset(Scope) - {kind.scope})))
    just = ADMIN._replace(viewer=replace(ADMIN.viewer, view=View(SEEING | {kind.scope})))

    for asked in (
        register.create(but_one, kind, {"name": "x"}),
        register.edit(but_one, kind, KEYS[kind.entity], {"name": "x"}),
        register.delete(but_one, kind, KEYS[kind.entity]),
    ):
        with pytest.raises(Forbidden, match=kind.scope):
            await asked
    assert (await register.edit(just, kind, KEYS[kind.entity], {"name": "x"})).value.name == "x"


async def test_who_does_not_see_numbers_neither_writes_nor_guesses_one_nor_is_shown_one(register: Register) -> None:
    blind = ADMIN._replace(viewer=replace(ADMIN.viewer, view=View(frozenset(Scope) - {Scope.EMPLOYEES})))
    new = {"name": "x", "employee_number": "E-1002"}

    for asked in (
        register.create(blind, EMPLOYEE, new),
        register.edit(blind, EMPLOYEE, WEI_KEY, {"employee_number": "E-1001"}),
        register.edit(blind, EMPLOYEE, WEI_KEY, {}, expected=1),
        register.delete(blind, EMPLOYEE, ADA_KEY, expected=1),
    ):
        with pytest.raises(Forbidden, match="employees:read"):
            await asked
    with pytest.raises(InUse) as refused:
        await register.delete(blind, EMPLOYEE, WEI_KEY)
    shown = (await register.edit(blind, EMPLOYEE, WEI_KEY, {"name": "伟"})).value
    for employee in (shown, refused.value.current):
        assert (employee.employee_number, isinstance(employee, VersionedEmployee)) == (None, False)


async def test_rivals_that_rename_all_there_is_and_move_desks_wait_in_no_circle(
    register: Register, database: Database
) -> None:
    """Deadlocks would be seen as such by PostgreSQL, after a second of waiting."""
    before = await database.scalar(text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"))

    async def rename(kind: OfficeKind, turn: int) -> None:
        await register.edit(ADMIN, kind, KEYS[kind.entity], {"name": f"{kind.entity} {turn}"})

    async def move(turn: int) -> None:
        async with database.reading() as connection:
            statement = "UPDATE workstations SET floor_number = 1 + floor_number % 2 WHERE id = 3"
            await connection.execute(text(statement))

    await asyncio.gather(*(rename(kind, turn) for kind in KINDS for turn in range(5)), *map(move, range(5)))

    after = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    assert await database.scalar(text(after)) == before


async def test_what_belongs_to_many_buildings_is_one_statement(register: Register, database: Database) -> None:
    directory = directory_of(database)

    with statements() as sent:
        found = await directory.floors_of_buildings(ADMIN, [HQ, "Annex"])

    assert len(sent) == 1
    assert {name: [floor.number for floor in floors] for name, floors in found.items()} == {HQ: [1, 2], "Annex": [-1]}


async def test_a_level_of_what_belongs_to_departments_or_of_seats_is_one_statement(
    register: Register, database: Database
) -> None:
    directory = directory_of(database)

    with statements() as sent:
        people = await directory.employees_of_departments(ADMIN, [1, 2], Paging(first=5))
    assert len(sent) == 1
    with statements() as sent:
        desks = await directory.workstations_of_departments(ADMIN, [1, 2], Paging(), FIELDS, is_counted=False)
    assert len(sent) == 1
    with statements() as sent:
        found = await directory.seats(ADMIN, [WEI_KEY, ADA_KEY], FIELDS)
    assert len(sent) == 1

    assert {of: [one.name for one in page.nodes] for of, page in people.items()} == {1: ["张伟"], 2: ["Ada Lovelace"]}
    assert {of: [one.name for one in page.nodes] for of, page in desks.items()} == {1: ["A-01", "A-02"], 2: ["C-01"]}
    assert {key: desk.name for key, desk in found.items()} == {WEI_KEY: "A-01"}


@pytest.mark.parametrize("backward", [False, True])
async def test_the_lists_of_a_department_are_paged_with_nobody_lost_and_nobody_twice(
    register: Register, database: Database, backward: bool
) -> None:
    async with database.reading() as connection:
        await connection.execute(
            text(
                "INSERT INTO employees (employee_number, name, department_id)"
                " SELECT 'P' || n, 'Person ' || n % 3, 1 + n % 2 FROM generate_series(1, 20) n"
            )
        )
    directory, met, cursor = directory_of(database), list[object](), None
    while True:
        paging = Paging(last=3, before=cursor) if backward else Paging(first=3, after=cursor)
        page = (await directory.employees_of_departments(ADMIN, [1], paging))[1]
        met += [one.key for one in (reversed(page.nodes) if backward else page.nodes)]
        if not (page.has_previous_page if backward else page.has_next_page):
            break
        cursor = page.start_cursor if backward else page.end_cursor

    assert len(met) == len(set(met)) == 11


async def test_a_cursor_of_one_department_is_refused_by_another(register: Register, database: Database) -> None:
    directory = directory_of(database)
    page = (await directory.employees_of_departments(ADMIN, [1], Paging()))[1]

    with pytest.raises(UnknownCursor):
        await directory.employees_of_departments(ADMIN, [2], Paging(after=page.end_cursor))


async def test_a_stranger_changes_nothing(register: Register) -> None:
    with pytest.raises(NotFound):
        await register.edit(ADMIN, EMPLOYEE, UUID(int=0xFF), {"name": "x"})
