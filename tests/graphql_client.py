"""The whole application in one process, and clients that speak to it as the network would: HTTP and WebSocket."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, MutableMapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import orjson
from fastapi import FastAPI
from httpx import ASGITransport, AsyncBaseTransport, AsyncClient, Response
from sqlalchemy import text

from graphql_app import testing
from graphql_app.app.application import Application, create
from graphql_app.app.identity import identify
from graphql_app.domain.identifiers import global_id
from graphql_app.embedded import Servers
from graphql_app.graph.websocket.wire import SUBPROTOCOL
from graphql_app.settings import Settings
from graphql_app.store.log.numbering import LEADER_LOCK
from graphql_app.store.postgres.database import Database
from tests.conftest import with_database
from tests.one_piece import OnePiece, listening

ANSWER_SECONDS = 10


def settings_for(database_url: str, servers: Servers, **overrides: Any) -> Settings:
    """Settings of a server of its own over this database; nothing is taken from the environment's keys."""
    # Without rows in memory, as what a test writes with SQL it reads at once.
    given: dict[str, Any] = {"redis_url": servers.redis_url, "cache_rows": 0, **overrides}
    return testing.settings_for(database_url, **given)


class Socket:
    """A client of `WS /graphql`, in the same process: what it sends and receives are ASGI messages."""

    def __init__(self, app: FastAPI, headers: Mapping[str, str] | Iterable[tuple[str, str]], query: str = "") -> None:
        self._to_server: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        self._from_server: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        lines = headers.items() if isinstance(headers, Mapping) else headers
        scope = {
            "type": "websocket",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "scheme": "ws",
            "path": "/graphql",
            "raw_path": b"/graphql",
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in lines],
            "client": ("127.0.0.1", 1),
            "server": ("office.test", 80),
            "subprotocols": [SUBPROTOCOL],
            "state": {},
        }
        self._to_server.put_nowait({"type": "websocket.connect"})
        self._task = asyncio.create_task(self._serve(app, scope))

    async def _serve(self, app: FastAPI, scope: dict[str, Any]) -> None:
        await app(scope, self._to_server.get, self._from_server.put)

    def send(self, message: object) -> None:
        self._to_server.put_nowait({"type": "websocket.receive", "text": orjson.dumps(message).decode()})

    async def receive(self) -> Any:
        """The next message of the server, parsed; (code, reason) when it closes."""
        async with asyncio.timeout(ANSWER_SECONDS):
            message = await self._from_server.get()
        if message["type"] == "websocket.close":
            return message["code"], message.get("reason")
        return orjson.loads(message["text"])

    async def accepted(self) -> None:
        async with asyncio.timeout(ANSWER_SECONDS):
            assert (await self._from_server.get())["type"] == "websocket.accept"

    async def open(self) -> None:
        await self.accepted()
        self.send({"type": "connection_init"})
        assert await self.receive() == {"type": "connection_ack"}

    def subscribe(self, query: str, variables: Mapping[str, Any] | None = None, id: str = "1") -> None:
        self.send({"id": id, "type": "subscribe", "payload": {"query": query, "variables": variables or {}}})

    async def payload(self) -> Any:
        """The payload of the next `next`."""
        message = await self.receive()
        assert message["type"] == "next", message
        return message["payload"]

    async def close(self) -> None:
        self._to_server.put_nowait({"type": "websocket.disconnect", "code": 1000})
        async with asyncio.timeout(ANSWER_SECONDS):
            await self._task


class Office:
    """A running application, and what a test wants of it."""

    def __init__(self, app: Application, client: AsyncClient, settings: Settings, database: Database) -> None:
        self.app = app
        self.client = client
        self.settings = settings
        self.database = database
        self.identify = identify(settings)

    def token(self, role: str, *, subject: str | None = None, employee: UUID | None = None, number: str = "") -> str:
        return self.identify.issue(
            subject or role, [role], seconds=600, employee_key=employee, employee_number=number or None
        )

    def headers(self, role: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(role)}"}

    async def post(self, role: str, query: str, variables: Mapping[str, Any] | None = None, **headers: str) -> Response:
        """POST /graphql; a keyword such as idempotency_key="…" is a header."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post(
            "/graphql",
            json={"query": query, "variables": dict(variables or {})},
            headers={"authorization": f"Bearer {self.token(role)}", **given},
        )

    async def ask(self, role: str, query: str, variables: Mapping[str, Any] | None = None, **headers: str) -> Any:
        """The whole answer of an operation."""
        response = await self.post(role, query, variables, **headers)
        return orjson.loads(response.content)

    async def data(self, role: str, query: str, variables: Mapping[str, Any] | None = None, **headers: str) -> Any:
        """The data of an operation that has no errors."""
        answer = await self.ask(role, query, variables, **headers)
        assert "errors" not in answer, answer
        return answer["data"]

    async def refusal(self, role: str, query: str, variables: Mapping[str, Any] | None = None) -> Any:
        """The one error of an operation that is refused."""
        answer = await self.ask(role, query, variables)
        assert len(answer.get("errors", [])) == 1, answer
        return answer["errors"][0]

    @asynccontextmanager
    async def socket(self, role: str) -> AsyncIterator[Socket]:
        """A socket of this role, with connection_init behind it."""
        socket = Socket(self.app, {"host": "office.test", **self.headers(role)})
        try:
            await socket.open()
            yield socket
        finally:
            await socket.close()

    async def sql(self, statement: str, **parameters: Any) -> Any:
        """Runs one statement as another program would, and commits it. Returns the first value of the first row."""
        async with self.database.engine.begin() as connection:
            result = await connection.execute(text(statement), parameters)
            return result.scalar() if result.returns_rows else None


@asynccontextmanager
async def running_office(settings: Settings, *, is_connected: bool = False) -> AsyncIterator[Office]:
    """The application as uvicorn would run it, and a client that talks to it without a socket; unless `is_connected`,
    which is for what depends on the connection."""
    assert settings.database_url is not None
    app = create(settings)
    database = Database(settings.database_url, pool=2)
    try:
        async with AsyncExitStack() as stack:
            state = await stack.enter_async_context(app.router.lifespan_context(app))
            transport: AsyncBaseTransport = ASGITransport(app, raise_app_exceptions=False)
            if is_connected:
                transport = OnePiece(await stack.enter_async_context(listening(app, dict(state or {}))))
            client = await stack.enter_async_context(AsyncClient(transport=transport, base_url="http://office.test"))
            yield Office(app, client, settings, database)
    finally:
        await database.close()


@asynccontextmanager
async def fresh_database(servers: Servers, template: str) -> AsyncIterator[str]:
    """The URL of a migrated database, for a whole module: fixture `database_url` makes one for each test."""
    name = f"test_{uuid.uuid4().hex}"
    admin = await asyncpg.connect(servers.database_url)
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield with_database(servers.database_url, name)
    finally:
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()


@asynccontextmanager
async def leaderless(database_url: str) -> AsyncIterator[None]:
    """In this block nobody numbers, so that the feed brings nothing: the lock is held by somebody who does nothing."""
    holder = await asyncpg.connect(database_url)
    try:
        await holder.execute(
            "SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
            " WHERE d.datname = current_database() AND locktype = 'advisory' AND granted"
        )
        await holder.execute("SELECT pg_advisory_lock($1)", LEADER_LOCK)
        yield
    finally:
        await holder.close()


# Serial ids of a fresh database, so that these can be written down.
A_01, A_02, B_01, C_01, SPARE, NONE = (global_id("Workstation", key) for key in (1, 2, 3, 4, 5, 999))
MAIN, ANNEX = (global_id("Building", key) for key in (1, 2))
LOBBY, LAB, BASEMENT = (global_id("Floor", key) for key in (1, 2, 3))
RESEARCH, PERSONNEL = (global_id("Department", key) for key in (1, 2))
WEI_KEY, ADA_KEY = UUID(int=0xA1), UUID(int=0xA2)
WEI, ADA, NOBODY = (global_id("Employee", key) for key in (WEI_KEY, ADA_KEY, UUID(int=0xFF)))
HQ = "总部大楼"

SEED = f"""
INSERT INTO buildings (name) VALUES ('{HQ}'), ('Annex');
INSERT INTO floors (building, number, name) VALUES ('{HQ}', 1, '大堂'), ('{HQ}', 2, '研发'), ('Annex', -1, 'Basement');
INSERT INTO departments (name) VALUES ('Research'), ('人事部');
INSERT INTO employees (public_key, employee_number, name, department_id) VALUES
    ('{WEI_KEY}', 'E-1001', '张伟', 1), ('{ADA_KEY}', 'E-1002', 'Ada Lovelace', 2);
INSERT INTO workstations
    (name, building, floor_number, x_position, y_position, status, department_id, employee_id, equipment, notes)
VALUES
    ('A-01', '{HQ}', 1, 10.5, 20.25, 'occupied', 1, 1, '{{"monitors": 2}}', 'by the window'),
    ('A-02', '{HQ}', 1, 30, 20.25, 'available', 1, NULL, NULL, NULL),
    ('B-01', '{HQ}', 2, 50, 60, 'reserved', NULL, NULL, '["dock"]', NULL),
    ('C-01', 'Annex', -1, 70, 80, 'maintenance', 2, NULL, NULL, NULL),
    ('Spare', NULL, NULL, 0, 0, 'available', NULL, NULL, NULL, NULL);
"""


TABLES = ("reservations", "notifications", "workstations", "employees", "departments", "floors", "buildings")


async def seed(database: Database) -> None:
    """A small office, whatever was there: three floors, five workstations, one taken by 张伟, one standing nowhere."""
    empty = ["DELETE FROM idempotency_keys"]
    for table in TABLES:
        empty += [f"DELETE FROM {table}", f"ALTER SEQUENCE {table}_id_seq RESTART"]
    async with database.engine.begin() as connection:
        for statement in [*empty, *filter(str.strip, SEED.split(";\n"))]:
            await connection.exec_driver_sql(statement)


async def numbered(database: Database) -> None:
    """Waits until a running server has numbered all that was changed: what comes from now on is the test's own."""
    async with asyncio.timeout(ANSWER_SECONDS), database.reading() as connection:
        left = text("SELECT count(*) FROM change_log WHERE revision IS NULL")
        while await connection.scalar(left):  # noqa: ASYNC110  # listening for it would test the feed with itself
            await asyncio.sleep(0.005)
