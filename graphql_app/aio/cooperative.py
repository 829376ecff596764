"""For how long what is made for clients holds up the loop at a time, all of it together: an answer may have 100,000
values, a snapshot as many workstations, and whoever asks for less is not to wait for the last of them."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")

TURN_SECONDS = 0.005
BRIEFLY_SECONDS = 0.001  # of a turn is all that is taken by what goes on for long, and can wait


class CooperativeScheduler:
    """One for all that a process makes. Whoever has more to make than fits goes on behind all others that wait."""

    __slots__ = ("_began", "_is_next_due", "_waiting")

    def __init__(self) -> None:
        self._began: float | None = None
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_next_due = False

    def is_over(self, seconds: float | None = None) -> bool:
        """Whether others are to be let in now. To be asked after each piece of work, which may give itself less time
        than a turn has."""
        now = time.perf_counter()
        if self._began is None:
            self._began = now
            self._see_to_the_next()
        return now - self._began > (TURN_SECONDS if seconds is None else min(seconds, TURN_SECONDS))

    async def next(self, seconds: float | None = None) -> None:
        """Lets others in, if the turn is over. Who waits first goes on first."""
        if self.is_over(seconds):
            let_in: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(let_in)
            await let_in
            self.is_over()  # it begins

    async def all(self, items: Iterable[T], seconds: float | None = None) -> list[T]:
        """The list of items that are made as they are asked for, for at most so long at a time."""
        await self.next(seconds)
        made = []
        for item in items:
            made.append(item)
            if self.is_over(seconds):
                await self.next(seconds)
        return made

    async def those(self, condition: Callable[[T], bool], items: Iterable[T]) -> list[T]:
        """The items of which it holds, however few of many these are."""
        answers = await self.all((condition(item), item) for item in items)
        return [item for holds, item in answers if holds]

    def _see_to_the_next(self) -> None:
        if not self._is_next_due:
            self._is_next_due = True
            asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        """The loop has come round, and whoever else wanted something of it was served."""
        self._began, self._is_next_due = None, False
        while self._waiting:
            let_in = self._waiting.popleft()
            if not let_in.done():  # it may have been cancelled
                self._see_to_the_next()
                let_in.set_result(None)
                return
