"""What statements are read and written through."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType
from typing import Any

import asyncpg
from sqlalchemy import CursorResult, text
from sqlalchemy.ext.asyncio import AsyncConnection

from graphql_app.store.postgres.driver import Connection
from graphql_app.store.postgres.engine import driver_of
from graphql_app.store.postgres.failures import unwrapped
from graphql_app.store.postgres.statements import Statement, prepared

NOTHING: Mapping[str, Any] = MappingProxyType({})
_BEGINS = prepared(text("SELECT 1"))  # with the first statement, SQLAlchemy begins the transaction


class Reader(ABC):
    """What statements are read through: a Database, each by itself, or a Session, all on one connection."""

    @abstractmethod
    async def fetch(self, statement: Statement, values: Mapping[str, Any] = NOTHING) -> list[asyncpg.Record]:
        """All rows. A JSON column is its value."""

    async def row(self, statement: Statement, values: Mapping[str, Any] = NOTHING) -> asyncpg.Record | None:
        """The first row."""
        found = await self.fetch(statement, values)
        return found[0] if found else None

    async def scalar(self, statement: Statement, values: Mapping[str, Any] = NOTHING) -> Any:
        """The first column of the first row."""
        found = await self.fetch(statement, values)
        return found[0][0] if found else None


class Session(Reader):
    """One connection, for as long as somebody holds it. `is_each_alone`: each statement is a transaction of its own."""

    def __init__(self, connection: AsyncConnection, *, is_each_alone: bool = False) -> None:
        self._connection = connection
        self._is_each_alone = is_each_alone

    @property
    def driver(self) -> Connection:
        """asyncpg's own connection, for what is no statement (COPY)."""
        return driver_of(self._connection)

    async def fetch(self, statement: Statement, values: Mapping[str, Any] = NOTHING) -> list[asyncpg.Record]:
        result = await self._run(statement, values)
        # asyncpg's rows as they are, by name and by place: SQLAlchemy's would be made of each a second time.
        return list(result.cursor.fetchall()) if result.returns_rows and result.cursor is not None else []

    async def parts(self, statement: Statement, size: int) -> AsyncIterator[list[asyncpg.Record]]:
        """Yields the rows in lists of at most `size`, so that never more are held. It must be in a transaction."""
        await self.fetch(_BEGINS)
        cursor = await self.driver.cursor(prepared(statement).text)
        while part := await cursor.fetch(size):
            yield part

    async def execute(self, statement: Statement, values: Mapping[str, Any] = NOTHING) -> int:
        """Returns how many rows were touched."""
        return max((await self._run(statement, values)).rowcount, 0)

    async def may_idle(self, seconds: int) -> None:
        """For the rest of its transaction it may wait for so long between two statements."""
        await self.execute(text(f"SET LOCAL idle_in_transaction_session_timeout = {seconds * 1000}"))

    async def _run(self, statement: Statement, values: Mapping[str, Any]) -> CursorResult[Any]:
        ready = prepared(statement)
        arguments = tuple(ready.arguments(values))
        try:
            return await self._sent(ready.text, arguments)
        except asyncpg.InvalidCachedStatementError:
            # Nothing was done, and SQLAlchemy prepares it anew; a transaction has failed as a whole.
            if not self._is_each_alone:
                raise
        return await self._sent(ready.text, arguments)

    async def _sent(self, statement: str, arguments: tuple[Any, ...]) -> CursorResult[Any]:
        with unwrapped():
            return await self._connection.exec_driver_sql(statement, arguments)
