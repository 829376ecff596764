"""Who shares a stream: everybody is given all of it, each from where they stand."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Hashable
from contextlib import asynccontextmanager
from typing import Any

from graphql_app.domain.change import Batch, Kind
from graphql_app.domain.workstation import Place
from graphql_app.live.feed.mailbox import Lost
from graphql_app.services.following.cohorts import Cohort, Cohorts, Payload
from graphql_app.services.following.history import Start
from graphql_app.services.following.streams import AFTER_LOSS
from tests.clock import settle
from tests.examples import view


class Scripted:
    """A stream that has what the test says, and says where those began who joined."""

    key: Hashable = "scripted"
    place: Place | None = None
    view, values = view("admin"), 0

    def __init__(self) -> None:
        self.events: asyncio.Queue[Batch[Any] | Exception] = asyncio.Queue()
        self.starts: list[Start] = []
        self.owed: list[Batch[Any]] = []
        self.levels = asyncio.Event()
        self.levels.set()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        yield

    async def next(self) -> Batch[Any]:
        event = await self.events.get()
        if isinstance(event, Exception):
            raise event
        return event

    async def level(self, start: Start, *, alone: bool = False) -> AsyncGenerator[Batch[Any], None]:
        self.starts.append(start)
        await self.levels.wait()
        for batch in self.owed:
            yield batch

    def after(self, event: Batch[Any]) -> Start:
        return Start(revision=event.revision)


class Client:
    """Takes what it is offered, as long as there is room."""

    def __init__(self) -> None:
        self.took: list[int] = []
        self.failures: list[Exception] = []
        self.has_room = True

    def offer(self, payload: Payload) -> bool:
        if self.has_room:
            self.took.append(payload.event.revision)
        return self.has_room

    async def drained(self) -> None:
        await asyncio.Event().wait()

    def forget(self) -> None:
        raise AssertionError("nobody's view changes")

    def failed(self, error: Exception) -> None:
        self.failures.append(error)


def told(revision: int) -> Batch[Any]:
    return Batch(Kind.CHANGES, revision)


async def render(batch: Batch[Any]) -> Payload:
    return Payload(b"", None, batch)


async def test_who_is_level_and_who_is_joining_when_a_history_ends_both_start_over() -> None:
    stream, level, joining = Scripted(), Client(), Client()
    cohort = Cohort("key", stream, render)
    cohort.join(level, Start(revision=1))
    await settle()
    stream.levels.clear()
    cohort.join(joining, Start(revision=2))
    await settle()

    stream.events.put_nowait(Lost())
    await settle()
    stream.levels.set()
    await settle()
    stream.events.put_nowait(told(7))
    await settle()

    assert stream.starts == [Start(revision=1), Start(revision=2), AFTER_LOSS, AFTER_LOSS]
    assert level.took == joining.took == [7]
    assert level.failures == joining.failures == []
    cohort.close()


async def test_a_newcomer_that_falls_behind_at_once_goes_on_from_what_it_was_given() -> None:
    stream, first, newcomer = Scripted(), Client(), Client()
    cohort = Cohort("key", stream, render)
    cohort.join(first, Start(revision=1))
    await settle()
    stream.events.put_nowait(told(5))
    await settle()
    stream.owed = [told(7)]  # the others were not told of that: nothing in it concerned them
    cohort.join(newcomer, Start(revision=3))
    await settle()

    newcomer.has_room = False
    stream.events.put_nowait(told(8))
    await settle()

    assert (first.took, newcomer.took) == ([5, 8], [7])
    assert stream.starts[2:] == [Start(revision=7)]
    cohort.close()


async def test_who_was_level_before_goes_on_from_what_all_were_given_last() -> None:
    stream, client = Scripted(), Client()
    stream.owed = [told(2)]
    cohort = Cohort("key", stream, render)
    cohort.join(client, Start())
    await settle()
    stream.events.put_nowait(told(5))
    await settle()
    client.has_room, stream.owed = False, []
    stream.events.put_nowait(told(8))
    await settle()

    assert client.took == [2, 5]
    assert stream.starts[1:] == [Start(revision=5)]
    cohort.close()


async def test_where_following_fails_all_are_told_so_and_who_comes_next_begins_anew() -> None:
    cohorts, stream, level, joining, later = Cohorts(), Scripted(), Client(), Client(), Client()
    cohorts.join("key", stream, lambda: render, level, Start(revision=1))
    await settle()
    stream.levels.clear()
    cohorts.join("key", stream, lambda: render, joining, Start(revision=2))
    await settle()

    broken = ValueError("cannot be rendered")
    stream.events.put_nowait(broken)
    await settle()
    assert level.failures == joining.failures == [broken]

    again = Scripted()
    cohorts.join("key", again, lambda: render, later, Start(revision=3))
    await settle()
    again.events.put_nowait(told(4))
    await settle()
    assert (later.took, later.failures) == ([4], [])
    cohorts.close()
