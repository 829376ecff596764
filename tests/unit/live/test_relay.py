"""How a process follows what the one that leads has numbered."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

from graphql_app.domain.change import Head
from graphql_app.live.freshness import Freshness
from graphql_app.live.hub import Hub
from graphql_app.live.relay import Relay
from tests.clock import settle
from tests.unit.live.test_messages import EPOCH, numbered


class Nobody:
    """A channel on which nothing is heard."""

    is_connected = True

    async def publish(self, _: bytes) -> None:
        pass

    async def messages(self) -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""


async def test_an_echo_says_nothing_of_a_transaction_that_is_only_half_delivered_since() -> None:
    hub, freshness = Hub(10), Freshness()
    hub.listen(freshness)
    hub.restart(Head(EPOCH, 0))
    relay = Relay(cast(Any, None), cast(Any, Nobody()), hub, freshness)
    running = asyncio.create_task(relay.run())
    first, half, rest = numbered(1, 0, below=3), numbered(1, 1), numbered(2, 2, below=9)
    relay.send(first)
    relay.send(half)  # of transaction 7; more of it is still to be numbered
    relay.send(first)
    await settle()
    assert hub.head == Head(EPOCH, 1)
    assert not freshness.has_passed(7)
    relay.send(rest)
    await settle()
    assert freshness.has_passed(7)
    running.cancel()
