"""The WebSocket door of /graphql, over any ASGI server."""

import asyncio
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus

from starlette.websockets import WebSocket, WebSocketDisconnect

from graphql_app.domain.addresses import Proxies
from graphql_app.domain.admission import NO_FOREIGN_PAGES, NO_TOKENS_IN_ADDRESSES, Origins, names_a_token
from graphql_app.domain.errors import RateLimited
from graphql_app.graph.engine.engine import Engine
from graphql_app.graph.websocket.protocol import Connection
from graphql_app.graph.websocket.wire import (
    SUBPROTOCOL,
    SUBPROTOCOL_NOT_ACCEPTABLE,
    TOO_MANY_CONNECTIONS,
    Rules,
    Wire,
    fitting,
)
from graphql_app.observe import OriginRefused, SocketClosed, SocketOpened, note
from graphql_app.services.following.cohorts import Payload

PATH = "/graphql"
CONGESTED_BYTES = 256 * 1024
TOO_SLOW = (1013, "Reads too slowly; come back with your last cursor")
NORMAL = 1000
GONE = 1006


class AsgiWire:
    """A wire over ASGI. What is written goes out in order; a client that does not read makes it congested, and is cut
    in the end."""

    def __init__(self, websocket: WebSocket, stall_seconds: float) -> None:
        self._websocket = websocket
        self._stall_seconds = stall_seconds
        self._frames: deque[bytes] = deque()
        self._bytes = 0
        self._written = asyncio.Event()
        self._read_on = asyncio.Event()
        self._closing: tuple[int, str] | None = None

    def write(self, message: bytes) -> None:
        self._frames.append(message)
        self._bytes += len(message)
        self._written.set()

    def offer(self, prefix: bytes, payload: Payload) -> bool:
        if self.is_congested:
            return False
        self.write(b"%b%b}" % (prefix, payload.body))
        return True

    @property
    def is_congested(self) -> bool:
        return self._bytes > CONGESTED_BYTES

    async def drained(self) -> None:
        while self._bytes:
            self._read_on.clear()
            await self._read_on.wait()

    def close(self, code: int, reason: str) -> None:
        self._closing = (code, reason)
        self._written.set()

    async def send_all(self) -> int:
        """Sends what is written, until it is closed from this side. Returns the close code."""
        while True:
            await self._written.wait()
            self._written.clear()
            try:
                async with asyncio.timeout(None) as deadline:
                    while self._frames:
                        deadline.reschedule(asyncio.get_running_loop().time() + self._stall_seconds)
                        frame = self._frames[0]
                        await self._websocket.send_text(frame.decode())
                        self._frames.popleft()
                        self._bytes -= len(frame)
                    deadline.reschedule(None)
            except TimeoutError:
                self._closing = TOO_SLOW
            except WebSocketDisconnect:
                return GONE
            self._read_on.set()
            if self._closing is not None:
                await self._say_goodbye(*self._closing)
                return self._closing[0]

    async def _say_goodbye(self, code: int, reason: str) -> None:
        # The peer may not read this either.
        with suppress(TimeoutError, RuntimeError, WebSocketDisconnect):
            async with asyncio.timeout(1):
                await self._websocket.close(code, reason)


class WebSocketEndpoint:
    """Takes WebSockets on /graphql that speak graphql-transport-ws. Under uvicorn, transports/uvicorn takes its
    place."""

    def __init__(
        self, engine: Engine, rules: Rules, tasks: asyncio.TaskGroup, *, origins: Origins, proxies: Proxies
    ) -> None:
        self.rules = rules
        self.proxies = proxies
        self.sessions = engine.sessions
        self._engine = engine
        self._tasks = tasks
        self._origins = origins

    def admit(self, address: str | None) -> None:
        """Counts a handshake for the address that it came from, before it is looked at. Raises RateLimited."""
        self._engine.admission.arrive(address)

    def refusal(self, target: str, headers: Mapping[str, str]) -> tuple[HTTPStatus, str] | None:
        """Returns why a handshake is refused, if it is; `target` is the path with its query string."""
        path, _, query = target.partition("?")
        if path != PATH:
            return HTTPStatus.NOT_FOUND, f"WebSockets are taken on {PATH} alone.\n"
        if self.sessions.is_draining:
            return HTTPStatus.SERVICE_UNAVAILABLE, "The service restarts; come back in a moment.\n"
        if not self._origins.may_come(headers.get("origin"), headers.get("host")):
            note(OriginRefused(headers["origin"]))
            return HTTPStatus.FORBIDDEN, f"{NO_FOREIGN_PAGES}\n"
        if names_a_token(query):
            return HTTPStatus.BAD_REQUEST, f"{NO_TOKENS_IN_ADDRESSES}\n"
        return None

    def connection(self, wire: Wire, header: str | None, address: str | None) -> Connection:
        """Returns the server's side of the protocol over the wire. `header` is the Authorization of the upgrade
        request, `address` that of the client. Raises TooManyConnections."""
        return Connection(wire, self._engine, self.rules, header, self._tasks, address)

    async def handle(self, websocket: WebSocket) -> None:
        address = websocket.client.host if websocket.client else None
        try:
            self.admit(address)
        except RateLimited as refusal:
            await websocket.accept(SUBPROTOCOL)
            await websocket.close(TOO_MANY_CONNECTIONS, fitting(refusal.message))
            return
        target = f"{websocket.url.path}?{websocket.url.query}"
        if self.refusal(target, websocket.headers) is not None:
            await websocket.close(1008)  # before accept: the server answers 403
            return
        if SUBPROTOCOL not in websocket.scope["subprotocols"]:
            await websocket.accept()
            await websocket.close(*SUBPROTOCOL_NOT_ACCEPTABLE)
            return
        await websocket.accept(SUBPROTOCOL)
        wire = AsgiWire(websocket, self.rules.stall_seconds)
        try:
            connection = self.connection(wire, websocket.headers.get("authorization"), address)
        except RateLimited as refusal:
            await websocket.close(TOO_MANY_CONNECTIONS, fitting(refusal.message))
            return
        note(SocketOpened())
        code = GONE
        try:
            code = await self._converse(websocket, connection, wire)
        finally:
            note(SocketClosed(code))

    async def _converse(self, websocket: WebSocket, connection: Connection, wire: AsgiWire) -> int:
        self.sessions.open(connection)
        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(wire.send_all(), name="socket writer")
            reading = tasks.create_task(_receive(websocket, connection, wire), name="socket reader")
            try:
                done, _ = await asyncio.wait((writing, reading), return_when=asyncio.FIRST_COMPLETED)
            finally:
                self.sessions.close(connection)
                connection.closed()
                writing.cancel()
                reading.cancel()
            return next(iter(done)).result()


async def _receive(websocket: WebSocket, connection: Connection, wire: AsgiWire) -> int:
    """Hands over what arrives, until the other side closes. Returns the close code."""
    while True:
        if wire.is_congested:  # who does not read the answers is not listened to
            await wire.drained()
        try:
            message = await websocket.receive()
        except (WebSocketDisconnect, RuntimeError):
            return NORMAL
        if message["type"] == "websocket.disconnect":
            return int(message.get("code") or NORMAL)
        text = message.get("text")
        connection.receive(text if text is not None else message["bytes"])
