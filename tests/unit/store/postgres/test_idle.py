"""Which connections of a pool are ended while they lie idle."""

import asyncio
from typing import cast

from graphql_app.store.postgres.driver import Connection
from graphql_app.store.postgres.idle import IdleConnections


class FakeConnection:
    def __init__(self) -> None:
        self.is_ended = False

    def terminate(self) -> None:
        self.is_ended = True

    def is_closed(self) -> bool:
        return self.is_ended


def connection() -> Connection:
    return cast(Connection, FakeConnection())


async def test_a_connection_that_lies_too_long_is_ended() -> None:
    idle, one = IdleConnections(0.01), connection()
    idle.lay(one)
    await asyncio.sleep(0.05)
    assert one.is_closed()
    assert not idle.take(one)


async def test_a_connection_that_is_taken_in_time_is_not_ended() -> None:
    idle, one = IdleConnections(0.01), connection()
    idle.lay(one)
    assert idle.take(one)
    await asyncio.sleep(0.05)
    assert not one.is_closed()


async def test_those_that_are_dropped_are_ended_and_those_in_use_are_not() -> None:
    idle, lying, used = IdleConnections(60), connection(), connection()
    idle.lay(lying)
    idle.lay(used)
    idle.take(used)
    idle.drop()
    assert lying.is_closed()
    assert not used.is_closed()


async def test_those_that_are_cleared_are_left_to_the_caller() -> None:
    idle, one = IdleConnections(60), connection()
    idle.lay(one)
    assert idle.clear() == [one]
    assert idle.clear() == []
    assert not one.is_closed()
