"""How often a client may ask, and how much it may send."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from graphql_app.domain.addresses import Proxies, is_loopback
from graphql_app.domain.errors import RateLimited, Refusal, body_too_large
from graphql_app.live.admission.admission import Admission
from graphql_app.server.problems import problem
from graphql_app.server.security import secured

ALIVE = "/healthz"  # answered by a constant: whoever looks whether this lives is never refused
READY = "/readyz"  # nor is this machine, or a proxy that asks for itself: they would take it for dead


class RequestLimit:
    """Counts every request against its address before anything is done for it, whatever it is for."""

    def __init__(self, app: ASGIApp, admission: Admission, proxies: Proxies) -> None:
        self._app = app
        self._admission = admission
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            address = client[0] if (client := scope.get("client")) else None
            try:
                if not self._is_spared(scope["path"], address):
                    self._admission.request(address)
            except RateLimited as refusal:
                await problem(refusal)(scope, receive, secured(send))
                return
        await self._app(scope, receive, send)

    def _is_spared(self, path: str, address: str | None) -> bool:
        return path == ALIVE or (path == READY and (is_loopback(address) or self._proxies.trusts(address)))


class RefusedBody(HTTPException):
    """As one of Starlette's own, since FastAPI makes a 400 of everything else that is raised while it reads a body."""

    def __init__(self, status: int, refusal: Refusal) -> None:
        super().__init__(status)
        self.refusal = refusal


async def unread(_: Request, error: Exception) -> Response:
    """What FastAPI calls for it."""
    assert isinstance(error, RefusedBody)
    return problem(error.refusal, error.status_code)


class BodyLimit:
    """Answers 413 to a longer body before it is read whole: FastAPI reads a body before it asks for the token."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._most:
                raise RefusedBody(413, body_too_large(self._most, received))
            return message

        await self._app(scope, counted, send)
