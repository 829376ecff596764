"""The reads that most requests wait for, past SQLAlchemy's engine: nothing but asyncpg, on a pool of its own."""

from collections.abc import Mapping
from typing import Any

import asyncpg

from graphql_app.store.postgres.failures import is_lost, translated
from graphql_app.store.postgres.read_pool import ReadPool
from graphql_app.store.postgres.session import NOTHING, Reader
from graphql_app.store.postgres.statements import Statement, prepared


class DirectReads(Reader):
    """Reads single statements."""

    def __init__(self, pool: ReadPool) -> None:
        self._pool = pool

    async def fetch(self, statement: Statement, values: Mapping[str, Any] = NOTHING) -> list[asyncpg.Record]:
        """Returns all rows; tried once more when the connection turns out to be dead. Raises Unavailable."""
        ready = prepared(statement)
        arguments = ready.arguments(values)
        with translated():
            try:
                return await self._fetch(ready.text, arguments)
            except Exception as error:
                if not is_lost(error):
                    raise
            # A restart or a failover ends all connections at once.
            self._pool.drop_idle()
            return await self._fetch(ready.text, arguments)

    async def _fetch(self, text: str, arguments: list[Any]) -> list[asyncpg.Record]:
        connection = await self._pool.take()
        try:
            return await connection.fetch(text, *arguments)
        except BaseException as error:
            self._pool.interrupted(connection, error)
            raise
        finally:
            self._pool.give(connection)
