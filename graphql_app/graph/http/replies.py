"""Replies to an HTTP request: status, header fields, body."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import orjson
from graphql import GraphQLError
from starlette.responses import Response

from graphql_app.domain.challenge import challenge
from graphql_app.domain.errors import RateLimited, Refusal, Unauthenticated
from graphql_app.domain.etags import lists
from graphql_app.graph.documents.document import InvalidDocument
from graphql_app.graph.engine.execution import BadVariables
from graphql_app.graph.engine.response_cache import Answer
from graphql_app.graph.engine.results import formatted
from graphql_app.graph.http.event_stream import answered
from graphql_app.graph.http.negotiation import LEGACY, RESPONSE
from graphql_app.graph.http.requests import Headers, HttpRequestError, Request

REVALIDATED = b"private, no-cache"

_CONTENT_TYPE: Mapping[str | None, bytes] = {
    media: f"{media or LEGACY}; charset=utf-8".encode() for media in (RESPONSE, LEGACY, None)
}


class Reply(NamedTuple):
    """A complete response."""

    status: int
    body: bytes
    headers: Headers
    caching: bytes = b"no-store"


def data(body: bytes, media: str | None) -> Reply:
    return _json(body, 200, media)


def whole(answer: Answer, request: Request, *, is_shareable: bool) -> Reply | Response:
    """Returns the reply that carries an answer, in the media type that its client accepts. A client may cache what is
    not personal, and revalidate it by its tag."""
    if request.accept.media is None:
        return answered(answer.body)
    reply = data(answer.body, request.accept.media)
    if request.method != "GET" or answer.has_errors or not is_shareable:
        return reply
    headers = [*reply.headers, (b"etag", answer.tag)]
    seen = request.fields.get(b"if-none-match")
    if seen is not None and lists(seen.decode("latin-1"), answer.tag.decode()):
        return Reply(304, b"", headers, REVALIDATED)
    return Reply(200, reply.body, headers, REVALIDATED)


def failure(error: Exception, media: str | None) -> Reply:
    """Returns the reply to a request that failed. An unexpected error is noted, and masked."""
    match error:
        case HttpRequestError():
            return _unanswerable(error, media)
        case Unauthenticated():
            return _errors([error], 401, media, [(b"www-authenticate", (challenge(error) or "").encode())])
        case RateLimited():
            return _errors([error], 429, media, [(b"retry-after", b"%d" % error.retry_after)])
        case InvalidDocument() | BadVariables():
            return _errors(error.errors, _bad_request(media), media)
        case Refusal() | GraphQLError():
            return _errors([error], _bad_request(media), media)
        case _:
            return _errors([error], 500, media)


def _unanswerable(problem: HttpRequestError, media: str | None) -> Reply:
    body = {"errors": [{"message": str(problem), "extensions": {**problem.extensions}}]}
    headers = [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
    return _json(orjson.dumps(body), problem.status, media, headers)


def _errors(errors: Iterable[Exception], status: int, media: str | None, headers: Headers | None = None) -> Reply:
    return _json(orjson.dumps({"errors": [formatted(error) for error in errors]}), status, media, headers or [])


def _bad_request(media: str | None) -> int:
    """Returns 400, or 200 for clients that know only application/json, as the specification has it."""
    return 200 if media == LEGACY else 400


def _json(body: bytes, status: int, media: str | None, headers: Iterable[tuple[bytes, bytes]] = ()) -> Reply:
    return Reply(status, body, [(b"content-type", _CONTENT_TYPE[media]), *headers])
