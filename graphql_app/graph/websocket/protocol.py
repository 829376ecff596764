"""graphql-transport-ws, the protocol of github.com/enisdenjo/graphql-ws (PROTOCOL.md), over any wire."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson

from graphql_app.domain.errors import TooManyConnections, Unauthenticated, Unavailable
from graphql_app.graph.api.context import authorization
from graphql_app.graph.engine.engine import Engine
from graphql_app.graph.engine.results import formatted
from graphql_app.graph.websocket.messages import MalformedMessage, Message, id_in, message_in, payload_in, wanted_in
from graphql_app.graph.websocket.operations import Operations
from graphql_app.graph.websocket.wire import (
    ALREADY_EXISTS,
    BAD_REQUEST,
    FORBIDDEN,
    INIT_TIMEOUT,
    INTERNAL,
    RESTART,
    TOO_FAST,
    TOO_MANY_CONNECTIONS,
    TOO_MANY_INITS,
    UNAUTHORIZED,
    Rules,
    Wire,
    fitting,
)
from graphql_app.services.identity.admission import SocketSession


def _nothing() -> None:
    pass


class Connection:
    """The server's side of one connection. `receive` takes each message; answers go to the wire. Making one raises
    TooManyConnections."""

    __slots__ = (
        "_address",
        "_engine",
        "_entering",
        "_header",
        "_heard",
        "_init_timer",
        "_is_closed",
        "_lease",
        "_operations",
        "_rules",
        "_second",
        "_tasks",
        "_unwatch",
        "_wire",
    )

    def __init__(
        self,
        wire: Wire,
        engine: Engine,
        rules: Rules,
        header: str | None,
        tasks: asyncio.TaskGroup,
        address: str | None = None,
    ) -> None:
        self._lease = engine.admission.connect(address)
        self._wire = wire
        self._address = address
        self._engine = engine
        self._rules = rules
        self._header = header  # Authorization of the upgrade request
        self._tasks = tasks
        self._entering: asyncio.Task[None] | None = None
        self._operations: Operations | None = None  # once it is acknowledged
        self._is_closed = False
        self._unwatch: Callable[[], None] = _nothing
        self._second = self._heard = 0  # which second it is, and how many messages came in it
        self._init_timer: asyncio.TimerHandle | None = asyncio.get_running_loop().call_later(
            rules.init_seconds, self._close, *INIT_TIMEOUT
        )
        self._lease.when_revoked(self._turn_away)

    def receive(self, text: str | bytes) -> None:
        if self._is_closed:
            return
        if self._is_too_fast():
            self._close(TOO_FAST, f"More than {self._rules.messages_per_second} messages in one second")
            return
        try:
            message = message_in(text)
            handler = _HANDLERS.get(message["type"])
            if handler is None:
                raise MalformedMessage(f"Unknown message type {message['type'][:40]!r}")
            handler(self, message)
        except MalformedMessage as problem:
            self._close(BAD_REQUEST, str(problem))
        except Exception as error:  # noqa: BLE001  # the supervisor of one message: what nobody foresaw is masked, and noted
            self._turn_away(error)

    def closed(self) -> None:
        """Ends everything that runs for a socket that is gone."""
        self._is_closed = True
        self._lease.leave()
        self._unwatch()
        self._stop_init_timer()
        if self._operations is not None:
            self._operations.end()
        elif self._entering is not None:
            self._entering.cancel()

    def look(self) -> None:
        """Ends the connection when its token has expired. Part of a session of live/sessions/sessions."""
        if self._operations is not None and self._operations.viewer.expires_at <= time.time():
            self._close(UNAUTHORIZED[0], "The token has expired")

    def drain(self) -> None:
        self._close(*RESTART)

    def _init(self, message: Message) -> None:
        if self._operations is not None or self._entering is not None:
            self._close(*TOO_MANY_INITS)
            return
        named = authorization(payload_in(message), self._header)
        session = self._engine.admission.open_session(named, self._lease)
        if isinstance(session, SocketSession):
            self._enter(session)
        else:
            self._entering = self._tasks.create_task(self._enter_later(session), name="socket entry")

    async def _enter_later(self, session: Awaitable[SocketSession]) -> None:
        """Waits for the key of a token, or for an account that was made just now."""
        try:
            self._enter(await session)
        except Exception as error:  # noqa: BLE001  # the supervisor of one entry: what nobody foresaw is masked, and noted
            self._turn_away(error)

    def _enter(self, session: SocketSession) -> None:
        viewer, self._lease = session
        most, address = self._rules.operations_most, self._address
        self._operations = Operations(self._wire, self._engine, most, self._tasks, viewer, address)
        self._unwatch = self._engine.services.identify.watch(viewer, self._changed)
        self._stop_init_timer()
        self._header = None
        self._send({"type": "connection_ack"})
        self._lease.when_revoked(self._turn_away)

    def _stop_init_timer(self) -> None:
        if self._init_timer is not None:
            self._init_timer.cancel()
            self._init_timer = None

    def _turn_away(self, error: Exception) -> None:
        """Closes with the code that says why the client is refused."""
        match error:
            case Unauthenticated():
                self._close(FORBIDDEN if self._operations is None else UNAUTHORIZED[0], error.message)
            case TooManyConnections():
                self._close(TOO_MANY_CONNECTIONS, error.message)
            case Unavailable():  # it cannot be known at present whether a login is over
                self._close(*RESTART)
            case _:
                formatted(error)
                self._close(*INTERNAL)

    def _changed(self) -> None:
        """Takes up a change of the viewer's account; services/following/reauthorisation looks after what runs."""
        assert self._operations is not None
        try:
            self._operations.viewer = self._engine.services.identify.present(self._operations.viewer)
        except (Unauthenticated, Unavailable) as refusal:
            self._turn_away(refusal)

    def _ping(self, message: Message) -> None:
        payload = payload_in(message)
        self._send({"type": "pong", **({"payload": payload} if "payload" in message else {})})

    def _pong(self, message: Message) -> None:
        payload_in(message)

    def _subscribe(self, message: Message) -> None:
        wanted = wanted_in(message)
        if self._operations is None:
            self._close(*UNAUTHORIZED)
        elif wanted.id in self._operations:
            self._close(ALREADY_EXISTS, f"Subscriber for {wanted.id} already exists")
        else:
            self._operations.begin(wanted)

    def _complete(self, message: Message) -> None:
        operation_id = id_in(message)
        if self._operations is not None:
            self._operations.complete(operation_id)

    def _is_too_fast(self) -> bool:
        """Counts a message. Returns whether there were more of them in this second than any client needs."""
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._heard = second, 0
        self._heard += 1
        return self._heard > self._rules.messages_per_second

    def _send(self, message: Mapping[str, Any]) -> None:
        self._wire.write(orjson.dumps(message))

    def _close(self, code: int, reason: str) -> None:
        if not self._is_closed:
            self.closed()
            self._wire.close(code, fitting(reason))


_HANDLERS: Mapping[str, Callable[[Connection, Message], None]] = {
    "connection_init": Connection._init,
    "ping": Connection._ping,
    "pong": Connection._pong,
    "subscribe": Connection._subscribe,
    "complete": Connection._complete,
}
