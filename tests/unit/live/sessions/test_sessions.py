"""How open connections are looked after, and how they end when the process is to stop."""

import asyncio

import pytest

from graphql_app import observe
from graphql_app.live.sessions.sessions import LOOK_SECONDS, SLICES, Sessions
from tests.clock import Clock, settle


class Session:
    def __init__(self) -> None:
        self.looks = 0
        self.drained_at: list[float] = []

    def look(self) -> None:
        self.looks += 1

    def drain(self) -> None:
        self.drained_at.append(asyncio.get_running_loop().time())


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


async def pass_by(clock: Clock, seconds: float) -> None:
    """In small steps: who sleeps again and again is woken each time."""
    for _ in range(round(seconds * 100)):
        await clock.pass_by(0.01)


async def test_each_is_looked_after_about_once_a_second(clock: Clock) -> None:
    sessions = Sessions(4)
    some = [Session() for _ in range(50)]
    for session in some:
        sessions.open(session)
    looking = asyncio.create_task(sessions.run())
    await settle()
    await pass_by(clock, 10 * LOOK_SECONDS)
    looking.cancel()

    assert {8 <= session.looks <= 10 for session in some} == {True}


async def test_who_is_gone_is_looked_after_no_more(clock: Clock) -> None:
    sessions, gone, stays = Sessions(4), Session(), Session()
    sessions.open(gone)
    sessions.open(stays)
    sessions.close(gone)
    looking = asyncio.create_task(sessions.run())
    await settle()
    await pass_by(clock, 2 * LOOK_SECONDS)
    looking.cancel()

    assert (gone.looks, stays.looks > 0, len(sessions)) == (0, True, 1)


async def test_all_end_once_and_not_all_at_once(clock: Clock) -> None:
    sessions = Sessions(4)
    some = [Session() for _ in range(10 * SLICES)]
    for session in some:
        sessions.open(session)
    began = clock.now
    sessions.drain()
    sessions.drain()
    await pass_by(clock, 4.5)

    moments = sorted(session.drained_at[0] - began for session in some)
    assert {len(session.drained_at) for session in some} == {1}
    assert moments[-1] < 4.1
    for second in range(4):
        assert sum(second <= moment < second + 1 for moment in moments) < len(some) / 2


async def test_who_comes_while_it_stops_is_told_at_once(clock: Clock) -> None:
    sessions, late = Sessions(4), Session()
    sessions.drain()
    sessions.open(late)

    assert late.drained_at == [clock.now]


async def test_a_wait_ends_in_time_or_when_the_process_is_to_stop(clock: Clock) -> None:
    sessions = Sessions(0)

    async def wait(seconds: float) -> float:
        with pytest.raises(TimeoutError):
            async with sessions.timeout(seconds):
                await asyncio.Event().wait()
        return clock.now

    began = clock.now
    short, long = (asyncio.create_task(wait(seconds)) for seconds in (1, 100))
    await settle()
    await pass_by(clock, 2)
    early = long.done()
    sessions.drain()
    await pass_by(clock, 0.1)

    assert (round(await short - began), early, round(await long - began)) == (1, False, 2)
    assert len(sessions) == 0


async def test_a_wait_that_ends_by_itself_while_the_process_stops_keeps_nobody_from_being_told(clock: Clock) -> None:
    sessions, news = Sessions(4), asyncio.Event()
    some = [Session() for _ in range(20)]

    async def poll() -> None:
        async with sessions.timeout(25):
            await news.wait()

    polls = [asyncio.create_task(poll()) for _ in range(20)]
    await settle()
    for session in some:
        sessions.open(session)
    sessions.drain()
    await settle()
    news.set()  # all that wait are answered before their turn
    await pass_by(clock, 4.5)

    assert {len(session.drained_at) for session in some} == {1}
    assert {task.done() for task in polls} == {True}


class Broken(Session):
    def look(self) -> None:
        raise ValueError("look")

    def drain(self) -> None:
        raise ValueError("drain")


async def test_a_session_that_fails_keeps_none_of_the_others_from_their_turn(clock: Clock) -> None:
    sessions, news = Sessions(4), list[observe.News]()
    forget = observe.listen(news.append)
    some = [Broken() if number % 5 == 0 else Session() for number in range(50)]
    for session in some:
        sessions.open(session)
    looking = asyncio.create_task(sessions.run())
    await settle()
    await pass_by(clock, 2 * LOOK_SECONDS)
    sessions.drain()
    await pass_by(clock, 4.5)
    looking.cancel()
    forget()

    well = [session for session in some if not isinstance(session, Broken)]
    assert {(session.looks > 1, len(session.drained_at)) for session in well} == {(True, 1)}
    assert {str(one.error) for one in news if isinstance(one, observe.IsolatedFailure)} == {"look", "drain"}
