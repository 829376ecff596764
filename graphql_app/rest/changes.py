"""/api/changes by long-poll, or as server-sent events: two framings of what services/following/follow hands out."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Annotated, Final

import orjson
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from starlette.responses import StreamingResponse

from graphql_app.aio.single_flight import SingleFlight
from graphql_app.domain.access import Viewer
from graphql_app.domain.caller import Caller
from graphql_app.domain.change import Batch, Kind, combined
from graphql_app.domain.errors import NotAcceptable, Refusal
from graphql_app.domain.filters import WorkstationFilter
from graphql_app.domain.media import EVENTS, JSON, quality, quality_by_name, ranges
from graphql_app.domain.workstation import Workstation
from graphql_app.live.sessions.sessions import Sessions
from graphql_app.rest import shapes
from graphql_app.rest.models import Integer
from graphql_app.rest.openapi import problems
from graphql_app.rest.replies import reply
from graphql_app.rest.resource import Resource
from graphql_app.rest.signing_in import SignInDependency
from graphql_app.server.head import is_bodiless
from graphql_app.services.following.cohorts import Payload, Same
from graphql_app.services.following.follow import Follow
from graphql_app.services.following.inbox import Inbox
from graphql_app.services.following.reauthorisation import Leave, reauthorised
from graphql_app.services.following.streams import SHARED_SECONDS, Changes
from graphql_app.services.identity.admission import Admission
from graphql_app.services.identity.identify import Identify

WAIT_MOST = 60
VARYING: Final = {"Vary": "Accept, Authorization"}
KEEP_ALIVE_SECONDS = 12.0


def routes(follow: Follow, identify: Identify, admission: Admission, sessions: Sessions) -> APIRouter:
    router = APIRouter(tags=["changes"], route_class=Resource)
    Calling = Annotated[Caller, Depends(SignInDependency(admission))]  # noqa: N806  # a type, as its name says
    polls = Polls(sessions)

    @router.get(
        "/api/changes",
        summary="What is new since a cursor",
        response_class=Response,
        responses={
            200: {
                "description": "One batch as JSON; all of them with `Accept: text/event-stream`.",
                "content": {JSON: {"schema": {"type": "object"}}, EVENTS: {"schema": {"type": "string"}}},
            },
            **problems(406),
        },
    )
    async def changes(
        request: Request,
        caller: Calling,
        building: Annotated[str | None, Query(description="In this building.")] = None,
        floor: Annotated[Integer | None, Query(description="On floors of this number.")] = None,
        after: Annotated[str | None, Query(description="A cursor from any transport; without it, a snapshot.")] = None,
        wait: Annotated[float, Query(ge=0, le=WAIT_MOST, description="Seconds to wait for news.")] = 25,
        last_event_id: Annotated[str | None, Header(description="As `after`, and beats it.")] = None,
    ) -> Response:
        taken = framing(request.headers.get("accept", ""))
        matching = WorkstationFilter(building=building, floor_number=floor)
        following = partial(followed, follow, identify, admission, caller, matching, last_event_id or after)
        if taken == JSON:
            seconds = 0 if is_bodiless(request.scope) else min(wait, caller.viewer.expires_at - time.time())
            async with following() as inbox:
                return reply(await polls.answer(inbox, seconds), headers=VARYING)
        frames = events(following(), sessions, caller.viewer.expires_at)
        first = await anext(frames)  # what is refused is refused before the stream begins
        return StreamingResponse(
            _chained(first, frames),
            media_type=EVENTS,
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no", **VARYING},
        )

    return router


def framing(accept: str) -> str:
    """Returns the media type to answer with: events where the client names them, and prefers JSON no more. Raises
    NotAcceptable."""
    listed = ranges(accept or JSON)
    as_json, as_events = quality(JSON, listed), quality_by_name(EVENTS, listed)
    if not as_json and not as_events:
        raise NotAcceptable(f"This answers {JSON} or {EVENTS}; name one in `Accept`.")
    return EVENTS if as_events >= as_json else JSON


@asynccontextmanager
async def followed(
    follow: Follow,
    identify: Identify,
    admission: Admission,
    caller: Caller,
    matching: WorkstationFilter,
    after: str | None,
) -> AsyncIterator[Inbox]:
    """Raises what join() raises, and TooManyConnections; the inbox fails with that where it is known only later."""
    inbox = Inbox()

    async def join(viewer: Viewer, resync: str | None) -> Leave:
        return await follow.join(caller._replace(viewer=viewer), matching, after, rendered, inbox, resync)

    with ExitStack() as ending:
        lease = admission.stream(caller)
        ending.callback(lease.leave)
        lease.when_revoked(inbox.failed)
        ending.callback(await reauthorised(identify, caller.viewer, join, inbox))
        yield inbox


async def rendered(changes: Changes[Workstation], batch: Batch[Workstation]) -> Payload:
    cursor = changes.cursor(batch)
    return Payload(orjson.dumps(shapes.feed(cursor, batch)), cursor, batch)


# --- server-sent events ----------------------------------------------------------------------------------------------


async def events(
    following: AbstractAsyncContextManager[Inbox], sessions: Sessions, expires_at: float
) -> AsyncIterator[bytes]:
    """Yields the stream in frames (html.spec.whatwg.org, server-sent events), until the token expires or the process
    stops."""
    async with following as inbox:
        yield framed(await inbox.take())
        sessions.open(inbox)
        try:
            async for payload in inbox.payloads(expires_at - time.time(), KEEP_ALIVE_SECONDS):
                yield b":\n\n" if payload is None else framed(payload)
            yield b": the token has expired, or the service restarts\n\n"
        except Refusal as refusal:
            yield f": {refusal.code}\n\n".encode()
        finally:
            sessions.close(inbox)


async def _chained(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for frame in rest:
        yield frame


def framed(payload: Payload) -> bytes:
    """PROGRESS without a notice is a comment that moves the client's last event id, and keeps the line open."""
    if payload.framed[0] != b"id":
        identity = f"id: {payload.cursor}\n".encode()
        batch = payload.event
        tells = batch.kind is not Kind.PROGRESS or batch.notice is not None
        told = b"event: changes\ndata: %b\n" % payload.body if tells else b""
        payload.framed = (b"id", identity + (told or b": progress\n") + b"\n")
    return payload.framed[1]


# --- long-poll -------------------------------------------------------------------------------------------------------


class Polls:
    """Long-poll answers: all parts of a snapshot in one, made once for all who ask within a moment."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._joined: SingleFlight[tuple[Same, ...], bytes] = SingleFlight(SHARED_SECONDS)

    async def answer(self, inbox: Inbox, wait_seconds: float) -> bytes:
        """Returns at once when there is something, else the first batch that comes; an empty one with an advanced
        cursor when the time is over, or the process stops. Raises what failed."""
        parts = first = await _whole(inbox)
        self._sessions.open(inbox)
        try:
            async with asyncio.timeout(wait_seconds):
                while not _tells(parts):
                    parts = await _whole(inbox)
        except TimeoutError:
            batch = first[-1].event
            # Not at once: who is told that the feed is silent, and asks again, would ask without end.
            return orjson.dumps(
                shapes.feed(_place(parts), replace(batch, notice=batch.notice or parts[-1].event.notice))
            )
        finally:
            self._sessions.close(inbox)
        if len(parts) == 1:
            return parts[0].body
        return await self._joined.join(tuple(Same(part.event) for part in parts), partial(_join, parts))


async def _whole(inbox: Inbox) -> list[Payload]:
    parts = [await inbox.take()]
    while not parts[-1].event.complete:
        part = await inbox.take()
        if part.event.revision != parts[0].event.revision:  # all anew: the viewer may see other things now
            parts.clear()
        parts.append(part)
    return parts


def _tells(parts: Sequence[Payload]) -> bool:
    batch = parts[0].event
    return batch.kind in (Kind.SNAPSHOT, Kind.RESYNC) or bool(batch.states or batch.removed)


def _place(parts: Sequence[Payload]) -> str:
    cursor = parts[-1].cursor
    assert cursor is not None, "rendered() gives every payload one"
    return cursor


async def _join(parts: Sequence[Payload]) -> bytes:
    return orjson.dumps(shapes.feed(_place(parts), combined([part.event for part in parts])))
