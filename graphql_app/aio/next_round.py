"""Made once for all who ask for the same before it is begun: nobody is given what is older than their question."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class NextRound(Generic[K, T]):
    """Of each key one is under way at a time; those who ask meanwhile share the next. Each is a task of its own:
    whoever asked may go away, and the others are still answered."""

    def __init__(self) -> None:
        self._under_way: dict[K, asyncio.Task[T]] = {}
        self._next: dict[K, asyncio.Task[T]] = {}

    async def join(self, key: K, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of work that was begun after this was asked. Raises what it raises."""
        task = self._next.get(key)
        if task is None:
            task = self._next[key] = asyncio.create_task(self._round(key, work), name=f"round of {type(key).__name__}")
            # Asked for its exception, it is nobody's fault when all who waited have gone away.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(task)

    async def _round(self, key: K, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        if (earlier := self._under_way.get(key)) is not None:
            await asyncio.wait([earlier])
        self._under_way[key] = self._next.pop(key)
        try:
            return await work()
        finally:
            del self._under_way[key]
