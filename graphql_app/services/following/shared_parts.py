"""Something long, made in parts and made once for all who ask in time: no more of it is kept than one may be ahead of
another."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Hashable
from contextlib import aclosing
from typing import Generic, TypeVar

from graphql_app.domain.errors import Unavailable

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

# Parts, that the fastest is ahead of the slowest: of 100 workstations each, some two megabytes. Who comes while all are
# there begins with the first.
AHEAD_MOST = 40
SLOWEST_SECONDS = 20.0  # in which each must take one part, as a client that reads nothing is cut
LONGEST_SECONDS = 600.0  # of one pass: as long PostgreSQL keeps what it reads


class SharedParts(Generic[T]):
    """One of them: a task makes the next part when the slowest of those who take them has room for it."""

    def __init__(self, parts: AsyncGenerator[T, None]) -> None:
        self._parts: deque[T] = deque()
        self._gone = 0  # parts that all have taken
        self._next_of: dict[object, int] = {}
        self._moved = asyncio.Event()
        self.task = asyncio.create_task(self._make(parts), name="pass")

    @property
    def is_whole(self) -> bool:
        """Whether who comes now still finds the first part."""
        return self._gone == 0

    async def taken(self) -> AsyncGenerator[T, None]:
        """All parts. Raises what making them does, and Unavailable for who takes them too slowly."""
        taker = object()
        self._next_of[taker] = 0
        try:
            while (at := self._next_of.get(taker)) is not None:
                if at < self._gone + len(self._parts):
                    yield self._parts[at - self._gone]
                    self._has_taken(taker)
                elif self.task.done():
                    self.task.result()
                    return
                else:
                    await self._something()
            raise Unavailable("The snapshot was not read as fast as it must be; ask for fewer by a filter.")
        finally:
            self._next_of.pop(taker, None)
            self._moved.set()
            if not self._next_of and not self.is_whole:
                self.task.cancel()

    def _has_taken(self, taker: object) -> None:
        if taker in self._next_of:  # else it took too long
            self._next_of[taker] += 1
            self._moved.set()

    async def _make(self, parts: AsyncGenerator[T, None]) -> None:
        try:
            async with aclosing(parts), asyncio.timeout(LONGEST_SECONDS):
                async for part in parts:
                    self._parts.append(part)
                    self._moved.set()
                    await self._room()
        except TimeoutError as error:
            raise Unavailable("The snapshot took too long; ask for fewer by a filter.") from error
        finally:
            self._moved.set()

    async def _room(self) -> None:
        """Until one more may be made. Who keeps the others waiting for too long is left behind."""
        while len(self._parts) > AHEAD_MOST:
            slowest = min(self._next_of.values(), default=self._gone)
            if slowest > self._gone:
                self._parts.popleft()
                self._gone += 1
                continue
            try:
                async with asyncio.timeout(SLOWEST_SECONDS):
                    await self._something()
            except TimeoutError:
                self._next_of = {taker: at for taker, at in self._next_of.items() if at > slowest}
                if not self._next_of:
                    raise

    async def _something(self) -> None:
        """Until a part was made or taken."""
        self._moved.clear()
        await self._moved.wait()


class PartSharing(Generic[K, T]):
    """Of each key the one that whoever asks still finds whole, while it is made and for a while afterwards."""

    def __init__(self, kept_seconds: float) -> None:
        self._kept_seconds = kept_seconds
        self._passes: dict[K, SharedParts[T]] = {}

    async def join(self, key: K, begin: Callable[[], AsyncGenerator[T, None]]) -> AsyncGenerator[T, None]:
        """All parts, of a pass that is begun unless there is one. Raises what Pass.taken does."""
        current = self._passes.get(key)
        if current is None or not current.is_whole:
            current = self._begun(key, begin())
        async with aclosing(current.taken()) as parts:
            async for part in parts:
                yield part

    def _begun(self, key: K, parts: AsyncGenerator[T, None]) -> SharedParts[T]:
        begun = self._passes[key] = SharedParts(parts)

        def forget() -> None:
            if self._passes.get(key) is begun:
                del self._passes[key]

        def ended(task: "asyncio.Task[None]") -> None:
            # Asked for its exception, it is nobody's fault when all who waited have gone away.
            if task.cancelled() or task.exception() is not None or not begun.is_whole:
                forget()
            else:
                task.get_loop().call_later(self._kept_seconds, forget)

        begun.task.add_done_callback(ended)
        return begun
