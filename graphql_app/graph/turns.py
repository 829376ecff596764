"""For how long executions hold up the loop at a time, all of them together: an answer may have 100,000 values, and
whoever asks for less is not to wait for the last of them."""

import asyncio
import time

TURN_SECONDS = 0.005


class Turns:
    """One for all executions of a process."""

    __slots__ = ("_ends",)

    def __init__(self) -> None:
        self._ends: float | None = None

    def is_over(self) -> bool:
        """Whether others are to be let in now. To be asked after each piece of work."""
        now = time.perf_counter()
        if self._ends is None:
            self._ends = now + TURN_SECONDS
            asyncio.get_running_loop().call_soon(self._end)
        return now > self._ends

    async def next(self) -> None:
        """Lets others in, if the turn is over. Who waits first goes on first."""
        while self.is_over():  # noqa: ASYNC110  # the next turn of the loop is what is waited for
            await asyncio.sleep(0)

    def _end(self) -> None:
        self._ends = None
