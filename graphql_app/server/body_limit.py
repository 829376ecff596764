"""The largest body that a client may send."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from graphql_app.domain.errors import Refusal, body_too_large
from graphql_app.server.problems import problem


class RefusedBody(HTTPException):
    """A subclass of Starlette's error, since FastAPI makes a 400 of everything else that is raised while it reads a
    body."""

    def __init__(self, status: int, refusal: Refusal) -> None:
        super().__init__(status)
        self.refusal = refusal


async def unread(_: Request, error: Exception) -> Response:
    """What FastAPI calls for it."""
    assert isinstance(error, RefusedBody)
    return problem(error.refusal, error.status_code)


class BodyLimit:
    """Answers 413 to a longer body before it is read to its end."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = _declared(scope)
        if declared > self._most:
            await problem(body_too_large(self._most, declared), 413)(scope, receive, send)
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


def _declared(scope: Scope) -> int:
    """Returns the length that the body is declared to have, in bytes; 0 where none is."""
    said = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    return int(said[:18]) if said.isdigit() else 0
