"""Single flight: those who ask for a key while its work is under way, or a moment later, get the same result."""

import asyncio
import sys
from collections import deque
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class SingleFlight(Generic[K, T]):
    """Each work is a task of its own: whoever asked first may go away, and the others are still answered.

    `kept_seconds`: so long a result still serves those who come later, as after a restart, when all come at once; of
    more than `kept_most` the oldest go before.
    """

    def __init__(self, kept_seconds: float = 0, *, kept_most: int = sys.maxsize) -> None:
        self._kept_seconds = kept_seconds
        self._kept_most = kept_most
        self._kept: deque[K] = deque()
        self._tasks: dict[K, asyncio.Task[T]] = {}

    async def join(self, key: K, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of the work, which is begun unless it is there. Raises what it raises."""
        return await asyncio.shield(self.begin(key, work))

    def begin(self, key: K, work: Callable[[], Coroutine[Any, Any, T]]) -> "asyncio.Task[T]":
        """The task that does the work, begun now or before. Whether anybody waits for it makes no difference."""
        task = self._tasks.get(key)
        # One that has ended is forgotten a turn later: who asked again in between, in a loop, would wait for nothing.
        if task is None or (task.done() and not self._kept_seconds):
            task = self._tasks[key] = asyncio.create_task(work(), name=f"flight of {type(key).__name__}")
            task.add_done_callback(lambda done: self._landed(key, done))
        return task

    async def close(self) -> None:
        """Ends whatever is under way."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _landed(self, key: K, task: "asyncio.Task[T]") -> None:
        # Asked for its exception, it is nobody's fault when all who waited have gone away.
        if task.cancelled() or task.exception() is not None or not self._kept_seconds:
            if self._tasks.get(key) is task:
                self._forget(key)
        else:
            self._kept.append(key)
            task.get_loop().call_later(self._kept_seconds, self._let_go, key)
            if len(self._kept) > self._kept_most:
                self._let_go(self._kept[0])

    def _let_go(self, key: K) -> None:
        if self._kept and self._kept[0] == key:  # else it went before its time
            self._kept.popleft()
            self._forget(key)

    def _forget(self, key: K) -> None:
        del self._tasks[key]
