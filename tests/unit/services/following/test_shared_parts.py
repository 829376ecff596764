"""What is made in parts is made once for all who ask in time, and kept no longer than it takes."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from graphql_app.domain.errors import Unavailable
from graphql_app.services.following import shared_parts as passes
from graphql_app.services.following.shared_parts import AHEAD_MOST, PartSharing
from tests.clock import settle

KEPT_SECONDS = 0.05


class Parts:
    """So many numbers; counts how often they are begun, how many were made, and whether they were closed."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.begun = self.made = self.closed = 0

    async def __call__(self) -> AsyncGenerator[int, None]:
        self.begun += 1
        try:
            for number in range(self.count):
                self.made += 1
                yield number
        finally:
            self.closed += 1


async def taken(shared: PartSharing[str, int], parts: Parts) -> list[int]:
    return [part async for part in shared.join("a", parts)]


async def test_those_who_ask_in_time_share_one() -> None:
    shared, parts = PartSharing[str, int](KEPT_SECONDS), Parts(100)

    found = await asyncio.gather(*(taken(shared, parts) for _ in range(5)))

    assert found == [list(range(100))] * 5
    assert (parts.begun, parts.closed) == (1, 1)


async def test_a_short_one_serves_those_who_come_a_moment_later_and_nobody_after_that() -> None:
    shared, parts = PartSharing[str, int](KEPT_SECONDS), Parts(AHEAD_MOST)
    await taken(shared, parts)
    await taken(shared, parts)
    assert parts.begun == 1

    await asyncio.sleep(2 * KEPT_SECONDS)
    assert shared._passes == {}
    await taken(shared, parts)
    assert parts.begun == 2


async def test_who_comes_too_late_for_the_first_part_begins_another() -> None:
    shared, parts = PartSharing[str, int](KEPT_SECONDS), Parts(100)
    async with aclosing(shared.join("a", parts)) as early:
        for _ in range(AHEAD_MOST + 5):
            await anext(early)

        assert await taken(shared, parts) == list(range(100))
    assert parts.begun == 2


async def test_nobody_is_further_ahead_than_what_may_be_kept() -> None:
    shared, parts = PartSharing[str, int](KEPT_SECONDS), Parts(1000)
    async with aclosing(shared.join("a", parts)) as slow:
        await anext(slow)
        quick = asyncio.create_task(taken(shared, parts))
        await settle()
        await settle()

        assert (parts.begun, parts.made) == (1, AHEAD_MOST + 1)
        assert not quick.done()
        assert [part async for part in slow] == list(range(1, 1000))
        assert await quick == list(range(1000))


async def test_who_takes_nothing_for_too_long_is_refused_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "SLOWEST_SECONDS", 0.05)
    shared, parts = PartSharing[str, int](KEPT_SECONDS), Parts(100)
    async with aclosing(shared.join("a", parts)) as slow:
        await anext(slow)

        assert await taken(shared, parts) == list(range(100))
        with pytest.raises(Unavailable, match="filter"):
            await anext(slow)


async def test_when_all_have_gone_it_ends() -> None:
    shared, parts = PartSharing[str, int](KEPT_SECONDS), Parts(1000)
    async with aclosing(shared.join("a", parts)) as only:
        for _ in range(AHEAD_MOST + 5):
            await anext(only)
    await settle()

    assert (parts.made < 100, parts.closed, shared._passes) == (True, 1, {})


async def test_a_failure_is_told_to_all_and_the_next_begins_anew() -> None:
    class Fails(Parts):
        async def __call__(self) -> AsyncGenerator[int, None]:
            self.begun += 1
            yield 0
            raise Unavailable("no")

    shared, parts = PartSharing[str, int](KEPT_SECONDS), Fails(1)
    found = await asyncio.gather(*(taken(shared, parts) for _ in range(2)), return_exceptions=True)

    assert [type(one) for one in found] == [Unavailable, Unavailable]
    with pytest.raises(Unavailable):
        await taken(shared, parts)
    assert parts.begun == 2
