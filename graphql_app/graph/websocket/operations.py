"""The operations that run on one socket, each under an id of the client's until its end is told."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from graphql_app.domain.access import Viewer
from graphql_app.domain.audit import Transport
from graphql_app.domain.caller import Caller
from graphql_app.domain.errors import TooMany
from graphql_app.domain.texts import ID_LENGTH_MOST, plain
from graphql_app.graph.api.context import Context
from graphql_app.graph.documents.document import Operation
from graphql_app.graph.documents.variables import require_few
from graphql_app.graph.engine.engine import Engine
from graphql_app.graph.engine.request import OperationRequest
from graphql_app.graph.engine.response_cache import Answer
from graphql_app.graph.engine.results import errors_of
from graphql_app.graph.websocket.messages import SubscribeMessage
from graphql_app.graph.websocket.wire import Wire
from graphql_app.observe import OperationEnded, Subscribed, Unsubscribed, note
from graphql_app.services.following.cohorts import Payload


class ActiveOperation:
    """An operation whose end is not told yet. To a cohort, it is the subscriber."""

    __slots__ = ("_operations", "id", "leave", "prefix", "task")

    def __init__(self, operations: "Operations", operation_id: str) -> None:
        self._operations = operations
        self.id = operation_id
        # Only the id differs between the subscribers of a cohort: the payload is shared bytes.
        self.prefix = b'{"id":' + orjson.dumps(operation_id) + b',"type":"next","payload":'
        self.task: asyncio.Task[None] | None = None  # while it runs
        self.leave: Callable[[], None] | None = None  # while it is in its cohort

    def offer(self, payload: Payload) -> bool:
        return self._operations.wire.offer(self.prefix, payload)

    async def drained(self) -> None:
        await self._operations.wire.drained()

    def forget(self) -> None:
        """Does nothing: what was offered is on its way already."""

    def failed(self, error: Exception) -> None:
        self._operations.fail(self, error)

    def stop(self) -> None:
        """Ends it, whether it is executing or subscribed."""
        if self.task is not None:
            self.task.cancel()
        if self.leave is not None:
            self.leave()
            note(Unsubscribed())


class Operations:
    """The operations of one socket. Its `viewer` is kept as their account is at present."""

    __slots__ = ("_active", "_address", "_engine", "_most", "_tasks", "viewer", "wire")

    def __init__(
        self, wire: Wire, engine: Engine, most: int, tasks: asyncio.TaskGroup, viewer: Viewer, address: str | None
    ) -> None:
        self.wire = wire
        self.viewer = viewer
        self._engine = engine
        self._most = most
        self._tasks = tasks
        self._address = address
        self._active: dict[str, ActiveOperation] = {}

    def __contains__(self, operation_id: object) -> bool:
        return operation_id in self._active

    def begin(self, wanted: SubscribeMessage) -> None:
        """Starts an operation under an id that is not in use."""
        active = self._active[wanted.id] = ActiveOperation(self, wanted.id)
        try:
            self._engine.admission.operation(self._address, self.viewer, len(self._active), self._most)
        except TooMany as refusal:
            self.fail(active, refusal)
        else:
            active.task = self._tasks.create_task(self._run(active, wanted), name="socket operation")

    def complete(self, operation_id: str) -> None:
        """Ends an operation that the client wants to hear no more of."""
        active = self._active.pop(operation_id, None)
        if active is not None:
            active.stop()

    def fail(self, active: ActiveOperation, error: Exception) -> None:
        """Ends an operation with an error, unless it is over; the others go on."""
        if self._forget(active):
            active.stop()
            self.wire.write(orjson.dumps({"id": active.id, "type": "error", "payload": errors_of(error)}))

    def end(self) -> None:
        """Ends all operations: the socket is gone, or about to go."""
        while self._active:
            self._active.popitem()[1].stop()

    async def _run(self, active: ActiveOperation, wanted: SubscribeMessage) -> None:
        """Runs one operation until it is answered or has joined its cohort. Its failure ends it alone."""
        began = time.perf_counter()
        kind, failed = "invalid", True
        try:
            await self._engine.execution.scheduler.next()  # a hundred of them may have come in one packet
            query, operation = self._resolve_document(wanted)
            kind = operation.kind
            require_few(wanted.variables)
            if kind == "subscription":
                await self._join(active, operation, wanted.variables)
                failed = False
            else:
                failed = await self._answer(
                    active, operation, OperationRequest(query, operation.name, wanted.variables)
                )
        except Exception as error:  # noqa: BLE001  # the supervisor of one operation: masked, noted, told to the client
            active.task = None  # it ends by itself
            self.fail(active, error)
        finally:
            note(OperationEnded(kind, time.perf_counter() - began, failed))

    def _resolve_document(self, wanted: SubscribeMessage) -> tuple[str, Operation]:
        """Returns the text of the document and its operation. Raises InvalidDocument, and a Refusal."""
        query = self._engine.persisted.text(wanted.query, wanted.digest)
        return query, self._engine.documents.get(query).operation(wanted.operation_name)

    async def _join(self, active: ActiveOperation, operation: Operation, variables: Mapping[str, Any]) -> None:
        context = Context(Caller(self._engine.services.identify.present(self.viewer)), self._engine.services)
        active.leave = await self._engine.subscribing.join(operation, variables, context, active)
        active.task = None
        note(Subscribed())

    async def _answer(self, active: ActiveOperation, operation: Operation, asked: OperationRequest) -> bool:
        """Returns whether the answer has errors."""
        answer = await self._made(active, operation, asked)
        if self._forget(active):
            self.wire.write(b"%b%b}" % (active.prefix, answer.body))
            self.wire.write(orjson.dumps({"id": active.id, "type": "complete"}))
        return answer.has_errors

    async def _made(self, active: ActiveOperation, operation: Operation, asked: OperationRequest) -> Answer:
        """Executes a query or mutation. Asks a query anew when its viewer has come to see other things meanwhile."""
        caller = Caller(
            self._engine.services.identify.present(self.viewer),
            request_id=plain(active.id)[:ID_LENGTH_MOST],
            transport=Transport.SOCKET,
            address=self._address,
        )
        while True:
            context = Context(caller, self._engine.services, renew=self._renew)
            answer = await self._engine.answer(asked, operation, context)
            if operation.kind == "mutation" or self.viewer.view == caller.view:
                return answer
            caller = caller._replace(viewer=self.viewer)

    def _renew(self, viewer: Viewer) -> None:
        """Gives the connection the time of a new token, if that is of the same login."""
        if viewer.sign_in == self.viewer.sign_in:
            self.viewer = viewer

    def _forget(self, active: ActiveOperation) -> bool:
        """Returns whether it was not over yet: its id may be another's by now. Its end is told after this, as a fast
        client uses the id anew at once."""
        if self._active.get(active.id) is not active:
            return False
        del self._active[active.id]
        return True
