"""Who asks for the same before it is begun is answered once for all."""

import asyncio

import pytest

from graphql_app.aio.next_round import NextRound
from tests.clock import settle


class Work:
    """Says which time it is, when it may end."""

    def __init__(self) -> None:
        self.begun = 0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def __call__(self) -> int:
        self.begun += 1
        number = self.begun
        await asyncio.shield(self.ended)
        return number

    def end(self) -> None:
        ended, self.ended = self.ended, asyncio.get_running_loop().create_future()
        ended.set_result(None)


async def asked(rounds: NextRound[str, int], work: Work, count: int, key: str = "a") -> list["asyncio.Task[int]"]:
    asking = [asyncio.create_task(rounds.join(key, work)) for _ in range(count)]
    await settle()
    return asking


async def test_those_who_ask_in_one_moment_share_it_and_those_who_ask_while_it_is_made_share_the_next() -> None:
    rounds, work = NextRound[str, int](), Work()
    first = [asyncio.create_task(rounds.join("a", work)) for _ in range(3)]
    await settle()
    later = await asked(rounds, work, 2) + await asked(rounds, work, 2)
    early = [task.done() for task in later]
    for _ in range(2):
        work.end()
        await settle()

    assert await asyncio.gather(*first) == [1, 1, 1]
    assert await asyncio.gather(*later) == [2, 2, 2, 2]
    assert early == [False] * 4
    assert (rounds._under_way, rounds._next) == ({}, {})


async def test_another_key_waits_for_nobody() -> None:
    rounds, slow, quick = NextRound[str, int](), Work(), Work()
    (waiting,) = await asked(rounds, slow, 1)
    (other,) = await asked(rounds, quick, 1, key="b")
    quick.end()
    await settle()

    assert (waiting.done(), other.done()) == (False, True)
    slow.end()
    assert await waiting == 1


async def test_whoever_goes_away_takes_nothing_from_the_others() -> None:
    rounds, work = NextRound[str, int](), Work()
    gone, stays = await asked(rounds, work, 2)
    (next_one,) = await asked(rounds, work, 1)
    gone.cancel()
    await settle()
    work.end()
    await settle()
    work.end()

    assert (await stays, await next_one) == (1, 2)


async def test_a_failure_is_told_to_all_who_wait_for_it_and_the_next_are_answered() -> None:
    class Fails(Work):
        async def __call__(self) -> int:
            if await super().__call__() == 1:
                raise ValueError("no")
            return 2

    rounds, work = NextRound[str, int](), Fails()
    failing, later = await asked(rounds, work, 2), await asked(rounds, work, 1)
    work.end()
    await settle()
    work.end()

    for task in failing:
        with pytest.raises(ValueError, match="no"):
            await task
    assert await later[0] == 2


async def test_a_failure_that_nobody_waits_for_any_more_is_nobodys_fault() -> None:
    rounds, work = NextRound[str, int](), Work()
    (gone,) = await asked(rounds, work, 1)
    gone.cancel()
    await settle()
    work.ended.set_exception(ValueError("no"))
    await settle()

    assert rounds._under_way == {}
