"""Connections to PostgreSQL: one pool, single reads, and one transaction each for reading and writing."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from graphql_app.domain.arranging import Idempotency
from graphql_app.domain.caller import Caller
from graphql_app.domain.urls import advice, without_password, without_secrets
from graphql_app.observe import PoolState, note
from graphql_app.store.postgres.authorship import author_parameters
from graphql_app.store.postgres.connections import Connections
from graphql_app.store.postgres.driver import Connection, connected, set_codecs
from graphql_app.store.postgres.failures import Trouble, is_lost, translated, trouble_of
from graphql_app.store.postgres.hosts import Hosts
from graphql_app.store.postgres.session import NOTHING, Reader, Session
from graphql_app.store.postgres.statements import Statement, prepared
from graphql_app.store.postgres.transaction import Transaction, begin

OLDEST_VERSION = 16  # `IS JSON` in a constraint

_IS_PRIMARY = prepared(
    text("SELECT NOT pg_is_in_recovery() AND NOT CAST(current_setting('default_transaction_read_only') AS boolean)")
)


class Database(Reader):
    """A pool. `is_shown`: it is the one whose use is reported. `silent_seconds`: a connection that has not answered for
    so long is dead, whatever TCP says; without it answers are waited for, as who imports must. `hosts`: those of the
    URL, where several databases of one process share what is known of them."""

    def __init__(
        self,
        url: str,
        *,
        pool: int = 10,
        timeout_seconds: float = 10,
        silent_seconds: float | None = None,
        is_shown: bool = False,
        hosts: Hosts | None = None,
    ) -> None:
        self.url = url
        self.hosts = hosts or Hosts(url)
        self.timeout_seconds = timeout_seconds
        self._silent_seconds = silent_seconds
        self._connections = Connections(
            self._pooled, pool, timeout_seconds, self._note_pool if is_shown else lambda _: None, self._met
        )
        self.hosts.on_leave(self._connections.drop_idle)
        # For migrations: Alembic speaks SQLAlchemy. It keeps no connection.
        self.engine: AsyncEngine = create_async_engine(
            "postgresql+asyncpg://", async_creator=self.connect, poolclass=NullPool, hide_parameters=True
        )

    async def connect(self, **settings: str) -> Connection:
        """A connection outside the pool. Raises what asyncpg raises."""
        return await self.hosts.dial(
            lambda url, seconds: connected(url, self.timeout_seconds, self._silent_seconds, seconds, **settings)
        )

    async def fetch(self, statement: Statement, values: Mapping[str, Any] = NOTHING) -> list[asyncpg.Record]:
        """All rows of a statement that only reads: it is tried once more when its connection turns out to be dead.

        Raises Unavailable.
        """
        ready = prepared(statement)
        arguments = ready.arguments(values)
        with translated():
            try:
                return await self._fetch(ready.text, arguments)
            except Exception as error:
                if not is_lost(error):
                    raise
            # A restart or a failover ends all connections at once.
            self._connections.drop_idle()
            return await self._fetch(ready.text, arguments)

    async def write_each(
        self, statement: Statement, each: Sequence[tuple[Caller, Mapping[str, Any]]]
    ) -> list[asyncpg.Record]:
        """The rows of a statement that writes, for each caller with their values: sent, done and committed as one
        transaction, all or nothing. It must be joined to `hasty_author`. Raises what writing() raises."""
        ready = prepared(statement)
        rows = [ready.arguments({**values, **author_parameters(caller)}) for caller, values in each]
        with translated():
            async with self._connections.one() as connection:
                written = await connection.fetchmany(ready.text, rows)
        self.hosts.condition.written()
        return written

    async def _fetch(self, text: str, arguments: list[Any]) -> list[asyncpg.Record]:
        # Written out, as this is what most requests wait for: Connections.one() costs as much as the rest of it.
        connection = await self._connections.take()
        try:
            return await connection.fetch(text, *arguments)
        except BaseException as error:
            self._connections.interrupted(connection, error)
            raise
        finally:
            self._connections.give(connection)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Session]:
        """A connection on which every statement stands alone. Raises Unavailable."""
        with translated():
            async with self._connections.one() as connection:
                yield Session(connection)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Session]:
        """A connection on which all statements see one and the same state. Raises Unavailable."""
        with translated():
            async with self._transaction("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY") as connection:
                yield connection

    @asynccontextmanager
    async def writing(
        self, caller: Caller, key: Idempotency | None = None, *, lock_milliseconds: int | None = None
    ) -> AsyncIterator[Transaction]:
        """One transaction, committed at the end of the block; the log carries who did it and on which request.

        Raises ReadOnly, Unavailable, Conflict, InvalidInput for what a constraint refuses, and Contention when another
        transaction holds what it needs for longer than `lock_milliseconds`.
        """
        with translated():
            async with self._transaction("BEGIN") as connection:
                yield await begin(connection, caller, key, lock_milliseconds)
        self.hosts.condition.written()

    @asynccontextmanager
    async def _transaction(self, begin: str) -> AsyncIterator[Session]:
        async with self._connections.one() as connection:
            await connection.execute(begin)
            try:
                yield Session(connection)
            except Exception:
                await self._undo(connection)
                raise
            await connection.execute("COMMIT")

    async def _undo(self, connection: Connection) -> None:
        try:
            await connection.execute("ROLLBACK", timeout=self.timeout_seconds)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            connection.terminate()

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
        await self._connections.close()

    async def _pooled(self) -> Connection:
        connection = await self.connect()
        await set_codecs(connection)
        return connection

    def _note_pool(self, in_use: int) -> None:
        note(PoolState(in_use, self._connections.size))
