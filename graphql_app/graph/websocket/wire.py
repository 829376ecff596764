"""The transport below graphql-transport-ws, what one socket may do, and how it is closed."""

from dataclasses import dataclass
from typing import Protocol

from graphql_app.services.following.cohorts import Payload

SUBPROTOCOL = "graphql-transport-ws"

# Close codes of PROTOCOL.md, with the reasons that it gives.
BAD_REQUEST = 4400
UNAUTHORIZED = (4401, "Unauthorized")
FORBIDDEN = 4403
SUBPROTOCOL_NOT_ACCEPTABLE = (4406, "Subprotocol not acceptable")
INIT_TIMEOUT = (4408, "Connection initialisation timeout")
ALREADY_EXISTS = 4409
INTERNAL = (4500, "Internal server error")
RESTART = (1012, "The service restarts; come back with your last cursor")  # RFC 6455's registry: service restart
TOO_MANY_CONNECTIONS = 4429
TOO_MANY_INITS = (4429, "Too many initialisation requests")
TOO_FAST = 1008  # RFC 6455, 7.4.1: a message that breaks a policy
REASON_BYTES_MOST = 123  # RFC 6455, 5.5: a control frame carries 125 bytes, two of them the code


class Wire(Protocol):
    """Carries text frames to one client."""

    def write(self, message: bytes) -> None: ...

    def offer(self, prefix: bytes, payload: Payload) -> bool:
        """Writes the prefix, the payload and a brace, unless too much of what was written before is still unread."""

    async def drained(self) -> None: ...

    def close(self, code: int, reason: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Rules:
    """The limits of one socket."""

    init_seconds: float
    operations_most: int
    message_bytes_most: int
    stall_seconds: float  # a client that reads nothing is cut after this
    ping_seconds: float  # a client that says nothing is asked, and cut when it does not answer for as long again
    compresses: bool
    messages_per_second: int = 1000


def fitting(reason: str) -> str:
    """Returns the reason, cut to what a close frame can carry."""
    return reason.encode()[:REASON_BYTES_MOST].decode(errors="ignore")
