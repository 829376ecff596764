"""A subscriber whose payloads somebody takes: a response of events, or a poll."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from graphql_app.services.following.cohorts import Payload

WAITING_MOST = 8  # payloads for one client; who reads slower than that catches up merged


class Inbox:
    """What a cohort offers, until it is taken. A Subscriber, and a session of live/sessions/sessions."""

    def __init__(self) -> None:
        self.is_cut = False  # the process is to stop
        self._waiting: deque[Payload] = deque()
        self._arrived = asyncio.Event()
        self._read = asyncio.Event()
        self._failure: Exception | None = None

    def look(self) -> None:
        """Who takes knows how long."""

    def drain(self) -> None:
        self.is_cut = True
        self._arrived.set()

    def offer(self, payload: Payload) -> bool:
        if len(self._waiting) >= WAITING_MOST:
            return False
        self._waiting.append(payload)
        self._arrived.set()
        return True

    async def drained(self) -> None:
        while self._waiting:
            self._read.clear()
            await self._read.wait()

    def forget(self) -> None:
        self._waiting.clear()
        self._read.set()

    def failed(self, error: Exception) -> None:
        self._failure = error
        self._arrived.set()

    async def take(self, seconds: float | None = None) -> Payload:
        """The next payload. Raises TimeoutError when none came in time, or the process is to stop; and what failed."""
        while not self._waiting:
            if self._failure is not None:
                raise self._failure
            if self.is_cut:
                raise TimeoutError
            self._arrived.clear()
            self._read.set()
            async with asyncio.timeout(seconds):
                await self._arrived.wait()
        return self._waiting.popleft()

    async def payloads(self, seconds: float, watchdog: float) -> AsyncIterator[Payload | None]:
        """All that comes, for so long at most, or until the process is to stop; None after so long a silence.

        Raises what failed.
        """
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + seconds
        while not self.is_cut and (left := ends_at - loop.time()) > 0:
            try:
                yield await self.take(min(left, watchdog))
            except TimeoutError:
                if not self.is_cut and loop.time() < ends_at:
                    yield None
