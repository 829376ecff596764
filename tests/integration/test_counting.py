"""What is counted from the log is what there is: at every moment, whoever counts, and however little."""

import asyncio
from random import Random

import asyncpg
import pytest

from graphql_app.domain.filters import WorkstationFilter
from graphql_app.domain.workstation import Counts, Status
from graphql_app.store import office as queries
from graphql_app.store.log import counting
from graphql_app.store.log import retention as housekeeping
from graphql_app.store.log.numbering import leading
from graphql_app.store.postgres.database import Database

OFFICE = """
INSERT INTO buildings (name) VALUES ('A'), ('B');
INSERT INTO floors (building, number) SELECT b, n FROM unnest(ARRAY['A', 'B']) b, generate_series(1, 3) n;
INSERT INTO departments (name) VALUES ('Sales'), ('Works');
INSERT INTO workstations (name, x_position, y_position, building, floor_number, department_id)
    SELECT 'D-' || n, 0, 0, CASE WHEN n % 5 > 0 THEN 'A' END, CASE WHEN n % 5 > 0 THEN 1 + n % 3 END, nullif(n % 3, 0)
    FROM generate_series(1, 60) n;
"""
CHANGES = [
    "UPDATE workstations SET status = 'occupied' WHERE id = {id}",
    "UPDATE workstations SET status = 'available' WHERE id = {id}",
    "UPDATE workstations SET building = 'B', floor_number = {id} % 3 + 1 WHERE id = {id}",
    "UPDATE workstations SET building = NULL, floor_number = NULL WHERE id % 7 = {id} % 7",
    "UPDATE workstations SET department_id = 1 + {id} % 2 WHERE id = {id}",
    "UPDATE departments SET name = 'Sales {id}' WHERE id = 1",
    "UPDATE buildings SET name = 'A {id}' WHERE name LIKE 'A%'",
    "DELETE FROM workstations WHERE id = {id}",
    "INSERT INTO workstations (name, x_position, y_position) VALUES ('new {id}', 1, 1)",
]
TRUTH = {
    None: "NULL::text",
    "building": "building",
    "floor": "building || ' / ' || floor_number",
    "department": "(SELECT name FROM departments d WHERE d.id = department_id)",
}


async def truth(database: Database, group: str | None) -> list[Counts]:
    statement = (
        f"SELECT {TRUTH[group]} AS key, status, count(*) AS number FROM workstations GROUP BY 1, 2 ORDER BY 1, 2"
    )
    found: dict[str | None, dict[Status, int]] = {}
    async with database.reading() as session:
        for row in await session.driver.fetch(statement):
            found.setdefault(row["key"], dict.fromkeys(Status, 0))[Status(row["status"])] = row["number"]
    return [Counts(key, counts) for key, counts in found.items()]


async def assert_true(database: Database) -> None:
    for group in TRUTH:
        counted = await queries.workstation_counts(database, WorkstationFilter(), group)
        assert sorted(counted, key=str) == sorted(await truth(database, group), key=str)


async def changed(database: Database, random: Random, times: int) -> None:
    async with database.reading() as session:
        for _ in range(times):
            await session.driver.execute(random.choice(CHANGES).format(id=random.randint(1, 60)))


@pytest.fixture
async def filled(database: Database) -> Database:
    async with database.reading() as session:
        await session.driver.execute(OFFICE)
    return database


async def count_all(database: Database) -> None:
    while await counting.count(database):
        pass


async def counted_up_to(database: Database) -> tuple[int, int]:
    """What is counted, and the head."""
    async with database.reading() as session:
        (row,) = await session.driver.fetch("SELECT counted.revision, feed_head.revision FROM counted, feed_head")
    return row[0], row[1]


async def test_figures_are_true_before_a_change_is_numbered_before_it_is_counted_and_afterwards(
    filled: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "AT_ONCE_MOST", 7)
    random = Random(5)
    async with leading(filled) as leader:
        for _ in range(12):
            await changed(filled, random, 6)
            await assert_true(filled)  # some without a revision
            await leader.number(random.choice([3, 1000]))
            await assert_true(filled)
            await counting.count(filled)
            await assert_true(filled)
        while (await leader.number(1000)).changes:
            pass
    await count_all(filled)
    await assert_true(filled)
    counted, head = await counted_up_to(filled)
    assert counted == head > 60
    async with filled.reading() as session:
        before = await session.driver.fetchval("SELECT count(*) FROM workstation_counts WHERE workstations = 0")
        await counting.forget_empty(filled)
        assert (before > 0, await session.driver.fetchval("SELECT min(workstations) FROM workstation_counts")) == (
            True,
            1,
        )
    await assert_true(filled)


async def test_several_who_count_at_once_count_each_change_once(filled: Database) -> None:
    async with leading(filled) as leader:
        await changed(filled, Random(6), 40)
        while (await leader.number(1000)).changes:
            pass

    await asyncio.gather(*(count_all(filled) for _ in range(6)))

    await assert_true(filled)


async def test_nothing_leaves_the_log_before_it_is_counted(filled: Database) -> None:
    async with leading(filled) as leader:
        while (await leader.number(1000)).changes:
            pass

    async with filled.reading() as session:
        assert await housekeeping.prune_log(session, 0, 1000) >= 60

    counted, head = await counted_up_to(filled)
    assert counted == head
    await assert_true(filled)


async def test_what_a_release_that_does_not_count_has_pruned_is_counted_anew(filled: Database) -> None:
    async with leading(filled) as leader:
        while (await leader.number(1000)).changes:
            pass
    await changed(filled, Random(7), 5)
    async with filled.reading() as session:
        await session.driver.execute("DELETE FROM change_log WHERE revision <= 30")
        await session.driver.execute("UPDATE feed_head SET kept_from = 30")

    assert not await counting.count(filled)

    await assert_true(filled)


async def test_writers_do_not_wait_for_who_counts(filled: Database, database_url: str) -> None:
    async with leading(filled) as leader:
        while (await leader.number(1000)).changes:
            pass
    writer = await asyncpg.connect(database_url)
    transaction = writer.transaction()
    await transaction.start()
    await writer.execute("UPDATE workstations SET status = 'reserved' WHERE building = 'A'")

    async with asyncio.timeout(5):
        await count_all(filled)

    await transaction.rollback()
    await writer.close()
    await assert_true(filled)
