"""Rules for every request and every response over HTTP, whatever the door."""

from typing import Any, Final

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from graphql_app.domain.admission import (
    LOCAL_ORIGIN,
    NO_FOREIGN_PAGES,
    NO_TOKENS_IN_ADDRESSES,
    Origins,
    fields_of,
    names_a_token,
)
from graphql_app.domain.errors import Forbidden, InvalidInput, Refusal
from graphql_app.observe import OriginRefused, note
from graphql_app.server.address_limit import refusal_of
from graphql_app.server.problems import problem

# For answers that are data. Pages say more of themselves: pages.
SECURE: Final = [
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
]

# Fields that repeat what was asked for. A proxy reads the head of an answer into one buffer, and takes a longer one for
# a server that is broken.
REPEATING: Final = (b"link", b"location")
REPEATED_BYTES_MOST: Final = 2048

MAY_SEND: Final = [
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Last-Event-ID",
    "X-Min-Cursor",
    "X-Request-ID",
]
MAY_READ: Final = ["ETag", "Link", "Location", "Retry-After", "X-Receipt", "X-Request-ID"]


class SecurityMiddleware:
    """Refuses pages of a foreign origin, addresses with a token in them, and repeated header fields that must be
    single."""

    def __init__(self, app: ASGIApp, origins: Origins) -> None:
        self._origins = origins
        self._app = app
        has_pages = origins.listed or origins.lets_in_local_pages
        self._for_pages = CORSMiddleware(app, **_cors(origins)) if has_pages else app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            scope["headers"] = list(fields_of(scope["headers"]).items())
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        app = problem(refusal) if refusal else self._for_pages if "origin" in headers else self._app
        await app(scope, receive, secured(send))

    def _refusal(self, scope: Scope, headers: Headers) -> Refusal | None:
        limited = refusal_of(scope)
        if limited is not None:  # for which nothing is looked at; the app says so, but where it would not be asked
            return limited if is_preflight(scope, headers) else None
        if not self._origins.may_come(headers.get("origin"), headers.get("host")):
            note(OriginRefused(headers["origin"]))
            return Forbidden(NO_FOREIGN_PAGES)
        if names_a_token(scope["query_string"].decode("latin-1")):
            return InvalidInput(NO_TOKENS_IN_ADDRESSES)
        return None


def is_preflight(scope: Scope, headers: Headers) -> bool:
    return scope["method"] == "OPTIONS" and "origin" in headers and "access-control-request-method" in headers


def secured(send: Send) -> Send:
    """Sends with SECURE, unless a response says better itself, and drops a field that would make the head too long."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            said = {name.lower() for name, _ in message["headers"]}
            own = [(name, value) for name, value in SECURE if name not in said]
            message = {**message, "headers": [*filter(_is_fit, message["headers"]), *own]}
        await send(message)

    return sending


def _is_fit(line: tuple[bytes, bytes]) -> bool:
    return len(line[1]) <= REPEATED_BYTES_MOST or line[0].lower() not in REPEATING


def _cors(origins: Origins) -> dict[str, Any]:
    """Returns what pages of the listed origins may send and read."""
    return {
        "allow_origins": sorted(origins.listed),
        "allow_origin_regex": LOCAL_ORIGIN.pattern if origins.lets_in_local_pages else None,
        "allow_methods": ["GET", "HEAD", "POST", "PUT", "DELETE"],
        "allow_headers": MAY_SEND,
        "expose_headers": MAY_READ,
    }
