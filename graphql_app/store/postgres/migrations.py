"""Alembic's migrations, run and checked from code."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from graphql_app.store.postgres.session import Reader

MIGRATION_LOCK = 0x6D69677261746531  # any fixed number that no other program takes
LOCK_SECONDS = 0.1

PACKAGE = Path(__file__).resolve().parents[2]

_AT = text("SELECT version_num FROM alembic_version")


class MigrationError(Exception):
    """The database is at a revision that this release does not know, or not at its own."""


class NewerDatabase(MigrationError):
    """The database is ahead. Migrations add before they remove: processes of this release that run already go on."""


def scripts() -> Path:
    """Where the migrations are: in the installed package, or beside it in a checkout."""
    installed = PACKAGE / "alembic"
    return installed if installed.is_dir() else PACKAGE.parent / "alembic"


def config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(scripts()).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


@cache
def newest() -> str | None:
    return ScriptDirectory.from_config(config()).get_current_head()


def _known(revision: str) -> bool:
    return any(script.revision == revision for script in ScriptDirectory.from_config(config()).walk_revisions())


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _upgrade(connection: Connection) -> tuple[str | None, str | None]:
    before = _current(connection)
    connection.commit()  # each migration is a transaction of its own, or several
    if before is not None and not _known(before):
        raise NewerDatabase(
            f"The database is at migration {before}, which this release does not know: it was made by a newer one. "
            "Install that release, or point DATABASE_URL to another database."
        )
    command.upgrade(config(connection), "head")
    connection.commit()
    return before, _current(connection)


async def upgrade(engine: AsyncEngine) -> tuple[str | None, str | None]:
    """Brings the database to this release's migration. Returns where it was and where it is.

    Raises MigrationError when it is at a migration that this release does not know.
    """
    async with engine.connect() as connection, _alone(connection):
        return await connection.run_sync(_upgrade)


@asynccontextmanager
async def _alone(connection: AsyncConnection) -> AsyncIterator[None]:
    """Of two processes that start at once the second one waits, and finds everything done."""
    # An index may take its time.
    await connection.execute(text("SET statement_timeout = 0"))
    # Asked again and again, as who waits within a statement has a snapshot: an index that is made while others write
    # waits for that to end.
    while not await connection.scalar(text(f"SELECT pg_try_advisory_lock({MIGRATION_LOCK})")):
        await connection.commit()
        await asyncio.sleep(LOCK_SECONDS)
    await connection.commit()
    try:
        yield
    finally:
        await connection.rollback()
        await connection.execute(text(f"SELECT pg_advisory_unlock({MIGRATION_LOCK})"))
        await connection.execute(text("RESET statement_timeout"))
        await connection.commit()


async def require_current(reader: Reader) -> None:
    """Raises MigrationError unless the database is at this release's migration (NewerDatabase when it is beyond), and
    Unavailable."""
    try:
        current = await reader.scalar(_AT)
    except asyncpg.UndefinedTableError:
        current = None
    wanted = newest()
    if current == wanted:
        return
    if current is not None and not _known(current):
        raise NewerDatabase(f"The database is at migration {current}, which this release does not know.")
    raise MigrationError(
        f"The database is at migration {current or 'none'}, this release needs {wanted}: run `graphql-app migrate`."
    )
