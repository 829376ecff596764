"""The triggers: what is written by whomever in whatever way is logged once, exactly, and shows names that are true."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from itertools import pairwise
from typing import Any, TypeAlias

import asyncpg
import orjson
import pytest

from graphql_app.store.log.numbering import CHANNEL

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Connect = Callable[[], Awaitable[Connection]]

OFFICE = """
INSERT INTO buildings (name) VALUES ('总部A座'), ('Riverside'), ('Annex');
INSERT INTO floors (building, number, name) VALUES
    ('总部A座', 3, '三楼'), ('Riverside', 1, ''), ('Riverside', 2, ''), ('Annex', 1, '');
INSERT INTO departments (name) VALUES ('研发'), ('Sales'), ('Legal');
INSERT INTO employees (employee_number, name, department_id) VALUES
    ('E1', '张三', 2), ('E2', '李四', 1), ('E3', 'Ann', 3);
INSERT INTO workstations (name, x_position, y_position, building, floor_number, department_id, employee_id) VALUES
    ('A3-1', 130, 40, '总部A座', 3, 1, 1), ('A3-2', 260, 40, '总部A座', 3, 1, NULL),
    ('A3-3', 390, 40, '总部A座', 3, 2, 2), ('R1-1', 130, 40, 'Riverside', 1, 2, NULL),
    ('R2-1', 130, 40, 'Riverside', 2, NULL, 3),
    ('store', 0, 0, NULL, NULL, NULL, NULL);
"""
# What the labels must be: the names as they are now.
LABELS = """
SELECT w.id, w.labels, jsonb_build_object(
    'floor', f.name,
    'department', CASE WHEN d.id IS NOT NULL THEN jsonb_build_object('id', d.id, 'name', d.name) END,
    'employee', CASE WHEN e.id IS NOT NULL THEN jsonb_build_object('id', e.id, 'key', e.public_key, 'name', e.name,
        'number', e.employee_number, 'department',
        CASE WHEN b.id IS NOT NULL THEN jsonb_build_object('id', b.id, 'name', b.name) END) END) AS names
FROM workstations w LEFT JOIN floors f ON f.building = w.building AND f.number = w.floor_number
LEFT JOIN departments d ON d.id = w.department_id LEFT JOIN employees e ON e.id = w.employee_id
LEFT JOIN departments b ON b.id = e.department_id
"""


@pytest.fixture
async def connect(database_url: str) -> AsyncIterator[Connect]:
    """Opens connections, which close at the end."""
    async with AsyncExitStack() as stack:

        async def connect() -> Connection:
            connection = await asyncpg.connect(database_url)
            stack.callback(connection.terminate)
            await connection.set_type_codec("jsonb", encoder=str, decoder=orjson.loads, schema="pg_catalog")
            return connection

        yield connect


@pytest.fixture
async def psql(connect: Connect) -> Connection:
    """A session of somebody who knows nothing of this program, in an office whose making is forgotten."""
    connection = await connect()
    await connection.execute(OFFICE)
    await connection.execute("DELETE FROM change_log")
    return connection


async def row(psql: Connection, workstation_id: int) -> dict[str, Any] | None:
    image: dict[str, Any] | None = await psql.fetchval(
        "SELECT to_jsonb(w) FROM workstations w WHERE id = $1", workstation_id
    )
    return image


async def logged(psql: Connection, *entities: str) -> list[asyncpg.Record]:
    """What the log says of workstations, unless told of which entities."""
    return await psql.fetch(
        "SELECT * FROM change_log WHERE entity = ANY ($1) ORDER BY seq", list(entities or ("workstation",))
    )


async def labels_differ(psql: Connection) -> list[int]:
    """The workstations that show a name which is not true."""
    return [found["id"] for found in await psql.fetch(LABELS) if found["labels"] != found["names"]]


async def settled(psql: Connection, task: "asyncio.Task[Any]") -> None:
    """Returns when the task is done, or its session waits for a lock that another holds."""
    while not task.done() and not await psql.fetchval(  # noqa: ASYNC110  # the server can only be asked
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    ):
        await asyncio.sleep(0.005)


# --- one workstation -------------------------------------------------------------------------------------------------


async def test_an_insert_logs_the_row_as_it_is(psql: Connection) -> None:
    created = await psql.fetchval(
        "INSERT INTO workstations (name, x_position, y_position, building, floor_number, department_id, equipment)"
        """ VALUES ('A3-9', 1.25, 2, '总部A座', 3, 1, '{"monitors": 2}') RETURNING id"""
    )
    (entry,) = await logged(psql)
    assert (entry["entity"], entry["entity_id"], entry["version"]) == ("workstation", str(created), 1)
    assert (entry["revision"], entry["before"], entry["after"]) == (None, None, await row(psql, created))
    assert entry["after"]["labels"] == {"floor": "三楼", "department": {"id": 1, "name": "研发"}, "employee": None}


async def test_an_update_logs_both_states(psql: Connection) -> None:
    before = await row(psql, 2)
    await psql.execute("UPDATE workstations SET status = 'maintenance', x_position = 7.5 WHERE id = 2")
    (entry,) = await logged(psql)
    assert (entry["before"], entry["after"]) == (before, await row(psql, 2))
    assert (entry["version"], entry["after"]["version"], entry["before"]["version"]) == (2, 2, 1)
    assert (entry["after"]["status"], entry["after"]["x_position"]) == ("maintenance", 7.5)


async def test_a_delete_logs_the_last_state(psql: Connection) -> None:
    before = await row(psql, 2)
    await psql.execute("DELETE FROM workstations WHERE id = 2")
    (entry,) = await logged(psql)
    assert (entry["entity_id"], entry["before"], entry["after"]) == ("2", before, None)


async def test_a_statement_that_changes_many_logs_each_once_by_id(psql: Connection) -> None:
    await psql.execute(
        "UPDATE workstations w SET x_position = o.x FROM (SELECT id, id * 10 AS x FROM workstations ORDER BY id DESC) o"
        " WHERE w.id = o.id"
    )
    assert [entry["entity_id"] for entry in await logged(psql)] == ["1", "2", "3", "4", "5", "6"]


async def test_an_upsert_logs_an_insert_or_an_update(psql: Connection) -> None:
    upsert = (
        "INSERT INTO workstations (name, x_position, y_position, building, floor_number) VALUES"
        " ('R1-1', 5, 5, 'Riverside', 1), ('R1-2', 6, 6, 'Riverside', 1) ON CONFLICT (building, floor_number, name)"
        " DO UPDATE SET x_position = excluded.x_position"
    )
    await psql.execute(upsert)
    entries = await logged(psql)
    assert sorted((e["before"] is None, e["after"]["name"], e["after"]["x_position"]) for e in entries) == [
        (False, "R1-1", 5.0),
        (True, "R1-2", 6.0),
    ]


async def test_what_changes_nothing_is_not_logged_and_keeps_the_version(psql: Connection) -> None:
    before = await row(psql, 1)
    await psql.execute("UPDATE workstations SET status = status, x_position = x_position, version = 99, labels = '[]'")
    await psql.execute("UPDATE departments SET name = name")
    await psql.execute("UPDATE buildings SET time_zone = 'Asia/Shanghai'")
    assert await logged(psql) == []
    assert await row(psql, 1) == before


async def test_updated_at_is_kept_by_the_database(psql: Connection) -> None:
    await psql.execute("UPDATE workstations SET notes = 'x', updated_at = '2001-01-01' WHERE id = 1")
    age = await psql.fetchval(
        "SELECT extract(epoch FROM clock_timestamp() - updated_at) FROM workstations WHERE id = 1"
    )
    assert 0 <= age < 5
    assert await psql.fetchval("SELECT bool_and(updated_at = created_at) FROM workstations WHERE id > 1")


async def test_the_id_of_a_workstation_never_changes(psql: Connection) -> None:
    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="never changes"):
        await psql.execute("UPDATE workstations SET id = 77 WHERE id = 1")


async def test_truncate_is_refused(psql: Connection) -> None:
    for statement in ("TRUNCATE workstations CASCADE", "TRUNCATE departments CASCADE"):
        with pytest.raises(asyncpg.RaiseError, match="would not be logged"):
            await psql.execute(statement)
    assert await psql.fetchval("SELECT count(*) FROM workstations") == 6


# --- transactions ----------------------------------------------------------------------------------------------------


async def test_a_rollback_logs_nothing_and_wakes_nobody(psql: Connection, connect: Connect) -> None:
    heard: list[object] = []
    listener = await connect()
    await listener.add_listener(CHANNEL, lambda *news: heard.append(news))
    transaction = psql.transaction()
    await transaction.start()
    await psql.execute("UPDATE workstations SET status = 'reserved'")
    await transaction.rollback()
    await listener.execute("SELECT 1")
    assert await logged(psql) == []
    assert heard == []


async def test_a_rolled_back_savepoint_leaves_only_what_was_kept(psql: Connection) -> None:
    async with psql.transaction():
        await psql.execute("UPDATE workstations SET notes = 'kept' WHERE id = 1")
        inner = psql.transaction()
        await inner.start()
        await psql.execute("UPDATE workstations SET notes = 'dropped' WHERE id = 1")
        await inner.rollback()
    assert [entry["after"]["notes"] for entry in await logged(psql)] == ["kept"]


async def test_a_transaction_wakes_once_with_an_empty_payload(psql: Connection, connect: Connect) -> None:
    heard: list[str] = []
    listener = await connect()
    await listener.add_listener(CHANNEL, lambda *news: heard.append(str(news[-1])))
    async with psql.transaction():
        for number in range(5):
            await psql.execute("UPDATE workstations SET notes = $1", f"{number}")
        assert await listener.fetchval("SELECT 1") == 1
        assert heard == [], "nothing before the commit"
    await listener.execute("SELECT 1")
    assert heard == [""]
    await psql.execute("UPDATE workstations SET notes = notes")
    await listener.execute("SELECT 1")
    assert heard == [""], "nothing changed, nobody is woken"


async def test_the_changes_of_a_transaction_carry_its_id(psql: Connection) -> None:
    async with psql.transaction():
        receipt = await psql.fetchval("SELECT pg_current_xact_id()::text")
        await psql.execute("UPDATE workstations SET notes = 'a' WHERE id = 1")
        await psql.execute("DELETE FROM workstations WHERE id = 2")
    assert [str(entry["transaction_id"]) for entry in await logged(psql)] == [receipt, receipt]


async def test_the_actor_is_the_database_user_in_psql(psql: Connection) -> None:
    user = await psql.fetchval("SELECT session_user")
    await psql.execute("UPDATE workstations SET notes = 'x' WHERE id = 1")
    (entry,) = await logged(psql)
    assert (entry["actor"], entry["request_id"]) == (f"database:{user}", None)


async def test_the_actor_is_whom_the_transaction_names(psql: Connection) -> None:
    async with psql.transaction():
        await psql.execute("SELECT set_config('graphql_app.actor', 'zhang.san', true)")
        await psql.execute("SELECT set_config('graphql_app.request_id', 'r-1', true)")
        await psql.execute("UPDATE departments SET name = '研究' WHERE id = 1")
    await psql.execute("UPDATE workstations SET notes = 'x' WHERE id = 6")
    entries = await logged(psql)
    assert {(e["actor"], e["request_id"]) for e in entries[:-1]} == {("zhang.san", "r-1")}
    assert (entries[-1]["actor"].startswith("database:"), entries[-1]["request_id"]) == (True, None), "gone with it"


# --- names that are shown --------------------------------------------------------------------------------------------

RENAMES: dict[str, tuple[str, list[int], tuple[str, ...], Any, Any]] = {
    # statement, ids of those that show it, where they show it, old, new
    "department": (
        "UPDATE departments SET name = 'R&D' WHERE id = 1",
        [1, 2],
        ("labels", "department", "name"),
        "研发",
        "R&D",
    ),
    "department of an employee": (
        "UPDATE departments SET name = 'Law' WHERE id = 3",
        [5],
        ("labels", "employee", "department", "name"),
        "Legal",
        "Law",
    ),
    "employee": (
        "UPDATE employees SET name = '张山' WHERE id = 1",
        [1],
        ("labels", "employee", "name"),
        "张三",
        "张山",
    ),
    "employee number": (
        "UPDATE employees SET employee_number = 'E9' WHERE id = 3",
        [5],
        ("labels", "employee", "number"),
        "E3",
        "E9",
    ),
    "employee's department": (
        "UPDATE employees SET department_id = 3 WHERE id = 2",
        [3],
        ("labels", "employee", "department"),
        {"id": 1, "name": "研发"},
        {"id": 3, "name": "Legal"},
    ),
    "employee without a department": (
        "UPDATE employees SET department_id = NULL WHERE id = 2",
        [3],
        ("labels", "employee", "department"),
        {"id": 1, "name": "研发"},
        None,
    ),
    "building": ("UPDATE buildings SET name = '总部B座' WHERE id = 1", [1, 2, 3], ("building",), "总部A座", "总部B座"),
    "floor name": (
        "UPDATE floors SET name = 'third' WHERE building = '总部A座'",
        [1, 2, 3],
        ("labels", "floor"),
        "三楼",
        "third",
    ),
    "floor number": (
        "UPDATE floors SET number = 30 WHERE building = '总部A座'",
        [1, 2, 3],
        ("floor_number",),
        3,
        30,
    ),
}


def at(image: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        image = image[step]
    return image


@pytest.mark.parametrize("renamed", RENAMES)
async def test_a_rename_is_a_change_of_all_that_show_it(psql: Connection, renamed: str) -> None:
    statement, ids, path, old, new = RENAMES[renamed]
    before = {workstation_id: await row(psql, workstation_id) for workstation_id in ids}
    async with psql.transaction():
        receipt = await psql.fetchval("SELECT pg_current_xact_id()::text")
        await psql.execute(statement)
    entries = [entry for entry in await logged(psql) if at(entry["before"], path) == old]
    assert [int(entry["entity_id"]) for entry in entries] == ids
    assert [at(entry["after"], path) for entry in entries] == [new] * len(ids)
    for entry, workstation_id in zip(entries, ids, strict=True):
        assert entry["before"] == before[workstation_id]
        assert entry["after"] == await row(psql, workstation_id)
        assert (entry["version"], str(entry["transaction_id"])) == (2, receipt)
    assert await labels_differ(psql) == []
    assert await psql.fetchval("SELECT count(*) FROM workstations WHERE version <> 1") == len(await logged(psql))


async def test_two_buildings_renamed_in_one_statement(psql: Connection) -> None:
    await psql.execute("UPDATE buildings SET name = name || ' 2' WHERE name IN ('总部A座', 'Riverside')")
    entries = await logged(psql)
    assert [int(entry["entity_id"]) for entry in entries] == [1, 2, 3, 4, 5]
    assert [entry["after"]["building"] for entry in entries] == ["总部A座 2"] * 3 + ["Riverside 2"] * 2
    buildings = await psql.fetch("SELECT DISTINCT building FROM floors")
    assert {building for (building,) in buildings} == {"Annex", "Riverside 2", "总部A座 2"}
    assert await labels_differ(psql) == []


async def test_a_building_takes_the_name_that_another_gives_up(psql: Connection) -> None:
    async with psql.transaction():
        await psql.execute("UPDATE buildings SET name = 'Old Riverside' WHERE name = 'Riverside'")
        await psql.execute("UPDATE buildings SET name = 'Riverside' WHERE name = '总部A座'")
    places = await psql.fetch("SELECT building, count(*) FROM workstations GROUP BY 1")
    assert dict(map(tuple, places)) == {"Old Riverside": 2, "Riverside": 3, None: 1}
    assert await labels_differ(psql) == []


async def test_workstations_move_along_when_a_floor_is_given_to_another_building(psql: Connection) -> None:
    await psql.execute("UPDATE floors SET building = 'Annex' WHERE building = 'Riverside' AND number = 2")
    (entry,) = await logged(psql)
    assert (entry["entity_id"], entry["before"]["building"], entry["after"]["building"]) == ("5", "Riverside", "Annex")


async def test_one_statement_that_renames_and_one_that_writes_both_count(psql: Connection) -> None:
    async with psql.transaction():
        await psql.execute("UPDATE workstations SET notes = 'x' WHERE id = 1")
        await psql.execute("UPDATE departments SET name = 'R&D' WHERE id = 1")
        await psql.execute("UPDATE workstations SET notes = 'y' WHERE id = 1")
    entries = [entry for entry in await logged(psql) if entry["entity_id"] == "1"]
    assert [entry["version"] for entry in entries] == [2, 3, 4]
    for earlier, later in pairwise(entries):
        assert earlier["after"] == later["before"]


# --- what is not a workstation ---------------------------------------------------------------------------------------

# entity: (table, an insert, an update and what it changes, a delete)
OTHERS: dict[str, tuple[str, str, str, tuple[str, Any], str]] = {
    "building": (
        "buildings",
        "INSERT INTO buildings (name) VALUES ('Tower')",
        "UPDATE buildings SET time_zone = 'Asia/Shanghai' WHERE name = 'Tower'",
        ("time_zone", "Asia/Shanghai"),
        "DELETE FROM buildings WHERE name = 'Tower'",
    ),
    "floor": (
        "floors",
        "INSERT INTO floors (building, number) VALUES ('Annex', 9)",
        "UPDATE floors SET name = 'Roof' WHERE number = 9",
        ("name", "Roof"),
        "DELETE FROM floors WHERE number = 9",
    ),
    "department": (
        "departments",
        "INSERT INTO departments (name) VALUES ('财务')",
        "UPDATE departments SET name = 'Finance' WHERE name = '财务'",
        ("name", "Finance"),
        "DELETE FROM departments WHERE name = 'Finance'",
    ),
    "employee": (
        "employees",
        "INSERT INTO employees (employee_number, name, department_id) VALUES ('E9', '王五', 2)",
        "UPDATE employees SET department_id = 3 WHERE employee_number = 'E9'",
        ("department_id", 3),
        "DELETE FROM employees WHERE employee_number = 'E9'",
    ),
}


@pytest.mark.parametrize("entity", OTHERS)
async def test_names_and_places_are_logged_with_both_images(psql: Connection, entity: str) -> None:
    table, insert, update, (column, value), delete = OTHERS[entity]
    made = await psql.fetchrow(f"{insert} RETURNING id, to_jsonb({table}) AS image")
    assert made is not None
    await psql.execute(update)
    await psql.execute(delete)
    changed = {**made["image"], column: value, "version": 2}
    assert [
        (entry["entity"], entry["entity_id"], entry["before"], entry["after"])
        for entry in await logged(psql, *OTHERS, "workstation")
    ] == [
        (entity, str(made["id"]), None, made["image"]),
        (entity, str(made["id"]), made["image"], changed),
        (entity, str(made["id"]), changed, None),
    ]


@pytest.mark.parametrize("entity", OTHERS)
async def test_a_name_or_place_that_keeps_its_values_is_not_logged(psql: Connection, entity: str) -> None:
    table, _, _, (column, _), _ = OTHERS[entity]
    await psql.execute(f"UPDATE {table} SET {column} = {column}")
    assert await logged(psql, *OTHERS, "workstation") == []


async def test_a_rename_logs_the_thing_itself_and_what_moves_with_it(psql: Connection) -> None:
    async with psql.transaction():
        await psql.execute("SELECT set_config('graphql_app.actor', 'zhang.san', true)")
        await psql.execute("UPDATE buildings SET name = '总部B座' WHERE id = 1")
    entries = await logged(psql, *OTHERS, "workstation")
    told = [(e["entity"], e["entity_id"]) for e in entries]
    assert sorted(told) == [("building", "1"), ("floor", "1"), *(("workstation", str(key)) for key in (1, 2, 3))]
    assert {(e["actor"], e["transaction_id"]) for e in entries} == {("zhang.san", entries[0]["transaction_id"])}


async def test_a_name_or_place_that_changes_its_id_ends_and_another_begins(psql: Connection) -> None:
    await psql.execute("INSERT INTO departments (id, name) VALUES (70, '财务')")
    await psql.execute("UPDATE departments SET id = 71 WHERE id = 70")
    entries = [(e["entity_id"], e["before"], e["after"]) for e in await logged(psql, "department")]
    assert entries[1:] == [
        ("70", {"id": 70, "name": "财务", "version": 1}, None),
        ("71", None, {"id": 71, "name": "财务", "version": 2}),
    ]


@pytest.mark.parametrize("table", ["buildings", "floors", "departments", "employees"])
async def test_no_table_that_is_logged_can_be_truncated(psql: Connection, table: str) -> None:
    with pytest.raises((asyncpg.RaiseError, asyncpg.FeatureNotSupportedError)):
        await psql.execute(f"TRUNCATE {table}")
    with pytest.raises(asyncpg.RaiseError, match="would not be logged"):
        await psql.execute(f"TRUNCATE {table} CASCADE")


async def test_many_employees_at_once_are_written_and_changed_fast(psql: Connection) -> None:
    """One INSERT a statement, and no plan of a session's first change, of one row, for those that follow."""
    await psql.execute("UPDATE employees SET name = 'first' WHERE id = 1")
    async with asyncio.timeout(6):
        await psql.execute(
            "INSERT INTO employees (employee_number, name) SELECT 'M' || i, 'new' FROM generate_series(1, 5000) i"
        )
        await psql.execute("UPDATE employees SET name = name || '!' WHERE employee_number LIKE 'M%'")
        await psql.execute("DELETE FROM employees WHERE employee_number LIKE 'M%'")
    assert len(await logged(psql, "employee")) == 15_001


# --- at the same time ------------------------------------------------------------------------------------------------

INSERT_IN_1 = (
    "INSERT INTO workstations (name, x_position, y_position, building, floor_number, department_id, employee_id)"
    " VALUES ('new', 1, 1, '总部A座', 3, 1, 1)"
)
MOVES = {
    "insert": INSERT_IN_1,
    "assign": "UPDATE workstations SET employee_id = 1, department_id = 1 WHERE id = 4",
    "move": "UPDATE workstations SET building = '总部A座', floor_number = 3 WHERE id = 4",
}
NAMES = {
    "department": "UPDATE departments SET name = 'R&D' WHERE id = 1",
    "employee": "UPDATE employees SET name = '张山' WHERE id = 1",
    "employee's department": "UPDATE employees SET department_id = 3 WHERE id = 1",
    "department of the employee": "UPDATE departments SET name = 'Trade' WHERE id = 2",
    "building": "UPDATE buildings SET name = '总部B座' WHERE id = 1",
    "floor": "UPDATE floors SET name = 'third' WHERE building = '总部A座'",
}


@pytest.mark.parametrize("rename_first", [True, False])
@pytest.mark.parametrize("rename", NAMES)
@pytest.mark.parametrize("move", MOVES)
async def test_a_rename_and_whoever_comes_to_show_the_name_never_miss_each_other(
    psql: Connection, connect: Connect, move: str, rename: str, rename_first: bool
) -> None:
    statements = [NAMES[rename], MOVES[move]] if rename_first else [MOVES[move], NAMES[rename]]
    one, other = await connect(), await connect()
    transaction = one.transaction()
    await transaction.start()
    await one.execute(statements[0])
    second = asyncio.create_task(other.execute(statements[1]))
    await settled(psql, second)
    await transaction.commit()
    try:
        await second
    except asyncpg.ForeignKeyViolationError:
        # The building of that name is gone: refused is not stale.
        assert (rename, rename_first) == ("building", True)
    assert await labels_differ(psql) == []


@pytest.mark.parametrize("isolation", ["repeatable_read", "serializable"])
@pytest.mark.parametrize("rename", NAMES)
async def test_a_rename_that_looks_at_an_older_snapshot_misses_nobody(
    psql: Connection, connect: Connect, rename: str, isolation: str
) -> None:
    """It may be refused (a serialisation failure), but it must not leave an old name behind."""
    renaming = await connect()
    transaction = renaming.transaction(isolation=isolation)  # type: ignore[arg-type]  # one of its literals
    await transaction.start()
    await renaming.fetchval("SELECT count(*) FROM workstations")
    await psql.execute(MOVES["assign"])
    await psql.execute(INSERT_IN_1)
    try:
        await renaming.execute(NAMES[rename])
        await transaction.commit()
    except (asyncpg.SerializationError, asyncpg.FeatureNotSupportedError):
        pass
    except asyncpg.ForeignKeyViolationError:
        assert rename == "building"
    assert await labels_differ(psql) == []


@pytest.mark.parametrize("isolation", ["repeatable_read", "serializable"])
@pytest.mark.parametrize("move", MOVES)
async def test_who_looks_at_an_older_snapshot_shows_no_name_that_is_gone(
    psql: Connection, connect: Connect, move: str, isolation: str
) -> None:
    moving = await connect()
    transaction = moving.transaction(isolation=isolation)  # type: ignore[arg-type]  # one of its literals
    await transaction.start()
    await moving.fetchval("SELECT count(*) FROM workstations")
    for rename in NAMES.values():
        await psql.execute(rename)
    try:
        await moving.execute(MOVES[move])
        await transaction.commit()
    except (asyncpg.SerializationError, asyncpg.ForeignKeyViolationError):
        pass
    assert await labels_differ(psql) == []


async def stressed(connect: Connect, *statements: str, times: int = 40) -> list[asyncpg.PostgresError]:
    """Runs each statement so often ($1 counts up) on a connection of its own, all at the same time; what failed."""
    failures: list[asyncpg.PostgresError] = []

    async def repeat(statement: str) -> None:
        connection = await connect()
        await connection.execute("SET deadlock_timeout = '20ms'")
        for number in range(times):
            try:
                await connection.execute(statement, str(number))
            except asyncpg.PostgresError as error:
                failures.append(error)

    await asyncio.gather(*map(repeat, statements))
    return failures


CROWD = """
INSERT INTO workstations (name, x_position, y_position, building, floor_number, department_id, employee_id)
    SELECT 'crowd ' || i, i, i, CASE i % 2 WHEN 0 THEN '总部A座' ELSE 'Riverside' END,
        CASE i % 2 WHEN 0 THEN 3 ELSE 1 END, 1 + i % 3, 1 + (i + 1) % 3
    FROM generate_series(1, 200) i
"""


@pytest.mark.parametrize(
    "statements",
    [
        # Each touches rows of the other, and would in another order without the lock by id.
        (
            "UPDATE departments SET name = 'A' || $1 WHERE id = 1",
            "UPDATE departments SET name = 'B' || $1 WHERE id = 2",
        ),
        ("UPDATE employees SET name = 'A' || $1 WHERE id = 1", "UPDATE employees SET name = 'B' || $1 WHERE id = 2"),
        ("UPDATE floors SET name = 'A' || $1 WHERE id = 1", "UPDATE floors SET name = 'B' || $1 WHERE id = 2"),
        ("UPDATE buildings SET name = 'A' || $1 WHERE id = 1", "UPDATE buildings SET name = 'B' || $1 WHERE id = 2"),
        ("UPDATE departments SET name = 'A' || $1 WHERE id = 1", "UPDATE employees SET name = 'B' || $1 WHERE id = 1"),
        ("UPDATE departments SET name = 'A' || $1 WHERE id = 1", "UPDATE floors SET name = 'B' || $1 WHERE id = 1"),
        ("UPDATE employees SET name = 'A' || $1 WHERE id = 1", "UPDATE floors SET name = 'B' || $1 WHERE id = 1"),
        ("UPDATE buildings SET name = 'A' || $1 WHERE id = 1", "UPDATE departments SET name = 'B' || $1 WHERE id = 1"),
    ],
    ids=[
        "departments",
        "employees",
        "floors",
        "buildings",
        "department-employee",
        "department-floor",
        "employee-floor",
        "building-department",
    ],
)
async def test_two_renames_at_the_same_time_do_not_deadlock(
    psql: Connection, connect: Connect, statements: tuple[str, str]
) -> None:
    await psql.execute(CROWD)
    assert await stressed(connect, *statements) == []
    assert await labels_differ(psql) == []


@pytest.mark.parametrize(
    ("rename", "write"),
    [
        ("UPDATE employees SET name = 'A' || $1 WHERE id = 1", "department_id = 1 + $1::text::int % 3"),
        ("UPDATE departments SET name = 'A' || $1 WHERE id = 1", "employee_id = 1 + $1::text::int % 3"),
        ("UPDATE floors SET name = 'A' || $1 WHERE id = 1", "department_id = 1 + $1::text::int % 3"),
    ],
    ids=["employee", "department", "floor"],
)
async def test_a_write_of_one_row_and_a_rename_of_what_it_shows_leave_no_stale_name(
    psql: Connection, connect: Connect, rename: str, write: str
) -> None:
    """The writer holds the row and waits for the name, the rename the other way round: one of them may be ended."""
    await psql.execute(CROWD)
    failures = await stressed(connect, rename, f"UPDATE workstations SET {write} WHERE id = 1", times=100)
    assert [failure for failure in failures if not isinstance(failure, asyncpg.DeadlockDetectedError)] == []
    assert await labels_differ(psql) == []


async def test_renames_and_writes_at_the_same_time_leave_no_stale_name(psql: Connection, connect: Connect) -> None:
    await psql.execute(CROWD)
    failures = await stressed(
        connect,
        "UPDATE departments SET name = 'A' || $1 WHERE id = 1",
        "UPDATE employees SET name = 'B' || $1 WHERE id = 2",
        "UPDATE floors SET name = 'C' || $1 WHERE id = 1",
        "UPDATE workstations SET notes = $1, department_id = 1 + (id + $1::text::int) % 3"
        " WHERE id % 20 = $1::text::int % 20",
        "UPDATE workstations SET notes = $1, employee_id = 1 + (id + $1::text::int) % 3"
        " WHERE id % 20 = $1::text::int % 20",
    )
    assert [failure for failure in failures if not isinstance(failure, asyncpg.DeadlockDetectedError)] == []
    assert await labels_differ(psql) == []
