"""GraphQL over server-sent events: the distinct connections mode of github.com/enisdenjo/graphql-sse (PROTOCOL.md)."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import orjson
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from graphql_app.graph.cohorts import Payload
from graphql_app.graph.context import Context
from graphql_app.graph.documents import Operation
from graphql_app.graph.negotiation import EVENTS
from graphql_app.graph.protocol import Engine
from graphql_app.graph.schema import formatted
from graphql_app.observe import Subscribed, Unsubscribed, note

WAITING_MOST = 8  # payloads for one client; who reads slower than that catches up merged
KEEP_ALIVE_SECONDS = 12.0  # as the reference implementation
COMPLETE = b"event: complete\ndata:\n\n"


class Events:
    """One subscription over SSE, as its cohort sees it, and as the response reads it."""

    def __init__(self) -> None:
        self._waiting: deque[Payload] = deque()
        self._arrived = asyncio.Event()
        self._read = asyncio.Event()
        self._has_ended = False
        self._is_cut = False

    def look(self) -> None:
        """The stream ends with its token by itself."""

    def drain(self) -> None:
        """Cuts the stream off without a word: a client that is told that it is complete does not come back."""
        self._is_cut = True
        self._arrived.set()

    def offer(self, payload: Payload) -> bool:
        if len(self._waiting) >= WAITING_MOST:
            return False
        self._waiting.append(payload)
        self._arrived.set()
        return True

    async def drained(self) -> None:
        while self._waiting:
            self._read.clear()
            await self._read.wait()

    def failed(self, error: Exception) -> None:
        self._waiting.append(Payload(orjson.dumps({"errors": [formatted(error)]}), None))
        self._has_ended = True
        self._arrived.set()

    async def frames(self, seconds: float) -> AsyncIterator[bytes]:
        """What to write, for so long at most; now and then a comment, so that an idle line stays open."""
        ends_at = asyncio.get_running_loop().time() + seconds
        while True:
            while self._waiting:
                yield framed(self._waiting.popleft())
            self._read.set()
            if self._is_cut:
                return
            left = ends_at - asyncio.get_running_loop().time()
            if self._has_ended or left <= 0:
                yield COMPLETE
                return
            self._arrived.clear()
            try:
                async with asyncio.timeout(min(left, KEEP_ALIVE_SECONDS)):
                    await self._arrived.wait()
            except TimeoutError:
                yield b":\n\n"


def framed(payload: Payload) -> bytes:
    """The id lets a browser's EventSource come back with `Last-Event-ID`."""
    identity = f"id: {payload.cursor}\n".encode() if payload.cursor else b""
    return identity + b"event: next\ndata: " + payload.body + b"\n\n"


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
    """The response that carries a subscription. Raises BadVariables, GraphQLError."""
    events = Events()
    leave = await engine.cohorts.subscribe(operation, variables, context, events)
    engine.sessions.open(events)
    note(Subscribed())

    def ended() -> None:
        engine.sessions.close(events)
        leave()
        note(Unsubscribed())

    return EventStream(events.frames(context.viewer.expires_at - time.time()), ended)


def answered(body: bytes) -> EventStream:
    """The response that carries the one answer of a query or mutation, for a client that takes nothing but events."""

    async def frames() -> AsyncIterator[bytes]:
        yield framed(Payload(body, None)) + COMPLETE

    return EventStream(frames())
