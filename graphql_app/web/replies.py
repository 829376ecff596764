"""Refusal -> HTTP status, once."""

from collections.abc import Mapping

from fastapi.responses import JSONResponse

from graphql_app.domain import errors

STATUS: Mapping[type[errors.Refusal], int] = {
    errors.InvalidInput: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.TooMany: 429,
    errors.ReadOnly: 503,
    errors.Unavailable: 503,
}


def status_of(refusal: errors.Refusal) -> int:
    """Of its class, or of the nearest class above it."""
    return next(STATUS[base] for base in type(refusal).__mro__ if base in STATUS)


def problem(refusal: errors.Refusal) -> JSONResponse:
    """The refusal as problem+json (RFC 9457)."""
    status = status_of(refusal)
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    body = {"type": "about:blank", "status": status, "title": refusal.code, "detail": refusal.message, **refusal.data}
    return JSONResponse(body, status, headers, media_type="application/problem+json")
