"""Limits over several processes that share one Valkey: held, also when it goes, comes back, or a process is killed."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import redis.asyncio as redis

from graphql_app import observe
from graphql_app.domain.connection_limits import ConnectionLimit
from graphql_app.domain.errors import RateLimited, TooManyConnections
from graphql_app.domain.token_buckets import TokenBuckets, TokenRate
from graphql_app.embedded import Valkey
from graphql_app.live.admission.leases import ConnectionLease
from graphql_app.live.admission.limiter import Limiter
from graphql_app.store.redis.limits import LimitStore

SECRET = "a secret of thirty-two characters"
RATE = TokenRate("operations of one user", 200, 100)
CEILING = ConnectionLimit("connections of one user", 10)


class Process:
    """The limits of one server process, and the connections that it holds."""

    def __init__(self, limiter: Limiter, task: "asyncio.Task[None]") -> None:
        self.limiter = limiter
        self.task = task
        self.open: set[ConnectionLease] = set()

    def admitted(self, asked: int, user: str = "ada") -> int:
        """How many of so many operations were let in."""
        count = 0
        for _ in range(asked):
            try:
                self.limiter.take(RATE.name, user)
                count += 1
            except RateLimited:
                pass
        return count

    def connect(self, user: str = "ada") -> bool:
        try:
            admitted = self.limiter.enter(CEILING.name, user)
        except TooManyConnections:
            return False
        self.open.add(admitted)
        admitted.when_revoked(lambda _: self.hang_up(admitted))
        return True

    def hang_up(self, admitted: ConnectionLease) -> None:
        admitted.leave()
        self.open.discard(admitted)


@asynccontextmanager
async def process(url: str, *, processes: int = 2, kept_seconds: float = 30) -> AsyncIterator[Process]:
    store = LimitStore(url, SECRET, kept_seconds=kept_seconds)
    limiter = Limiter(store, [RATE], [CEILING], processes=processes)
    task = asyncio.create_task(limiter.run())
    try:
        yield Process(limiter, task)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await store.close()


@pytest.fixture
async def pair(valkey: Valkey) -> AsyncIterator[tuple[Process, Process]]:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(process(valkey.url))
        second = await stack.enter_async_context(process(valkey.url))
        for one in (first, second, first):  # each knows of the other, which would take 2 s
            await one.limiter._beat()
        yield first, second


async def hammered(processes: tuple[Process, ...], seconds: float) -> tuple[int, float]:
    """How many operations all of them let in, each asked for far too many, and the seconds that it took."""
    began, total = time.monotonic(), 0
    while time.monotonic() - began < seconds:
        for one in processes:
            total += one.admitted(20)
        await asyncio.sleep(0.01)
    return total, time.monotonic() - began


def allowed(seconds: float) -> float:
    return RATE.burst + RATE.per_second * seconds


async def quiet(rates: TokenBuckets) -> None:
    while rates.unsettled:  # noqa: ASYNC110  # there is nothing else to wait for
        await asyncio.sleep(0.05)


async def settled() -> None:
    await asyncio.sleep(0.3)


# --- rates ----------------------------------------------------------------------------------------------------------


async def test_two_processes_together_let_in_what_is_allowed(pair: tuple[Process, Process]) -> None:
    total, seconds = await hammered(pair, 3)

    assert 0.9 * allowed(seconds) <= total <= 1.1 * allowed(seconds)


async def test_one_process_lets_in_all_of_it_where_the_other_is_not_asked(pair: tuple[Process, Process]) -> None:
    total, seconds = await hammered(pair[:1], 3)

    assert 0.9 * allowed(seconds) <= total <= 1.1 * allowed(seconds)


async def test_one_user_is_not_another(pair: tuple[Process, Process]) -> None:
    await hammered(pair, 0.5)

    assert pair[0].admitted(20, "wei") == 20


async def test_a_refusal_says_which_limit_and_what_was_asked(pair: tuple[Process, Process]) -> None:
    await hammered(pair, 0.3)
    with pytest.raises(RateLimited) as refused:
        pair[0].limiter.take(RATE.name, "ada", 7)

    assert refused.value.data == {
        "measure": "operations of one user",
        "limit": 200,
        "burst": 100,
        "asked": 7,
        "retryAfter": 1,
    }
    assert "200 a second are allowed, 100 at once" in refused.value.message


@pytest.mark.parametrize("keeps", [True, False])
async def test_while_valkey_is_away_each_process_lets_in_its_share_and_all_is_whole_when_it_is_back(
    valkey: Valkey, pair: tuple[Process, Process], keeps: bool, news: list[observe.News]
) -> None:
    assert valkey.pid is not None
    began = time.monotonic()
    total, _ = await hammered(pair, 1)
    if keeps:
        os.kill(valkey.pid, signal.SIGSTOP)
    else:
        await asyncio.to_thread(valkey.stop)
    away, during = await hammered(pair, 2)
    if keeps:
        os.kill(valkey.pid, signal.SIGCONT)
    else:
        await asyncio.to_thread(valkey.start)
    back, after = await hammered(pair, 2)
    seconds = time.monotonic() - began

    # Never shut for good, and never open: even alone they let in no more than both may.
    assert 0.5 * RATE.per_second * during <= away <= 1.1 * allowed(during)
    assert 0.9 * (RATE.per_second * after - RATE.burst) <= back  # what each held meanwhile is owed
    assert total + away + back <= 1.1 * allowed(seconds)
    lost = next(index for index, one in enumerate(news) if isinstance(one, observe.LimitsLost))
    assert any(isinstance(one, observe.LimitsWhole) for one in news[lost:])


async def test_without_valkey_from_the_start_a_process_lets_in_its_share() -> None:
    async with process("redis://127.0.0.1:1/0") as alone:
        await settled()
        total, seconds = await hammered((alone,), 2)

    assert 0.4 * allowed(seconds) <= total <= 0.6 * allowed(seconds)


async def test_whatever_else_fails_the_limits_go_on_and_are_whole_again(
    valkey: Valkey, pair: tuple[Process, Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object, **__: object) -> int:
        raise ValueError("of another shape")

    (here, _) = pair
    with monkeypatch.context() as broken:
        broken.setattr(LimitStore, "take", fails)
        here.admitted(1)
        async with asyncio.timeout(5):
            while here.limiter._is_whole:  # noqa: ASYNC110  # it is only noted
                await asyncio.sleep(0.02)

    async with asyncio.timeout(5):
        while not here.limiter._is_whole:  # noqa: ASYNC110  # likewise
            await asyncio.sleep(0.02)
    assert not here.task.done()


async def test_a_hundred_thousand_addresses_take_bounded_room_and_fade(
    valkey: Valkey, pair: tuple[Process, Process]
) -> None:
    (here, _) = pair
    began = time.perf_counter()
    for number in range(100_000):
        here.admitted(1, f"address {number}")
    seconds = time.perf_counter() - began
    print(f"{seconds / 100_000 * 1e6:.1f} µs a check of a new key")
    (rates,) = here.limiter._rates.values()
    assert len(rates) <= 20_000

    await asyncio.wait_for(quiet(rates), 20)
    async with redis.Redis.from_url(valkey.url) as admin:
        keys = [key async for key in admin.scan_iter("graphql_app:limits:*", count=1000)]
        assert len(keys) <= 40_100
        assert all(b"address" not in key for key in keys[:1000])
        assert 0 < await admin.pttl(keys[0]) <= 31_000


# --- connections ----------------------------------------------------------------------------------------------------


async def test_two_processes_together_hold_no_more_connections_than_are_allowed(pair: tuple[Process, Process]) -> None:
    here, there = pair
    for _ in range(10):
        assert here.connect()
    await settled()

    assert there.connect()  # nothing is known of the user here: on credit
    await settled()

    assert (len(here.open), len(there.open)) == (10, 0)
    assert not there.connect()


async def test_what_is_closed_in_one_process_may_be_opened_in_the_other(pair: tuple[Process, Process]) -> None:
    here, there = pair
    for _ in range(10):
        here.connect()
    await settled()
    for admitted in list(here.open)[:4]:
        here.hang_up(admitted)
    await settled()

    for _ in range(8):
        there.connect()
    await settled()

    assert (len(here.open), len(there.open)) == (6, 4)


async def test_a_rush_on_both_at_once_ends_with_as_many_as_are_allowed(pair: tuple[Process, Process]) -> None:
    for _ in range(30):
        for one in pair:
            one.connect()
    await settled()

    assert sum(len(one.open) for one in pair) == 10


async def test_the_connections_of_a_killed_process_fade(valkey: Valkey) -> None:
    async with process(valkey.url, kept_seconds=2) as here, process(valkey.url, kept_seconds=2) as killed:
        for _ in range(10):
            killed.connect()
        await settled()
        killed.task.cancel()  # and says nothing any more
        here.connect()
        await settled()
        assert not here.open

        async with asyncio.timeout(4):
            while not here.connect():  # noqa: ASYNC110  # refused by what was heard last, it asks anew
                await asyncio.sleep(0.05)
        await settled()
        assert here.open


async def test_valkey_that_comes_back_empty_is_told_what_is_open(valkey: Valkey, pair: tuple[Process, Process]) -> None:
    here, there = pair
    for _ in range(10):
        here.connect()
    await settled()
    await asyncio.to_thread(valkey.stop)
    here.admitted(200)
    await asyncio.sleep(1)
    await asyncio.to_thread(valkey.start)
    await asyncio.sleep(3)
    assert len(here.open) == 10

    there.connect()
    await settled()

    assert (len(here.open), len(there.open)) == (10, 0)
