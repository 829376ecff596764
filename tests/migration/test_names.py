"""Names that were there before migration 0010: none is lost, none stands in its way; no new one looks like another."""

import re
from typing import Any

import asyncpg
import pytest
from alembic import command
from sqlalchemy import text

from graphql_app.domain.names import UNSEEN
from graphql_app.store.postgres import migrations
from graphql_app.store.postgres.database import Database
from tests.migration.test_migrations import empty

__all__ = ["empty"]  # a fixture

NFC, NFD = "Café", "Cafe\u0301"
BEFORE = f"""
INSERT INTO buildings (name) VALUES ('{NFC}'), ('{NFD}'), ('Cafe\u0301\u200b'), ('Bu\u0308ro'), ('{"x" * 48}e\u0301');
INSERT INTO floors (building, number, name) SELECT name, 1, 'E\u0301tage' FROM buildings;
INSERT INTO departments (name) VALUES ('\u200b'), ('R\u00ad&D'), ('R&D');
INSERT INTO employees (employee_number, name) VALUES ('E-1', 'Jose\u0301'), ('E\u200b-1', 'Jose\u0301');
INSERT INTO workstations (name, building, floor_number, x_position, y_position)
    SELECT desk, building, 1, 1, 1 FROM floors, (VALUES ('{NFC}'), ('{NFD}'), ('A-1')) desks (desk);
INSERT INTO notifications (title, building, floor_number) VALUES ('t', '{NFD}', 1);
INSERT INTO accounts (name, password_hash, role)
    VALUES ('José', 'x', 'admin'), ('jose\u0301', 'x', 'admin'), ('ａｄａ', 'x', 'admin'), ('ada (2)', 'x', 'admin')
"""


async def migrated(database: Database, revision: str) -> None:
    async with database.engine.connect() as connection:
        await connection.run_sync(lambda c: command.upgrade(migrations.config(c), revision))
        await connection.commit()


async def column(database: Database, statement: str) -> list[Any]:
    return [row[0] for row in await database.fetch(text(statement))]


async def test_names_are_mended_and_those_that_meet_another_get_a_number(
    empty: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await migrated(empty, "0007")
    async with empty.engine.begin() as connection:
        for statement in BEFORE.split(";\n"):
            await connection.exec_driver_sql(statement)

    await migrations.upgrade(empty.engine)

    buildings = [NFC, f"{NFC} (2)", f"{NFC} (3)", "Büro", "x" * 48 + "é"]
    assert await column(empty, "SELECT name FROM buildings ORDER BY id") == buildings
    assert await column(empty, "SELECT building FROM floors ORDER BY id") == buildings  # they moved along
    assert set(await column(empty, "SELECT name FROM floors")) == {"Étage"}
    assert await column(empty, "SELECT name FROM departments ORDER BY id") == ["1", "R&D (2)", "R&D"]
    assert await column(empty, "SELECT name || employee_number FROM employees ORDER BY id") == [
        "JoséE-1",
        "JoséE-1 (2)",
    ]
    desks = await column(empty, f"SELECT name FROM workstations WHERE building = '{NFC} (2)' ORDER BY id")
    assert desks == [NFC, f"{NFC} (2)", "A-1"]
    assert await column(empty, "SELECT building FROM notifications") == [f"{NFC} (2)"]
    assert await column(empty, "SELECT name FROM accounts ORDER BY id") == [
        "José",
        "jose (2)".replace("e", "é"),
        "ada",
        "ada (2)",
    ]
    assert f"buildings 2: name is '{NFC} (2)' now, it was 'Cafe\\u0301'" in caplog.text
    logged = await column(empty, "SELECT actor FROM change_log WHERE before->>'name' <> after->>'name'")
    assert set(logged) == {"command:migrate"}


async def test_a_database_of_good_names_is_left_as_it_is(empty: Database, caplog: pytest.LogCaptureFixture) -> None:
    await migrated(empty, "0007")
    async with empty.engine.begin() as connection:
        await connection.exec_driver_sql("INSERT INTO departments (name) VALUES ('研发部'), ('R&D')")

    await migrations.upgrade(empty.engine)

    assert await column(empty, "SELECT count(*) FROM change_log WHERE before IS NOT NULL") == [0]
    assert "alembic.names" not in caplog.text


INSERTS = {
    "buildings": "INSERT INTO buildings (name) VALUES ($1)",
    "departments": "INSERT INTO departments (name) VALUES ($1)",
    "employees": "INSERT INTO employees (employee_number, name) VALUES ('E', $1)",
    "employee numbers": "INSERT INTO employees (employee_number, name) VALUES ($1, 'E')",
    "workstations": "INSERT INTO workstations (name, x_position, y_position) VALUES ($1, 1, 1)",
    "accounts": "INSERT INTO accounts (name, password_hash, role) VALUES ($1, 'x', 'admin')",
}


@pytest.mark.parametrize("what", INSERTS)
async def test_sql_cannot_write_a_name_that_looks_like_another(database: Database, what: str) -> None:
    connection = await asyncpg.connect(database.url)
    for name in (NFD, "A\u200b1", "A\u202e1", "A\ufe0f1", "A\n1", "\U000e0041"):
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute(INSERTS[what], name)
    await connection.execute(INSERTS[what], NFC)
    await connection.close()


async def test_sql_and_python_agree_on_what_nobody_sees(database: Database) -> None:
    connection = await asyncpg.connect(database.url)
    points = [
        *range(1, 0xD800),
        *range(0xE000, 0x10000),
        *range(0x1BC90, 0x1BCB0),
        *range(0x1D160, 0x1D190),
        *range(0xDFFFF, 0xE1010),
    ]
    found = await connection.fetch("SELECT point FROM unnest($1::int[]) point WHERE chr(point) ~ $2", points, UNSEEN)
    await connection.close()

    assert [row["point"] for row in found] == [point for point in points if re.match(UNSEEN, chr(point))]
