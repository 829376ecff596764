"""Whom a connection, a request and an operation are counted for."""

from typing import Any, cast

import pytest

from graphql_app.domain.caller import Caller
from graphql_app.domain.connection_limits import ConnectionLimit
from graphql_app.domain.errors import RateLimited, TooManyConnections
from graphql_app.domain.token_buckets import TokenRate
from graphql_app.live.admission import limits
from graphql_app.live.admission.limiter import Limiter
from graphql_app.live.admission.limits import Limits
from tests.examples import caller

ADDRESS = "203.0.113.7"


def caller_at(address: str, subject: str = "ada") -> Caller:
    return caller("visitor").named(subject)._replace(address=address)


def counting(*rates: str, **most: int) -> Limits:
    """What is decided here: nothing of it waits for Redis."""
    names = {"user": limits.USER_CONNECTIONS, "address": limits.ADDRESS_CONNECTIONS}
    ceilings = [ConnectionLimit(names[who], count) for who, count in most.items()]
    never = cast(Any, None)
    once = [TokenRate(name, 0.001, 1) for name in rates]
    return Limits(Limiter(never, once, ceilings, processes=1, clock=lambda: 0.0))


def test_an_address_gets_its_connection_back_when_the_user_is_refused() -> None:
    counts = counting(user=1, address=2)
    counts.stream(caller_at(ADDRESS))

    with pytest.raises(TooManyConnections, match=limits.USER_CONNECTIONS):
        counts.stream(caller_at(ADDRESS))

    counts.stream(caller_at(ADDRESS, "grace"))


def test_an_address_gets_its_connection_back_when_the_stream_ends() -> None:
    counts = counting(user=2, address=1)

    counts.stream(caller_at(ADDRESS)).leave()

    counts.stream(caller_at(ADDRESS))


def test_a_stream_is_counted_for_its_address_too() -> None:
    counts = counting(user=2, address=1)
    counts.stream(caller_at(ADDRESS))

    with pytest.raises(TooManyConnections, match=limits.ADDRESS_CONNECTIONS):
        counts.stream(caller_at(ADDRESS, "grace"))


@pytest.mark.parametrize(
    ("name", "ask"),
    [
        (limits.ADDRESS_REQUESTS, lambda counts, who: counts.request(who.address)),
        (limits.USER_OPERATIONS, lambda counts, who: counts.operation(who.viewer)),
        (limits.LOGINS, lambda counts, who: counts.login(who.address)),
    ],
)
def test_each_is_counted_by_itself(name: str, ask: Any) -> None:
    counts = counting(name)
    ask(counts, caller_at(ADDRESS))
    ask(counts, caller_at("203.0.113.8", "grace"))

    with pytest.raises(RateLimited, match=name):
        ask(counts, caller_at(ADDRESS))
