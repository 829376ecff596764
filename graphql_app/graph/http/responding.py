"""From a request of GraphQL over HTTP to its reply, whatever brought the one and takes the other."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from starlette.responses import Response

from graphql_app.domain.access import ANONYMOUS, Viewer
from graphql_app.domain.audit import Transport
from graphql_app.domain.errors import Refusal, Unauthenticated
from graphql_app.domain.media import EVENTS
from graphql_app.graph.api.accounts import OPEN
from graphql_app.graph.api.context import Context
from graphql_app.graph.compile.shortcut import Outcome
from graphql_app.graph.documents.document import InvalidDocument, Operation
from graphql_app.graph.engine.engine import Engine
from graphql_app.graph.engine.request import OperationRequest
from graphql_app.graph.engine.response_cache import Answer, ResponseKey, can_be_shared
from graphql_app.graph.http.event_stream import subscribed
from graphql_app.graph.http.replies import Reply, failure, whole
from graphql_app.graph.http.requests import (
    ClientDisconnected,
    HttpRequestError,
    PersistedRequest,
    Request,
    RequestCache,
    from_body,
    from_query,
    text,
)
from graphql_app.observe import OperationEnded, note


class Question(NamedTuple):
    """The part of a request that says what is asked, and how that was read."""

    sent: bytes
    named: OperationRequest | PersistedRequest
    is_remembered: bool  # somebody was given a kept answer to it


@dataclass(slots=True)
class OperationCount:
    """What is counted of an operation, as far as it came."""

    kind: str = "invalid"
    failed: bool = True


class Responding:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._remembered = {"POST": RequestCache(from_body), "GET": RequestCache(from_query)}

    def question(self, method: str, sent: bytes) -> Question:
        """Raises Unanswerable."""
        remembered = self._remembered[method]
        known = remembered.get(sent)
        return Question(sent, known or remembered.read(sent), known is not None)

    async def reply(self, request: Request, ask: Callable[[Request], Awaitable[Question]]) -> Reply | Response:
        """`ask` waits for the question. Raises Gone when the client is; anything else is a reply."""

        async def asked(counted: OperationCount) -> Reply | Response:
            self._engine.admission.request(request.address)
            return await self._replied(request, await ask(request), counted)

        return await self._told(request, asked, time.perf_counter())

    async def again(
        self, request: Request, asked: OperationRequest, viewer: Viewer, outcome: Outcome | None, began: float
    ) -> Reply | Response:
        """To what was begun without a coroutine and could not be ended so; `outcome` is what its resolver did."""

        async def executed(counted: OperationCount) -> Reply | Response:
            return await self._executed(request, asked, viewer, counted, outcome)

        return await self._told(request, executed, began)

    async def _told(
        self, request: Request, work: Callable[[OperationCount], Awaitable[Reply | Response]], began: float
    ) -> Reply | Response:
        counted = OperationCount()
        try:
            return await work(counted)
        except ClientDisconnected:
            raise
        except Exception as error:  # noqa: BLE001  # the outermost: said, and what nobody foresaw is masked
            return failure(error, request.accept.media)
        finally:
            note(OperationEnded(counted.kind, time.perf_counter() - began, counted.failed))

    async def _replied(self, request: Request, question: Question, counted: OperationCount) -> Reply | Response:
        await self._let_others_in(question.named)
        viewer = await self._viewer(request, question.named)
        self._engine.admission.operation(viewer)
        asked = self.meant(question.named)
        # What is at hand is answered before the document is looked at.
        known = self.known(asked, viewer)
        if known is None:
            return await self._executed(request, asked, viewer, counted)
        self._remembered[request.method].keep(question.sent, asked)
        counted.kind, counted.failed = "query", False
        return whole(known, request, is_shareable=True)

    async def _let_others_in(self, named: OperationRequest | PersistedRequest) -> None:
        """Before a document that may have to be prepared: many new ones can come in one moment."""
        if isinstance(named, PersistedRequest) or self._engine.documents.known(named.query) is None:
            await self._engine.execution.scheduler.next()

    async def _viewer(self, request: Request, named: OperationRequest | PersistedRequest) -> Viewer:
        services = self._engine.services
        try:
            viewer = await services.identify.arriving(authorization(request))
        except Unauthenticated:
            if self._needs_no_token(named):
                return ANONYMOUS
            raise
        if not services.receipts.needs_primary(text(request.fields, b"x-min-cursor")):
            return viewer
        return replace(viewer, reads_primary=True)

    def _needs_no_token(self, named: OperationRequest | PersistedRequest) -> bool:
        """Of a document that cannot be read, whoever has no token is told just that."""
        try:
            query = (
                named.query if isinstance(named, OperationRequest) else self._engine.persisted.text(None, named.digest)
            )
            if not any(name in query for name in OPEN):
                return False  # without parsing what anybody sends
            operation = self._engine.documents.get(query).operation(named.operation_name)
            return operation.kind == "mutation" and operation.roots <= OPEN | {"__typename"}
        except (InvalidDocument, Refusal):
            return False

    def meant(self, named: OperationRequest | PersistedRequest) -> OperationRequest:
        """What is asked, with its text, if that may be asked here. Raises a Refusal."""
        persisted = self._engine.persisted
        if isinstance(named, PersistedRequest):
            return named.with_text(persisted.text(None, named.digest))
        persisted.text(named.query, named.digest)
        return named

    def known(self, asked: OperationRequest, viewer: Viewer) -> Answer | None:
        """The kept answer, if there is one that is true."""
        answers = self._engine.answers
        if answers is None or viewer.reads_primary:
            return None
        return answers.known(ResponseKey(asked.key, viewer.view))

    async def _executed(
        self,
        request: Request,
        asked: OperationRequest,
        viewer: Viewer,
        counted: OperationCount,
        outcome: Outcome | None = None,
    ) -> Reply | Response:
        operation = self._engine.documents.get(asked.query).operation(asked.operation_name)
        counted.kind = operation.kind
        if operation.kind == "mutation" and request.method == "GET":
            raise HttpRequestError(405, "Mutations go by POST.", {"Allow": "POST"})
        context = self._context(operation, viewer, request)
        if operation.kind == "subscription":
            return await self._subscribed(operation, asked, context, request, counted)
        answer = await self._engine.answer(asked, operation, context, outcome)
        if operation.kind == "query":
            present = self._engine.services.identify.present(viewer)
            if present.view != viewer.view:  # since it was asked
                return await self._executed(request, asked, present, counted)
        counted.failed = answer.has_errors
        return whole(answer, request, is_shareable=can_be_shared(operation))

    async def _subscribed(
        self, operation: Operation, asked: OperationRequest, context: Context, request: Request, counted: OperationCount
    ) -> Response:
        if not request.accept.events:
            raise HttpRequestError(
                406, f"Subscriptions go over a WebSocket (graphql-transport-ws), or with `Accept: {EVENTS}`."
            )
        response = await subscribed(self._engine, operation, asked.variables, context)
        counted.failed = False
        return response

    def _context(self, operation: Operation, viewer: Viewer, request: Request) -> Context:
        if operation.kind == "query":
            return Context(viewer, self._engine.services)
        # With what the audit log is to say of the request.
        asking = replace(viewer, request_id=request.id.decode(), transport=Transport.HTTP, address=request.address)
        return Context(
            asking,
            self._engine.services,
            idempotency_key=text(request.fields, b"idempotency-key"),
            last_event_id=text(request.fields, b"last-event-id"),
            user_agent=text(request.fields, b"user-agent"),
        )


def authorization(request: Request) -> str:
    return request.fields.get(b"authorization", b"").decode("latin-1")
