"""Who is asking, as a dependency; and JSON as it is answered."""

import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Annotated, Any

import orjson
from fastapi import Depends, Header, Request, Response, Security
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase

from graphql_app.domain.access import Viewer
from graphql_app.domain.audit import Transport
from graphql_app.domain.texts import is_request_id
from graphql_app.live.admission.admission import Admission
from graphql_app.services.consistency import ConsistencyTokens
from graphql_app.services.identity.identify import Identify


def json_reply(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return reply(orjson.dumps(body), status, headers)


def reply(content: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON that no cache keeps: what it shows depends on the token."""
    kept = {"Cache-Control": "no-store", **(headers or {})}
    return Response(content, status, kept, media_type="application/json")


class Bearer(SecurityBase):
    """The Authorization header field, described as what it is for."""

    def __init__(self) -> None:
        self.model = HTTPBearer(bearerFormat="JWT", description="A token of this server, or of its OpenID issuer.")
        self.scheme_name = "bearer"

    async def __call__(self, request: Request) -> str | None:
        return request.headers.get("authorization")


def signed_in(identify: Identify, admission: Admission) -> Callable[..., Awaitable[Viewer]]:
    """A dependency that gives the viewer. Raises Unauthenticated where there is none, and RateLimited."""

    async def viewer(
        request: Request,
        authorization: Annotated[str | None, Security(Bearer())],
        x_request_id: Annotated[
            str | None, Header(description="Your own id of it, up to 64 characters of ASCII; of another, one is made.")
        ] = None,
    ) -> Viewer:
        address = request.client.host if request.client else None
        viewer = await identify.arriving(authorization)
        admission.operation(viewer)
        is_fit = x_request_id is not None and is_request_id(x_request_id.encode("latin-1"))
        request_id = x_request_id if is_fit else uuid.uuid4().hex
        return replace(viewer, request_id=request_id, transport=Transport.REST, address=address)

    return viewer


def reader(identify: Identify, admission: Admission, receipts: ConsistencyTokens) -> Callable[..., Viewer]:
    """As signed_in, for those who read: they may ask to be shown a write. Raises InvalidInput too."""

    def viewer(
        viewer: Annotated[Viewer, Depends(signed_in(identify, admission))],
        x_min_cursor: Annotated[
            str | None, Header(description="An `X-Receipt` or a cursor: the answer is no older than that.")
        ] = None,
    ) -> Viewer:
        return replace(viewer, reads_primary=receipts.needs_primary(x_min_cursor))

    return viewer
