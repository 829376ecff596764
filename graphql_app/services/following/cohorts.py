"""One rendering of every event for all who follow the same and see the same, whatever door they came by."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Hashable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from graphql_app.aio.single_flight import SingleFlight
from graphql_app.domain.change import Batch
from graphql_app.live.feed.mailbox import Lost
from graphql_app.observe import ChangesDelivered, note
from graphql_app.services.following.history import Start
from graphql_app.services.following.shared_parts import AHEAD_MOST
from graphql_app.services.following.streams import AFTER_LOSS, SHARED_SECONDS, Stream


@dataclass(slots=True)
class Payload:
    """One event, rendered; `cursor` is where it leaves its subscriber, if it can be resumed.

    `framed` is the last frame that a wire made of it, by what the frame begins with.
    """

    body: bytes
    cursor: str | None
    event: Any = None
    framed: tuple[bytes, bytes] = (b"", b"")


RENDERED_MOST = 2 * AHEAD_MOST  # of the parts of a snapshot, that one has and another is still to be given

Render = Callable[[Any], Coroutine[Any, Any, Payload]]


class Subscriber(Protocol):
    """One subscription of one client."""

    def offer(self, payload: Payload) -> bool:
        """Takes a payload to be sent; False when too much of what was sent before is still unread."""

    async def drained(self) -> None:
        """Waits until the client has read on."""

    def forget(self) -> None:
        """What was offered and is not on its way yet is not to be sent: it is not for this viewer any more."""

    def failed(self, error: Exception) -> None:
        """The subscription cannot go on."""


class Same:
    """An event as a key: the very object, which lives for as long as the key does."""

    __slots__ = ("_event",)

    def __init__(self, event: object) -> None:
        self._event = event

    def __hash__(self) -> int:
        return id(self._event)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other._event is self._event


class Cohort:
    """Follows one stream, turns each event into bytes once, and offers these to all who are level with it.

    Who is not level has a task of its own that sends what it is owed; who is level has none. For a subscriber that does
    not read nothing is queued: it is level no more, and catches up from its place when it reads again.
    """

    def __init__(self, key: Hashable, stream: Stream, render: Render) -> None:
        self.key = key
        self._stream = stream
        self._render = render
        self._level: dict[Subscriber, None] = {}  # in the order of coming
        self._handed_out: Any = None  # the event that all who are level were offered last, but for the newcomers:
        self._newcomers: dict[Subscriber, Any] = {}  # level since then, with the event that each was offered last
        self._rendered: SingleFlight[Same, Payload] = SingleFlight(SHARED_SECONDS, kept_most=RENDERED_MOST)
        self._joining: dict[Subscriber, asyncio.Task[None]] = {}
        self._opened = asyncio.Event()
        self._task = asyncio.create_task(self._follow(), name="cohort")
        self._task.add_done_callback(self._ended)

    @property
    def is_empty(self) -> bool:
        return not self._level and not self._joining

    @property
    def has_ended(self) -> bool:
        return self._task.done()

    def join(self, subscriber: Subscriber, start: Start) -> None:
        task = asyncio.create_task(self._bring_level(subscriber, start), name="joining a cohort")
        self._joining[subscriber] = task

        def ended(task: asyncio.Task[None]) -> None:
            if self._joining.get(subscriber) is task:
                del self._joining[subscriber]
            if not task.cancelled() and (error := task.exception()) is not None:
                _fail(subscriber, error)

        task.add_done_callback(ended)

    def leave(self, subscriber: Subscriber) -> None:
        self._level.pop(subscriber, None)
        self._newcomers.pop(subscriber, None)
        if (task := self._joining.pop(subscriber, None)) is not None:
            task.cancel()

    def close(self) -> None:
        self._task.cancel()

    async def _follow(self) -> None:
        while True:
            async with self._stream.opened():
                self._opened.set()
                try:
                    while True:
                        event = await self._stream.next()
                        if not self.is_empty:
                            self._hand_out(event, await self._render(event))
                except Lost:
                    self._opened.clear()
                    self._start_over()

    def _hand_out(self, event: Any, payload: Payload) -> None:
        behind = [subscriber for subscriber in self._level if not subscriber.offer(payload)]
        for subscriber in behind:
            last = self._newcomers.get(subscriber, self._handed_out)
            del self._level[subscriber]
            self.join(subscriber, self._stream.after(last))
        self._handed_out = event
        self._newcomers.clear()
        if isinstance(event, Batch) and event.logged_at is not None:
            late = time.time() - event.logged_at.timestamp()
            note(ChangesDelivered(len(event.states) + len(event.removed), len(self._level), late))

    def _start_over(self) -> None:
        everybody = [*self._level, *self._joining]
        for subscriber in everybody:
            self.leave(subscriber)
            self.join(subscriber, AFTER_LOSS)

    async def _bring_level(self, subscriber: Subscriber, start: Start) -> None:
        await self._opened.wait()
        last: Any = None
        async with aclosing(self._stream.level(start)) as events:
            async for event in events:
                payload = await self._rendered.join(Same(event), partial(self._render, event))
                while not subscriber.offer(payload):
                    await subscriber.drained()
                last = event
        # Nothing was awaited since the stream said that this is level: no event can have slipped in between.
        self._joining.pop(subscriber, None)
        self._level[subscriber] = None
        self._newcomers[subscriber] = last

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or (error := task.exception()) is None:
            return
        for subscriber in [*self._level, *self._joining]:
            self.leave(subscriber)
            _fail(subscriber, error)


def _fail(subscriber: Subscriber, error: BaseException) -> None:
    subscriber.failed(error if isinstance(error, Exception) else RuntimeError(repr(error)))


class Cohorts:
    """All cohorts of the process."""

    def __init__(self) -> None:
        self._cohorts: dict[Hashable, Cohort] = {}

    def join(
        self,
        key: Hashable,
        stream: Stream,
        render: Callable[[], Render],
        subscriber: Subscriber,
        start: Start,
        *,
        lingers: bool = False,
    ) -> Callable[[], None]:
        """Joins the cohort of the key, which follows the stream unless there is one already. Returns what leaves it.

        `lingers`: it lasts for a moment when it is left by all, as whoever polls comes back at once. Others, who come
        back without a cursor, are to be shown no snapshot that is older than what they have seen.
        """
        cohort = self._cohorts.get(key)
        if cohort is None or cohort.has_ended:
            cohort = self._cohorts[key] = Cohort(key, stream, render())
        cohort.join(subscriber, start)
        # The key is the cohort's: each subscriber made one of its own, which need not be kept.
        return partial(self._leave, cohort, subscriber, lingers)

    def _leave(self, cohort: Cohort, subscriber: Subscriber, lingers: bool) -> None:
        cohort.leave(subscriber)
        if not cohort.is_empty:
            return
        if lingers:
            asyncio.get_running_loop().call_later(SHARED_SECONDS, self._end_empty, cohort)
        else:
            self._end_empty(cohort)

    def _end_empty(self, cohort: Cohort) -> None:
        if cohort.is_empty:
            cohort.close()
            if self._cohorts.get(cohort.key) is cohort:
                del self._cohorts[cohort.key]

    def close(self) -> None:
        for cohort in self._cohorts.values():
            cohort.close()
        self._cohorts.clear()
