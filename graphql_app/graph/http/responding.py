"""From a request of GraphQL over HTTP to its reply, whatever carries them: admitted, read, answered from the cache or
executed."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from starlette.responses import Response

from graphql_app.domain.access import ANONYMOUS, Viewer
from graphql_app.domain.audit import Transport
from graphql_app.domain.caller import Caller, Consistency
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

MIN_CURSOR = b"x-min-cursor"

# How OPEN may stand in a body: by name, in escapes, or behind the hash of a document.
LOGIN_MARKS = (*(name.encode() for name in OPEN), b"\\u", b"sha256Hash", b"documentId")

# Whose request it is, at once or later; or why nobody's. Those who have no token yet may log in.
Admitted = Viewer | Awaitable[Viewer] | Unauthenticated


class Question(NamedTuple):
    """The operation that a request asks for, and how it was parsed."""

    sent: bytes
    named: OperationRequest | PersistedRequest
    is_remembered: bool  # somebody was given a kept answer to it


@dataclass(slots=True)
class OperationCount:
    """What the metrics count of an operation, as far as it is known."""

    kind: str = "invalid"
    failed: bool = True


class Responding:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._remembered = {"POST": RequestCache(from_body), "GET": RequestCache(from_query)}

    def question(self, method: str, sent: bytes) -> Question:
        """Parses what an admitted request asks. Raises HttpRequestError."""
        remembered = self._remembered[method]
        before = remembered.get(sent)
        return Question(sent, before or remembered.read(sent), before is not None)

    async def reply(self, request: Request, read: Callable[[Request], Awaitable[bytes]]) -> Reply | Response:
        """Returns the reply to a request whose address was counted in front of all doors. `read` waits for its body.

        Raises ClientDisconnected; anything else becomes a reply.
        """

        async def admitted(counted: OperationCount) -> Reply | Response:
            return await self.admitted(request, self._sign_in(request), read, counted)

        return await self.respond(request, admitted, time.perf_counter())

    async def respond(
        self, request: Request, work: Callable[[OperationCount], Awaitable[Reply | Response]], began: float
    ) -> Reply | Response:
        """Runs the work, counts it, and turns what it raises into a reply. Raises ClientDisconnected."""
        counted = OperationCount()
        try:
            return await work(counted)
        except ClientDisconnected:
            raise
        except Exception as error:  # noqa: BLE001  # the outermost: said, and what nobody foresaw is masked
            return failure(error, request.accept.media)
        finally:
            note(OperationEnded(counted.kind, time.perf_counter() - began, counted.failed))

    def refuse(self, request: Request, error: Exception, began: float) -> Reply:
        """Returns the reply to a request that is not admitted."""
        note(OperationEnded("invalid", time.perf_counter() - began, failed=True))
        return failure(error, request.accept.media)

    # --- admission: before anything is read --------------------------------------------------------------------------

    def _sign_in(self, request: Request) -> Admitted:
        try:
            return self._engine.admission.sign_in(authorization(request))
        except Unauthenticated as refusal:
            return refusal

    async def admitted(
        self,
        request: Request,
        admitted: Admitted,
        read: Callable[[Request], Awaitable[bytes]],
        counted: OperationCount,
    ) -> Reply | Response:
        """Returns the reply to a request whose viewer is known, or becomes known. Raises Refusal, HttpRequestError and
        others."""
        viewer = await _identified(admitted)
        if isinstance(viewer, Unauthenticated):
            question = await self._login(request, read, viewer)
            return await self.answer(request, question, Caller(ANONYMOUS), counted)
        question = self.question(request.method, await read(request))
        caller = Caller(viewer, consistency=self._consistency(request))
        return await self.take_turn(request, question, caller, counted)

    async def _login(
        self, request: Request, read: Callable[[Request], Awaitable[bytes]], refusal: Unauthenticated
    ) -> Question:
        """Returns the login that somebody without a valid token asks for. Raises the refusal for anything else."""
        if request.method != "POST" or not may_log_in(sent := await read(request)):
            raise refusal
        question = self.question("POST", sent)
        await self._let_others_in(question.named)
        if not self._needs_no_token(question.named):
            raise refusal
        return question

    def _consistency(self, request: Request) -> Consistency:
        """Returns how fresh the answer must be: a client may ask to be shown a write. Raises InvalidInput."""
        return self._engine.services.tokens.consistency(text(request.fields, MIN_CURSOR))

    # --- what was admitted -------------------------------------------------------------------------------------------

    async def take_turn(
        self, request: Request, question: Question, caller: Caller, counted: OperationCount
    ) -> Reply | Response:
        """Answers as answer() does, once the others had their turn."""
        await self._let_others_in(question.named)
        return await self.answer(request, question, caller, counted)

    async def answer(
        self, request: Request, question: Question, caller: Caller, counted: OperationCount
    ) -> Reply | Response:
        """Returns the reply to an operation. Raises Refusal, HttpRequestError and others."""
        asked = self.resolve_document(question.named)
        # What is cached is answered before the document is looked at.
        cached = None if caller.reads_latest else self.cached(asked, caller.viewer)
        if cached is None:
            return await self.execute(request, asked, caller, None, counted)
        self._remembered[request.method].keep(question.sent, asked)
        counted.kind, counted.failed = "query", False
        return whole(cached, request, is_shareable=True)

    async def _let_others_in(self, named: OperationRequest | PersistedRequest) -> None:
        """Yields before a document that may have to be prepared: many new ones can come at one moment."""
        if isinstance(named, PersistedRequest) or self._engine.documents.cached(named.query) is None:
            await self._engine.execution.scheduler.next()

    def _needs_no_token(self, named: OperationRequest | PersistedRequest) -> bool:
        """Returns whether it is a login. Whoever has no token is not told what is wrong with a document, only that it
        needs one."""
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

    def resolve_document(self, named: OperationRequest | PersistedRequest) -> OperationRequest:
        """Returns the request with the text of its document, if that may be executed here. Raises a Refusal."""
        persisted = self._engine.persisted
        if isinstance(named, PersistedRequest):
            return named.with_text(persisted.text(None, named.digest))
        persisted.text(named.query, named.digest)
        return named

    def cached(self, asked: OperationRequest, viewer: Viewer) -> Answer | None:
        """Returns the cached answer, if there is one that is still true."""
        answers = self._engine.answers
        if answers is None:
            return None
        return answers.cached(ResponseKey(asked.key, viewer.view))

    async def execute(
        self,
        request: Request,
        asked: OperationRequest,
        caller: Caller,
        outcome: Outcome | None,
        counted: OperationCount,
    ) -> Reply | Response:
        """Executes an operation whose document is prepared. `outcome`: what its resolver returned, if it was started
        without a coroutine.

        Raises HttpRequestError where the method cannot carry it, and what answer() raises.
        """
        operation = self._engine.documents.get(asked.query).operation(asked.operation_name)
        counted.kind = operation.kind
        if operation.kind == "mutation" and request.method == "GET":
            raise HttpRequestError(405, "Mutations go by POST.", {"Allow": "POST"})
        context = self._context(operation, caller, request)
        if operation.kind == "subscription":
            return await self._subscribed(operation, asked, context, request, counted)
        answer = await self._engine.answer(asked, operation, context, outcome)
        if operation.kind == "query":
            present = self._engine.services.identify.present(caller.viewer)
            if present.view != caller.view:  # since it was asked
                return await self.execute(request, asked, caller._replace(viewer=present), None, counted)
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

    def _context(self, operation: Operation, caller: Caller, request: Request) -> Context:
        if operation.kind == "query":
            return Context(caller, self._engine.services)
        # With what the audit log is to say of the request.
        return Context(
            caller._replace(request_id=request.id.decode(), transport=Transport.HTTP, address=request.address),
            self._engine.services,
            idempotency_key=text(request.fields, b"idempotency-key"),
            last_event_id=text(request.fields, b"last-event-id"),
            user_agent=text(request.fields, b"user-agent"),
        )


async def _identified(admitted: Admitted) -> Viewer | Unauthenticated:
    """Raises RateLimited, Unavailable."""
    if isinstance(admitted, (Viewer, Unauthenticated)):
        return admitted
    try:
        return await admitted
    except Unauthenticated as refusal:
        return refusal


def may_log_in(sent: bytes) -> bool:
    """Returns whether a body may be a login, without parsing it."""
    return any(mark in sent for mark in LOGIN_MARKS)


def authorization(request: Request) -> str:
    return request.fields.get(b"authorization", b"").decode("latin-1")
