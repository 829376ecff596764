"""Rows are locked before they are judged, and several of them in the order of their ids: nobody waits in a circle."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import pytest

from graphql_app.domain.arranging import Idempotency, conditional_update
from graphql_app.domain.errors import Conflict, NotFound, VersionConflict
from graphql_app.domain.workstation import Status
from graphql_app.live.feed.hub import Hub
from graphql_app.live.feed.staleness import Staleness
from graphql_app.services.consistency import ConsistencyTokens
from graphql_app.services.cursors import FeedCursors
from graphql_app.services.office.arrange import Arrange
from graphql_app.store import office as queries
from graphql_app.store.postgres.database import Database
from tests.examples import caller

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
SECRET = "a secret of thirty-two characters"
ADMIN = caller("admin")
ANN = UUID(int=1)
OFFICE = f"""
INSERT INTO buildings (name) VALUES ('A');
INSERT INTO floors (building, number) VALUES ('A', 1);
INSERT INTO departments (name) VALUES ('Sales');
INSERT INTO employees (employee_number, name, department_id, public_key) VALUES ('E1', 'Ann', 1, '{ANN}');
INSERT INTO workstations (name, x_position, y_position, building, floor_number, department_id, employee_id)
    SELECT 'A' || n, n, 0, 'A', 1, 1, CASE WHEN n > 1 THEN 1 END FROM generate_series(1, 20) n;
UPDATE workstations SET notes = 'moved to the end of the table' WHERE id = 2;
"""
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.fixture
async def psql(database: Database) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(database.url)
    await connection.execute(OFFICE)
    yield connection
    connection.terminate()


@asynccontextmanager
async def another(database: Database) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(database.url)
    try:
        yield connection
    finally:
        connection.terminate()


async def somebody_waits(psql: Connection) -> None:
    async with asyncio.timeout(60):
        while not await psql.fetchval(WAITING):  # noqa: ASYNC110  # only the database knows
            await asyncio.sleep(0.01)


# --- held before it is judged ----------------------------------------------------------------------------------------

LONG_WAY: Mapping[str, tuple[Callable[[Arrange], Awaitable[object]], str, type[Exception]]] = {
    "a status that it does not allow": (
        lambda arrange: arrange.assign(ADMIN, 1, ANN),
        "UPDATE workstations SET status = 'maintenance' WHERE id = 1",
        Conflict,
    ),
    "another version": (
        lambda arrange: arrange.edit(ADMIN, 1, {"notes": "late"}, 1, Idempotency("k", "request")),
        "UPDATE workstations SET notes = 'early' WHERE id = 1",
        VersionConflict,
    ),
    "another version of what is deleted": (
        lambda arrange: arrange.delete(ADMIN, 1, 1),
        "UPDATE workstations SET notes = 'early' WHERE id = 1",
        VersionConflict,
    ),
    "nothing": (
        lambda arrange: arrange.assign(ADMIN, 1, ANN),
        "DELETE FROM workstations WHERE id = 1",
        NotFound,
    ),
}


@pytest.mark.parametrize("rival", LONG_WAY)
async def test_what_a_rival_leaves_is_what_is_judged_by_the_long_way(
    database: Database, psql: Connection, rival: str
) -> None:
    arrange = Arrange(database, ConsistencyTokens(SECRET, FeedCursors(SECRET), Hub(10), Staleness()))
    change, statement, refusal = LONG_WAY[rival]
    async with another(database) as other:
        transaction = other.transaction()
        await transaction.start()
        await other.execute(statement)
        changing = asyncio.ensure_future(change(arrange))
        await somebody_waits(psql)
        before = await other.fetchrow("SELECT * FROM workstations WHERE id = 1")
        await transaction.commit()
        with pytest.raises(refusal):
            await changing
    assert await psql.fetchrow("SELECT * FROM workstations WHERE id = 1") == before


# --- in the order of their ids ---------------------------------------------------------------------------------------


async def test_a_batch_of_writes_locks_in_the_order_of_ids_and_answers_in_the_order_of_asking(
    database: Database, psql: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked: list[int] = []
    write_each = Database.write_each

    async def noted(self: Database, statement: Any, each: Iterable[tuple[Any, Mapping[str, Any]]]) -> Any:
        locked.extend(values["row_id"] for _, values in each)
        return await write_each(self, statement, each)  # type: ignore[arg-type]  # a list

    monkeypatch.setattr(Database, "write_each", noted)
    guarded = conditional_update({"status": Status.RESERVED})
    assert guarded is not None
    ids = (9, 3, 20, 99, 5)
    written = await queries.update_guarded(database, [queries.Update(ADMIN, one, guarded, None) for one in ids])

    assert locked == sorted(ids)
    assert [one and one[0].id for one in written] == [9, 3, 20, None, 5]


RENAMES = {
    "a department": "UPDATE departments SET name = 'R&D'",
    "an employee": "UPDATE employees SET name = 'Ann King'",
    "a floor": "UPDATE floors SET name = 'first'",
    "a building": "UPDATE buildings SET name = 'B'",
}


@pytest.mark.parametrize("what", RENAMES)
async def test_a_rename_locks_in_the_order_of_ids(database: Database, psql: Connection, what: str) -> None:
    """While it waits for the first of them it holds none of the others."""
    async with another(database) as holder, another(database) as renaming:
        transaction = holder.transaction()
        await transaction.start()
        await holder.execute("SELECT FROM workstations WHERE id = 2 FOR UPDATE")
        renamed = asyncio.create_task(renaming.execute(RENAMES[what]))
        await somebody_waits(psql)
        await psql.execute("SELECT FROM workstations WHERE id > 2 ORDER BY id FOR UPDATE NOWAIT")
        await transaction.rollback()
        await renamed
    assert await psql.fetchval("SELECT count(*) FROM change_log WHERE entity_id = '2' AND entity = 'workstation'") == 3
