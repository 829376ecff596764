"""A floor that is read to be kept in memory is as it was at the head of the log, whatever waits behind it."""

from collections.abc import AsyncIterator
from typing import TypeAlias

import asyncpg
import pytest

from graphql_app.domain.workstation import Place
from graphql_app.store.log.numbering import Leader, leading
from graphql_app.store.office import whole_floor
from graphql_app.store.postgres.database import Database

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
FIRST, SECOND = Place("HQ", 1), Place("HQ", 2)
OFFICE = """
INSERT INTO buildings (name) VALUES ('HQ');
INSERT INTO floors (building, number, name) VALUES ('HQ', 1, 'Lobby'), ('HQ', 2, '');
INSERT INTO workstations (name, x_position, y_position, building, floor_number)
    SELECT 'desk ' || i, 0, 0, 'HQ', 1 FROM generate_series(1, 3) i;
"""


@pytest.fixture
async def psql(database: Database) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(database.url)
    await connection.execute(OFFICE)
    yield connection
    connection.terminate()


@pytest.fixture
async def leader(database: Database, psql: Connection) -> AsyncIterator[Leader]:
    """One that numbers when it is told to."""
    async with leading(database) as leader:
        await leader.number(1000)
        yield leader


async def names(database: Database, place: Place) -> list[str] | None:
    state = await whole_floor.read(database, place)
    return None if state is None else [one.name for one in state.workstations]


async def test_what_is_not_numbered_yet_has_not_happened(database: Database, psql: Connection, leader: Leader) -> None:
    await psql.execute("UPDATE workstations SET name = 'renamed' WHERE id = 1")
    await psql.execute("UPDATE workstations SET floor_number = 2 WHERE id = 2")
    await psql.execute("DELETE FROM workstations WHERE id = 3")
    assert await names(database, FIRST) == ["desk 1", "desk 2", "desk 3"]
    assert await names(database, SECOND) == []

    await leader.number(1000)
    assert await names(database, FIRST) == ["renamed"]
    assert await names(database, SECOND) == ["desk 2"]


async def test_a_floor_is_not_read_while_a_change_of_it_waits(
    database: Database, psql: Connection, leader: Leader
) -> None:
    """Its name would be of a later moment than its workstations."""
    await psql.execute("UPDATE floors SET name = 'Hall' WHERE number = 1")
    assert await whole_floor.read(database, FIRST) is None

    await leader.number(1000)
    state = await whole_floor.read(database, FIRST)
    assert state is not None
    assert (state.floor.name, state.head) == ("Hall", leader.head)
    assert {one.floor_name for one in state.workstations} == {"Hall"}
