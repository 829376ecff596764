"""/api/changes as long-poll, or as server-sent events: two framings of services/follow."""

import time
from collections.abc import AsyncIterator
from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from starlette.responses import StreamingResponse

from graphql_app.domain.access import Viewer
from graphql_app.domain.change import Batch, Kind
from graphql_app.domain.filters import WorkstationFilter
from graphql_app.domain.workstation import Workstation
from graphql_app.live.sessions import Sessions
from graphql_app.services.follow import Follow
from graphql_app.services.identify import Identify
from graphql_app.web import shapes
from graphql_app.web.models import Integer
from graphql_app.web.replies import json_reply, signed_in

WAIT_MOST = 60
EVENT_STREAM = "text/event-stream"


def routes(follow: Follow, identify: Identify, sessions: Sessions) -> APIRouter:
    router = APIRouter(tags=["changes"])
    viewing = Annotated[Viewer, Depends(signed_in(identify))]

    @router.get(
        "/api/changes",
        summary="What is new since a cursor",
        response_class=Response,
        responses={200: {"description": "One batch as JSON; all of them with `Accept: text/event-stream`."}},
    )
    async def changes(
        request: Request,
        viewer: viewing,
        building: Annotated[str | None, Query(description="In this building.")] = None,
        floor: Annotated[Integer | None, Query(description="On floors of this number.")] = None,
        after: Annotated[str | None, Query(description="A cursor from any transport; without it, a snapshot.")] = None,
        wait: Annotated[float, Query(ge=0, le=WAIT_MOST, description="Seconds to wait for news.")] = 25,
        last_event_id: Annotated[str | None, Header(description="As `after`, and beats it.")] = None,
    ) -> Response:
        matching = WorkstationFilter(building=building, floor_number=floor)
        cursor = last_event_id or after
        if EVENT_STREAM not in request.headers.get("accept", ""):
            return json_reply(shapes.feed(*await follow.poll(viewer, matching, cursor, wait)))
        batches = follow.stream(viewer, matching, cursor)
        first = await anext(batches)  # what is refused is refused before the stream begins
        return StreamingResponse(
            events(first, batches, sessions, viewer.expires_at),
            media_type=EVENT_STREAM,
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    return router


async def events(
    first: tuple[str, Batch[Workstation]],
    batches: AsyncIterator[tuple[str, Batch[Workstation]]],
    sessions: Sessions,
    expires_at: float,
) -> AsyncIterator[bytes]:
    """The stream in frames (html.spec.whatwg.org, server-sent events), until the token expires or the process stops."""
    yield framed(*first)
    try:
        async with sessions.timeout(expires_at - time.time()):
            async for cursor, batch in batches:
                yield framed(cursor, batch)
    except TimeoutError:
        yield b": the token has expired, or the service restarts\n\n"


def framed(cursor: str, batch: Batch[Workstation]) -> bytes:
    """PROGRESS is a comment that moves the client's last event id: it tells nothing, and keeps the line open."""
    identity = f"id: {cursor}\n".encode()
    if batch.kind is Kind.PROGRESS:
        return b": progress\n" + identity + b"\n"
    return identity + b"event: changes\ndata: " + orjson.dumps(shapes.feed(cursor, batch)) + b"\n\n"
