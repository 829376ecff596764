"""A value that takes one wait, for who is not to be a task while waiting."""

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
