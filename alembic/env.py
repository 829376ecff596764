"""Runs the migrations, over the async driver that the server uses."""

import asyncio
from logging.config import fileConfig

from alembic import context
from sqlalchemy import Connection

from graphql_app.settings import read
from graphql_app.store.postgres.database import Database
from graphql_app.store.schema.tables import metadata


def apply(connection: Connection) -> None:
    # One transaction a migration: what makes indexes while others write ends its own.
    context.configure(
        connection=connection, target_metadata=metadata, compare_server_default=True, transaction_per_migration=True
    )
    with context.begin_transaction():
        context.run_migrations()


async def connect(url: str) -> None:
    database = Database(url)
    try:
        async with database.engine.connect() as connection:
            await connection.run_sync(apply)
    finally:
        await database.close()


def by_hand() -> None:
    """`alembic upgrade head` typed by a person: DATABASE_URL, or the embedded PostgreSQL."""
    if context.config.config_file_name is not None:
        fileConfig(context.config.config_file_name, disable_existing_loggers=False)
    settings = read()
    if settings.database_url is not None:
        asyncio.run(connect(settings.database_url))
        return
    from graphql_app.embedded import running

    with running(settings.data) as servers:
        asyncio.run(connect(servers.database_url))


# The command line of the app hands its connection over (store/postgres/migrations.py).
handed_over = context.config.attributes.get("connection")
if handed_over is not None:
    apply(handed_over)
else:
    by_hand()
