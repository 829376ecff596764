"""GraphQL over server-sent events: the distinct connections mode of github.com/enisdenjo/graphql-sse (PROTOCOL.md)."""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import orjson
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from graphql_app.domain.media import EVENTS
from graphql_app.graph.api.context import Context
from graphql_app.graph.documents.document import Operation
from graphql_app.graph.engine.engine import Engine
from graphql_app.graph.engine.results import formatted
from graphql_app.observe import Subscribed, Unsubscribed, note
from graphql_app.services.following.cohorts import Payload
from graphql_app.services.following.inbox import Inbox

KEEP_ALIVE_SECONDS = 12.0  # as the reference implementation
COMPLETE = b"event: complete\ndata:\n\n"


async def frames(inbox: Inbox, seconds: float) -> AsyncIterator[bytes]:
    """Yields what to write, for at most so many seconds; a comment now and then keeps an idle line open."""
    try:
        async for payload in inbox.payloads(seconds, KEEP_ALIVE_SECONDS):
            yield b":\n\n" if payload is None else framed(payload)
    except Exception as error:  # noqa: BLE001  # the supervisor of one subscription: masked, noted, told to the client
        yield framed(Payload(orjson.dumps({"errors": [formatted(error)]}), None))
    # Cut off by a process that stops, it ends without a word: who is told that it is complete does not come back.
    if not inbox.is_cut:
        yield COMPLETE


def framed(payload: Payload) -> bytes:
    """Frames one event. Its id lets a browser's EventSource come back with `Last-Event-ID`."""
    if payload.framed[0] != b"id":
        identity = f"id: {payload.cursor}\n".encode() if payload.cursor else b""
        payload.framed = (b"id", b"%bevent: next\ndata: %b\n\n" % (identity, payload.body))
    return payload.framed[1]


class EventStream(StreamingResponse):
    """A response of events; `ended` is called however it ends, also before its first byte."""

    def __init__(self, body: AsyncIterator[bytes], ended: Callable[[], None] = lambda: None) -> None:
        super().__init__(body, media_type=EVENTS, headers={"X-Accel-Buffering": "no"})
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._ended()


async def subscribed(
    engine: Engine, operation: Operation, variables: Mapping[str, Any], context: Context
) -> EventStream:
    """Returns the response that carries a subscription. Raises BadVariables, GraphQLError, TooManyConnections."""
    inbox = Inbox()
    lease = engine.admission.stream(context.caller)
    lease.when_revoked(inbox.failed)
    try:
        leave = await engine.subscribing.join(operation, variables, context, inbox)
    except BaseException:
        lease.leave()
        raise
    engine.sessions.open(inbox)
    note(Subscribed())

    def ended() -> None:
        lease.leave()
        engine.sessions.close(inbox)
        leave()
        note(Unsubscribed())

    return EventStream(frames(inbox, context.caller.viewer.expires_at - time.time()), ended)


def answered(body: bytes) -> EventStream:
    """Returns the response that carries the one answer of a query or mutation, for a client that accepts only
    events."""

    async def once() -> AsyncIterator[bytes]:
        yield framed(Payload(body, None)) + COMPLETE

    return EventStream(once())
