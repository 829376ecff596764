"""Refusal -> HTTP status, once; who is asking; and JSON."""

import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Annotated, Any, Final

import orjson
from fastapi import Depends, Header, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.models import HTTPBearer
from fastapi.responses import JSONResponse
from fastapi.security.base import SecurityBase
from starlette.exceptions import HTTPException

from graphql_app.domain import errors
from graphql_app.domain.access import Viewer
from graphql_app.domain.audit import Transport
from graphql_app.domain.challenge import challenge
from graphql_app.domain.texts import is_request_id
from graphql_app.live.admission.admission import Admission
from graphql_app.observe import Unexpected, note
from graphql_app.services.consistency import ConsistencyTokens
from graphql_app.services.identity.identify import Identify

STATUS: Mapping[type[errors.Refusal], int] = {
    errors.InvalidInput: 400,
    errors.UnsupportedMedia: 415,
    errors.NotAcceptable: 406,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.PreconditionFailed: 412,
    errors.TooMany: 400,
    errors.RateLimited: 429,
    errors.ReadOnly: 503,
    errors.Unavailable: 503,
}

PROBLEM: Final = "application/problem+json"

# Of RFC 9110, where Python 3.11 has an older one.
_PHRASES: Final[Mapping[int, str]] = {413: "Content Too Large", 414: "URI Too Long", 422: "Unprocessable Content"}


def status_of(refusal: errors.Refusal) -> int:
    """Of its class, or of the nearest class above it."""
    return next(STATUS[base] for base in type(refusal).__mro__ if base in STATUS)


def phrase(status: int) -> str:
    """What HTTP calls the status."""
    return _PHRASES.get(status) or HTTPStatus(status).phrase


def problem(refusal: errors.Refusal, status: int | None = None) -> JSONResponse:
    """The refusal as problem+json (RFC 9457)."""
    headers = dict(_fields(refusal))
    return _problem(status or status_of(refusal), refusal.code, refusal.message, headers, **refusal.data)


def _fields(refusal: errors.Refusal) -> Iterator[tuple[str, str]]:
    """The header fields that say what to do about it."""
    if challenged := challenge(refusal):
        yield "WWW-Authenticate", challenged
    match refusal:
        case errors.RateLimited():
            yield "Retry-After", str(refusal.retry_after)
        case errors.UnsupportedMedia():
            yield refusal.hint


def _problem(
    status: int, code: str, detail: str, headers: Mapping[str, str] | None = None, **data: object
) -> JSONResponse:
    said = {"type": "about:blank", "status": status, "title": phrase(status), "detail": detail, "code": code}
    return JSONResponse({**said, **data}, status, headers, media_type=PROBLEM)


async def refusal_error(_: Request, error: Exception) -> Response:
    """What FastAPI calls when a door raises a Refusal."""
    assert isinstance(error, errors.Refusal)
    return problem(error)


async def unexpected_error(_: Request, error: Exception) -> Response:
    """What FastAPI calls for an error that nobody planned for: masked, with an id that the log has too."""
    incident = uuid.uuid4().hex[:12]
    note(Unexpected(incident, "http", error))
    detail = f"Something went wrong on our side; tell the operators the id {incident}."
    return _problem(500, "INTERNAL", detail, id=incident)


def http_error(*, is_explorable: bool) -> Callable[[Request, Exception], Awaitable[Response]]:
    """What FastAPI calls for an address that is none, or that does not take the method."""
    hint = "There is GraphQL on /graphql, and REST on /api/workstations and /api/changes"
    hint += ", described on /api/docs." if is_explorable else "."

    async def answered(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        status = HTTPStatus(error.status_code)
        detail = f"Nothing is here. {hint}" if status == HTTPStatus.NOT_FOUND else error.detail
        return _problem(status, status.name, detail, error.headers)

    return answered


async def validation_error(_: Request, error: Exception) -> Response:
    """What FastAPI calls for a body or a parameter of the wrong shape; its first fault is the one that is named."""
    assert isinstance(error, RequestValidationError)
    fault = error.errors()[0]
    where = ".".join(str(part) for part in fault["loc"][1:])
    return problem(errors.InvalidInput(f"{where or 'the body'}: {fault['msg']}", field=where or None))


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
