"""Answers requests without a coroutine: from the response cache, from memory, or when one awaited value has come.

Most requests are such, and a task with its coroutines would cost as much as all the rest of them.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

import orjson
from starlette.responses import Response

from graphql_app.aio.deadlines import DeadlineWait
from graphql_app.aio.deferred import Deferred
from graphql_app.domain.access import Viewer
from graphql_app.domain.caller import Caller
from graphql_app.domain.errors import Unauthenticated
from graphql_app.graph.api.context import Context
from graphql_app.graph.compile.shortcut import Outcome
from graphql_app.graph.documents.document import Operation
from graphql_app.graph.engine.engine import Engine
from graphql_app.graph.engine.request import OperationRequest
from graphql_app.graph.engine.results import regular
from graphql_app.graph.http.replies import Reply, data, failure
from graphql_app.graph.http.requests import REMEMBERED_BYTES, HttpRequestError, Request
from graphql_app.graph.http.responding import (
    MIN_CURSOR,
    Admitted,
    OperationCount,
    Question,
    Responding,
    authorization,
    may_log_in,
)
from graphql_app.observe import OperationEnded, note

Sent = TypeVar("Sent")
Written = Callable[[Request, Reply], Sent]


class StartedQuery(NamedTuple):
    """A query in execution that waits for one value."""

    asked: OperationRequest
    operation: Operation
    viewer: Viewer
    deferred: Deferred[Outcome]


class FastPath:
    def __init__(self, engine: Engine, responding: Responding) -> None:
        self._engine = engine
        self._responding = responding

    def answer(
        self, request: Request, body: bytes, written: Written[Sent]
    ) -> Sent | asyncio.Future[Sent] | Coroutine[Any, Any, Sent]:
        """Returns what `written` returns for the reply, or an awaitable of it."""
        began, responding = time.perf_counter(), self._responding
        admitted: Admitted
        try:
            admitted = self._engine.admission.admit(request.address, authorization(request))
        except Unauthenticated as refusal:
            if not may_log_in(body):
                return written(request, responding.refuse(request, refusal, began))
            admitted = refusal
        except Exception as error:  # noqa: BLE001  # the outermost: said, and what nobody foresaw is masked
            return written(request, responding.refuse(request, error, began))
        if not isinstance(admitted, Viewer) or MIN_CURSOR in request.fields:
            return self._later(request, partial(responding.admitted, request, admitted, given(body)), began, written)
        try:
            question = responding.question("POST", body)
        except HttpRequestError as error:
            return written(request, responding.refuse(request, error, began))
        return self._answer(request, question, admitted, began, written)

    def _answer(
        self, request: Request, question: Question, viewer: Viewer, began: float, written: Written[Sent]
    ) -> Sent | asyncio.Future[Sent] | Coroutine[Any, Any, Sent]:
        try:
            found = self._found(question, viewer)
        except Exception:  # noqa: BLE001  # raised again, said and masked by Responding
            found = None
        if isinstance(found, bytes):
            note(OperationEnded("query", time.perf_counter() - began, failed=False))
            return written(request, data(found, request.accept.media))
        if isinstance(found, StartedQuery):
            return PendingReply(self._engine, self._responding, request, found, began, written).sent
        return self._later(
            request, partial(self._responding.take_turn, request, question, Caller(viewer)), began, written
        )

    async def _later(
        self,
        request: Request,
        work: Callable[[OperationCount], Awaitable[Reply | Response]],
        began: float,
        written: Written[Sent],
    ) -> Sent:
        reply = await self._responding.respond(request, work, began)
        assert isinstance(reply, Reply), "events are left to ASGI"
        return written(request, reply)

    def _found(self, question: Question, viewer: Viewer) -> bytes | StartedQuery | None:
        """Returns the cached answer to the same request, or the outcome of a document that was prepared before. Returns
        None where a coroutine is needed. Raises Refusal."""
        engine, (sent, named, is_remembered) = self._engine, question
        if is_remembered:
            assert isinstance(named, OperationRequest)
            cached = self._responding.cached(named, viewer)
            return None if cached is None else cached.body
        document = engine.documents.cached(named.query) if isinstance(named, OperationRequest) else None
        if document is None or len(sent) > REMEMBERED_BYTES:
            return None
        asked = self._responding.resolve_document(named)
        operation = document.operation(asked.operation_name)
        outcome = engine.execution.deferred_outcome(
            operation, asked.variables, Context(Caller(viewer), engine.services)
        )
        if isinstance(outcome, Deferred):
            return StartedQuery(asked, operation, viewer, outcome)
        if outcome is None or outcome.data is None:
            return None
        return _body(outcome.data, operation, viewer)


class PendingReply(Generic[Sent]):
    """Sends the reply when the awaited value has come, or the deadline has passed."""

    def __init__(
        self,
        engine: Engine,
        responding: Responding,
        request: Request,
        begun: StartedQuery,
        began: float,
        written: Written[Sent],
    ) -> None:
        self._engine, self._responding, self._written = engine, responding, written
        self._request, self._begun, self._began = request, begun, began
        self._task: asyncio.Task[None] | None = None
        started = begun.deferred.start()
        self.sent: asyncio.Future[Sent] = started.get_loop().create_future()
        DeadlineWait(engine.execution.deadlines, started, self._came, self._overdue)

    def _came(self, future: asyncio.Future[object]) -> None:
        """Sends the reply. Starts a task for what only graphql-core can answer, and where the viewer may see other
        things by now."""
        _, operation, viewer, deferred = self._begun
        try:
            outcome = deferred.make(future)
            present = self._engine.services.identify.present(viewer)
            same = present.view == viewer.view
            body = _body(outcome.data, operation, viewer) if same and outcome.data is not None else None
        except Exception as error:  # noqa: BLE001  # the outermost: said, and what nobody foresaw is masked
            self._tell(failure(error, self._request.accept.media), failed=True)
            return
        if body is not None:
            self._tell(data(body, self._request.accept.media), failed=False)
            return
        self._task = future.get_loop().create_task(self._again(present, outcome if same else None))

    async def _again(self, viewer: Viewer, outcome: Outcome | None) -> None:
        work = partial(self._responding.execute, self._request, self._begun.asked, Caller(viewer), outcome)
        reply = await self._responding.respond(self._request, work, self._began)
        assert isinstance(reply, Reply), "events are left to ASGI"
        self.sent.set_result(self._written(self._request, reply))

    def _overdue(self) -> None:
        self._tell(data(orjson.dumps(self._engine.execution.overdue), self._request.accept.media), failed=True)

    def _tell(self, reply: Reply, *, failed: bool) -> None:
        note(OperationEnded("query", time.perf_counter() - self._began, failed))
        self.sent.set_result(self._written(self._request, reply))


def given(body: bytes) -> Callable[[Request], Awaitable[bytes]]:
    async def read(_: Request) -> bytes:
        return body

    return read


def _body(found: dict[str, object], operation: Operation, viewer: Viewer) -> bytes:
    return orjson.dumps(regular(found, operation.masked(viewer.view)))
