"""Time-outs of operations: each has its own time, and whoever else cancels is not mistaken for it."""

import asyncio

import pytest

from graphql_app.aio.deadlines import Deadline, Deadlines

SECONDS = 0.05


async def working(deadlines: Deadlines, seconds: float) -> str:
    try:
        with Deadline(deadlines):
            await asyncio.sleep(seconds)
    except TimeoutError:
        return "too long"
    return "done"


async def test_what_takes_longer_is_ended_and_nothing_else() -> None:
    deadlines = Deadlines(SECONDS)
    loop = asyncio.get_running_loop()
    began = loop.time()
    outcomes = await asyncio.gather(*(working(deadlines, seconds) for seconds in (10, 0, 10, 0.01, 10)))

    assert outcomes == ["too long", "done", "too long", "done", "too long"]
    assert SECONDS <= loop.time() - began < 5


async def test_each_has_its_own_time() -> None:
    deadlines = Deadlines(0.3)
    loop = asyncio.get_running_loop()
    first = asyncio.create_task(working(deadlines, 10))
    await asyncio.sleep(0.2)
    began = loop.time()

    assert set(await asyncio.gather(first, working(deadlines, 10))) == {"too long"}
    assert loop.time() - began >= 0.3


async def test_the_next_one_is_timed_as_well_after_nobody_was_there() -> None:
    deadlines = Deadlines(SECONDS)

    assert [await working(deadlines, seconds) for seconds in (0, 10, 0, 0.1)] == [
        "done",
        "too long",
        "done",
        "too long",
    ]


async def test_who_is_cancelled_by_others_is_cancelled() -> None:
    task = asyncio.create_task(working(Deadlines(10), 10))
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_who_is_cancelled_by_others_in_the_same_moment_is_cancelled() -> None:
    deadlines = Deadlines(SECONDS)

    async def both() -> str:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        loop.call_later(SECONDS, task.cancel)
        with Deadline(deadlines):
            while loop.time() < began + SECONDS:  # the loop comes to both at once
                pass
            await asyncio.sleep(10)
        return "done"

    began = asyncio.get_running_loop().time()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(both())


async def test_other_errors_pass() -> None:
    with pytest.raises(ZeroDivisionError), Deadline(Deadlines(10)):
        _ = 1 / 0


async def test_an_inner_one_ends_what_is_within_alone() -> None:
    outer, inner = Deadlines(10), Deadlines(SECONDS)
    with Deadline(outer):
        assert await working(inner, 10) == "too long"
        await asyncio.sleep(0)
