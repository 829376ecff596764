"""What one cohort has not been sent yet, newest state per entity."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from graphql_app.domain.change import Change, Merged, add

# However slow the reader is: from here on parts are no longer kept apart, but merged.
PARTS_MOST = 256


@dataclass(frozen=True, slots=True)
class Batching:
    """How changes wait for company: the first `eager` of any `window_seconds` go out at once, those after them wait for
    no longer than the window, or until there are `most`, which is also as many as go out together."""

    window_seconds: float
    most: int
    eager: int = 0


class Lost(Exception):
    """The history that was followed ended; start anew from a snapshot."""


@dataclass(slots=True)
class Part:
    """What goes out together: each entity once, up to a revision. `logged_at` is of the oldest change."""

    logged_at: datetime
    merged: dict[int, Merged[Any]] = field(default_factory=dict)
    revision: int = 0


class Mailbox:
    """Bounded by the number of entities that changed: what is not read in time is merged, never queued.

    What its readers do not notice does not come in: it would fill parts, and so be noticed by when others go out.
    """

    def __init__(self, batching: Batching, notices: Callable[[Any, Any], bool] = lambda _, __: True) -> None:
        self._batching = batching
        self._notices = notices
        self._parts: deque[Part] = deque()
        self._lost = self._nudged = False
        self._changed = asyncio.Event()
        self._told: deque[tuple[float, int]] = deque()  # when, and of how many changes, within the last window
        self._quiet_until = 0.0

    @property
    def is_empty(self) -> bool:
        return not self._parts

    def put(self, change: Change[Any]) -> None:
        if not self._notices(change.before, change.after):
            return
        if not self._parts or self._goes_apart(change):
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

    def nudge(self) -> None:
        """Whoever waits is to look at something else than changes."""
        self._nudged = True
        self._changed.set()

    def told(self, changes: int) -> None:
        """So much of what was taken was shown to somebody: it may start the window."""
        window, now = self._batching.window_seconds, asyncio.get_running_loop().time()
        self._told.append((now, changes))
        while self._told and self._told[0][0] <= now - window:
            self._told.popleft()
        if sum(count for _, count in self._told) > self._batching.eager:
            self._quiet_until = now + window

    async def ready(self) -> bool:
        """Waits until there is something to take and its time has come; False when it was nudged. Raises Lost."""
        while True:
            if self._lost:
                raise Lost
            if self._nudged:
                self._nudged = False
                return False
            if not self._parts:
                await self._wait(None)
                continue
            left = self._quiet_until - asyncio.get_running_loop().time()
            if left <= 0 or len(self._parts[0].merged) >= self._batching.most or len(self._parts) > 1:
                return True
            await self._wait(left)

    def take(self) -> Part:
        """The oldest part of what is here."""
        return self._parts.popleft()

    def _goes_apart(self, change: Change[Any]) -> bool:
        """A part holds only so many entities, and with a window of 0 only one state of each."""
        if len(self._parts) >= PARTS_MOST:
            return False
        merged = self._parts[-1].merged
        return self._batching.window_seconds == 0 if change.key in merged else len(merged) >= self._batching.most

    async def _wait(self, seconds: float | None) -> None:
        self._changed.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass
