"""What was made for one, kept for a moment for those who ask for the same: all who come back after a restart."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

KEPT_SECONDS = 1.0

V = TypeVar("V")


class Briefly(Generic[V]):
    """Makes each value once, however many wait for it, and forgets it a moment later."""

    def __init__(self) -> None:
        self._made: dict[Hashable, asyncio.Task[V]] = {}

    async def get(self, key: Hashable, make: Callable[[], Awaitable[V]]) -> V:
        """Raises what `make` raises, to all who wait for it; whoever comes after them tries anew."""
        task = self._made.get(key)
        if task is None:
            task = self._made[key] = asyncio.ensure_future(_awaited(make))
            task.add_done_callback(lambda task: self._keep(key, task))
        return await asyncio.shield(task)  # who goes away leaves it to the others

    def _keep(self, key: Hashable, task: "asyncio.Task[V]") -> None:
        if task.cancelled() or task.exception() is not None:
            self._forget(key)
        else:
            task.get_loop().call_later(KEPT_SECONDS, self._forget, key)

    def _forget(self, key: Hashable) -> None:
        del self._made[key]


async def _awaited(make: Callable[[], Awaitable[V]]) -> V:
    return await make()
