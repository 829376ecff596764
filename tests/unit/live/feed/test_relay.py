"""How a process follows what the one that leads has numbered."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast
from uuid import UUID

import pytest

from graphql_app.domain.change import Head
from graphql_app.live.feed.hub import Hub
from graphql_app.live.feed.relay import UNLED_SECONDS, Relay
from graphql_app.live.feed.staleness import Staleness
from graphql_app.store.log import outbox
from tests.clock import settle
from tests.unit.live.feed.test_messages import EPOCH, OTHER, numbered


class Nobody:
    """A channel on which nothing is heard."""

    is_connected = True

    async def publish(self, _: bytes) -> None:
        pass

    async def messages(self) -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""


async def test_an_echo_says_nothing_of_a_transaction_that_is_only_half_delivered_since() -> None:
    hub, staleness = Hub(10), Staleness()
    hub.listen(staleness)
    hub.restart(Head(EPOCH, 0))
    relay = Relay(cast(Any, None), cast(Any, Nobody()), hub, staleness)
    running = asyncio.create_task(relay.run())
    first, half, rest = numbered(1, 0, below=3), numbered(1, 1), numbered(2, 2, below=9)
    relay.send(first)
    relay.send(half)  # of transaction 7; more of it is still to be numbered
    relay.send(first)
    await settle()
    assert hub.head == Head(EPOCH, 1)
    assert not staleness.has_passed(7)
    relay.send(rest)
    await settle()
    assert staleness.has_passed(7)
    running.cancel()


async def test_a_process_that_is_behind_its_inbox_is_not_current() -> None:
    hub, staleness = Hub(10), Staleness()
    hub.listen(staleness)
    hub.restart(Head(EPOCH, 0))
    relay = Relay(cast(Any, None), cast(Any, Nobody()), hub, staleness)
    running = asyncio.create_task(relay.run())
    relay.send(numbered(1, 1, below=3))
    relay.send(numbered(2, 2))  # more of it is still to come
    await settle()
    assert hub.head == Head(EPOCH, 2)
    assert not staleness.is_current, "what was waiting was newer than what it said to be all"
    relay.send(numbered(3, 2, below=9))
    await settle()
    assert staleness.is_current
    running.cancel()


class Old:
    """A database that is read from a primary which has been replaced, until connections are made anew."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.epoch, self.left = OTHER, 0
        self.hosts = self
        monkeypatch.setattr(outbox, "progress", self._progress)

    async def _progress(self, _: Any) -> outbox.Progress:
        return outbox.Progress(Head(self.epoch, 5), below=3, waiting_seconds=None)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        yield None

    def leave(self) -> None:
        self.left += 1


async def test_who_reads_another_history_than_the_leader_numbers_has_not_heard_it_and_connects_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("graphql_app.live.feed.relay.RETRY_SECONDS", 0)
    database, hub, staleness = Old(monkeypatch), Hub(10), Staleness()
    hub.listen(staleness)
    hub.restart(Head(OTHER, 5))
    relay = Relay(cast(Any, database), cast(Any, Nobody()), hub, staleness)
    running = asyncio.create_task(relay.run())
    relay.send(numbered(1, 1))
    await settle()
    assert database.left
    assert hub.head == Head(OTHER, 5)
    assert staleness.unheard_seconds is None
    database.epoch = EPOCH  # what is connected anew finds the new primary
    await settle()
    assert hub.head == Head(EPOCH, 5)
    assert staleness.is_current
    running.cancel()


class Log:
    """What is read of a database whose log has come so far."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, revision: int, waiting_seconds: float | None = None, epoch: UUID = EPOCH
    ) -> None:
        self._progress = outbox.Progress(Head(epoch, revision), below=3, waiting_seconds=waiting_seconds)
        monkeypatch.setattr(outbox, "progress", self.progress)
        monkeypatch.setattr(outbox, "changes_between", self.changes_between)

    async def progress(self, _: Any) -> outbox.Progress:
        return self._progress

    async def changes_between(self, *_: Any) -> list[Any]:
        return []

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        yield None


@pytest.mark.parametrize(
    ("waiting_seconds", "is_current", "is_whole"),
    [
        pytest.param(None, True, True, id="nothing waits for its revision"),
        pytest.param(0.5, True, False, id="something has come just now"),
        pytest.param(2 * UNLED_SECONDS, False, False, id="something has waited for long: nobody leads"),
    ],
)
async def test_who_hears_nobody_reads_the_log_and_believes_it_as_far_as_somebody_leads(
    monkeypatch: pytest.MonkeyPatch, waiting_seconds: float | None, is_current: bool, is_whole: bool
) -> None:
    monkeypatch.setattr("graphql_app.live.feed.relay.SILENT_SECONDS", 0)
    database, hub, staleness = Log(monkeypatch, 5, waiting_seconds), Hub(10), Staleness()
    hub.listen(staleness)
    running = asyncio.create_task(Relay(cast(Any, database), cast(Any, Nobody()), hub, staleness).run())
    await settle()
    assert hub.head == Head(EPOCH, 5)
    assert (staleness.is_current, staleness.has_passed(2)) == (is_current, is_whole)
    running.cancel()


async def test_of_more_messages_than_it_keeps_the_newest_count_and_the_log_has_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("graphql_app.live.feed.relay.INBOX_MOST", 2)
    hub = Hub(10)
    hub.restart(Head(EPOCH, 0))
    relay = Relay(cast(Any, Log(monkeypatch, 1)), cast(Any, Nobody()), hub, Staleness())
    for revision in (1, 2, 3):
        relay.send(numbered(revision, revision))
    running = asyncio.create_task(relay.run())
    await settle()
    assert hub.head == Head(EPOCH, 3)
    running.cancel()


async def test_when_nobody_is_heard_to_lead_any_more_the_history_that_is_read_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("graphql_app.live.feed.relay.SILENT_SECONDS", 0)
    hub = Hub(10)
    hub.restart(Head(EPOCH, 0))
    relay = Relay(cast(Any, Log(monkeypatch, 5, epoch=OTHER)), cast(Any, Nobody()), hub, Staleness())
    relay.send(numbered(1, 1))
    running = asyncio.create_task(relay.run())
    await settle()
    assert hub.head == Head(OTHER, 5)
    running.cancel()
