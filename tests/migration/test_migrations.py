"""The migrations go up, down and up again, and make exactly the tables that store/schema/tables describes."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import asyncpg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from graphql_app.domain.values import MOMENT_FIRST, MOMENT_LAST
from graphql_app.embedded import Servers
from graphql_app.store.postgres import migrations
from graphql_app.store.postgres.database import Database
from graphql_app.store.schema.tables import metadata
from tests.conftest import with_database


@pytest.fixture
async def empty(servers: Servers) -> AsyncIterator[Database]:
    name = f"empty_{uuid.uuid4().hex}"
    admin = await asyncpg.connect(servers.database_url)
    await admin.execute(f"CREATE DATABASE {name}")
    database = Database(with_database(servers.database_url, name))
    yield database
    await database.close()
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


async def _objects(database: Database) -> list[str]:
    async with database.engine.connect() as connection:
        found = await connection.execute(
            text(
                "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
                " AND relname NOT LIKE 'alembic%' UNION ALL SELECT proname FROM pg_proc p"
                " WHERE pronamespace = 'public'::regnamespace"
                " AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')"
            )
        )
        return sorted(found.scalars())


async def test_up_down_and_up_again(empty: Database) -> None:
    assert await migrations.upgrade(empty.engine) == (None, migrations.newest())
    made = await _objects(empty)
    async with empty.engine.connect() as connection:
        await connection.run_sync(lambda c: command.downgrade(migrations.config(c), "base"))
        await connection.commit()
    assert await _objects(empty) == []
    await migrations.upgrade(empty.engine)
    assert await _objects(empty) == made


async def test_the_tables_in_code_are_the_tables_in_the_database(database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        return list(compare_metadata(context, metadata))

    async with database.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_a_database_of_a_newer_release_is_refused(database: Database) -> None:
    async with database.engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(migrations.MigrationError, match="9999"):
        await migrations.upgrade(database.engine)
    with pytest.raises(migrations.MigrationError, match="9999"):
        await migrations.require_current(database)


async def test_a_database_without_migrations_is_refused_until_it_is_migrated(empty: Database) -> None:
    with pytest.raises(migrations.MigrationError, match="graphql-app migrate"):
        await migrations.require_current(empty)
    await migrations.upgrade(empty.engine)
    await migrations.require_current(empty)


WAITING = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")

BEFORE_VALUES = """
INSERT INTO workstations (name, x_position, y_position, width, created_at, equipment) VALUES
    ('a', 'NaN', 1, 'NaN', 'infinity', repeat('[', 300) || repeat(']', 300)), ('b', 1, 1, 1, now(), '1');
INSERT INTO notifications (title, expires_at) VALUES ('x', 'infinity'), ('y', '20000-01-01'), ('z', NULL);
INSERT INTO accounts (name, password_hash, role, tokens_from) VALUES ('ada', '', 'visitor', '0044-03-15 BC');
"""


async def test_what_was_written_before_values_were_held_is_brought_inside_or_kept(empty: Database) -> None:
    async with empty.engine.begin() as connection:
        await connection.run_sync(lambda c: command.upgrade(migrations.config(c), "0007"))
    async with empty.engine.begin() as connection:
        for statement in BEFORE_VALUES.strip().split(";\n"):
            await connection.exec_driver_sql(statement)

    await migrations.upgrade(empty.engine)

    async with empty.engine.connect() as connection:
        desk = (await connection.execute(text("SELECT * FROM workstations WHERE name = 'a'"))).mappings().one()
        ends = (await connection.execute(text("SELECT expires_at FROM notifications ORDER BY id"))).scalars().all()
        account = (await connection.execute(text("SELECT tokens_from FROM accounts"))).scalar_one()
    assert (desk["x_position"], desk["width"], desk["created_at"]) == (0, 120, MOMENT_LAST)
    assert desk["equipment"] == "[" * 300 + "]" * 300
    assert ends == [MOMENT_LAST, MOMENT_LAST, None]
    assert account == MOMENT_FIRST


@pytest.mark.parametrize(("before", "after"), [("0010", "0011"), ("0011", "0012")])
async def test_indexes_of_what_is_there_are_made_while_others_write(empty: Database, before: str, after: str) -> None:
    async def migrate(to: str) -> None:
        async with empty.engine.connect() as connection:
            await connection.run_sync(lambda c: command.upgrade(migrations.config(c), to))

    await migrate(before)
    async with empty.engine.begin() as connection:
        await connection.exec_driver_sql("INSERT INTO workstations (name, x_position, y_position) VALUES ('a', 1, 1)")
    async with empty.engine.connect() as first, empty.engine.connect() as second:
        await first.exec_driver_sql("UPDATE workstations SET x_position = 2")
        migrating = asyncio.create_task(migrate(after))
        try:
            async with asyncio.timeout(20):
                while not (await second.execute(WAITING)).scalar_one():
                    await second.commit()
                    await asyncio.sleep(0.05)
            await second.commit()
            await second.exec_driver_sql("SET lock_timeout = '1s'")
            await second.exec_driver_sql(
                "INSERT INTO workstations (name, x_position, y_position) VALUES ('b', 1, 1)"
            )  # waits for nobody
            await second.commit()
        finally:
            await first.rollback()
            await second.rollback()
            await migrating
