"""Who may come in, in one order at every door: the limits of an address, the token, the limits of its user, the limits
of the operation. Nothing that a client sent is parsed, looked up or executed before (docs/subsystems/admission.md).
"""

from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeVar

from graphql_app.domain.access import Viewer
from graphql_app.domain.caller import Caller
from graphql_app.domain.errors import TooMany
from graphql_app.live.admission.leases import ConnectionLease
from graphql_app.live.admission.limits import Limits
from graphql_app.live.sessions.accounts import NotHeardOf
from graphql_app.services.identity.identify import Identify
from graphql_app.services.identity.issuer import KeyUnknown

SOCKET_OPERATIONS = "operations of one socket"

T = TypeVar("T")


class SocketSession(NamedTuple):
    """A socket whose viewer is known, counted until the lease is left."""

    viewer: Viewer
    lease: ConnectionLease


class Admission:
    """Answers at once, but where the key of a token, or the account that it names, has to be waited for: then it
    returns an awaitable of the same."""

    def __init__(self, limits: Limits, identify: Identify) -> None:
        self._limits = limits
        self._identify = identify

    def admit(self, address: str | None, authorization: str | None) -> Viewer | Awaitable[Viewer]:
        """Returns who sent a request, counted for its address and for them.

        Raises RateLimited, Unauthenticated, Unavailable.
        """
        self._limits.request(address)
        return self.sign_in(authorization)

    def arrive(self, address: str | None) -> None:
        """Counts what came for its address: the first half of admit(). Raises RateLimited."""
        self._limits.request(address)

    def sign_in(self, authorization: str | None) -> Viewer | Awaitable[Viewer]:
        """Returns whose token it is, counted for them: the second half of admit(), where the address was counted in
        front of all doors. Raises as admit()."""
        try:
            viewer = self._identify.from_header(authorization)
        except (KeyUnknown, NotHeardOf):
            return self._verified_later(authorization, self._counted)
        self._limits.operation(viewer)
        return viewer

    # --- sockets, of which the token comes once ----------------------------------------------------------------------

    def connect(self, address: str | None) -> ConnectionLease:
        """Counts a socket whose handshake was counted. Raises TooManyConnections."""
        return self._limits.connection(address)

    def open_session(
        self, authorization: str | None, lease: ConnectionLease
    ) -> SocketSession | Awaitable[SocketSession]:
        """Returns whose socket it is, counted for them. Raises TooManyConnections, Unauthenticated, Unavailable."""

        def counted(viewer: Viewer) -> SocketSession:
            return SocketSession(viewer, self._limits.session(viewer, lease))

        try:
            viewer = self._identify.from_header(authorization)
        except (KeyUnknown, NotHeardOf):
            return self._verified_later(authorization, counted)
        return counted(viewer)

    def operation(self, address: str | None, viewer: Viewer, running: int, most: int) -> None:
        """Admits one operation of a socket, with which `running` are open there. Raises RateLimited, TooMany."""
        self.arrive(address)
        self._limits.operation(viewer)
        if running > most:
            raise TooMany(
                f"A socket carries at most {most} operations; complete one first.",
                measure=SOCKET_OPERATIONS,
                limit=most,
                asked=running,
            )

    # --- what lasts, over HTTP ---------------------------------------------------------------------------------------

    def stream(self, caller: Caller) -> ConnectionLease:
        """Counts the event stream or long-poll of an admitted caller. Raises TooManyConnections."""
        return self._limits.stream(caller)

    async def _verified_later(self, authorization: str | None, then: Callable[[Viewer], T]) -> T:
        return then(await self._identify.arriving(authorization))

    def _counted(self, viewer: Viewer) -> Viewer:
        self._limits.operation(viewer)
        return viewer
