"""What one cohort has not been sent yet, newest state per workstation."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime

from graphql_app.domain.change import Change, Merged, add

# With batching off every state is kept apart, unless the reader is so slow that this many wait.
APART_MOST = 256


class Lost(Exception):
    """The history that was followed ended; start anew from a snapshot."""


@dataclass(slots=True)
class Part:
    """What goes out together: each workstation once, up to a revision. `logged_at` is of the oldest change."""

    logged_at: datetime
    merged: dict[int, Merged] = field(default_factory=dict)
    revision: int = 0


class Mailbox:
    """The first change is handed out at once; those after it wait for company, but never longer than the window.

    Bounded by the number of workstations that changed: what is not read in time is merged, never queued.
    """

    def __init__(self, window_seconds: float, most: int) -> None:
        self._window = window_seconds
        self._most = most
        self._parts: deque[Part] = deque()
        self._lost = False
        self._changed = asyncio.Event()
        self._quiet_until = 0.0

    @property
    def is_empty(self) -> bool:
        return not self._parts

    def put(self, change: Change) -> None:
        apart = self._window == 0 and len(self._parts) < APART_MOST
        if not self._parts or (apart and change.workstation_id in self._parts[-1].merged):
            self._parts.append(Part(logged_at=change.logged_at))
        part = self._parts[-1]
        add(part.merged, change)
        part.revision = change.revision
        self._changed.set()

    def clear(self) -> None:
        self._parts.clear()

    def lose(self) -> None:
        self._lost = True
        self._changed.set()

    def sent(self) -> None:
        """Something of what was taken was shown to somebody: the window starts. Hidden changes do not start it."""
        self._quiet_until = asyncio.get_running_loop().time() + self._window

    async def ready(self) -> None:
        """Waits until there is something to take and its time has come. Raises Lost."""
        while True:
            if self._lost:
                raise Lost
            if not self._parts:
                await self._wait(None)
                continue
            left = self._quiet_until - asyncio.get_running_loop().time()
            if left <= 0 or sum(len(part.merged) for part in self._parts) >= self._most:
                return
            await self._wait(left)

    def take(self) -> Part:
        """The oldest part of what is here: all of it, but with batching off."""
        return self._parts.popleft()

    async def _wait(self, seconds: float | None) -> None:
        self._changed.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass
