"""Leases of connections that were let in."""

import asyncio
from collections.abc import Callable

from graphql_app.domain.connection_limits import ConnectionLimit, ConnectionLimits
from graphql_app.domain.errors import TooManyConnections
from graphql_app.observe import Refused, note

RETRY_SECONDS = 5  # who has too many connections must close one first


class ConnectionLease:
    """One connection, counted until leave(). It may turn out to be one too many soon after: others were faster.

    `also` is counted with it, as a connection of somebody at some address is.
    """

    __slots__ = ("_also", "_ceilings", "_key", "_revoked", "_then", "_woken")

    def __init__(
        self, ceilings: ConnectionLimits | None, key: str, woken: asyncio.Event, also: "ConnectionLease | None"
    ) -> None:
        self._ceilings = ceilings
        self._key = key
        self._woken = woken
        self._also = also
        self._revoked: TooManyConnections | None = None
        self._then: Callable[[TooManyConnections], None] | None = None

    def when_revoked(self, then: Callable[[TooManyConnections], None]) -> None:
        """Sets what ends the connection; called at once if it was too many already."""
        self._then = then
        if self._also is not None:
            self._also.when_revoked(then)
        if self._revoked is not None:
            then(self._revoked)

    def revoke(self, ceiling: ConnectionLimit) -> None:
        if self._ceilings is not None:
            note(Refused(ceiling.name))
            self._revoked = too_many(ceiling)
            if self._then is not None:
                self._then(self._revoked)

    def leave(self) -> None:
        """Gives the lease back. May be called again."""
        ceilings, self._ceilings = self._ceilings, None
        if ceilings is not None:
            ceilings.leave(self._key, self)
            self._woken.set()
        if self._also is not None:
            self._also.leave()


def too_many(ceiling: ConnectionLimit) -> TooManyConnections:
    return TooManyConnections(
        f"Too many {ceiling.name}: {ceiling.most} may be open; close one first.",
        measure=ceiling.name,
        limit=ceiling.most,
        asked=ceiling.most + 1,
        retry_after=RETRY_SECONDS,
    )
