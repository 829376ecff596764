"""What an HTTP request asks for: its header fields, its query string, its body. Whatever is wrong is an
HttpRequestError."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import orjson
from cachetools import LRUCache
from starlette.types import Receive

from graphql_app.domain import media
from graphql_app.domain.errors import InvalidInput, TooMany, UnsupportedMedia, body_too_large
from graphql_app.graph.documents.persisted import hash_given
from graphql_app.graph.documents.variables import require_few
from graphql_app.graph.engine.request import OperationRequest
from graphql_app.graph.http.negotiation import Accepted

REMEMBERED = 1000
REMEMBERED_BYTES = 4096  # longer ones are read anew
FIELDS_MOST = 100  # in a query string, of which four mean anything

Fields = dict[bytes, bytes]
Headers = list[tuple[bytes, bytes]]


class Request(NamedTuple):
    """A request with what was parsed of its header fields."""

    method: str
    query_string: bytes
    fields: Fields
    accept: Accepted
    id: bytes
    address: str | None


class HttpRequestError(Exception):
    """Not a GraphQL request: answered with an HTTP status of its own."""

    def __init__(
        self,
        status: int,
        message: str,
        headers: Mapping[str, str] | None = None,
        extensions: Mapping[str, Any] = MappingProxyType({"code": "BAD_REQUEST"}),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self.extensions = extensions

    @classmethod
    def beyond(cls, status: int, refusal: TooMany) -> "HttpRequestError":
        """It says which limit, and what was asked."""
        return cls(status, refusal.message, None, {"code": refusal.code, **refusal.data})


class ClientDisconnected(Exception):
    """The client went away before it had sent its request."""


class PersistedRequest(NamedTuple):
    """An OperationRequest whose document is named by its hash."""

    digest: str
    operation_name: str | None
    variables: Mapping[str, Any]

    def with_text(self, query: str) -> OperationRequest:
        return OperationRequest(query, self.operation_name, self.variables)


class RequestCache:
    """Keeps the parsed form of requests whose answer is cached, for all who send the very same bytes; bounded. No other
    request is kept: there may be a password in it."""

    def __init__(self, read: Callable[[bytes], OperationRequest | PersistedRequest]) -> None:
        self.read = read
        self._cached: LRUCache[bytes, OperationRequest] = LRUCache(REMEMBERED)

    def get(self, sent: bytes) -> OperationRequest | None:
        return self._cached.get(sent)

    def keep(self, sent: bytes, asked: OperationRequest) -> None:
        if len(sent) > REMEMBERED_BYTES:
            return
        self._cached[sent] = asked


def text(fields: Fields, name: bytes) -> str | None:
    value = fields.get(name)
    return None if value is None else value.decode("latin-1")


def require_json(fields: Mapping[bytes, bytes]) -> None:
    """Raises HttpRequestError unless the body is said to be JSON, in UTF-8, and not compressed."""
    said = (fields.get(name, b"").decode("latin-1") for name in (b"content-type", b"content-encoding"))
    try:
        media.require_json(*said)
    except UnsupportedMedia as refusal:
        raise HttpRequestError(415, refusal.message, dict([refusal.hint])) from refusal


async def body_of(fields: Mapping[bytes, bytes], receive: Receive, most: int) -> bytes:
    """Reads the whole body. Raises HttpRequestError for a longer one before it is read to its end, and
    ClientDisconnected."""
    declared = fields.get(b"content-length", b"0")
    if len(declared) > len(str(most)) or int(declared) > most:
        raise _too_large(most, int(declared[:18]))
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body") or message["type"] == "http.disconnect":
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        if len(body) > most:
            raise _too_large(most, len(body))
        message = await receive()
        body += message.get("body", b"")
    if len(body) > most:
        raise _too_large(most, len(body))
    return body


def _too_large(most: int, size: int) -> HttpRequestError:
    return HttpRequestError.beyond(413, body_too_large(most, size))


def from_body(body: bytes) -> OperationRequest | PersistedRequest:
    """Parses a JSON body. Raises HttpRequestError."""
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise HttpRequestError(400, f"The body is not JSON: {error}") from error
    return _asked(given)


def from_query(query_string: bytes) -> OperationRequest | PersistedRequest:
    """Parses a query string. Raises HttpRequestError."""
    try:
        given: dict[str, Any] = dict(
            parse_qsl(query_string.decode(), keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MOST)
        )
    except ValueError as error:
        problem = f"The query string is not percent-encoded UTF-8, or has more than {FIELDS_MOST} fields."
        raise HttpRequestError(400, problem) from error
    for name in ("variables", "extensions"):
        if name in given:
            try:
                given[name] = orjson.loads(given[name])
            except orjson.JSONDecodeError as error:
                raise HttpRequestError(400, f"`{name}` is not JSON: {error}") from error
    return _asked(given)


def _asked(given: Any) -> OperationRequest | PersistedRequest:
    if isinstance(given, list) and len(given) > 1:
        batch = TooMany("Send one operation a request.", measure="operations of one request", limit=1, asked=len(given))
        raise HttpRequestError.beyond(400, batch)
    if not isinstance(given, dict):
        raise HttpRequestError(400, "The body must be one JSON object; send one operation a request.")
    query, name, variables = given.get("query"), given.get("operationName"), given.get("variables")
    if not isinstance(name, (str, type(None))):
        raise HttpRequestError(400, "`operationName` must be a text.")
    for part in ("variables", "extensions"):
        if not isinstance(given.get(part), (dict, type(None))):
            raise HttpRequestError(400, f"`{part}` must be an object.")
    digest = _digest(given) if "extensions" in given or "documentId" in given else None
    if not isinstance(query, str) and (query is not None or digest is None):
        raise HttpRequestError(400, "`query` is missing, or not a text.")
    if variables:
        try:
            require_few(variables)
        except TooMany as refusal:
            raise HttpRequestError.beyond(400, refusal) from refusal
    if not query and digest is not None:
        return PersistedRequest(digest, name, variables or {})
    assert query is not None
    return OperationRequest(query, name, variables or {}, digest)


def _digest(given: Mapping[str, Any]) -> str | None:
    try:
        return hash_given(given)
    except InvalidInput as refusal:
        raise HttpRequestError(400, refusal.message) from refusal
