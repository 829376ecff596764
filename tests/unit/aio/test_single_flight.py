"""Who asks for the same at the same time is answered once for all."""

import asyncio

import pytest

from graphql_app.aio.single_flight import SingleFlight
from tests.clock import Clock, settle


class Work:
    """Counts how often it is begun; ends when it is told to."""

    def __init__(self) -> None:
        self.begun = 0
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def __call__(self) -> int:
        self.begun += 1
        return await self.ended


async def test_those_who_ask_while_it_is_under_way_get_the_one_result() -> None:
    flights, work = SingleFlight[str, int](), Work()
    asking = [asyncio.create_task(flights.join("a", work)) for _ in range(3)]
    await settle()
    work.ended.set_result(7)
    assert await asyncio.gather(*asking) == [7, 7, 7]
    assert work.begun == 1


async def test_who_asks_later_begins_anew() -> None:
    flights, first, second = SingleFlight[str, int](), Work(), Work()
    first.ended.set_result(1)
    second.ended.set_result(2)
    assert await flights.join("a", first) == 1
    assert await flights.join("a", second) == 2


async def test_a_result_is_kept_for_so_long_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, flights, work = Clock(monkeypatch), SingleFlight[str, int](kept_seconds=1), Work()
    work.ended.set_result(7)
    for pause in (0, 0.9, 0.2):
        await clock.pass_by(pause)
        assert await flights.join("a", work) == 7
    assert work.begun == 2


async def test_a_failure_is_not_kept() -> None:
    flights, work, again = SingleFlight[str, int](kept_seconds=1), Work(), Work()
    work.ended.set_exception(ValueError("no"))
    again.ended.set_result(7)
    with pytest.raises(ValueError, match="no"):
        await flights.join("a", work)
    assert await flights.join("a", again) == 7


async def test_another_key_is_another_flight() -> None:
    flights, one, other = SingleFlight[str, int](), Work(), Work()
    one.ended.set_result(1)
    other.ended.set_result(2)
    assert tuple(await asyncio.gather(flights.join("a", one), flights.join("b", other))) == (1, 2)


async def test_whoever_goes_away_takes_nothing_from_the_others() -> None:
    flights, work = SingleFlight[str, int](), Work()
    first = asyncio.create_task(flights.join("a", work))
    await settle()
    second = asyncio.create_task(flights.join("a", work))
    await settle()
    first.cancel()
    await settle()
    work.ended.set_result(7)
    assert await second == 7


async def test_all_who_wait_hear_of_a_failure_and_the_next_tries_again() -> None:
    flights, work, again = SingleFlight[str, int](), Work(), Work()
    asking = [asyncio.create_task(flights.join("a", work)) for _ in range(2)]
    await settle()
    work.ended.set_exception(ValueError("no"))
    assert [type(one) for one in await asyncio.gather(*asking, return_exceptions=True)] == [ValueError, ValueError]
    again.ended.set_result(7)
    assert await flights.join("a", again) == 7


async def test_closing_ends_what_is_under_way() -> None:
    flights, work = SingleFlight[str, int](), Work()
    asking = asyncio.create_task(flights.join("a", work))
    await settle()
    await flights.close()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_who_asks_in_the_very_turn_in_which_work_ends_begins_it_anew() -> None:
    """Else whoever asks until something has changed never lets the end of the work be noticed."""
    flights: SingleFlight[None, int] = SingleFlight()
    made: list[int] = []

    async def work() -> int:
        made.append(len(made))
        return made[-1]

    first = flights.begin(None, work)
    second: list[asyncio.Task[int]] = []
    asyncio.get_running_loop().call_soon(lambda: second.append(flights.begin(None, work)))
    assert await first == 0
    assert await second[0] == 1
    assert await flights.join(None, work) == 2
