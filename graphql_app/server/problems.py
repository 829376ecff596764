"""Refusals as problem+json (RFC 9457): their status, once for all doors, and the handlers of errors in FastAPI."""

import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Final

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from graphql_app.domain import errors
from graphql_app.domain.challenge import challenge
from graphql_app.observe import Unexpected, note

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
    """Returns the status of a refusal: that of its class, or of the nearest class above it."""
    return next(STATUS[base] for base in type(refusal).__mro__ if base in STATUS)


def phrase(status: int) -> str:
    """Returns the phrase that HTTP has for the status."""
    return _PHRASES.get(status) or HTTPStatus(status).phrase


def problem(refusal: errors.Refusal, status: int | None = None) -> JSONResponse:
    """Returns the refusal as problem+json (RFC 9457)."""
    headers = dict(_fields(refusal))
    return _problem(status or status_of(refusal), refusal.code, refusal.message, headers, **refusal.data)


def _fields(refusal: errors.Refusal) -> Iterator[tuple[str, str]]:
    """Returns the header fields that say what to do about it."""
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
    """Handles a Refusal that a door raises; FastAPI calls it."""
    assert isinstance(error, errors.Refusal)
    return problem(error)


async def unexpected_error(_: Request, error: Exception) -> Response:
    """Handles an unexpected error: masked, with an id that the log has too. FastAPI calls it."""
    incident = uuid.uuid4().hex[:12]
    note(Unexpected(incident, "http", error))
    detail = f"Something went wrong on our side; tell the operators the id {incident}."
    return _problem(500, "INTERNAL", detail, id=incident)


def http_error(*, is_explorable: bool) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Handles an unknown address, and a method that an address does not take. FastAPI calls it."""
    hint = "There is GraphQL on /graphql, and REST on /api/workstations and /api/changes"
    hint += ", described on /api/docs." if is_explorable else "."

    async def answered(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        status = HTTPStatus(error.status_code)
        detail = f"Nothing is here. {hint}" if status == HTTPStatus.NOT_FOUND else error.detail
        return _problem(status, status.name, detail, error.headers)

    return answered


async def validation_error(_: Request, error: Exception) -> Response:
    """Handles a body or parameter of the wrong shape, and names its first fault. FastAPI calls it."""
    assert isinstance(error, RequestValidationError)
    fault = error.errors()[0]
    where = ".".join(str(part) for part in fault["loc"][1:])
    return problem(errors.InvalidInput(f"{where or 'the body'}: {fault['msg']}", field=where or None))
