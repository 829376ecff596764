"""Connections to PostgreSQL: one pool, single reads, and one transaction each for reading and writing."""

import asyncio
import socket
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any

import asyncpg
import orjson
from sqlalchemy import BigInteger, String, Text, bindparam, cast, func, literal_column, select, text, true
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from graphql_app.domain.access import Viewer
from graphql_app.domain.arranging import Idempotency
from graphql_app.domain.errors import Conflict
from graphql_app.observe import PoolState, note
from graphql_app.store.connections import Connection, Connections
from graphql_app.store.failures import is_lost, translated
from graphql_app.store.statements import Statement, prepared

OLDEST_VERSION = 16  # `IS JSON` in a constraint
KEEP_ALIVE = {"idle": 15, "interval": 5, "count": 3}  # seconds, seconds, probes; on both ends

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Reader(ABC):
    """What statements are read through: a Database, each by itself, or a Session, all on one connection."""

    @abstractmethod
    async def fetch(self, statement: Statement, values: Mapping[str, Any] = _NOTHING) -> list[asyncpg.Record]:
        """All rows. A JSON column is its value."""

    async def row(self, statement: Statement, values: Mapping[str, Any] = _NOTHING) -> asyncpg.Record | None:
        """The first row."""
        found = await self.fetch(statement, values)
        return found[0] if found else None

    async def scalar(self, statement: Statement, values: Mapping[str, Any] = _NOTHING) -> Any:
        """The first column of the first row."""
        found = await self.fetch(statement, values)
        return found[0][0] if found else None


class Session(Reader):
    """One connection, for as long as somebody holds it. `driver` is asyncpg's, for what is no statement (COPY)."""

    def __init__(self, driver: Connection) -> None:
        self.driver = driver

    async def fetch(self, statement: Statement, values: Mapping[str, Any] = _NOTHING) -> list[asyncpg.Record]:
        ready = prepared(statement)
        return await self.driver.fetch(ready.text, *ready.arguments(values))

    async def execute(self, statement: Statement, values: Mapping[str, Any] = _NOTHING) -> int:
        """Returns how many rows were touched."""
        ready = prepared(statement)
        status = await self.driver.execute(ready.text, *ready.arguments(values))
        count = status.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0


class Transaction:
    """One transaction of one viewer; `replayed` is the answer kept for its idempotency key, if that was used before."""

    def __init__(self, connection: Session, transaction_id: int, replayed: str | None, key: Idempotency | None) -> None:
        self.connection = connection
        self.id = transaction_id
        self.replayed = replayed
        self._key = key

    async def remember(self, viewer: Viewer, answer: str) -> None:
        """Keeps the answer for a later request with the same idempotency key; does nothing without one."""
        if self._key is not None:
            await self.connection.execute(_REMEMBER, {"actor": viewer.subject, "key": self._key.key, "answer": answer})


class Database(Reader):
    """A pool. `is_shown`: it is the one whose use is reported. `silent_seconds`: a connection that has not answered for
    so long is dead, whatever TCP says; without it answers are waited for, as who imports must."""

    def __init__(
        self,
        url: str,
        *,
        pool: int = 10,
        timeout_seconds: float = 10,
        silent_seconds: float | None = None,
        is_shown: bool = False,
    ) -> None:
        self.url = url
        self.timeout_seconds = timeout_seconds
        self._silent_seconds = silent_seconds
        self._connections = Connections(
            self._pooled, pool, timeout_seconds, self._note_pool if is_shown else lambda _: None
        )
        # For migrations: Alembic speaks SQLAlchemy. It keeps no connection.
        self.engine: AsyncEngine = create_async_engine(
            "postgresql+asyncpg://", async_creator=self.connect, poolclass=NullPool, hide_parameters=True
        )

    async def connect(self, **settings: str) -> Connection:
        """A connection outside the pool; asyncpg reads the URL as libpq does, several hosts and sslmode included."""
        milliseconds = str(int(self.timeout_seconds * 1000))
        connection = await asyncpg.connect(
            self.url,
            timeout=self.timeout_seconds,
            command_timeout=self._silent_seconds,
            server_settings={
                "application_name": "graphql_app",
                "statement_timeout": milliseconds,
                "idle_in_transaction_session_timeout": milliseconds,
                # What PostgreSQL keeps for a process that vanished: two hours and more if left alone.
                **{f"tcp_keepalives_{name}": str(value) for name, value in KEEP_ALIVE.items()},
                "timezone": "UTC",
                # Compiling a short query costs more than running it.
                "jit": "off",
                **settings,
            },
        )
        _keep_alive(connection)
        return connection

    async def fetch(self, statement: Statement, values: Mapping[str, Any] = _NOTHING) -> list[asyncpg.Record]:
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
        self, statement: Statement, each: Sequence[tuple[Viewer, Mapping[str, Any]]]
    ) -> list[asyncpg.Record]:
        """The rows of a statement that writes, for each viewer with their values: sent, done and committed as one
        transaction, all or nothing. It must be joined to `hasty_author`. Raises what writing() raises."""
        ready = prepared(statement)
        rows = [ready.arguments({**values, **_author(viewer)}) for viewer, values in each]
        with translated():
            async with self._connections.one() as connection:
                return await connection.fetchmany(ready.text, rows)

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
    async def writing(self, viewer: Viewer, key: Idempotency | None = None) -> AsyncIterator[Transaction]:
        """One transaction, committed at the end of the block; the log carries who did it and on which request.

        Raises ReadOnly, Unavailable, Conflict, and InvalidInput for what a constraint refuses.
        """
        with translated():
            async with self._transaction("BEGIN") as connection:
                transaction_id = await connection.scalar(_OPEN, _author(viewer))
                replayed = await _claim(connection, viewer, key) if key else None
                yield Transaction(connection, int(transaction_id), replayed, key)

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

    async def ping(self) -> None:
        """Raises Unavailable unless the database answers."""
        await self.fetch(_PING)

    async def problem(self) -> str | None:
        """Why the database cannot be used, in one line; None when it can."""
        try:
            connection = await self.connect()
        except (OSError, TimeoutError) as error:
            return f"cannot connect to {_where(self.url)}: {error or 'no answer in time'}"
        except (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
            return f"{_where(self.url)}: {str(error).splitlines()[0]}"
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
        try:
            await connection.set_type_codec(
                "jsonb", schema="pg_catalog", format="text", encoder=_json, decoder=orjson.loads
            )
        except BaseException:  # who asked may have given up: nobody else knows of it
            connection.terminate()
            raise
        return connection

    def _note_pool(self, in_use: int) -> None:
        note(PoolState(in_use, self._connections.size))


def _keep_alive(connection: Connection) -> None:
    """A connection that lies idle and whose peer is gone ends by itself, before anybody waits for it."""
    transport: asyncio.Transport = connection._transport  # type: ignore[attr-defined]  # asyncpg has no other way
    own = transport.get_extra_info("socket")
    if own.family == socket.AF_UNIX:
        return
    own.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, option in (("idle", "TCP_KEEPIDLE"), ("interval", "TCP_KEEPINTVL"), ("count", "TCP_KEEPCNT")):
        if hasattr(socket, option):  # not everywhere
            own.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), KEEP_ALIVE[name])


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _author(viewer: Viewer) -> dict[str, str]:
    """The parameters of `author`."""
    return {
        "actor": viewer.subject,
        "transport": viewer.transport or "",
        "address": viewer.address or "",
        "request_id": viewer.request_id or "",
    }


def _where(url: str) -> str:
    """The URL without its password."""
    head, at, tail = url.rpartition("@")
    return f"{head.split('://')[0]}://…@{tail}" if at else url


# Who writes, from where and on which request, told to the triggers for the length of one transaction. A statement that
# is joined to it (`author.c.actor.is_not(None)`) tells before it writes, as no row is written before it is joined;
# MATERIALIZED, as what is inlined might be left out.
_TOLD = ("actor", "transport", "address", "request_id")
author = (
    select(*(func.set_config(f"graphql_app.{it}", bindparam(it, type_=String), true()).label(it) for it in _TOLD))
    .cte("author")
    .prefix_with("MATERIALIZED")
)
# The same for who shall not wait long for a row that another transaction holds: others are written together with it.
HASTE = "100ms"
hasty_author = (
    select(
        *(func.set_config(f"graphql_app.{it}", bindparam(it, type_=String), true()).label(it) for it in _TOLD),
        func.set_config("lock_timeout", literal_column(f"'{HASTE}'", String), true()).label("lock_timeout"),
    )
    .cte("author")
    .prefix_with("MATERIALIZED")
)
transaction_id = cast(cast(func.pg_current_xact_id(), Text), BigInteger).label("transaction_id")

_OPEN = prepared(select(transaction_id).select_from(author).where(author.c.actor.is_not(None)))
_PING = prepared(text("SELECT 1"))
_CLAIM = prepared(
    text("INSERT INTO idempotency_keys (actor, key, request) VALUES (:actor, :key, :request) ON CONFLICT DO NOTHING")
)
_USED = prepared(text("SELECT request, answer FROM idempotency_keys WHERE actor = :actor AND key = :key"))
_REMEMBER = prepared(text("UPDATE idempotency_keys SET answer = :answer WHERE actor = :actor AND key = :key"))


async def _claim(connection: Session, viewer: Viewer, key: Idempotency) -> str | None:
    """Takes the key, or returns the answer that it stands for. A rival with the same key is waited for."""
    named = {"actor": viewer.subject, "key": key.key}
    if await connection.execute(_CLAIM, {**named, "request": key.request}) == 1:
        return None
    used = await connection.row(_USED, named)
    assert used is not None, "the rival's transaction, which held the key, has committed"
    if used["request"] != key.request:
        raise Conflict("This idempotency key was used for another request; make a new one.", key=key.key)
    return str(used["answer"])
