"""Revisions: dense, in the order that each thing was written in, and for what is small as soon as may be."""

import random
from collections.abc import AsyncIterator, Iterator
from typing import Any, TypeAlias

import asyncpg
import orjson
import pytest

from graphql_app.domain.change import Head
from graphql_app.domain.workstation import Place
from graphql_app.store.log import outbox
from graphql_app.store.log.numbering import Leader, leading
from graphql_app.store.postgres.database import Database
from graphql_app.store.postgres.migrations import upgrade
from graphql_app.store.postgres.statements import Prepared
from tests.clusters import Cluster, cluster

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
LARGE = 120
OFFICE = f"""
INSERT INTO buildings (name) VALUES ('HQ');
INSERT INTO floors (building, number) VALUES ('HQ', 1), ('HQ', 2);
INSERT INTO workstations (name, x_position, y_position, building, floor_number)
    SELECT 'desk ' || i, 0, 0, 'HQ', 1 + i / {LARGE + 1} FROM generate_series(1, {LARGE + 20}) i;
INSERT INTO accounts (name, password_hash, role) VALUES ('ada', 'x', 'admin');
"""
RENAMED = "UPDATE workstations SET notes = 'all' WHERE floor_number = 1"
ONE = "UPDATE workstations SET notes = 'one' WHERE name = 'desk ' || $1::int"


@pytest.fixture
async def psql(database: Database) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(database.url)
    await connection.execute(OFFICE)
    yield connection
    connection.terminate()


@pytest.fixture
async def leader(database: Database, psql: Connection) -> AsyncIterator[Leader]:
    """One that has numbered the office."""
    async with leading(database) as leader:
        await leader.number(10_000)
        yield leader


async def waiting(psql: Connection) -> list[str]:
    """What has no revision: the names of desks, in the order of writing."""
    rows = await psql.fetch("SELECT after ->> 'name' AS name FROM change_log WHERE revision IS NULL ORDER BY seq")
    return [row["name"] for row in rows]


async def test_a_small_transaction_does_not_stand_behind_a_large_one(leader: Leader, psql: Connection) -> None:
    await psql.execute(RENAMED)
    await psql.execute(ONE, LARGE + 1)
    first = await leader.number(50)

    small = await leader.number_small(50)

    assert (len(first.changes), len(small.changes)) == (50, 1)
    assert (small.previous, small.head.revision) == (first.head.revision, first.head.revision + 1)
    assert (first.below, small.below) == (None, None), "more is waiting"
    assert f"desk {LARGE + 1}" not in await waiting(psql)


async def test_that_all_below_is_done_is_said_only_when_nothing_is_left(leader: Leader, psql: Connection) -> None:
    for number in range(1, 4):
        await psql.execute(ONE, number)
    said = [await leader.number(most) for most in (1, 2, 2, 2)]
    assert [len(one.changes) for one in said] == [1, 2, 0, 0]
    assert [one.below is None for one in said] == [True, True, False, False]


async def head_of(one: Cluster) -> Head:
    """As the next leader finds it."""
    database = Database(one.url)
    try:
        async with leading(database) as leader:
            return leader.head
    finally:
        await database.close()


async def test_a_restore_to_a_point_in_time_turns_the_epoch_and_a_restart_does_not() -> None:
    """The numbers that follow mean something else than those that clients may have had."""
    with cluster(restore_command="false") as one:
        database = Database(one.url)
        await upgrade(database.engine)
        await database.close()
        before = await head_of(one)
        one.stop()
        one.start()
        assert await head_of(one) == before

        one.stop()
        (one.directory / "recovery.signal").touch()  # to the end of what was written
        one.start()
        await one.recovered()
        after = await head_of(one)
        assert after.revision == before.revision
        assert after.epoch != before.epoch


async def test_who_writes_what_the_large_one_wrote_waits_for_it_and_so_do_those_who_wrote_later(
    leader: Leader, psql: Connection
) -> None:
    await psql.execute(RENAMED)
    async with psql.transaction():  # another desk, and one of the many
        await psql.execute(ONE, LARGE + 1)
        await psql.execute(ONE, LARGE)
    await psql.execute("UPDATE workstations SET notes = 'later' WHERE name = $1", f"desk {LARGE + 1}")
    await psql.execute(ONE, LARGE + 2)

    small = await leader.number_small(50)

    assert len(small.changes) == 1
    assert (await waiting(psql))[LARGE:] == [f"desk {LARGE + 1}", f"desk {LARGE}", f"desk {LARGE + 1}"]


@pytest.mark.parametrize(
    "many", ["INSERT INTO employees (employee_number, name) SELECT 'E' || i, 'E' FROM generate_series(1, 60) i"]
)
async def test_nothing_passes_a_change_of_who_people_are(leader: Leader, psql: Connection, many: str) -> None:
    await psql.execute(ONE, 1)
    await psql.execute(many)
    await psql.execute(ONE, 2)

    small = await leader.number_small(50)

    assert len(small.changes) == 1
    assert (await waiting(psql))[-1] == "desk 2"


async def test_a_change_of_who_may_what_passes_desks_and_nothing_says_that_all_is_done(
    leader: Leader, psql: Connection
) -> None:
    await psql.execute(RENAMED)
    await psql.execute("UPDATE accounts SET disabled = true")

    assert len((await leader.number_small(50)).changes) == 1
    assert len(await waiting(psql)) == LARGE
    assert (await leader.number(LARGE + 1)).below is not None


async def test_whatever_is_written_each_thing_keeps_its_order_and_small_transactions_stay_whole(
    leader: Leader, psql: Connection
) -> None:
    chance = random.Random(7)
    for _ in range(60):
        async with psql.transaction():
            if chance.random() < 0.1:
                await psql.execute(RENAMED)
            for _ in range(chance.randint(1, 4)):
                await psql.execute(ONE.replace("'one'", "random()::text"), chance.randint(LARGE - 5, LARGE + 20))
        if chance.random() < 0.5:
            await leader.number(40)
        if chance.random() < 0.7:
            await leader.number_small(20)
    while (await leader.number(1000)).changes:
        pass

    log = await psql.fetch("SELECT revision, transaction_id, entity_id FROM change_log ORDER BY seq")
    by_desk: dict[str, list[int]] = {}
    for row in log:
        by_desk.setdefault(row["entity_id"], []).append(row["revision"])
    assert sorted(row["revision"] for row in log) == list(range(1, len(log) + 1))
    assert all(revisions == sorted(revisions) for revisions in by_desk.values())
    assert len({row["transaction_id"] for row in log}) > 60
    assert [row["revision"] for row in log] != sorted(row["revision"] for row in log), "some passed others"


async def rows_read(psql: Connection, statement: Prepared, **values: object) -> int:
    """As many as any step of the plan looked at, once there are statistics."""
    await psql.execute("ANALYZE")
    explain = f"EXPLAIN (ANALYZE, FORMAT JSON) {statement.text}"
    (plan,) = orjson.loads(await psql.fetchval(explain, *statement.arguments(values)))

    def steps(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield node
        for part in node.get("Plans", ()):
            yield from steps(part)

    return max(
        int((step["Actual Rows"] + step.get("Rows Removed by Filter", 0)) * step["Actual Loops"])
        for step in steps(plan["Plan"])
    )


async def test_how_far_the_log_is_numbered_is_known_without_reading_what_waits(
    leader: Leader, psql: Connection
) -> None:
    for number in range(40):
        await psql.execute("UPDATE workstations SET notes = $1", f"{number}")

    assert await rows_read(psql, outbox._PROGRESS) == 1


async def test_what_waits_of_a_floor_and_what_happened_there_is_found_without_reading_the_rest(
    leader: Leader, psql: Connection
) -> None:
    for number in range(40):
        await psql.execute("UPDATE workstations SET notes = $1 WHERE floor_number = 1", f"{number}")
    await psql.execute(ONE, LARGE + 1)
    await psql.execute("UPDATE workstations SET floor_number = 1 WHERE name = $1", f"desk {LARGE + 1}")
    there = outbox._named([Place("HQ", 2)])

    assert await rows_read(psql, outbox._UNNUMBERED_OF_PLACES, **there) == 2
    since = leader.head.revision
    await leader.number(10_000)
    assert await rows_read(psql, outbox._BETWEEN_OF_PLACE, **there, after=since, last=since + 10_000) == 2
