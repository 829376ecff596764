"""The limits of addresses and users, by name. In which order a client meets them: services/identity/admission."""

from graphql_app.domain.access import Viewer
from graphql_app.domain.addresses import network_of
from graphql_app.domain.caller import Caller
from graphql_app.domain.errors import TooManyConnections
from graphql_app.live.admission.leases import ConnectionLease
from graphql_app.live.admission.limiter import Limiter

USER_OPERATIONS = "operations of one user"
USER_CONNECTIONS = "connections of one user"
ADDRESS_REQUESTS = "requests from one address"
ADDRESS_CONNECTIONS = "connections from one address"
LOGINS = "login attempts from one address"


class Limits:
    """Counts at once, in about a microsecond. An address that is None is one of its own."""

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter

    def request(self, address: str | None) -> None:
        """Counts a request, before it is known whose. Raises RateLimited."""
        self._limiter.take(ADDRESS_REQUESTS, network_of(address))

    def operation(self, viewer: Viewer) -> None:
        """Counts an operation of the viewer. Raises RateLimited."""
        self._limiter.take(USER_OPERATIONS, viewer.subject)

    def login(self, address: str | None) -> None:
        """Counts a password that is tried, each of several in one document. Raises RateLimited."""
        self._limiter.take(LOGINS, network_of(address))

    def connection(self, address: str | None) -> ConnectionLease:
        """Counts a connection, before it is known whose. Raises TooManyConnections."""
        return self._limiter.enter(ADDRESS_CONNECTIONS, network_of(address))

    def session(self, viewer: Viewer, lease: ConnectionLease) -> ConnectionLease:
        """Counts the connection of that lease as the viewer's too. Raises TooManyConnections."""
        return self._limiter.enter(USER_CONNECTIONS, viewer.subject, also=lease)

    def stream(self, caller: Caller) -> ConnectionLease:
        """Counts an event stream or a long-poll, of its address and its viewer. Raises TooManyConnections."""
        lease = self.connection(caller.address)
        try:
            return self.session(caller.viewer, lease)
        except TooManyConnections:
            lease.leave()
            raise
