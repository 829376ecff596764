"""What statements are read and written through."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType
from typing import Any

import asyncpg

from graphql_app.store.postgres.driver import Connection
from graphql_app.store.postgres.statements import Statement, prepared

NOTHING: Mapping[str, Any] = MappingProxyType({})


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
    """One connection, for as long as somebody holds it. `driver` is asyncpg's, for what is no statement (COPY)."""

    def __init__(self, driver: Connection) -> None:
        self.driver = driver

    async def fetch(self, statement: Statement, values: Mapping[str, Any] = NOTHING) -> list[asyncpg.Record]:
        ready = prepared(statement)
        return await self.driver.fetch(ready.text, *ready.arguments(values))

    async def parts(self, statement: Statement, size: int) -> AsyncIterator[list[asyncpg.Record]]:
        """The rows in lists of at most `size`, so that never more are held. It must be in a transaction."""
        cursor = await self.driver.cursor(prepared(statement).text)
        while part := await cursor.fetch(size):
            yield part

    async def may_idle(self, seconds: int) -> None:
        """For the rest of its transaction it may wait for so long between two statements."""
        await self.driver.execute(f"SET LOCAL idle_in_transaction_session_timeout = {seconds * 1000}")

    async def execute(self, statement: Statement, values: Mapping[str, Any] = NOTHING) -> int:
        """Returns how many rows were touched."""
        ready = prepared(statement)
        status = await self.driver.execute(ready.text, *ready.arguments(values))
        count = status.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0
