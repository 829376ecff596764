"""Handshake and frames of one WebSocket, by the sans-I/O core of `websockets`, and what that leaves open."""

from collections.abc import Sequence
from http import HTTPStatus

from websockets.exceptions import InvalidMessage
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from graphql_app.graph.websocket.wire import SUBPROTOCOL

VERSION = "13"  # of RFC 6455
VERSION_OFFERED = {"Sec-WebSocket-Version": VERSION, "Upgrade": "websocket", "Connection": "Upgrade"}


class Core(ServerProtocol):
    """Answers every handshake, whatever it is: a proxy takes silence for a server that is gone."""

    def select_subprotocol(self, subprotocols: Sequence[Subprotocol]) -> Subprotocol | None:
        """Lets the handshake succeed without our subprotocol too, so that a browser is told the close code."""
        return Subprotocol(SUBPROTOCOL) if SUBPROTOCOL in subprotocols else None

    def accept(self, request: Request) -> Response:
        """Answers another version with the one that there is (RFC 6455, 4.4)."""
        if request.headers.get_all("Sec-WebSocket-Version") == [VERSION]:
            return super().accept(request)
        response = self.reject(HTTPStatus.UPGRADE_REQUIRED, f"Speak version {VERSION} of the protocol.\n")
        response.headers.update(VERSION_OFFERED)
        return response

    def send_eof(self) -> None:
        if isinstance(self.handshake_exc, InvalidMessage):
            response = self.reject(HTTPStatus.BAD_REQUEST, "This is no handshake of a WebSocket.\n")
            self.writes.append(response.serialize())
        super().send_eof()

    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.CLOSE:
            # Whoever closes in the middle of a message just closes: RFC 6455 says nowhere that it must be complete.
            self.current_size = None
        super().recv_frame(frame)
