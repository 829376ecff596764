"""GraphQL over HTTP (graphql.github.io/graphql-over-http): one operation a request.

A plain ASGI application: of a request whose answer is at hand, a framework's routing, middleware, request and response
objects would be two thirds of the cost.
"""

import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import orjson
from graphql import GraphQLError
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from graphql_app.domain.access import Viewer
from graphql_app.domain.errors import Refusal, Unauthenticated
from graphql_app.graph.context import Context
from graphql_app.graph.documents import InvalidDocument, Operation
from graphql_app.graph.events import answered, subscribed
from graphql_app.graph.negotiation import EVENTS, LEGACY, RESPONSE, Accepted, negotiated
from graphql_app.graph.protocol import Engine
from graphql_app.graph.requests import (
    Asked,
    Gone,
    Unanswerable,
    body_of,
    fields_of,
    from_body,
    from_query,
    require_json,
)
from graphql_app.graph.schema import BadVariables, formatted
from graphql_app.observe import OperationEnded, note

REMEMBERED = 1000  # requests, read once for all who send the very same bytes
REMEMBERED_BYTES = 4096  # longer ones are read anew

Fields = dict[bytes, bytes]
Headers = list[tuple[bytes, bytes]]


class Reply(NamedTuple):
    """An answer that is whole."""

    status: int
    body: bytes
    headers: Headers


class HttpDoor:
    """Answers every request on /graphql. `page` is for people's browsers; `cors` lets pages of other origins in."""

    def __init__(
        self, engine: Engine, *, body_most: int, page: ASGIApp, cors: Callable[[ASGIApp], ASGIApp] | None = None
    ) -> None:
        self._engine = engine
        self._body_most = body_most
        self._page = page
        self._cors = cors(self._in_cors) if cors else None
        self._short_body = lru_cache(REMEMBERED)(from_body)
        self._short_query = lru_cache(REMEMBERED)(from_query)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fields = fields_of(scope)
        if self._cors is not None and b"origin" in fields:
            await self._cors(scope, receive, send)
        else:
            await self._serve(fields, scope, receive, send)

    async def _in_cors(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._serve(fields_of(scope), scope, receive, send)

    async def _serve(self, fields: Fields, scope: Scope, receive: Receive, send: Send) -> None:
        accept = negotiated(fields.get(b"accept", b""))
        if accept.page and wants_page(scope):
            await self._page(scope, receive, send)
            return
        request_id = _request_id(fields.get(b"x-request-id", b""))
        try:
            reply = await self._reply(scope, receive, fields, accept, request_id)
        except Gone:
            return
        except Exception as error:  # noqa: BLE001  # the outermost of the door: noted, and masked to the client
            reply = _errors([error], 500, accept.media)
        own = [
            (b"x-request-id", request_id.encode()),
            (b"vary", b"Accept, Authorization"),
            (b"cache-control", b"no-store"),
        ]
        if isinstance(reply, Response):
            reply.raw_headers.extend(own)
            await reply(scope, receive, send)
            return
        length = (b"content-length", str(len(reply.body)).encode())
        headers = [*reply.headers, length, *own]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})

    async def _reply(
        self, scope: Scope, receive: Receive, fields: Fields, accept: Accepted, request_id: str
    ) -> Reply | Response:
        began = time.perf_counter()
        kind, failed = "invalid", True
        try:
            if accept.media is None and not accept.events:
                raise Unanswerable(406, f"This answers {RESPONSE}, {LEGACY} or {EVENTS}; name one in `Accept`.")
            asked = await self._asked(scope, receive, fields)
            viewer = self._engine.services.identify.from_header(fields.get(b"authorization", b"").decode("latin-1"))
            operation = self._engine.documents.get(asked.query).operation(asked.operation_name)
            kind = operation.kind
            if kind == "mutation" and scope["method"] == "GET":
                raise Unanswerable(405, "Mutations go by POST.", {"Allow": "POST"})
            reads_primary = self._engine.services.receipts.needs_primary(_text(fields, b"x-min-cursor"))
            context = self._context(replace(viewer, request_id=request_id, reads_primary=reads_primary), fields)
            if kind == "subscription":
                response = await self._subscribed(operation, asked, context, accept)
                failed = False
                return response
            body = await self._engine.execution.run(operation, asked.variables, context)
            failed = "errors" in body
            return _json(orjson.dumps(body), 200, accept.media) if accept.media else answered(body)
        except Unanswerable as problem:
            return _unanswerable(problem, accept.media)
        except Unauthenticated as refusal:
            return _errors([refusal], 401, accept.media, [(b"www-authenticate", b"Bearer")])
        except (InvalidDocument, BadVariables) as error:
            return _errors(error.errors, _bad_request(accept.media), accept.media)
        except (Refusal, GraphQLError) as error:
            return _errors([error], _bad_request(accept.media), accept.media)
        finally:
            note(OperationEnded(kind, time.perf_counter() - began, failed))

    async def _asked(self, scope: Scope, receive: Receive, fields: Fields) -> Asked:
        method = scope["method"]
        if method == "POST":
            require_json(fields)
            body = await body_of(fields, receive, self._body_most)
            return (self._short_body if len(body) <= REMEMBERED_BYTES else from_body)(body)
        if method == "GET":
            query: bytes = scope["query_string"]
            if len(query) > self._body_most:
                raise Unanswerable(414, f"The query string is longer than {self._body_most} bytes.")
            return (self._short_query if len(query) <= REMEMBERED_BYTES else from_query)(query)
        raise Unanswerable(405, "Ask by GET or POST.", {"Allow": "GET, POST"})

    def _context(self, viewer: Viewer, fields: Fields) -> Context:
        return Context(
            viewer,
            self._engine.services,
            idempotency_key=_text(fields, b"idempotency-key"),
            last_event_id=_text(fields, b"last-event-id"),
        )

    async def _subscribed(self, operation: Operation, asked: Asked, context: Context, accept: Accepted) -> Response:
        if not accept.events:
            raise Unanswerable(
                406, f"Subscriptions go over a WebSocket (graphql-transport-ws), or with `Accept: {EVENTS}`."
            )
        return await subscribed(self._engine, operation, asked.variables, context)


def wants_page(scope: Scope) -> bool:
    """Whether a client that takes pages came for one, rather than with a query."""
    return scope["method"] == "GET" and not any(
        pair.partition(b"=")[0] == b"query" for pair in scope["query_string"].split(b"&")
    )


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
    body = {"errors": [{"message": str(problem), "extensions": {"code": "BAD_REQUEST"}}]}
    headers = [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
    return _json(orjson.dumps(body), problem.status, media, headers)


def _bad_request(media: str | None) -> int:
    """A request that cannot be executed is a 400, but clients that only know application/json expect 200."""
    return 200 if media == LEGACY else 400


def _text(fields: Fields, name: bytes) -> str | None:
    value = fields.get(name)
    return None if value is None else value.decode("latin-1")


def _request_id(given: bytes) -> str:
    if 0 < len(given) <= 64 and given.isascii() and (text := given.decode()).isprintable():
        return text
    return secrets.token_hex(16)
