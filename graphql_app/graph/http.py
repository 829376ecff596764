"""GraphQL over HTTP (graphql.github.io/graphql-over-http): one operation a request."""

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
from graphql import GraphQLError
from starlette.requests import Request
from starlette.responses import Response

from graphql_app.domain.errors import Refusal, Unauthenticated
from graphql_app.graph.context import Context
from graphql_app.graph.documents import InvalidDocument
from graphql_app.graph.events import MEDIA_TYPE, answered, subscribed
from graphql_app.graph.protocol import Engine
from graphql_app.graph.schema import BadVariables, formatted
from graphql_app.observe import OperationEnded, note

RESPONSE = "application/graphql-response+json"
LEGACY = "application/json"


class Unanswerable(Exception):
    """Not a GraphQL request: answered with an HTTP status of its own."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}


@dataclass(frozen=True, slots=True)
class Asked:
    query: str
    operation_name: str | None
    variables: Mapping[str, Any]


class HttpDoor:
    """Answers GET and POST on /graphql."""

    def __init__(self, engine: Engine, *, body_most: int) -> None:
        self._engine = engine
        self._body_most = body_most

    async def handle(self, request: Request) -> Response:
        accept = request.headers.get("accept")
        media = accepted(accept)
        request_id = _request_id(request)
        try:
            if media is None and not takes_events(accept):
                raise Unanswerable(406, f"This answers {RESPONSE}, {LEGACY} or {MEDIA_TYPE}; name one in `Accept`.")
            response = await self._answer(request, media, request_id)
        except Unanswerable as problem:
            body = {"errors": [{"message": str(problem), "extensions": {"code": "BAD_REQUEST"}}]}
            response = _json(body, problem.status, media, problem.headers)
        response.headers["X-Request-ID"] = request_id
        response.headers["Vary"] = "Accept, Authorization"
        response.headers["Cache-Control"] = "no-store"
        return response

    async def _answer(self, request: Request, media: str | None, request_id: str) -> Response:
        """`media` is None for a client that takes nothing but events."""
        began = time.perf_counter()
        kind, failed = "invalid", True
        try:
            asked = await self._asked(request)
            viewer = self._engine.services.identify.from_header(request.headers.get("authorization"))
            operation = self._engine.documents.get(asked.query).operation(asked.operation_name)
            kind = operation.kind
            reads_primary = self._engine.services.receipts.needs_primary(request.headers.get("x-min-cursor"))
            context = Context(
                replace(viewer, request_id=request_id, reads_primary=reads_primary),
                self._engine.services,
                idempotency_key=request.headers.get("idempotency-key"),
                last_event_id=request.headers.get("last-event-id"),
            )
            if kind == "subscription":
                if not takes_events(request.headers.get("accept")):
                    raise Unanswerable(
                        406,
                        f"Subscriptions go over a WebSocket (graphql-transport-ws), or with `Accept: {MEDIA_TYPE}`.",
                    )
                response = await subscribed(self._engine.cohorts, operation, asked.variables, context)
                failed = False
                return response
            if kind == "mutation" and request.method == "GET":
                raise Unanswerable(405, "Mutations go by POST.", {"Allow": "POST"})
            body = await self._engine.execution.run(operation, asked.variables, context)
            failed = "errors" in body
            return _json(body, 200, media) if media else answered(body)
        except Unauthenticated as refusal:
            return _json({"errors": [formatted(refusal)]}, 401, media, {"WWW-Authenticate": "Bearer"})
        except (InvalidDocument, BadVariables) as error:
            return _json({"errors": [formatted(one) for one in error.errors]}, _bad_request(media), media)
        except (Refusal, GraphQLError) as error:
            return _json({"errors": [formatted(error)]}, _bad_request(media), media)
        finally:
            note(OperationEnded(kind, time.perf_counter() - began, failed))

    async def _asked(self, request: Request) -> Asked:
        if request.method == "GET":
            return _from_query(request)
        if request.method != "POST":
            raise Unanswerable(405, "Ask by GET or POST.", {"Allow": "GET, POST"})
        content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if content_type != "application/json":
            raise Unanswerable(415, "Send `Content-Type: application/json`.")
        return _from_json(await self._body(request))

    async def _body(self, request: Request) -> Any:
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > self._body_most:
                raise Unanswerable(413, f"The body is larger than {self._body_most} bytes.")
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise Unanswerable(400, f"The body is not JSON: {error}") from error


def _from_query(request: Request) -> Asked:
    given: dict[str, Any] = dict(request.query_params)
    for name in ("variables", "extensions"):
        if name in given:
            try:
                given[name] = orjson.loads(given[name])
            except orjson.JSONDecodeError as error:
                raise Unanswerable(400, f"`{name}` is not JSON: {error}") from error
    return _from_json(given)


def _from_json(given: Any) -> Asked:
    if not isinstance(given, dict):
        raise Unanswerable(400, "The body must be one JSON object; send one operation a request.")
    if not isinstance(given.get("query"), str):
        raise Unanswerable(400, "`query` is missing, or not a text.")
    if not isinstance(given.get("operationName"), (str, type(None))):
        raise Unanswerable(400, "`operationName` must be a text.")
    for name in ("variables", "extensions"):
        if not isinstance(given.get(name), (dict, type(None))):
            raise Unanswerable(400, f"`{name}` must be an object.")
    return Asked(given["query"], given.get("operationName"), given.get("variables") or {})


def _json(
    body: Mapping[str, Any], status: int, media: str | None, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(orjson.dumps(body), status, dict(headers or {}), media_type=f"{media or LEGACY}; charset=utf-8")


def _bad_request(media: str | None) -> int:
    """A request that cannot be executed is a 400, but clients that only know application/json expect 200."""
    return 200 if media == LEGACY else 400


def _request_id(request: Request) -> str:
    given = request.headers.get("x-request-id", "")
    return given if given.isascii() and given.isprintable() and 0 < len(given) <= 64 else uuid.uuid4().hex


def wants_page(request: Request) -> bool:
    """Whether this is a person's browser, which is shown GraphiQL, rather than a program with a query."""
    if request.method != "GET" or "query" in request.query_params:
        return False
    return "text/html" in request.headers.get("accept", "")


def accepted(header: str | None) -> str | None:
    """The media type to answer with, or None when neither of ours is acceptable (RFC 9110, 12.5.1)."""
    if not header or not header.strip():
        return LEGACY
    ranges = [_range(part) for part in header.split(",")]
    wanted = [(_quality(media, ranges), media) for media in (RESPONSE, LEGACY)]
    quality, media = max(wanted, key=lambda one: one[0])
    # A client that accepts anything is one that does not know the newer media type.
    if wanted[0][0] == wanted[1][0] and not any(name == RESPONSE for name, _ in ranges):
        media = LEGACY
    return media if quality > 0 else None


def takes_events(header: str | None) -> bool:
    """Whether the client lists server-sent events by name: `*/*` alone does not ask for a stream."""
    return any(name == MEDIA_TYPE and quality > 0 for name, quality in map(_range, (header or "").split(",")))


def _range(part: str) -> tuple[str, float]:
    name, *parameters = (piece.strip() for piece in part.split(";"))
    quality = 1.0
    for parameter in parameters:
        if parameter.lower().startswith("q="):
            try:
                quality = float(parameter[2:])
            except ValueError:
                quality = 0.0
    return name.lower(), quality


def _quality(media: str, ranges: Sequence[tuple[str, float]]) -> float:
    """Of the most specific range that covers the media type."""
    for covering in (media, "application/*", "*/*"):
        found = [quality for name, quality in ranges if name == covering]
        if found:
            return max(found)
    return 0.0
