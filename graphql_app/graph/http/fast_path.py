"""Requests that are answered without a coroutine: by a kept answer, by what is in memory, or when one thing has come.

Most requests are such, and a task with the coroutines in it would cost as much as all the rest of them.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

import orjson

from graphql_app.aio.deadlines import DeadlineWait
from graphql_app.aio.deferred import Deferred
from graphql_app.domain.access import Viewer
from graphql_app.domain.errors import RateLimited
from graphql_app.graph.api.context import Context
from graphql_app.graph.compile.shortcut import Outcome
from graphql_app.graph.documents.document import Operation
from graphql_app.graph.engine.engine import Engine
from graphql_app.graph.engine.request import OperationRequest
from graphql_app.graph.engine.results import regular
from graphql_app.graph.http.replies import Reply, data, failure
from graphql_app.graph.http.requests import REMEMBERED_BYTES, Request
from graphql_app.graph.http.responding import Question, Responding, authorization
from graphql_app.observe import OperationEnded, note

Sent = TypeVar("Sent")
Written = Callable[[Request, Reply], Sent]


class StartedQuery(NamedTuple):
    """A query that waits for one thing."""

    asked: OperationRequest
    operation: Operation
    viewer: Viewer
    deferred: Deferred[Outcome]


class FastPath:
    def __init__(self, engine: Engine, answering: Responding) -> None:
        self._engine = engine
        self._answering = answering

    def sent(self, request: Request, question: Question, written: Written[Sent]) -> Sent | asyncio.Future[Sent] | None:
        """The reply, written. None says nothing but that there is more to it: Answering finds out whatever there is."""
        began, engine = time.perf_counter(), self._engine
        try:
            viewer = engine.services.identify.from_header(authorization(request))
            found = self._found(question, viewer)
        except Exception:  # noqa: BLE001  # said, and masked, by Answering
            return None
        if found is None:
            return None
        try:
            engine.admission.request(request.address)
            engine.admission.operation(viewer)
        except RateLimited as refusal:
            note(OperationEnded("invalid", time.perf_counter() - began, failed=True))
            return written(request, failure(refusal, request.accept.media))
        if isinstance(found, StartedQuery):
            return PendingReply(self._engine, self._answering, request, found, began, written).sent
        note(OperationEnded("query", time.perf_counter() - began, failed=False))
        return written(request, data(found, request.accept.media))

    def _found(self, question: Question, viewer: Viewer) -> bytes | StartedQuery | None:
        """The answer that is kept for those who sent the same before; or what becomes of a document that was asked
        before. Raises Refusal."""
        engine, (sent, named, is_remembered) = self._engine, question
        if is_remembered:
            assert isinstance(named, OperationRequest)
            known = self._answering.known(named, viewer)
            return None if known is None else known.body
        document = engine.documents.known(named.query) if isinstance(named, OperationRequest) else None
        if document is None or len(sent) > REMEMBERED_BYTES:
            return None
        asked = self._answering.meant(named)
        operation = document.operation(asked.operation_name)
        outcome = engine.execution.deferred_outcome(operation, asked.variables, Context(viewer, engine.services))
        if isinstance(outcome, Deferred):
            return StartedQuery(asked, operation, viewer, outcome)
        if outcome is None or outcome.data is None:
            return None
        return _body(outcome.data, operation, viewer)


class PendingReply(Generic[Sent]):
    """A reply that is sent when what it waits for has come, or its time is over."""

    def __init__(
        self,
        engine: Engine,
        answering: Responding,
        request: Request,
        begun: StartedQuery,
        began: float,
        written: Written[Sent],
    ) -> None:
        self._engine, self._answering, self._written = engine, answering, written
        self._request, self._begun, self._began = request, begun, began
        self._task: asyncio.Task[None] | None = None
        started = begun.deferred.start()
        self.sent: asyncio.Future[Sent] = started.get_loop().create_future()
        DeadlineWait(engine.execution.deadlines, started, self._came, self._overdue)

    def _came(self, future: asyncio.Future[object]) -> None:
        """What only graphql-core can tell, or was asked by one who may see something else by now, is left to a task."""
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
        reply = await self._answering.again(self._request, self._begun.asked, viewer, outcome, self._began)
        assert isinstance(reply, Reply), "events are left to ASGI"
        self.sent.set_result(self._written(self._request, reply))

    def _overdue(self) -> None:
        self._tell(data(orjson.dumps(self._engine.execution.overdue), self._request.accept.media), failed=True)

    def _tell(self, reply: Reply, *, failed: bool) -> None:
        note(OperationEnded("query", time.perf_counter() - self._began, failed))
        self.sent.set_result(self._written(self._request, reply))


def _body(found: dict[str, object], operation: Operation, viewer: Viewer) -> bytes:
    return orjson.dumps(regular(found, operation.masked(viewer.view)))
