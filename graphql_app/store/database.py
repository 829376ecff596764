"""Connections to PostgreSQL: pools, and one transaction each for reading and writing."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import orjson
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import Pool

from graphql_app.domain.access import Viewer
from graphql_app.domain.arranging import Idempotency
from graphql_app.domain.errors import Conflict, Contention, InvalidInput, NameTaken, ReadOnly, Refusal, Unavailable
from graphql_app.observe import PoolState, note

OLDEST_VERSION = 16  # `IS JSON` in a constraint


class Transaction:
    """One transaction of one viewer; `replayed` is the answer kept for its idempotency key, if that was used before."""

    def __init__(
        self, connection: AsyncConnection, transaction_id: int, replayed: str | None, key: Idempotency | None
    ) -> None:
        self.connection = connection
        self.id = transaction_id
        self.replayed = replayed
        self._key = key

    async def remember(self, viewer: Viewer, answer: str) -> None:
        """Keeps the answer for a later request with the same idempotency key; does nothing without one."""
        if self._key is not None:
            await self.connection.execute(_REMEMBER, {"actor": viewer.subject, "key": self._key.key, "answer": answer})


class Database:
    """A pool. `is_shown`: it is the one whose use is reported."""

    def __init__(
        self,
        url: str,
        *,
        pool: int = 10,
        timeout_seconds: float = 10,
        is_shown: bool = False,
    ) -> None:
        self.url = url
        self.timeout_seconds = timeout_seconds
        self.engine: AsyncEngine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=self.connect,
            pool_size=pool,
            max_overflow=0,
            pool_timeout=timeout_seconds,
            json_deserializer=orjson.loads,
            # What somebody wrote, or where they sit, has no place in a log.
            hide_parameters=True,
        )
        for moment in ("checkout", "checkin") if is_shown else ():
            event.listen(self.engine.sync_engine, moment, self._note_pool)
        self._autocommit = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self._snapshot = self.engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    async def connect(self, **settings: str) -> "asyncpg.Connection[asyncpg.Record]":
        """A connection outside the pool; asyncpg reads the URL as libpq does, several hosts and sslmode included."""
        milliseconds = str(int(self.timeout_seconds * 1000))
        return await asyncpg.connect(
            self.url,
            timeout=self.timeout_seconds,
            server_settings={
                "application_name": "graphql_app",
                "statement_timeout": milliseconds,
                "idle_in_transaction_session_timeout": milliseconds,
                "timezone": "UTC",
                # Compiling a short query costs more than running it.
                "jit": "off",
                **settings,
            },
        )

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection on which every statement stands alone. Raises Unavailable."""
        with translated():
            async with self._autocommit.connect() as connection:
                yield connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """A connection on which all statements see one and the same state. Raises Unavailable."""
        with translated():
            async with self._snapshot.connect() as connection:
                yield connection

    @asynccontextmanager
    async def writing(self, viewer: Viewer, key: Idempotency | None = None) -> AsyncIterator[Transaction]:
        """One transaction, committed at the end of the block; the log carries who did it and on which request.

        Raises ReadOnly, Unavailable, Conflict, and InvalidInput for what a constraint refuses.
        """
        with translated():
            async with self.engine.begin() as connection:
                transaction_id = await connection.scalar(
                    _OPEN, {"actor": viewer.subject, "request_id": viewer.request_id or ""}
                )
                replayed = await _claim(connection, viewer, key) if key else None
                yield Transaction(connection, int(transaction_id or 0), replayed, key)

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
        await self.engine.dispose()

    def _note_pool(self, *_: object) -> None:
        pool: Pool = self.engine.pool
        note(PoolState(pool.checkedout(), pool.size()))  # type: ignore[attr-defined]  # QueuePool's own


def _where(url: str) -> str:
    """The URL without its password."""
    head, at, tail = url.rpartition("@")
    return f"{head.split('://')[0]}://…@{tail}" if at else url


_OPEN = text(
    "SELECT pg_current_xact_id()::text FROM (SELECT set_config('graphql_app.actor', :actor, true),"
    " set_config('graphql_app.request_id', :request_id, true)) settings"
)
_CLAIM = text(
    "INSERT INTO idempotency_keys (actor, key, request) VALUES (:actor, :key, :request) ON CONFLICT DO NOTHING"
)
_USED = text("SELECT request, answer FROM idempotency_keys WHERE actor = :actor AND key = :key")
_REMEMBER = text("UPDATE idempotency_keys SET answer = :answer WHERE actor = :actor AND key = :key")


async def _claim(connection: AsyncConnection, viewer: Viewer, key: Idempotency) -> str | None:
    """Takes the key, or returns the answer that it stands for. A rival with the same key is waited for."""
    claimed = await connection.execute(_CLAIM, {"actor": viewer.subject, "key": key.key, "request": key.request})
    if claimed.rowcount == 1:
        return None
    used = (await connection.execute(_USED, {"actor": viewer.subject, "key": key.key})).one()
    if used.request != key.request:
        raise Conflict("This idempotency key was used for another request; make a new one.", key=key.key)
    return str(used.answer)


class translated:  # noqa: N801  # reads as a verb: with translated():
    """Turns what the database reports into what the client may be told."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        refusal = refusal_for(error) if error is not None else None
        if refusal is not None:
            raise refusal from error


# SQLSTATE class or code -> refusal. https://www.postgresql.org/docs/current/errcodes-appendix.html
_STATES: Mapping[str, Refusal] = {
    "25006": ReadOnly("The database takes no writes at present; reading goes on. Try again later."),
    "40001": Contention("Somebody else changed the same rows at the same time; try again."),
    "40P01": Contention("Somebody else changed the same rows at the same time; try again."),
    "53300": Unavailable("The database has no free connection; try again."),
    "57014": Unavailable("The database took too long; ask for less, or try again."),
    "57P01": Unavailable("The database is restarting; try again."),
    "57P02": Unavailable("The database is restarting; try again."),
    "57P03": Unavailable("The database is starting; try again."),
    "08": Unavailable("The connection to the database was lost; try again."),
    "22": InvalidInput("A value is out of range."),
    "22001": InvalidInput("A text is longer than its column."),
    "22003": InvalidInput("A number is too large for its column: coordinates and sizes stay below 100,000,000."),
    "22021": InvalidInput("A text holds a character that cannot be stored (NUL)."),
}

_CONSTRAINTS: Mapping[str, Refusal] = {
    "workstations_place_name_key": NameTaken("That floor has a workstation of this name already; choose another."),
    "workstations_floor_fkey": InvalidInput(
        "There is no such floor; `building` and `floorNumber` go together and must exist.", field="floorNumber"
    ),
    "workstations_department_id_fkey": InvalidInput("There is no such department.", field="departmentId"),
    "workstations_employee_id_fkey": InvalidInput("There is no such employee.", field="employeeId"),
    "workstations_equipment_check": InvalidInput("`equipment` must be JSON.", field="equipment"),
    "notifications_building_fkey": InvalidInput("There is no such building.", field="building"),
    "notifications_floor_fkey": InvalidInput("That building has no such floor.", field="floorNumber"),
    "notifications_department_id_fkey": InvalidInput("There is no such department.", field="departmentId"),
    "workstations_size_check": InvalidInput("`width` and `height` must be above 0.", field="width"),
}


def refusal_for(error: BaseException) -> Refusal | None:
    """What to tell the client of a database error; None when it is not one that we know."""
    if isinstance(error, (PoolTimeout, OSError, TimeoutError, asyncpg.InterfaceError)):
        return Unavailable("The database does not answer; try again.")
    if isinstance(error, asyncpg.PostgresError):
        original: Any = error
    elif isinstance(error, DBAPIError):
        original = getattr(error.orig, "__cause__", None)
        if error.connection_invalidated or isinstance(original, asyncpg.InterfaceError):
            return Unavailable("The connection to the database was lost; try again.")
    else:
        return None
    found = _CONSTRAINTS.get(getattr(original, "constraint_name", None) or "")
    state = getattr(original, "sqlstate", None) or ""
    found = found or _STATES.get(state) or _STATES.get(state[:2])
    # A fresh one each time: a raised exception carries its traceback.
    return type(found)(found.message, **found.data) if found is not None else None
