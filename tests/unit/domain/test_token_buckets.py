"""Rates: what each process gives out by itself, and that all of them together give out no more than is allowed."""

import sys
import timeit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphql_app.domain.token_buckets import TokenBuckets, TokenRate

RATE = TokenRate("operations of one user", 100, 200)
TICK = 0.05  # seconds between two exchanges with the bucket


class Bucket:
    """What store/redis/limits keeps of one key in Redis."""

    def __init__(self, rate: TokenRate = RATE) -> None:
        self._rate = rate
        self.tokens = float(rate.burst)
        self._at = 0.0

    def exchange(self, rates: TokenBuckets, now: float) -> None:
        self.tokens = min(self._rate.burst, self.tokens + (now - self._at) * self._rate.per_second)
        self._at = now
        claims = rates.due(100)
        granted = []
        for claim in claims:
            self.tokens = max(-self._rate.burst, self.tokens - claim.owed)
            grant = min(claim.wanted, max(1, int(self.tokens / 2))) if self.tokens >= 1 else 0
            self.tokens -= grant
            granted.append(grant)
        rates.settle(claims, granted)


def admitted(rates: TokenBuckets, now: float, asked: int, key: str = "ada") -> int:
    return sum(not rates.take(key, 1, now) for _ in range(asked))


# --- one process ----------------------------------------------------------------------------------------------------


def test_a_process_alone_gives_out_the_burst_at_once_and_refuses_the_rest() -> None:
    rates = TokenBuckets(RATE)

    assert admitted(rates, 0, 1000) == 200
    assert rates.take("ada", 1, 0) > 0


def test_each_key_has_tokens_of_its_own() -> None:
    rates = TokenBuckets(RATE)
    admitted(rates, 0, 1000)

    assert admitted(rates, 0, 10, "wei") == 10


def test_who_is_refused_is_told_how_long_to_wait() -> None:
    slow = TokenBuckets(TokenRate("login attempts of one address", 0.5, 3))
    assert admitted(slow, 0, 10) == 3

    assert slow.take("ada", 1, 0) == pytest.approx(2.0)


def test_several_at_once_are_done_or_refused_together() -> None:
    rates = TokenBuckets(TokenRate("login attempts of one address", 1, 5))

    assert rates.take("here", 3, 0) == 0
    assert rates.take("here", 3, 0) > 0
    assert rates.take("here", 2, 0) == 0


# --- together with Redis, in virtual time ---------------------------------------------------------------------------


@pytest.mark.parametrize("processes", [1, 2, 5])
@pytest.mark.parametrize("asked", [20, 400])  # a tick and process: about what is allowed, and far more
def test_all_processes_together_give_out_the_rate_and_the_burst_and_all_of_it(processes: int, asked: int) -> None:
    bucket, all_of_them = Bucket(), [TokenBuckets(RATE, processes=processes) for _ in range(processes)]
    seconds, total = 20, 0

    for tick in range(int(seconds / TICK)):
        for number, rates in enumerate(all_of_them):
            now = tick * TICK + number * TICK / processes
            total += admitted(rates, now, asked)
            bucket.exchange(rates, now)

    allowed = RATE.burst + RATE.per_second * seconds
    assert 0.9 * allowed <= total <= 1.01 * allowed


def test_one_process_may_use_what_the_others_leave() -> None:
    bucket, rates = Bucket(), TokenBuckets(RATE, processes=8)
    total = 0
    for tick in range(400):
        total += admitted(rates, tick * TICK, 50)
        bucket.exchange(rates, tick * TICK)

    assert total >= 0.9 * (RATE.burst + RATE.per_second * 20)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 300), st.booleans()), min_size=1, max_size=200))
def test_whoever_asks_when_no_more_is_given_than_was_there(history: list[tuple[int, int, bool]]) -> None:
    bucket, all_of_them = Bucket(), [TokenBuckets(RATE, processes=4) for _ in range(4)]
    total, now = 0, 0.0
    for process, asked, exchanges in history:
        now += TICK
        total += admitted(all_of_them[process], now, asked)
        if exchanges:
            bucket.exchange(all_of_them[process], now)

    # The share of a process that Redis has not heard of yet may come on top, and is paid back.
    assert total <= 2 * RATE.burst + RATE.per_second * now


def test_a_user_within_the_rate_is_never_refused() -> None:
    bucket, all_of_them = Bucket(), [TokenBuckets(RATE, processes=4) for _ in range(4)]
    for tick in range(2000):
        rates = all_of_them[tick % 4]
        assert admitted(rates, tick * TICK, 4) == 4
        bucket.exchange(rates, tick * TICK)


# --- Redis away -----------------------------------------------------------------------------------------------------


def test_without_redis_each_process_gives_out_its_share_of_the_rate() -> None:
    all_of_them = [TokenBuckets(RATE, processes=2) for _ in range(2)]
    total = 0
    for rates in all_of_them:
        rates.part()
    for tick in range(400):
        total += sum(admitted(rates, tick * TICK, 100) for rates in all_of_them)

    allowed = RATE.burst + RATE.per_second * 20
    assert 0.97 * allowed <= total <= 1.01 * allowed


@pytest.mark.parametrize("forgets", [True, False])
def test_redis_may_go_and_come_back_with_or_without_what_it_knew(forgets: bool) -> None:
    bucket, all_of_them = Bucket(), [TokenBuckets(RATE, processes=2) for _ in range(2)]
    total = 0
    for tick in range(1200):
        now = tick * TICK
        for rates in all_of_them:
            if tick == 400:
                rates.part()
            if tick == 800:
                rates.meet()
            total += admitted(rates, now, 100)
            if not 400 <= tick < 800:
                bucket.exchange(rates, now)
        if tick == 799 and forgets:
            bucket = Bucket()
            bucket._at = now

    allowed = RATE.burst + RATE.per_second * 60
    assert 0.9 * allowed <= total <= 1.05 * allowed


# --- bounded --------------------------------------------------------------------------------------------------------


def test_many_keys_take_bounded_room() -> None:
    rates = TokenBuckets(RATE, keys_most=1000)
    for number in range(100_000):
        rates.take(f"address {number}", 1, number / 1000)

    assert len(rates) == 1000
    assert rates.unsettled <= 2000


def test_a_key_that_was_forgotten_for_want_of_room_and_still_owes_is_not_given_a_new_share() -> None:
    rates = TokenBuckets(RATE, keys_most=2)
    assert admitted(rates, 0, 1000) == 200
    for other in ("b", "c"):
        rates.take(other, 1, 0)

    assert admitted(rates, 0, 10) == 0


def test_a_key_is_forgotten_once_its_bucket_must_be_full() -> None:
    bucket, rates = Bucket(), TokenBuckets(RATE)
    rates.take("ada", 1, 0)
    bucket.exchange(rates, 0)

    rates.forget(RATE.rest_seconds - 0.1)
    assert len(rates) == 1
    rates.forget(RATE.rest_seconds + 0.1)
    assert len(rates) == 0


def test_a_check_takes_microseconds() -> None:
    rates = TokenBuckets(TokenRate("operations of one user", 1e9, 10**9))
    keys = [f"user {number}" for number in range(1000)]
    for key in keys:
        rates.take(key, 1, 0)

    seconds = (
        min(timeit.repeat(lambda: [rates.take(key, 1, 1.0) for key in keys], number=20, repeat=5)) / 20 / len(keys)
    )
    print(f"{seconds * 1e6:.2f} µs a check", file=sys.stderr)

    assert seconds < 10e-6
