"""GraphQL over HTTP (graphql.github.io/graphql-over-http): one operation a request.

A plain ASGI application: of a request whose answer is at hand, a framework's routing, middleware, request and response
objects would be two thirds of the cost.
"""

import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import NamedTuple

import orjson
from graphql import GraphQLError
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from graphql_app.domain.access import ANONYMOUS, Viewer
from graphql_app.domain.addresses import Proxies
from graphql_app.domain.audit import Transport
from graphql_app.domain.errors import RateLimited, Refusal, TooMany, Unauthenticated
from graphql_app.graph.accounts import OPEN, needs_no_token
from graphql_app.graph.answers import Answer, Key, can_be_shared
from graphql_app.graph.context import Context
from graphql_app.graph.documents import InvalidDocument, Operation
from graphql_app.graph.events import answered, subscribed
from graphql_app.graph.negotiation import EVENTS, LEGACY, RESPONSE, Accepted, negotiated
from graphql_app.graph.protocol import Engine
from graphql_app.graph.requests import (
    REMEMBERED_BYTES,
    Asked,
    AskedByHash,
    Gone,
    Remembered,
    Unanswerable,
    body_of,
    fields_of,
    from_body,
    from_query,
    require_json,
)
from graphql_app.graph.schema import BadVariables, formatted
from graphql_app.observe import OperationEnded, note

GIVEN_ID_MOST = 64
TO_LOOK_AT = frozenset({b"origin", b"x-min-cursor"})  # with these header fields there is more to find out

QUERIES = (b"query", b"documentId", b"extensions")  # by what an address asks, rather than for the page

REVALIDATED = b"private, no-cache"

Fields = dict[bytes, bytes]
Headers = list[tuple[bytes, bytes]]


class Request(NamedTuple):
    """A request with what was read off its header fields."""

    method: str
    query_string: bytes
    fields: Fields
    accept: Accepted
    id: bytes
    address: str | None


@dataclass(slots=True)
class Outcome:
    """What is counted of an operation, as far as it came."""

    kind: str = "invalid"
    failed: bool = True


class Reply(NamedTuple):
    """An answer that is whole."""

    status: int
    body: bytes
    headers: Headers
    caching: bytes = b"no-store"


class HttpDoor:
    """Answers every request on /graphql.

    `page` is for people's browsers, if there is one; `guard` looks at what comes from a page, or with a query in its
    address; `secure` is said with every answer. ASGI comes with the client in the place of a trusted proxy already.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        body_most: int,
        page: ASGIApp | None,
        guard: Callable[[ASGIApp], ASGIApp],
        secure: Headers,
        proxies: Proxies,
    ) -> None:
        self._engine = engine
        self._body_most = body_most
        self._page = page
        self._guarded = guard(self._in_guard)
        self._secure = secure
        self._proxies = proxies
        # Ids of requests only have to differ: asking the system for chance each time would cost more than all of this.
        self._ids, self._count = secrets.token_hex(10).encode(), count()
        self._remembered = {"POST": Remembered(from_body), "GET": Remembered(from_query)}

    def at_hand(self, peer: str | None, lines: Headers, body: bytes) -> tuple[int, Headers, bytes] | None:
        """Status, header and body of the answer to a POST, when that is a kept one, or made of what is in memory. None
        says nothing but that it is not: then ASGI serves, and finds out whatever else there is to find.

        For a server that has the whole request: a task, a queue and messages cost more than what is done here.
        """
        began, fields, answering = time.perf_counter(), fields_of(lines), self._answering(body)
        media = negotiated(fields.get(b"accept", b"")).media
        if answering is None or media is None or not fields.keys().isdisjoint(TO_LOOK_AT):
            return None
        try:
            require_json(fields)
            viewer = self._engine.services.identify.from_header(fields.get(b"authorization", b"").decode("latin-1"))
        except (Unanswerable, Refusal):
            return None
        known = answering(viewer)
        if known is None:
            return None
        ended, reply = ("query", False), _json(known.body, 200, media)
        try:
            self._engine.gate.request(self._proxies.client(peer, _text(fields, b"x-forwarded-for") or ""))
            self._engine.gate.operation(viewer)
        except RateLimited as refusal:
            ended, reply = ("invalid", True), _limited(refusal, media)
        note(OperationEnded(ended[0], time.perf_counter() - began, ended[1]))
        return reply.status, [*reply.headers, *self._own(self._id_of(fields), reply)], reply.body

    def _answering(self, sent: bytes) -> Callable[[Viewer], Answer | None] | None:
        """What may have the answer at hand: of what was sent before and is kept, or of a document that was asked before
        and whose answer can be made without waiting."""
        asked = self._remembered["POST"].get(sent)
        if asked is not None:
            return partial(self._known, asked)
        try:
            named = from_body(sent) if len(sent) <= REMEMBERED_BYTES else None
            if not isinstance(named, Asked):
                return None
            document = self._engine.documents.known(self._meant(named).query)
            operation = document.operation(named.operation_name) if document is not None else None
        except (Unanswerable, Refusal):
            return None
        if operation is None or not operation.plans.is_at_hand:
            return None
        return partial(self._made, operation, named)

    def _made(self, operation: Operation, asked: Asked, viewer: Viewer) -> Answer | None:
        made = self._engine.execution.at_hand(operation, asked.variables, Context(viewer, self._engine.services))
        return None if made is None else Answer(orjson.dumps(made), has_errors=False)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        fields = fields_of(scope["headers"])
        if b"origin" in fields or scope["query_string"]:
            return self._guarded(scope, receive, send)
        return self._serve(fields, scope, receive, send)

    def _in_guard(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return self._serve(fields_of(scope["headers"]), scope, receive, send)

    async def _serve(self, fields: Fields, scope: Scope, receive: Receive, send: Send) -> None:
        accept = negotiated(fields.get(b"accept", b""))
        if self._page is not None and accept.page and wants_page(scope):
            await self._page(scope, receive, send)
            return
        address = client[0] if (client := scope.get("client")) else None
        request = Request(scope["method"], scope["query_string"], fields, accept, self._id_of(fields), address)
        try:
            reply = await self._reply(request, receive)
        except Gone:
            return
        except Exception as error:  # noqa: BLE001  # the outermost of the door: noted, and masked to the client
            reply = _errors([error], 500, accept.media)
        if isinstance(reply, Response):
            reply.raw_headers.extend(self._own(request.id))
            await reply(scope, receive, send)
            return
        headers = [*reply.headers, *self._own(request.id, reply)]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})

    def _id_of(self, fields: Fields) -> bytes:
        """The client's own id of its request, if it may stand in a log, or one of ours."""
        given = fields.get(b"x-request-id", b"")
        if 0 < len(given) <= GIVEN_ID_MOST and given.isascii() and given.decode().isprintable():
            return given
        return b"%b%012x" % (self._ids, next(self._count))

    def _own(self, id: bytes, reply: Reply | None = None) -> Headers:
        """What every answer says of itself; None is for one that is not whole yet."""
        headers = [
            (b"x-request-id", id),
            (b"vary", b"Accept, Authorization"),
            (b"cache-control", reply.caching if reply is not None else b"no-store"),
            *self._secure,
        ]
        if reply is not None and reply.status != 304:
            headers.append((b"content-length", b"%d" % len(reply.body)))
        return headers

    async def _reply(self, request: Request, receive: Receive) -> Reply | Response:
        outcome, began, media = Outcome(), time.perf_counter(), request.accept.media
        reply: Reply | Response
        try:
            self._engine.gate.request(request.address)
            sent, remembered = await self._sent(request, receive), self._remembered[request.method]
            named = remembered.get(sent) or remembered.read(sent)
            viewer = await self._viewer(request, named)
            self._engine.gate.operation(viewer)
            asked = self._meant(named)
            # What is at hand is answered before the document is looked at.
            known = self._known(asked, viewer)
            if known is not None:
                remembered.keep(sent, asked)
                outcome.kind, outcome.failed = "query", False
                reply = _whole(known, request, is_shareable=True)
            else:
                reply = await self._executed(request, asked, viewer, outcome)
        except Unanswerable as problem:
            reply = _unanswerable(problem, media)
        except Unauthenticated as refusal:
            reply = _errors([refusal], 401, media, [(b"www-authenticate", b"Bearer")])
        except RateLimited as refusal:
            reply = _limited(refusal, media)
        except (InvalidDocument, BadVariables) as error:
            reply = _errors(error.errors, _bad_request(media), media)
        except (Refusal, GraphQLError) as error:
            reply = _errors([error], _bad_request(media), media)
        finally:
            note(OperationEnded(outcome.kind, time.perf_counter() - began, outcome.failed))
        return reply

    async def _viewer(self, request: Request, named: Asked | AskedByHash) -> Viewer:
        services, fields = self._engine.services, request.fields
        try:
            viewer = await services.identify.arriving(fields.get(b"authorization", b"").decode("latin-1"))
        except Unauthenticated:
            if self._needs_no_token(named):
                return ANONYMOUS
            raise
        if not services.receipts.needs_primary(_text(fields, b"x-min-cursor")):
            return viewer
        return replace(viewer, reads_primary=True)

    def _needs_no_token(self, named: Asked | AskedByHash) -> bool:
        """Of a document that cannot be read, whoever has no token is told just that."""
        try:
            query = named.query if isinstance(named, Asked) else self._engine.persisted.text(None, named.digest)
            if not any(name in query for name in OPEN):
                return False  # without parsing what anybody sends
            return needs_no_token(self._engine.documents.get(query).operation(named.operation_name))
        except (InvalidDocument, Refusal):
            return False

    def _known(self, asked: Asked, viewer: Viewer) -> Answer | None:
        answers = self._engine.answers
        if answers is None or viewer.reads_primary:
            return None
        return answers.known(Key(asked.key, viewer.view))

    async def _executed(self, request: Request, asked: Asked, viewer: Viewer, outcome: Outcome) -> Reply | Response:
        operation = self._engine.documents.get(asked.query).operation(asked.operation_name)
        outcome.kind = operation.kind
        if operation.kind == "mutation" and request.method == "GET":
            raise Unanswerable(405, "Mutations go by POST.", {"Allow": "POST"})
        context = self._context(_asking(viewer, request), request.fields)
        if operation.kind == "subscription":
            return await self._subscribed(operation, asked, context, request, outcome)
        answer = await self._engine.answer(asked, operation, context)
        if operation.kind == "query":
            present = self._engine.services.identify.present(viewer)
            if present.view != viewer.view:  # since it was asked
                return await self._executed(request, asked, present, outcome)
        outcome.failed = answer.has_errors
        return _whole(answer, request, is_shareable=can_be_shared(operation))

    def _meant(self, named: Asked | AskedByHash) -> Asked:
        """What is asked, with its text, if that may be asked here. Raises a Refusal."""
        persisted = self._engine.persisted
        if isinstance(named, AskedByHash):
            return named.with_text(persisted.text(None, named.digest))
        persisted.text(named.query, named.digest)
        return named

    async def _sent(self, request: Request, receive: Receive) -> bytes:
        """The part of a request that says what is asked. Raises Unanswerable when there is none, and Gone."""
        if request.accept.media is None and not request.accept.events:
            raise Unanswerable(406, f"This answers {RESPONSE}, {LEGACY} or {EVENTS}; name one in `Accept`.")
        if request.method == "POST":
            require_json(request.fields)
            return await body_of(request.fields, receive, self._body_most)
        if request.method == "GET":
            query = request.query_string
            if len(query) > (most := self._body_most):
                message, measure = f"The query string is longer than {most} bytes.", "bytes of the query string"
                raise Unanswerable.beyond(414, TooMany(message, measure=measure, limit=most, asked=len(query)))
            return query
        raise Unanswerable(405, "Ask by GET or POST.", {"Allow": "GET, POST"})

    async def _subscribed(
        self, operation: Operation, asked: Asked, context: Context, request: Request, outcome: Outcome
    ) -> Response:
        if not request.accept.events:
            raise Unanswerable(
                406, f"Subscriptions go over a WebSocket (graphql-transport-ws), or with `Accept: {EVENTS}`."
            )
        response = await subscribed(self._engine, operation, asked.variables, context)
        outcome.failed = False
        return response

    def _context(self, viewer: Viewer, fields: Fields) -> Context:
        return Context(
            viewer,
            self._engine.services,
            idempotency_key=_text(fields, b"idempotency-key"),
            last_event_id=_text(fields, b"last-event-id"),
            user_agent=_text(fields, b"user-agent"),
        )


def _asking(viewer: Viewer, request: Request) -> Viewer:
    """The viewer, with what the audit log is to say of the request."""
    return replace(viewer, request_id=request.id.decode(), transport=Transport.HTTP, address=request.address)


def wants_page(scope: Scope) -> bool:
    """Whether a client that takes pages came for one, rather than with a query."""
    return scope["method"] == "GET" and not any(
        pair.partition(b"=")[0] in QUERIES for pair in scope["query_string"].split(b"&")
    )


def _whole(answer: Answer, request: Request, *, is_shareable: bool) -> Reply | Response:
    """An answer in the way that its client takes it. What is not personal, a client may keep, and ask whether it is
    still true."""
    if request.accept.media is None:
        return answered(answer.body)
    reply = _json(answer.body, 200, request.accept.media)
    if request.method != "GET" or answer.has_errors or not is_shareable:
        return reply
    headers = [*reply.headers, (b"etag", answer.tag)]
    if _holds(request.fields.get(b"if-none-match", b""), answer.tag):
        return Reply(304, b"", headers, REVALIDATED)
    return Reply(200, reply.body, headers, REVALIDATED)


def _holds(if_none_match: bytes, tag: bytes) -> bool:
    """Whether the client has what the tag names; weak or strong makes no difference here (RFC 9110, 13.1.2)."""
    opaque = tag.removeprefix(b"W/")
    return any(one.strip().removeprefix(b"W/") in (opaque, b"*") for one in if_none_match.split(b","))


def _json(body: bytes, status: int, media: str | None, headers: Iterable[tuple[bytes, bytes]] = ()) -> Reply:
    return Reply(status, body, [(b"content-type", _CONTENT_TYPE[media]), *headers])


_CONTENT_TYPE: Mapping[str | None, bytes] = {
    media: f"{media or LEGACY}; charset=utf-8".encode() for media in (RESPONSE, LEGACY, None)
}


def _errors(
    errors: Iterable[Exception], status: int, media: str | None, headers: Iterable[tuple[bytes, bytes]] = ()
) -> Reply:
    return _json(orjson.dumps({"errors": [formatted(error) for error in errors]}), status, media, headers)


def _unanswerable(problem: Unanswerable, media: str | None) -> Reply:
    body = {"errors": [{"message": str(problem), "extensions": {**problem.extensions}}]}
    headers = [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
    return _json(orjson.dumps(body), problem.status, media, headers)


def _limited(refusal: RateLimited, media: str | None) -> Reply:
    return _errors([refusal], 429, media, [(b"retry-after", b"%d" % refusal.retry_after)])


def _bad_request(media: str | None) -> int:
    """A request that cannot be executed is a 400, but clients that only know application/json expect 200."""
    return 200 if media == LEGACY else 400


def _text(fields: Fields, name: bytes) -> str | None:
    value = fields.get(name)
    return None if value is None else value.decode("latin-1")
