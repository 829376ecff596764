"""The WebSocket door of /graphql on uvicorn's own transport: no task and no queue between a payload and its bytes.

uvicorn is given the class (`ws=`). Handshake and framing are those of `websockets` (its sans-I/O core); what many
subscribers share is framed once and written as it is.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, cast

from uvicorn import Config
from uvicorn.server import ServerState
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.typing import BytesLike

from graphql_app.domain.errors import RateLimited
from graphql_app.graph.websocket.protocol import Connection
from graphql_app.graph.websocket.transports.asgi import CONGESTED_BYTES, GONE, TOO_SLOW, WebSocketEndpoint
from graphql_app.graph.websocket.transports.handshake import Core
from graphql_app.graph.websocket.wire import SUBPROTOCOL_NOT_ACCEPTABLE, TOO_MANY_CONNECTIONS, fitting
from graphql_app.observe import SocketClosed, SocketOpened, note
from graphql_app.services.following.cohorts import Payload

GOODBYE_SECONDS = 3.0  # for the peer to read what was written and to answer the close frame
PING_UNANSWERED = (1011, "No answer to a ping")


class DirectSocket(asyncio.Protocol):
    """One client: the protocol of its transport, and the wire of its connection."""

    __slots__ = (
        "_close_code",
        "_compresses",
        "_connection",
        "_core",
        "_door",
        "_fragments",
        "_goodbye",
        "_heard_at",
        "_is_text",
        "_open_sockets",
        "_pinged_at",
        "_read_on",
        "_stall",
        "_transport",
        "is_congested",
    )

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: Mapping[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._door: WebSocketEndpoint = app_state["sockets"]
        self._open_sockets = cast("set[Any]", server_state.connections)  # those that uvicorn waits for when it stops
        rules = self._door.rules
        self._compresses = rules.compresses
        self._core = Core(
            extensions=[ServerPerMessageDeflateFactory()] if rules.compresses else None,
            max_size=rules.message_bytes_most,
        )
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # from connection_made on
        self._connection: Connection | None = None  # once the handshake is done
        self._fragments: list[BytesLike] = []
        self._is_text = True
        self._heard_at = self._pinged_at = 0.0
        self._close_code = GONE
        self._goodbye: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._read_on: asyncio.Event | None = None
        self.is_congested = False

    # --- the transport's protocol ----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=CONGESTED_BYTES)
        self._open_sockets.add(self)
        self._heard_at = time.monotonic()

    def data_received(self, data: bytes) -> None:
        self._heard_at = time.monotonic()
        self._core.receive_data(data)
        self._take_events()

    def eof_received(self) -> None:
        self._core.receive_eof()
        self._take_events()

    def connection_lost(self, _: Exception | None) -> None:
        self._open_sockets.discard(self)
        for timer in (self._goodbye, self._stall):
            if timer is not None:
                timer.cancel()
        if self._connection is not None:
            self._connection.closed()  # who waits in drained() is given up
            self._door.sessions.close(self)
            note(SocketClosed(self._close_code))

    def pause_writing(self) -> None:
        self.is_congested = True
        self._transport.pause_reading()  # who does not read the answers is not listened to
        loop = asyncio.get_running_loop()
        self._stall = loop.call_later(self._door.rules.stall_seconds, self._end, *TOO_SLOW)

    def resume_writing(self) -> None:
        self.is_congested = False
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        if not self._transport.is_closing():
            self._transport.resume_reading()
        if self._read_on is not None:
            self._read_on.set()

    def shutdown(self) -> None:
        """Closes the socket: uvicorn stops, and waits until this is gone."""
        self._door.sessions.drain()
        if self._connection is None:
            self._transport.close()

    # --- what a connection writes to -------------------------------------------------------------------------------

    def write(self, message: bytes) -> None:
        if self._compresses:
            self._core.send_text(message)
            self._flush()
        else:
            self._transport.write(framed(message))

    def offer(self, prefix: bytes, payload: Payload) -> bool:
        if self.is_congested:
            return False
        if self._compresses:  # each connection has a compressor of its own
            self.write(b"%b%b}" % (prefix, payload.body))
            return True
        # Most subscribers of a cohort have chosen the same id, and so share the frame too.
        if payload.framed[0] != prefix:
            payload.framed = (prefix, framed(b"%b%b}" % (prefix, payload.body)))
        self._transport.write(payload.framed[1])
        return True

    async def drained(self) -> None:
        while self.is_congested:
            if self._read_on is None:
                self._read_on = asyncio.Event()
            self._read_on.clear()
            await self._read_on.wait()

    def close(self, code: int, reason: str) -> None:
        if self._core.state is State.OPEN:
            self._core.send_close(code, reason)
            self._closing(code)

    # --- looked after ----------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Pings a peer that is silent, and ends one that does not answer."""
        now, every = time.monotonic(), self._door.rules.ping_seconds
        if now - self._heard_at < every:
            pass
        elif self._pinged_at < self._heard_at:
            self._pinged_at = now
            if self._core.state is State.OPEN:
                self._core.send_ping(b"")
                self._flush()
        elif now - self._pinged_at > every:
            self._end(*PING_UNANSWERED)
        if self._connection is not None:
            self._connection.look()

    def drain(self) -> None:
        if self._connection is not None:
            self._connection.drain()

    def _end(self, code: int, reason: str) -> None:
        if self._connection is not None:
            self._connection.closed()
        self.close(code, reason)

    # --- what arrives ----------------------------------------------------------------------------------------------

    def _take_events(self) -> None:
        for event in self._core.events_received():
            if isinstance(event, Request):
                self._shake_hands(event)
            elif isinstance(event, Frame):
                self._take(event)
                event.data = b""  # the core holds on to the last frame
        if self._is_broken:
            assert self._core.close_sent is not None
            self._closing(self._core.close_sent.code)
        else:
            self._flush()

    def _shake_hands(self, request: Request) -> None:
        # Of what is said twice the core gives neither: two tokens are none, and two hosts no host of ours.
        fields = {name: ", ".join(request.headers.get_all(name)) for name in request.headers}
        limited = self._limited(self._client(fields))
        refusal = None if limited else self._door.refusal(request.path, fields)
        response = self._core.reject(*refusal) if refusal else self._core.accept(request)
        self._core.send_response(response)
        self._flush()
        if self._core.state is State.OPEN and limited is not None:
            self.close(TOO_MANY_CONNECTIONS, fitting(limited.message))
        elif self._core.state is State.OPEN and self._core.subprotocol is None:
            self.close(*SUBPROTOCOL_NOT_ACCEPTABLE)
        elif self._core.state is State.OPEN:
            self._begin(fields)
        request.headers.clear()  # the core holds on to the request for as long as the connection lasts

    def _limited(self, address: str | None) -> RateLimited | None:
        """Returns why the handshake is not looked at; a browser learns it from a close frame alone."""
        try:
            self._door.admit(address)
        except RateLimited as refusal:
            return refusal
        return None

    def _begin(self, fields: Mapping[str, str]) -> None:
        try:
            self._connection = self._door.connection(self, fields.get("authorization"), self._client(fields))
        except RateLimited as refusal:
            self.close(TOO_MANY_CONNECTIONS, fitting(refusal.message))
            return
        note(SocketOpened())
        self._door.sessions.open(self)

    def _client(self, fields: Mapping[str, str]) -> str | None:
        peer = self._transport.get_extra_info("peername")
        address = peer[0] if isinstance(peer, tuple) else None  # a Unix socket has none
        return self._door.proxies.client(address, fields.get("x-forwarded-for", ""))

    def _take(self, frame: Frame) -> None:
        if frame.opcode is Opcode.CLOSE:
            received = self._core.close_rcvd
            self._closing(received.code if received is not None else GONE)
            return
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            self._is_text, self._fragments = frame.opcode is Opcode.TEXT, []
        elif frame.opcode is not Opcode.CONT:
            self._flush()  # the pong to a ping goes before whatever is said next
            return
        if frame.data:  # empty ones are allowed, and as many as there may be bytes
            self._fragments.append(frame.data)
        if frame.fin:
            message, self._fragments = b"".join(self._fragments), []
            self._hand_on(message)

    def _hand_on(self, message: bytes) -> None:
        if self._connection is None or self._core.state is not State.OPEN:
            return
        try:
            self._connection.receive(message.decode() if self._is_text else message)
        except UnicodeDecodeError:
            self._core.fail(1007, "Text must be UTF-8")
            self._closing(1007)

    def _closing(self, code: int) -> None:
        """Begins the closing handshake, whichever side wants it; nothing else is sent."""
        if self._connection is not None:
            self._connection.closed()
        self._flush()
        if self._goodbye is None:
            self._close_code = code
            self._goodbye = asyncio.get_running_loop().call_later(GOODBYE_SECONDS, self._transport.abort)

    def _flush(self) -> None:
        for content in self._core.data_to_send():
            if content:
                self._transport.write(content)
            elif self._is_broken and self._transport.can_write_eof():
                # There may be more of it on its way, and to close before that is read would reset the connection, and
                # take the close frame along. The core reads it and throws it away.
                self._transport.write_eof()
            else:  # the core's word for the end of the stream
                self._transport.close()

    @property
    def _is_broken(self) -> bool:
        """Returns whether the peer was told that it breaks RFC 6455. One that is just gone was told nothing."""
        return self._core.parser_exc is not None and self._core.close_sent is not None


def framed(message: bytes) -> bytes:
    """Returns the message as one unmasked text frame (RFC 6455, 5.2)."""
    size = len(message)
    if size < 126:
        return b"\x81%c%b" % (size, message)
    if size < 65536:
        return b"\x81\x7e%b%b" % (size.to_bytes(2, "big"), message)
    return b"\x81\x7f%b%b" % (size.to_bytes(8, "big"), message)
