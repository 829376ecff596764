"""SQLAlchemy's engine over connections that are dialled here: last in, first out, and none used again in doubt."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import event
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry
from sqlalchemy.pool.base import _ConnectionRecord

from graphql_app.store.postgres.driver import Connection, said_goodbye
from graphql_app.store.postgres.idle import IdleConnections

_DIALECT = "graphql_app"


@dataclass(frozen=True, slots=True)
class PoolTimes:
    """How long a connection is waited for, how long making one may take, how long it may lie unused, and how old it
    may become; in seconds."""

    acquire: float = 10
    connect: float = 10
    idle: float = 300
    lifetime: float = 3600


class DialledDialect(PGDialect_asyncpg):
    """SQLAlchemy's own sets codecs of JSON on each connection; ours come with a connection (`driver.set_codecs`)."""

    supports_statement_cache = True

    def on_connect(self) -> None:
        """Returns nothing to be done with a new connection."""


class WakingPool(AsyncAdaptedQueuePool):
    """SQLAlchemy's, but that who waits for a connection is woken when one could not be made.

    There a record is made only with its connection, and where that fails nobody hears of the place that is free again.
    """

    def _create_connection(self) -> ConnectionPoolEntry:
        return _ConnectionRecord(self, connect=False)


# It tells of each pool that ends, by a logger named like the class.
logging.getLogger(f"{__name__}.{WakingPool.__name__}").setLevel(logging.WARNING)
registry.register(f"postgresql.{_DIALECT}", __name__, DialledDialect.__name__)


class PooledEngine:
    """`sqlalchemy` is the engine, and `each_alone` the same pool where every statement is a transaction of its own."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]], size: int, times: PoolTimes) -> None:
        self.sqlalchemy: AsyncEngine = create_async_engine(
            f"postgresql+{_DIALECT}://",
            async_creator=connect,
            poolclass=WakingPool,
            pool_size=size,
            max_overflow=0,
            pool_timeout=times.acquire,
            pool_recycle=times.lifetime,
            pool_use_lifo=True,
            hide_parameters=True,
            # The codec of a connection does it.
            json_serializer=lambda value: value,
        )
        self.each_alone = self.sqlalchemy.execution_options(isolation_level="AUTOCOMMIT")
        self.snapshots = self.sqlalchemy.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._idle = IdleConnections(times.idle)
        self._is_closed = False
        pool = self.sqlalchemy.sync_engine.pool
        event.listen(pool, "checkout", self._taken)
        event.listen(pool, "checkin", self._given)

    def drop_idle(self) -> None:
        """Ends the connections that lie idle: one that lay beside them turned out to be dead."""
        self._idle.drop()

    async def close(self) -> None:
        """Ends what is idle now, and all else when it is given back."""
        self._is_closed = True
        await said_goodbye(self._idle.clear())
        await self.sqlalchemy.dispose()

    def _taken(self, _: Any, record: ConnectionPoolEntry, __: Any) -> None:
        connection = record.driver_connection
        if connection is None or not self._idle.take(connection):
            raise DisconnectionError  # SQLAlchemy's way to ask for another in its place

    def _given(self, dbapi_connection: Any, record: ConnectionPoolEntry) -> None:
        connection = record.driver_connection
        if connection is None:  # it was ended
            return
        if self._is_closed:
            connection.terminate()
        else:
            self._idle.lay(connection)


def driver_of(connection: AsyncConnection) -> Connection:
    """Returns asyncpg's connection beneath SQLAlchemy's, for what only asyncpg can do."""
    assert connection.sync_connection is not None
    driver = connection.sync_connection.connection.driver_connection
    assert driver is not None
    return cast(Connection, driver)


async def ended(connection: AsyncConnection) -> None:
    """Ends a connection at once, without a word to a peer that may be gone."""
    if not connection.invalidated:
        driver_of(connection).terminate()
        await connection.invalidate()
