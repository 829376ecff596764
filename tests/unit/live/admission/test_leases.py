"""What a connection that was let in is counted for, and until when."""

import asyncio

from graphql_app.domain.connection_limits import ConnectionLimit, ConnectionLimits
from graphql_app.domain.errors import TooManyConnections
from graphql_app.live.admission.leases import RETRY_SECONDS, ConnectionLease

LIMIT = ConnectionLimit("connections of one user", 1)


def leased(limits: ConnectionLimits, key: str = "ada", also: ConnectionLease | None = None) -> ConnectionLease:
    lease = ConnectionLease(limits, key, asyncio.Event(), also)
    assert limits.enter(key, lease)
    return lease


def has_room(limits: ConnectionLimits, key: str = "ada") -> bool:
    return limits.enter(key, ConnectionLease(limits, key, asyncio.Event(), None))


def test_who_leaves_makes_room_for_one_more() -> None:
    limits = ConnectionLimits(LIMIT)
    lease = leased(limits)
    assert not has_room(limits)

    lease.leave()

    assert has_room(limits)


def test_who_leaves_twice_makes_room_once() -> None:
    limits = ConnectionLimits(ConnectionLimit("connections of one user", 2))
    lease = leased(limits)
    leased(limits)

    lease.leave()
    lease.leave()

    assert has_room(limits)
    assert not has_room(limits)


def test_what_is_counted_with_a_connection_is_left_with_it() -> None:
    users, addresses = ConnectionLimits(LIMIT), ConnectionLimits(ConnectionLimit("connections of one address", 1))
    lease = leased(users, also=leased(addresses, "203.0.113.7"))

    lease.leave()

    assert has_room(addresses, "203.0.113.7")


def test_leaving_wakes_who_tells_the_others() -> None:
    limits, woken = ConnectionLimits(LIMIT), asyncio.Event()
    lease = ConnectionLease(limits, "ada", woken, None)
    limits.enter("ada", lease)

    lease.leave()

    assert woken.is_set()


def test_who_turns_out_to_be_one_too_many_is_told_why() -> None:
    told: list[TooManyConnections] = []
    lease = leased(ConnectionLimits(LIMIT))
    lease.when_revoked(told.append)

    lease.revoke(LIMIT)

    assert [(refusal.data["measure"], refusal.retry_after) for refusal in told] == [(LIMIT.name, RETRY_SECONDS)]


def test_who_listens_too_late_is_told_at_once() -> None:
    told: list[TooManyConnections] = []
    lease = leased(ConnectionLimits(LIMIT))
    lease.revoke(LIMIT)

    lease.when_revoked(told.append)

    assert len(told) == 1


def test_an_address_with_too_many_ends_the_connection_of_its_user() -> None:
    addresses = ConnectionLimit("connections of one address", 1)
    told: list[TooManyConnections] = []
    of_address = leased(ConnectionLimits(addresses), "203.0.113.7")
    leased(ConnectionLimits(LIMIT), also=of_address).when_revoked(told.append)

    of_address.revoke(addresses)

    assert [refusal.data["measure"] for refusal in told] == [addresses.name]


def test_who_has_left_is_told_nothing() -> None:
    told: list[TooManyConnections] = []
    lease = leased(ConnectionLimits(LIMIT))
    lease.when_revoked(told.append)
    lease.leave()

    lease.revoke(LIMIT)

    assert told == []
