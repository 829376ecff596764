"""graphql-transport-ws, the protocol of github.com/enisdenjo/graphql-ws (PROTOCOL.md), over any wire."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import orjson
from graphql import GraphQLError

from graphql_app.domain.access import Viewer
from graphql_app.domain.audit import Transport
from graphql_app.domain.errors import (
    RateLimited,
    Refusal,
    TooMany,
    TooManyConnections,
    Unauthenticated,
    Unavailable,
)
from graphql_app.graph.answers import Answer
from graphql_app.graph.context import Context, authorization
from graphql_app.graph.documents import InvalidDocument, Operation
from graphql_app.graph.engine import Engine
from graphql_app.graph.messages import problem_of
from graphql_app.graph.persisted import hash_given
from graphql_app.graph.requests import Asked
from graphql_app.graph.schema import BadVariables, formatted
from graphql_app.graph.variables import require_few
from graphql_app.graph.wire import (
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
from graphql_app.live.accounts import NotHeardOf
from graphql_app.observe import OperationEnded, Subscribed, Unsubscribed, note
from graphql_app.services.cohorts import Payload
from graphql_app.services.issuer import KeyUnknown

REQUEST_ID_MOST = 64  # characters of an operation's id that go into the audit log


class Subscription:
    """One subscription on one socket, as its cohort sees it."""

    __slots__ = ("_connection", "_id", "_prefix", "leave")

    def __init__(self, connection: "Connection", operation_id: str) -> None:
        self._connection = connection
        self._id = operation_id
        # Only the id differs between the subscribers of a cohort: the payload is shared bytes.
        self._prefix = b'{"id":' + orjson.dumps(operation_id) + b',"type":"next","payload":'
        self.leave: Callable[[], None] = _nothing

    def offer(self, payload: Payload) -> bool:
        return self._connection.wire.offer(self._prefix, payload)

    async def drained(self) -> None:
        await self._connection.wire.drained()

    def forget(self) -> None:
        """What was offered is on its way already."""

    def failed(self, error: Exception) -> None:
        self._connection.fail(self._id, [formatted(error)])


def _nothing() -> None:
    pass


class Connection:
    """One client. `receive` is called with each message; answers go to the wire. Raises RateLimited when it is made."""

    __slots__ = (
        "_address",
        "_admitted",
        "_engine",
        "_entering",
        "_header",
        "_heard",
        "_init_timer",
        "_is_closed",
        "_rules",
        "_running",
        "_second",
        "_subscriptions",
        "_tasks",
        "_unwatch",
        "_viewer",
        "wire",
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
        self.wire = wire
        self._address = address
        self._engine = engine
        engine.gate.request(address)
        self._admitted = engine.gate.connection(address)
        self._admitted.when_revoked(self._turn_away)
        self._rules = rules
        self._header = header  # Authorization of the upgrade request
        self._tasks = tasks
        self._viewer: Viewer | None = None
        self._entering: asyncio.Task[None] | None = None
        self._running: dict[str, asyncio.Task[None]] = {}
        self._subscriptions: dict[str, Subscription] = {}
        self._is_closed = False
        self._unwatch: Callable[[], None] = _nothing
        self._second = self._heard = 0  # which second it is, and how many messages came in it
        self._init_timer: asyncio.TimerHandle | None = asyncio.get_running_loop().call_later(
            rules.init_seconds, self._close, *INIT_TIMEOUT
        )

    def receive(self, message: str | bytes) -> None:
        if self._is_closed:
            return
        if self._is_too_fast():
            self._close(TOO_FAST, f"More than {self._rules.messages_per_second} messages in one second")
            return
        if isinstance(message, bytes):
            self._close(BAD_REQUEST, "Messages must be text, not binary")
            return
        try:
            content = orjson.loads(message)
        except orjson.JSONDecodeError:
            content = None
        if not isinstance(content, dict) or not isinstance(content.get("type"), str):
            self._close(BAD_REQUEST, "A message must be a JSON object with a `type`")
            return
        handler = _HANDLERS.get(content["type"])
        if handler is None:
            self._close(BAD_REQUEST, f"Unknown message type {content['type'][:40]!r}")
            return
        try:
            handler(self, content)
        except Exception as error:  # noqa: BLE001  # the supervisor of one message: masked, noted, told to the client
            formatted(error)
            self._close(*INTERNAL)

    def closed(self) -> None:
        """The socket is gone: everything that ran for it ends."""
        self._is_closed = True
        self._admitted.leave()
        self._unwatch()
        self._stop_init_timer()
        if self._entering is not None and self._viewer is None:
            self._entering.cancel()
        for task in self._running.values():
            task.cancel()
        for operation_id in list(self._subscriptions):
            self._forget(operation_id)

    def look(self) -> None:
        """Ends the connection with its token. A session of live/sessions."""
        if self._viewer is not None and self._viewer.expires_at <= time.time():
            self._close(UNAUTHORIZED[0], "The token has expired")

    def drain(self) -> None:
        self._close(*RESTART)

    def fail(self, operation_id: str, errors: list[dict[str, Any]]) -> None:
        """Ends one operation with an error; the others go on."""
        self._running.pop(operation_id, None)  # told last: a fast client uses the id anew at once
        self._forget(operation_id)
        self._send({"id": operation_id, "type": "error", "payload": errors})

    def _init(self, message: Mapping[str, Any]) -> None:
        if self._viewer is not None or self._entering is not None:
            self._close(*TOO_MANY_INITS)
            return
        if not self._has_fitting_payload(message):
            return
        try:
            named = authorization(message.get("payload"), self._header)
            self._enter(self._engine.services.identify.from_header(named))
        except (KeyUnknown, NotHeardOf):
            self._entering = self._tasks.create_task(self._enter_later(named), name="socket entry")
        except Unauthenticated as refusal:
            self._close(FORBIDDEN, refusal.message)
        except TooManyConnections as refusal:
            self._close(TOO_MANY_CONNECTIONS, refusal.message)
        except Unavailable:  # it cannot be known at present whether a login is over
            self._close(*RESTART)

    async def _enter_later(self, named: str | None) -> None:
        """Of a client whose token is signed with a key that its issuer has to be asked for, or whose account was made
        just now."""
        try:
            self._enter(await self._engine.services.identify.arriving(named))
        except Unauthenticated as refusal:
            self._close(FORBIDDEN, refusal.message)
        except TooManyConnections as refusal:
            self._close(TOO_MANY_CONNECTIONS, refusal.message)
        except Unavailable:
            self._close(*RESTART)
        except Exception as error:  # noqa: BLE001  # the supervisor of one entry: masked, noted, told to the client
            formatted(error)
            self._close(*INTERNAL)

    def _enter(self, viewer: Viewer) -> None:
        """Raises TooManyConnections."""
        self._admitted = self._engine.gate.session(viewer, self._admitted)
        self._admitted.when_revoked(self._turn_away)
        self._viewer = viewer
        self._unwatch = self._engine.services.identify.watch(viewer, self._changed)
        self._stop_init_timer()
        self._header = None
        self._send({"type": "connection_ack"})

    def _stop_init_timer(self) -> None:
        if self._init_timer is not None:
            self._init_timer.cancel()
            self._init_timer = None

    def _turn_away(self, refusal: TooManyConnections) -> None:
        self._close(TOO_MANY_CONNECTIONS, refusal.message)

    def _changed(self) -> None:
        """Something about the viewer's account: what runs is looked after by services/staying."""
        assert self._viewer is not None
        try:
            self._viewer = self._engine.services.identify.present(self._viewer)
        except Unauthenticated as refusal:
            self._close(UNAUTHORIZED[0], refusal.message)
        except Unavailable:
            self._close(*RESTART)

    def _renew(self, viewer: Viewer) -> None:
        """Gives the connection the time of a new token, if that is of the same login."""
        assert self._viewer is not None
        if viewer.sign_in == self._viewer.sign_in:
            self._viewer = viewer

    def _ping(self, message: Mapping[str, Any]) -> None:
        if self._has_fitting_payload(message):
            self._send({"type": "pong", **({"payload": message["payload"]} if "payload" in message else {})})

    def _pong(self, message: Mapping[str, Any]) -> None:
        self._has_fitting_payload(message)

    def _has_fitting_payload(self, message: Mapping[str, Any]) -> bool:
        """Whether the payload is an object, or none. Closes the socket for any other."""
        fits = isinstance(message.get("payload"), (dict, type(None)))
        if not fits:
            self._close(BAD_REQUEST, f"The payload of `{message['type']}` must be an object")
        return fits

    def _subscribe(self, message: Mapping[str, Any]) -> None:
        operation_id, payload = message.get("id"), message.get("payload")
        problem = problem_of(operation_id, payload)
        if problem is not None:
            self._close(BAD_REQUEST, problem)
            return
        if self._viewer is None:
            self._close(*UNAUTHORIZED)
            return
        assert isinstance(operation_id, str)
        assert isinstance(payload, dict)
        if operation_id in self._running or operation_id in self._subscriptions:
            self._close(ALREADY_EXISTS, f"Subscriber for {operation_id} already exists")
            return
        most = self._rules.operations_most
        if len(self._running.keys() | self._subscriptions.keys()) >= most:
            full = TooMany(
                f"A socket carries at most {most} operations; complete one first.",
                measure="operations of one socket",
                limit=most,
                asked=most + 1,
            )
            self.fail(operation_id, [formatted(full)])
            return
        try:
            self._engine.gate.request(self._address)
            self._engine.gate.operation(self._viewer)
        except RateLimited as refusal:
            self.fail(operation_id, [formatted(refusal)])
            return
        task = self._tasks.create_task(self._run(operation_id, payload, self._viewer), name="socket operation")
        self._running[operation_id] = task
        task.add_done_callback(lambda task: self._ended(operation_id, task))

    def _complete(self, message: Mapping[str, Any]) -> None:
        operation_id = message.get("id")
        if not isinstance(operation_id, str) or not operation_id:
            self._close(BAD_REQUEST, "`complete` needs an `id`")
            return
        task = self._running.pop(operation_id, None)
        if task is not None:
            task.cancel()
        self._forget(operation_id)

    async def _run(self, operation_id: str, payload: Mapping[str, Any], viewer: Viewer) -> None:
        """One operation, until it is answered or has joined its cohort. Its failure is its own."""
        began = time.perf_counter()
        kind, failed = "invalid", True
        try:
            await self._engine.execution.turns.next()  # a hundred of them may have come in one packet
            query = self._engine.persisted.text(payload.get("query"), hash_given(payload))
            operation = self._engine.documents.get(query).operation(payload.get("operationName"))
            kind = operation.kind
            variables = payload.get("variables") or {}
            require_few(variables)
            viewer = self._engine.services.identify.present(viewer)
            if kind == "mutation":
                viewer = self._asking(viewer, operation_id)
            if kind == "subscription":
                context = Context(viewer, self._engine.services)
                subscription = Subscription(self, operation_id)
                leave = await self._engine.subscribing.join(operation, variables, context, subscription)
                subscription.leave = leave
                self._subscriptions[operation_id] = subscription
                note(Subscribed())
                failed = False
                return
            answer = await self._answer(Asked(query, operation.name, variables), operation, viewer)
            failed = answer.has_errors
            self._write(b'{"id":%b,"type":"next","payload":%b}' % (orjson.dumps(operation_id), answer.body))
            self._running.pop(operation_id, None)  # told last: a fast client uses the id anew at once
            self._send({"id": operation_id, "type": "complete"})
        except (InvalidDocument, BadVariables) as error:
            self.fail(operation_id, [formatted(one) for one in error.errors])
        except (Refusal, GraphQLError) as error:
            self.fail(operation_id, [formatted(error)])
        except Exception as error:  # noqa: BLE001  # the supervisor of one operation: masked, noted, told to the client
            self.fail(operation_id, [formatted(error)])
        finally:
            note(OperationEnded(kind, time.perf_counter() - began, failed))

    async def _answer(self, asked: Asked, operation: Operation, viewer: Viewer) -> Answer:
        """A query is asked anew when its viewer has come to see other things meanwhile."""
        while True:
            context = Context(viewer, self._engine.services, renew=self._renew)
            answer = await self._engine.answer(asked, operation, context)
            assert self._viewer is not None
            if operation.kind == "mutation" or self._viewer.view == viewer.view:
                return answer
            viewer = self._viewer

    def _asking(self, viewer: Viewer, operation_id: str) -> Viewer:
        """The viewer, with what the audit log is to say of the operation."""
        request_id = operation_id[:REQUEST_ID_MOST]
        return replace(viewer, request_id=request_id, transport=Transport.SOCKET, address=self._address)

    def _ended(self, operation_id: str, task: asyncio.Task[None]) -> None:
        if self._running.get(operation_id) is task:  # the client may have used the id anew by now
            del self._running[operation_id]

    def _forget(self, operation_id: str) -> None:
        subscription = self._subscriptions.pop(operation_id, None)
        if subscription is not None:
            subscription.leave()
            note(Unsubscribed())

    def _is_too_fast(self) -> bool:
        """Counts a message. Whether there were more of them in this second than any client needs."""
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._heard = second, 0
        self._heard += 1
        return self._heard > self._rules.messages_per_second

    def _send(self, message: Mapping[str, Any]) -> None:
        self._write(orjson.dumps(message))

    def _write(self, message: bytes) -> None:
        if not self._is_closed:
            self.wire.write(message)

    def _close(self, code: int, reason: str) -> None:
        if not self._is_closed:
            self.closed()
            self.wire.close(code, fitting(reason))


_HANDLERS: Mapping[str, Callable[[Connection, Mapping[str, Any]], None]] = {
    "connection_init": Connection._init,
    "ping": Connection._ping,
    "pong": Connection._pong,
    "subscribe": Connection._subscribe,
    "complete": Connection._complete,
}
