"""Connections to PostgreSQL: one pool, single reads, and one transaction each for reading and writing."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from graphql_app.domain.arranging import Idempotency
from graphql_app.domain.caller import Caller
from graphql_app.domain.urls import advice, without_password, without_secrets
from graphql_app.observe import PoolState, note
from graphql_app.store.postgres.authorship import author_parameters
from graphql_app.store.postgres.direct_reads import DirectReads
from graphql_app.store.postgres.driver import Connection, connected, set_codecs
from graphql_app.store.postgres.engine import PooledEngine, PoolTimes, driver_of, ended
from graphql_app.store.postgres.failures import Trouble, is_lost, translated, trouble_of, unwrapped
from graphql_app.store.postgres.hosts import Hosts
from graphql_app.store.postgres.read_pool import ReadPool
from graphql_app.store.postgres.session import NOTHING, Reader, Session
from graphql_app.store.postgres.statements import Statement, prepared
from graphql_app.store.postgres.transaction import Transaction, begin
from graphql_app.store.postgres.use import PoolUse

OLDEST_VERSION = 16  # `IS JSON` in a constraint

_IS_PRIMARY = prepared(
    text("SELECT NOT pg_is_in_recovery() AND NOT CAST(current_setting('default_transaction_read_only') AS boolean)")
)


class Database(Reader):
    """SQLAlchemy's engine with its pool, and `direct`, a pool of `read_pool` connections past it for the reads that
    most requests wait for; without `read_pool` they take the engine too.

    `is_shown`: it is the one whose use is reported. `silent_seconds`: a connection that has not answered for
    so long is dead, whatever TCP says; without it answers are waited for, as who imports must. `hosts`: those of the
    URL, where several databases of one process share what is known of them."""

    def __init__(
        self,
        url: str,
        *,
        pool: int = 10,
        read_pool: int = 0,
        timeout_seconds: float = 10,
        silent_seconds: float | None = None,
        times: PoolTimes | None = None,
        is_shown: bool = False,
        hosts: Hosts | None = None,
    ) -> None:
        self.url = url
        self.hosts = hosts or Hosts(url)
        self.timeout_seconds = timeout_seconds
        self._silent_seconds = silent_seconds
        self._times = times or PoolTimes(acquire=timeout_seconds, connect=timeout_seconds)
        self._use = PoolUse(pool, _told(pool, "engine") if is_shown else _untold)
        self._engine = PooledEngine(self._pooled, pool, self._times)
        self.hosts.on_leave(self._engine.drop_idle)
        self._read_pool: ReadPool | None = None
        self.direct: Reader = self
        if read_pool:
            told = _told(read_pool, "reads") if is_shown else _untold
            self._read_pool = ReadPool(self._pooled, read_pool, self._times, told, self._met)
            self.hosts.on_leave(self._read_pool.drop_idle)
            self.direct = DirectReads(self._read_pool)

    @property
    def engine(self) -> AsyncEngine:
        """SQLAlchemy's, for Alembic and for who writes statements that return its rows."""
        return self._engine.sqlalchemy

    async def connect(self, **settings: str) -> Connection:
        """A connection outside the pool. Raises what asyncpg raises."""
        most = self._times.connect
        return await self.hosts.dial(
            lambda url, seconds: connected(
                url, self.timeout_seconds, self._silent_seconds, min(seconds or most, most), **settings
            )
        )

    async def fetch(self, statement: Statement, values: Mapping[str, Any] = NOTHING) -> list[asyncpg.Record]:
        """All rows of a statement that only reads: it is tried once more when its connection turns out to be dead.

        Raises Unavailable.
        """
        ready = prepared(statement)
        with translated():
            try:
                return await self._fetch(ready, values)
            except Exception as error:
                if not is_lost(error):
                    raise
            # A restart or a failover ends all connections at once.
            self._engine.drop_idle()
            return await self._fetch(ready, values)

    async def _fetch(self, statement: Statement, values: Mapping[str, Any]) -> list[asyncpg.Record]:
        async with self._connection(self._engine.each_alone) as connection:
            return await Session(connection, is_each_alone=True).fetch(statement, values)

    async def write_each(
        self, statement: Statement, each: Sequence[tuple[Caller, Mapping[str, Any]]]
    ) -> list[asyncpg.Record]:
        """The rows of a statement that writes, for each caller with their values: sent, done and committed as one
        transaction, all or nothing. It must be joined to `hasty_author`. Raises what writing() raises."""
        ready = prepared(statement)
        rows = [ready.arguments({**values, **author_parameters(caller)}) for caller, values in each]
        with translated():
            async with self._connection(self._engine.each_alone) as connection:
                written = await driver_of(connection).fetchmany(ready.text, rows)
        self.hosts.condition.written()
        return written

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Session]:
        """A connection on which every statement stands alone. Raises Unavailable."""
        with translated():
            async with self._connection(self._engine.each_alone) as connection:
                yield Session(connection, is_each_alone=True)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Session]:
        """A connection on which all statements see one and the same state. Raises Unavailable."""
        with translated():
            async with self._transaction(self._engine.snapshots) as session:
                yield session

    @asynccontextmanager
    async def writing(
        self, caller: Caller, key: Idempotency | None = None, *, lock_milliseconds: int | None = None
    ) -> AsyncIterator[Transaction]:
        """One transaction, committed at the end of the block; the log carries who did it and on which request.

        Raises ReadOnly, Unavailable, Conflict, InvalidInput for what a constraint refuses, and Contention when another
        transaction holds what it needs for longer than `lock_milliseconds`.
        """
        with translated():
            async with self._transaction(self.engine) as session:
                yield await begin(session, caller, key, lock_milliseconds)
        self.hosts.condition.written()

    @asynccontextmanager
    async def _transaction(self, engine: AsyncEngine) -> AsyncIterator[Session]:
        async with self._connection(engine) as connection:
            try:
                yield Session(connection)
            except Exception:
                await self._undo(connection)
                raise
            with unwrapped():
                await connection.commit()

    async def _undo(self, connection: AsyncConnection) -> None:
        if connection.invalidated:
            return
        try:
            async with asyncio.timeout(self.timeout_seconds):
                await connection.rollback()
        except (DBAPIError, OSError):
            await ended(connection)

    @asynccontextmanager
    async def _connection(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        """A connection of the pool for this block. Raises what asyncpg raises, and SQLAlchemy's TimeoutError."""
        with self._use.turn() as taken, unwrapped():
            async with engine.connect() as connection:
                taken()
                try:
                    yield connection
                except BaseException as error:
                    await self._interrupted(connection, error)
                    raise

    async def _interrupted(self, connection: AsyncConnection, error: BaseException) -> None:
        """Ends a connection of which, after this error, nobody knows what it would say next."""
        if isinstance(error, asyncio.CancelledError):
            # Not by just hanging up: PostgreSQL notices that only when it has something to say, and goes on till then.
            await connection.invalidate()
            return
        trouble = trouble_of(error)
        is_left = trouble is not None and self._met(trouble)
        if is_left or trouble is Trouble.LOST or not isinstance(error, Exception) or isinstance(error, TimeoutError):
            await ended(connection)
        # The statements that others have prepared are outdated as well.
        if isinstance(error, (TimeoutError, asyncpg.InvalidCachedStatementError)):
            self._engine.drop_idle()

    def met(self, error: BaseException) -> None:
        """For errors of connections outside the pool."""
        trouble = trouble_of(error)
        if trouble is not None:
            self._met(trouble)

    def _met(self, trouble: Trouble) -> bool:
        self.hosts.condition.met(trouble)
        # The session lives on where its server has become read-only; another one may have become the primary.
        return trouble is Trouble.READ_ONLY and self.hosts.leave()

    async def takes_writes(self) -> bool:
        """Whether the server is no standby and not read-only. Raises Unavailable unless it answers."""
        return bool(await self.scalar(_IS_PRIMARY))

    async def is_primary(self, connection: Connection, seconds: float) -> bool:
        """The same, asked on a connection outside the pool. Raises what asyncpg raises, and TimeoutError."""
        return bool(await connection.fetchval(_IS_PRIMARY.text, timeout=seconds))

    async def problem(self) -> str | None:
        """Why the database cannot be used, in one line; None when it can."""
        try:
            connection = await self.connect()
        except (OSError, TimeoutError) as error:
            reason = without_secrets(str(error), self.url) or "no answer in time"
            return f"cannot connect to {without_password(self.url)}: {reason}"
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, ValueError) as error:
            reason = advice(self.url) or without_secrets(str(error).splitlines()[0], self.url)
            return f"{without_password(self.url)}: {reason}"
        try:
            if connection.get_server_version().major < OLDEST_VERSION:
                return f"PostgreSQL {OLDEST_VERSION} or newer is needed"
        finally:
            await connection.close()
        return None

    async def close(self) -> None:
        """Ends the connections that are idle, and those in use when they are given back."""
        await self._engine.close()
        if self._read_pool is not None:
            await self._read_pool.close()

    async def _pooled(self) -> Connection:
        connection = await self.connect()
        await set_codecs(connection)
        return connection


def _told(size: int, pool: Literal["engine", "reads"]) -> Callable[[int], None]:
    return lambda in_use: note(PoolState(in_use, size, pool))


def _untold(_: int) -> None:
    pass
