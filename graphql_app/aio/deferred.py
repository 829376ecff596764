"""A value that is ready after one wait, which needs no task."""

import asyncio
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Deferred(NamedTuple, Generic[T]):
    """Nothing is begun before `start`. `make` makes the value of the same future once it is done; raises what came."""

    start: Callable[[], asyncio.Future[Any]]
    make: Callable[[asyncio.Future[Any]], T]

    async def value(self) -> T:
        began = self.start()
        await began
        return self.make(began)
