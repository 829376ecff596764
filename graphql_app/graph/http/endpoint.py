"""GraphQL over HTTP (graphql.github.io/graphql-over-http): one operation a request.

A plain ASGI application, with a side door for a server that has the whole request: a framework's routing, middleware,
request and response objects, and then ASGI itself, would be most of what there is to pay for.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from itertools import count
from typing import Any, NamedTuple

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from graphql_app.domain.addresses import Proxies
from graphql_app.domain.admission import fields_of
from graphql_app.domain.errors import TooMany
from graphql_app.domain.media import EVENTS
from graphql_app.domain.texts import is_request_id
from graphql_app.graph.engine.engine import Engine
from graphql_app.graph.http.fast_path import FastPath
from graphql_app.graph.http.negotiation import LEGACY, RESPONSE, Accepted, negotiated
from graphql_app.graph.http.replies import Reply
from graphql_app.graph.http.requests import (
    ClientDisconnected,
    Fields,
    Headers,
    HttpRequestError,
    Request,
    body_of,
    require_json,
    text,
)
from graphql_app.graph.http.responding import Responding
from graphql_app.server.address_limit import refusal_of

METHODS = "GET, HEAD, OPTIONS, POST"  # a HEAD comes as the GET that it is
QUERIES = (b"query", b"documentId", b"extensions")  # by what an address asks, rather than for the page

HEADS_KEPT = 1000  # of HEAD_BYTES_MOST at most; where there are more, all are forgotten
HEAD_BYTES_MOST = 4096

# Status, header lines with their ends, body: what a connection writes as it is.
Sent = tuple[int, bytes, bytes]


class RequestHead(NamedTuple):
    """The header fields of a POST, parsed. `length` is that of the body which they announce, in bytes."""

    fields: Fields
    accept: Accepted
    address: str | None
    length: int | None


class HttpEndpoint:
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
        self._responding = Responding(engine)
        self._fast_path = FastPath(engine, self._responding)
        self._heads: dict[tuple[str | None, bytes], RequestHead] = {}
        self._body_most = body_most
        self._page = page
        self._guarded = guard(self._in_guard)
        self._secure = secure
        self._proxies = proxies
        # Ids of requests only have to differ: asking the system for chance each time would cost more than all of this.
        self._ids, self._count = secrets.token_hex(10).encode(), count()
        self._always: dict[bytes, bytes] = {}  # what all answers of that caching say, written

    # --- a POST that is here whole -----------------------------------------------------------------------------------

    def known(self, peer: str | None, sent: bytes) -> RequestHead | None:
        """Returns the parsed head of a request whose header fields were the same, from the same peer; None where there
        was none."""
        return self._heads.get((peer, sent))

    def head(self, peer: str | None, lines: Headers, sent: bytes | None) -> RequestHead | None:
        """Parses the header fields of a POST. Returns None where they are not plain: ASGI serves such a request, and
        says what is wrong with it. `sent`: the bytes of the head, if they alone decide the result."""
        fields = fields_of(lines)
        accept = negotiated(fields.get(b"accept", b""))
        if b"origin" in fields or accept.events or accept.media is None:
            return None
        try:
            require_json(fields)
        except HttpRequestError:
            return None
        address = self._proxies.client(peer, text(fields, b"x-forwarded-for") or "")
        length = fields.get(b"content-length")
        head = RequestHead(fields, accept, address, None if length is None else int(length))
        if sent is not None and len(sent) <= HEAD_BYTES_MOST:
            if len(self._heads) == HEADS_KEPT:
                self._heads.clear()
            self._heads[peer, sent] = head
        return head

    def answer(self, head: RequestHead, body: bytes) -> Sent | asyncio.Future[Sent] | Coroutine[Any, Any, Sent] | None:
        """Returns the reply to a POST, or an awaitable of it. Returns None where ASGI is to serve it, as head()
        does."""
        if len(body) > self._body_most:
            return None
        fields = head.fields
        request = Request("POST", b"", fields, head.accept, self._id_of(fields), head.address)
        return self._fast_path.answer(request, body, self._written)

    def _written(self, request: Request, reply: Reply) -> Sent:
        always = self._always.get(reply.caching) or self._always.setdefault(
            reply.caching, written(self._of_all(reply.caching))
        )
        head = b"%bx-request-id: %b\r\ncontent-length: %d\r\n%b"
        return reply.status, head % (written(reply.headers), request.id, len(reply.body), always), reply.body

    # --- ASGI --------------------------------------------------------------------------------------------------------

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        fields = fields_of(scope["headers"])
        if b"origin" in fields or scope["query_string"]:
            return self._guarded(scope, receive, send)
        return self._serve(fields, scope, receive, send)

    def _in_guard(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return self._serve(fields_of(scope["headers"]), scope, receive, send)

    async def _serve(self, fields: Fields, scope: Scope, receive: Receive, send: Send) -> None:
        accept = negotiated(fields.get(b"accept", b""))
        refusal = refusal_of(scope)
        if refusal is None and self._page is not None and accept.page and wants_page(scope):
            await self._page(scope, receive, send)
            return
        address = client[0] if (client := scope.get("client")) else None
        request = Request(scope["method"], scope["query_string"], fields, accept, self._id_of(fields), address)
        try:
            if refusal is not None:
                reply: Reply | Response = self._responding.refuse(request, refusal, time.perf_counter())
            else:
                reply = await self._reply(request, receive)
        except ClientDisconnected:
            return
        if isinstance(reply, Response):
            reply.raw_headers.extend(self._own(request.id))
            await reply(scope, receive, send)
            return
        headers = [*reply.headers, *self._own(request.id, reply)]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})

    async def _reply(self, request: Request, receive: Receive) -> Reply | Response:
        """Raises ClientDisconnected."""
        if request.method == "OPTIONS":
            return Reply(204, b"", [(b"allow", METHODS.encode()), (b"accept-post", LEGACY.encode())])
        return await self._responding.reply(request, partial(self._read, receive))

    async def _read(self, receive: Receive, request: Request) -> bytes:
        """Reads the body of a POST, or the query string of a GET. Raises HttpRequestError, ClientDisconnected."""
        if request.accept.media is None and not request.accept.events:
            raise HttpRequestError(406, f"This answers {RESPONSE}, {LEGACY} or {EVENTS}; name one in `Accept`.")
        if request.method == "POST":
            require_json(request.fields)
            return await body_of(request.fields, receive, self._body_most)
        if request.method == "GET":
            query = request.query_string
            if len(query) > (most := self._body_most):
                message, measure = f"The query string is longer than {most} bytes.", "bytes of the query string"
                raise HttpRequestError.beyond(414, TooMany(message, measure=measure, limit=most, asked=len(query)))
            return query
        raise HttpRequestError(405, "Ask by GET or POST.", {"Allow": METHODS})

    # --- every answer ------------------------------------------------------------------------------------------------

    def _id_of(self, fields: Fields) -> bytes:
        """Returns the client's own request id, if it may stand in a log, or a new one."""
        given = fields.get(b"x-request-id", b"")
        if is_request_id(given):
            return given
        return b"%b%012x" % (self._ids, next(self._count))

    def _own(self, id: bytes, reply: Reply | None = None) -> Headers:
        """Returns the header fields of every answer. `None` is for one whose length is not known yet."""
        headers = [(b"x-request-id", id)]
        if reply is not None and reply.status not in (204, 304):
            headers.append((b"content-length", b"%d" % len(reply.body)))
        return headers + self._of_all(reply.caching if reply is not None else b"no-store")

    def _of_all(self, caching: bytes) -> Headers:
        return [(b"vary", b"Accept, Authorization"), (b"cache-control", caching), *self._secure]


def written(lines: Headers) -> bytes:
    return b"".join([b"%b: %b\r\n" % line for line in lines])


def wants_page(scope: Scope) -> bool:
    """Whether a client that takes pages came for one, rather than with a query."""
    return scope["method"] == "GET" and not any(
        pair.partition(b"=")[0] in QUERIES for pair in scope["query_string"].split(b"&")
    )
