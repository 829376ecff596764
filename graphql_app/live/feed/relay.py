"""From process to process, through broadcaster; whoever misses a message reads the log."""

import asyncio
from contextlib import suppress
from typing import TypeVar
from uuid import UUID

from graphql_app.domain.change import Head
from graphql_app.live.feed.hub import Hub
from graphql_app.live.feed.messages import Message, coalesced, decoded, encoded
from graphql_app.live.feed.staleness import Staleness
from graphql_app.observe import FeedFailed, GapFilled, Resynced, note
from graphql_app.store.log import outbox
from graphql_app.store.log.numbering import Numbered
from graphql_app.store.postgres.database import Database
from graphql_app.store.redis.broadcast import MAYBE_MISSED, Channel

T = TypeVar("T")
SILENT_SECONDS = 1.0  # the leader is heard every 0.5 s; who hears nothing reads the head itself
RETRY_SECONDS = 0.5
ALONE_SECONDS = 0.1  # the same while Redis is away: the log is all there is
INBOX_MOST = 100
DELIVERED_AT_ONCE = 100
FILL_AT_ONCE = 200
UNSENT_MOST = 200
UNLED_SECONDS = 1.0  # a change that has waited so long for its revision waits for somebody to lead


def _put(queue: asyncio.Queue[T], content: T) -> None:
    """Drops the oldest when the queue is full: who misses it notices the gap and reads the log."""
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(content)


class ForeignHistory(Exception):
    """The leader speaks of another history than the database that this process reads."""


class Relay:
    """Sends what this process numbers, if it leads, and hands every change to the hub: in order, each once."""

    def __init__(self, database: Database, channel: Channel, hub: Hub, staleness: Staleness) -> None:
        self._database = database
        self._channel = channel
        self._hub = hub
        self._staleness = staleness
        self._inbox: asyncio.Queue[bytes | Numbered] = asyncio.Queue(INBOX_MOST)
        self._unsent: asyncio.Queue[Numbered] = asyncio.Queue(UNSENT_MOST)
        self._led: UUID | None = None  # the history of which somebody was heard to lead a moment ago
        self._failed: type[Exception] | None = None

    async def run(self) -> None:
        """Never returns; end it by cancelling."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen(), name="relay listener")
            tasks.create_task(self._publish(), name="relay publisher")
            while True:
                await self._once()

    def send(self, numbered: Numbered) -> None:
        """To this process at once, to the others through Redis; never waits for Redis."""
        _put(self._inbox, numbered)
        _put(self._unsent, numbered)

    async def delivered(self, head: Head, seconds: float) -> None:
        """Until this process has come so far, or for so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hub.reached(head.revision)

    async def _publish(self) -> None:
        """All that was numbered while the message before was on its way goes out as one."""
        while True:
            waiting = [await self._unsent.get()]
            while not self._unsent.empty():
                waiting.append(self._unsent.get_nowait())
            for message in coalesced(waiting):
                await self._channel.publish(encoded(message))

    async def _listen(self) -> None:
        async for content in self._channel.messages():
            _put(self._inbox, content)

    async def _once(self) -> None:
        try:
            async with asyncio.timeout(SILENT_SECONDS if self._channel.is_connected else ALONE_SECONDS):
                content = await self._inbox.get()
        except TimeoutError:
            content, self._led = MAYBE_MISSED, None
        try:
            if content == MAYBE_MISSED:
                await self._read_log()
            else:
                await self._accept(decoded(content))
            self._failed = None
        except Exception as error:  # noqa: BLE001  # the supervisor of the relay: noted, and the log is read again
            note(FeedFailed(error, again=type(error) is self._failed))
            self._failed = type(error)
            await asyncio.sleep(RETRY_SECONDS)
            _put(self._inbox, MAYBE_MISSED)

    async def _accept(self, message: Message) -> None:
        self._led = message.head.epoch
        head = self._hub.head
        if head is None or message.head.epoch != head.epoch or message.previous > head.revision:
            await self._read_log()
            head = self._hub.head
            assert head is not None
        if message.head.revision > head.revision:
            for changes, upto in message.after(head.revision, DELIVERED_AT_ONCE):
                self._hub.deliver(changes, upto)
                await asyncio.sleep(0)  # decoding and delivering hundreds would hold up everybody else
        # Of an older message, such as the echo of one's own, it is not known which transactions are whole by now.
        if message.below is not None and message.head == self._hub.head:
            self._staleness.settled(message.below)
            if self._inbox.empty():
                self._staleness.heard()

    async def _read_log(self) -> None:
        """Brings the hub to the head of the log. Raises ForeignHistory."""
        async with self._database.reading() as connection:
            progress = await outbox.progress(connection)
        if self._led not in (None, progress.head.epoch):
            # One of the two is a primary that has been replaced. Ours, perhaps: what is connected anew finds the other.
            self._database.hosts.leave()
            raise ForeignHistory("the leader numbers another history than the one that is read here")
        await self._advance(progress.head)
        if progress.waiting_seconds is None and progress.head == self._hub.head:
            self._staleness.settled(progress.below)
        if progress.waiting_seconds is None or progress.waiting_seconds < UNLED_SECONDS:
            self._staleness.heard()

    async def _advance(self, target: Head) -> None:
        here = self._hub.head
        if here is None:
            self._hub.restart(target)
            return
        if here.epoch != target.epoch:
            self._start_over("another history", target)
            return
        if target.revision > here.revision:
            note(GapFilled(here.revision + 1, target.revision))
        while here.revision < target.revision:
            upto = Head(target.epoch, min(target.revision, here.revision + FILL_AT_ONCE))
            async with self._database.reading() as connection:
                changes = await outbox.changes_between(connection, here.revision, upto.revision)
            if changes is None:
                self._start_over("the log does not reach so far back, or cannot be read", target)
                return
            self._hub.deliver(changes, upto)
            here = upto

    def _start_over(self, why: str, head: Head) -> None:
        note(Resynced(why))
        self._hub.restart(head)
