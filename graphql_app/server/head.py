"""HEAD, for every resource that can be read (RFC 9110, 9.3.2): a GET of which only the header fields are sent."""

from typing import Final

from starlette.types import Message, Scope, Send

BODILESS: Final = "graphql_app.bodiless"  # in the scope of such a GET


def as_get(scope: Scope, send: Send) -> tuple[Scope, Send]:
    """Returns the request as a GET, so that no route can have GET without HEAD."""
    return {**scope, "method": "GET", BODILESS: True}, _without_body(send)


def is_bodiless(scope: Scope) -> bool:
    """Returns whether only the header fields matter: then nothing is worth waiting for."""
    return BODILESS in scope


def _without_body(send: Send) -> Send:
    """Sends the end of the body in place of its first part; the server tells a stream that its client is gone."""
    is_over = False

    async def sending(message: Message) -> None:
        nonlocal is_over
        if message["type"] != "http.response.body":
            await send(message)
        elif not is_over:
            is_over = True
            await send({"type": "http.response.body", "body": b""})

    return sending
