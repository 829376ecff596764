"""What is made once for many, and for how long it is kept."""

import asyncio

import pytest

from graphql_app.services.briefly import KEPT_SECONDS, Briefly
from tests.clock import Clock, settle


class Maker:
    def __init__(self) -> None:
        self.made = 0
        self.may_go_on = asyncio.Event()

    async def make(self) -> int:
        self.made += 1
        made = self.made
        await self.may_go_on.wait()
        if made == 13:
            raise ValueError("thirteen")
        return made


async def test_all_who_wait_for_it_are_given_the_same() -> None:
    briefly, maker = Briefly[int](), Maker()
    waiting = [asyncio.create_task(briefly.get("key", maker.make)) for _ in range(5)]
    await settle()
    maker.may_go_on.set()

    assert await asyncio.gather(*waiting) == [1, 1, 1, 1, 1]


async def test_it_is_kept_for_a_moment_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, briefly, maker = Clock(monkeypatch), Briefly[int](), Maker()
    maker.may_go_on.set()
    first = await briefly.get("key", maker.make)
    await settle()
    await clock.pass_by(KEPT_SECONDS * 0.9)
    again = await briefly.get("key", maker.make)
    await clock.pass_by(KEPT_SECONDS * 0.2)

    assert (first, again, await briefly.get("key", maker.make)) == (1, 1, 2)


async def test_who_goes_away_leaves_it_to_the_others() -> None:
    briefly, maker = Briefly[int](), Maker()
    first, second = (asyncio.create_task(briefly.get("key", maker.make)) for _ in range(2))
    await settle()
    first.cancel()
    maker.may_go_on.set()

    assert await second == 1


async def test_a_failure_is_told_to_all_who_wait_and_not_kept() -> None:
    briefly, maker = Briefly[int](), Maker()
    maker.made = 12
    waiting = [asyncio.create_task(briefly.get("key", maker.make)) for _ in range(2)]
    await settle()
    maker.may_go_on.set()

    failures = await asyncio.gather(*waiting, return_exceptions=True)

    assert [str(failure) for failure in failures] == ["thirteen", "thirteen"]
    assert await briefly.get("key", maker.make) == 14
