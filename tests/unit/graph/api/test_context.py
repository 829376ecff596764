"""Loaders: what is asked for in one moment is fetched at once, and whoever waits is answered."""

import asyncio
import gc
from collections.abc import Mapping
from weakref import WeakSet

import pytest

from graphql_app.graph.api.context import Loader
from tests.clock import settle


class Fetching:
    """A database that answers when the test says so. Nobody but those who wait holds on to what they wait for."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self._waiting: WeakSet[asyncio.Future[None]] = WeakSet()

    async def fetch(self, keys: list[int]) -> Mapping[int, str]:
        self.asked.append(keys)
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(answered)
        await answered
        return {key: str(key) for key in keys if key}

    async def answer(self) -> None:
        for waiting in list(self._waiting):
            waiting.set_result(None)
        await settle()


async def test_what_is_asked_for_in_one_moment_is_fetched_at_once_and_each_only_once() -> None:
    loader, database = Loader(), Fetching()
    asking = [asyncio.create_task(loader.load(key, database.fetch)) for key in (1, 2, 1, 0)]
    await settle()
    await database.answer()

    assert await asyncio.gather(*asking) == ["1", "2", "1", None]
    assert await loader.load(2, database.fetch) == "2"
    assert database.asked == [[1, 2, 0]]


async def test_whoever_asked_first_is_answered_though_others_asked_later_and_garbage_was_collected() -> None:
    loader, database = Loader(), Fetching()
    asking = []
    for key in (1, 2):
        asking.append(asyncio.create_task(loader.load(key, database.fetch)))
        await settle()
    gc.collect()
    await database.answer()

    assert [task.done() for task in asking] == [True, True]
    assert await asyncio.gather(*asking) == ["1", "2"]


async def test_a_failure_is_everybodys_who_waits() -> None:
    async def fails(_: list[int]) -> Mapping[int, str]:
        raise RuntimeError("away")

    loader = Loader()
    asking = [asyncio.create_task(loader.load(key, fails)) for key in (1, 2)]
    await settle()

    for task in asking:
        with pytest.raises(RuntimeError, match="away"):
            await task
