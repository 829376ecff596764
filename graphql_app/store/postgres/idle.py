"""The connections that lie idle in a pool: each ends after a time, and all at once when one turned out dead."""

import asyncio

from graphql_app.store.postgres.driver import Connection


class IdleConnections:
    """Ends what lies for `idle_seconds`; who takes one finds out whether it still is open."""

    def __init__(self, idle_seconds: float) -> None:
        self._idle_seconds = idle_seconds
        self._timers: dict[Connection, asyncio.TimerHandle] = {}

    def lay(self, connection: Connection) -> None:
        """Notes that nobody uses the connection from now on."""
        loop = asyncio.get_running_loop()
        self._timers[connection] = loop.call_later(self._idle_seconds, self._end, connection)

    def take(self, connection: Connection) -> bool:
        """Returns whether the connection, which is used from now on, is open."""
        timer = self._timers.pop(connection, None)
        if timer is not None:
            timer.cancel()
        return not connection.is_closed()

    def drop(self) -> None:
        """Ends all of them."""
        for connection in self.clear():
            connection.terminate()

    def clear(self) -> list[Connection]:
        """Returns all of them, which are the caller's to end."""
        connections = list(self._timers)
        for connection in connections:
            self.take(connection)
        return connections

    def _end(self, connection: Connection) -> None:
        self.take(connection)
        connection.terminate()
