"""The open connections of this process: checked once a second, and ended in good order when it stops."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from graphql_app.live.feed.isolation import isolated

LOOK_SECONDS = 1.0
SLICES = 20  # a few at a time, so that no look-round is felt by those who wait for news


class OpenConnection(Protocol):
    """One connection, of whatever transport."""

    def look(self) -> None:
        """Ends the connection if its time is over. Called about once a second."""

    def drain(self) -> None:
        """Tells the client that the process stops: it comes back elsewhere with its cursor."""


class WaitingConnection:
    """A long-poll request that waits for news."""

    def __init__(self, deadline: asyncio.Timeout) -> None:
        self._deadline = deadline

    def look(self) -> None:
        pass

    def drain(self) -> None:
        if not self._deadline.expired():
            self._deadline.reschedule(asyncio.get_running_loop().time())


class Sessions:
    """All open connections. An idle one costs no task and no timer of its own."""

    def __init__(self, drain_seconds: float) -> None:
        self._drain_seconds = drain_seconds
        self._draining: asyncio.Task[None] | None = None
        self._slices: list[set[OpenConnection]] = [set() for _ in range(SLICES)]

    @property
    def is_draining(self) -> bool:
        return self._draining is not None

    def __len__(self) -> int:
        return sum(map(len, self._slices))

    def open(self, session: OpenConnection) -> None:
        self._slices[hash(session) % SLICES].add(session)
        if self.is_draining:
            session.drain()

    def close(self, session: OpenConnection) -> None:
        self._slices[hash(session) % SLICES].discard(session)

    async def run(self) -> None:
        """Checks every connection once a second. Never returns; end it by cancelling."""
        while True:
            for sessions in self._slices:
                await asyncio.sleep(LOOK_SECONDS / SLICES)
                for session in list(sessions):
                    isolated("sessions", session.look)

    @asynccontextmanager
    async def timeout(self, seconds: float) -> AsyncIterator[None]:
        """Bounds a wait as asyncio.timeout does, and ends it at once when the process stops. Raises TimeoutError."""
        async with asyncio.timeout(seconds) as deadline:
            waiting = WaitingConnection(deadline)
            self.open(waiting)
            try:
                yield
            finally:
                self.close(waiting)

    def drain(self) -> None:
        """Ends every connection, each at a moment of its own within the time, so that clients do not all come back at
        once."""
        if self._draining is None:
            self._draining = asyncio.create_task(self._drain(), name="draining")

    async def _drain(self) -> None:
        sessions = [session for part in self._slices for session in part]
        random.shuffle(sessions)
        ends_at = asyncio.get_running_loop().time() + self._drain_seconds
        for left in range(len(sessions), 0, -1):
            pause = (ends_at - asyncio.get_running_loop().time()) / left * random.uniform(0, 2)  # noqa: S311  # jitter
            if pause > 0:
                await asyncio.sleep(pause)
            session = sessions[left - 1]
            if session in self._slices[hash(session) % SLICES]:  # it may have ended by itself meanwhile
                isolated("sessions", session.drain)
