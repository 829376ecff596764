"""Who may come in: the limits by their names, for every door."""

from graphql_app.domain.access import Viewer
from graphql_app.domain.addresses import network_of
from graphql_app.domain.errors import TooManyConnections
from graphql_app.live.admission.leases import ConnectionLease
from graphql_app.live.admission.limiter import Limiter

USER_OPERATIONS = "operations of one user"
USER_CONNECTIONS = "connections of one user"
ADDRESS_REQUESTS = "requests from one address"
ADDRESS_CONNECTIONS = "connections from one address"
LOGINS = "login attempts from one address"


class Admission:
    """Every check is done at once, and takes a microsecond. An address that is None is one of its own."""

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter

    def request(self, address: str | None) -> None:
        """Somebody asks for something, before it is known who. Raises RateLimited."""
        self._limiter.take(ADDRESS_REQUESTS, network_of(address))

    def operation(self, viewer: Viewer) -> None:
        """Raises RateLimited. Who is nobody yet, and logs in, is known by their address alone."""
        if viewer.subject:
            self._limiter.take(USER_OPERATIONS, viewer.subject)

    def login(self, address: str | None) -> None:
        """Somebody tries a password; of several in one document each is a try. Raises RateLimited."""
        self._limiter.take(LOGINS, network_of(address))

    def connection(self, address: str | None) -> ConnectionLease:
        """A socket, before it is known whose. Raises TooManyConnections."""
        return self._limiter.enter(ADDRESS_CONNECTIONS, network_of(address))

    def session(self, viewer: Viewer, from_here: ConnectionLease) -> ConnectionLease:
        """The same socket, now that it is the viewer's: of both. Raises TooManyConnections."""
        return self._limiter.enter(USER_CONNECTIONS, viewer.subject, also=from_here)

    def stream(self, viewer: Viewer) -> ConnectionLease:
        """An event stream or a long-poll. Raises TooManyConnections."""
        from_here = self.connection(viewer.address)
        try:
            return self.session(viewer, from_here)
        except TooManyConnections:
            from_here.leave()
            raise
