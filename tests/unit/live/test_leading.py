"""How far ahead of what it tells a process numbers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import pytest

from graphql_app import observe
from graphql_app.domain.change import Head
from graphql_app.live.feed.leader import AT_ONCE_MOST, OF_A_BACKLOG_MOST, Leadership
from graphql_app.store.log.numbering import Numbered
from tests.clock import settle
from tests.unit.live.feed.test_messages import EPOCH


class Backlog:
    """A leader for whom more is waiting than it numbers at once."""

    def __init__(self) -> None:
        self.revision = 0

    async def number(self, most: int) -> Numbered:
        return self._given(most)

    async def number_small(self, largest: int) -> Numbered:
        return self._given(1)

    def _given(self, count: int) -> Numbered:
        self.revision += count
        return Numbered(self.revision - count, Head(EPOCH, self.revision), [""] * count, None)


class SlowRelay:
    def __init__(self) -> None:
        self.sent = 0
        self.goes_on = asyncio.Event()

    def send(self, numbered: Numbered) -> None:
        assert numbered.previous == self.sent
        self.sent = numbered.head.revision

    async def delivered(self, head: Head, seconds: float) -> None:
        assert head.revision == self.sent
        await self.goes_on.wait()
        self.goes_on.clear()


async def test_a_large_transaction_is_not_numbered_further_than_it_is_told_and_small_ones_go_in_between() -> None:
    leader, relay = Backlog(), SlowRelay()
    feed = Leadership(cast(Any, None), cast(Any, relay))
    leading = asyncio.create_task(feed._lead(cast(Any, leader)))
    await settle()
    assert relay.sent == AT_ONCE_MOST

    relay.goes_on.set()
    await settle()
    assert relay.sent == AT_ONCE_MOST + 1 + OF_A_BACKLOG_MOST

    leading.cancel()
    with suppress(asyncio.CancelledError):
        await leading


class Cut(Backlog):
    """A leader whose session ends after a while."""

    async def number(self, most: int) -> Numbered:
        raise ConnectionError("the session has ended")


async def test_who_loses_the_session_leads_no_more_until_it_has_the_lock_again(
    monkeypatch: pytest.MonkeyPatch, news: list[observe.News]
) -> None:
    has_lock = asyncio.Event()

    @asynccontextmanager
    async def leading(_: object) -> AsyncIterator[Cut]:
        await has_lock.wait()
        has_lock.clear()
        yield Cut()

    monkeypatch.setattr("graphql_app.live.feed.leader.leading", leading)
    monkeypatch.setattr("graphql_app.live.feed.leader.RETRY_SECONDS", 0)
    feed = Leadership(cast(Any, None), cast(Any, SlowRelay()))
    running = asyncio.create_task(feed.run())
    for _ in range(2):
        has_lock.set()
        await settle()
        assert not feed.is_leading

    assert [one.leading for one in news if isinstance(one, observe.LeadershipChanged)] == [True, False, True, False]
    running.cancel()
