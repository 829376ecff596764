"""How long an operation may take: `asyncio.timeout`, with one timer for all instead of one for each.

Most operations end long before their time, and to set a timer and to take it back would be a tenth of what they cost.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol


class Timed(Protocol):
    """What has its time, by the clock of the loop; end() is called when that is over."""

    at: float

    def end(self) -> None: ...


class Deadlines:
    """All who enter have as many seconds, so that the first of them is the first whose time is over."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._loop: asyncio.AbstractEventLoop | None = None
        self._open: dict[Timed, None] = {}  # in the order in which they were entered
        self._timer: asyncio.TimerHandle | None = None

    def current_task(self) -> "asyncio.Task[object]":
        # Until Python 3.12, whoever does not say in which loop has asyncio ask the system for the process's id.
        task = asyncio.current_task(self._loop) if self._loop is not None else None
        if task is None:
            self._loop = asyncio.get_running_loop()
            task = asyncio.current_task(self._loop)
        assert task is not None, "operations are run in tasks"
        return task

    def enter(self, deadline: Timed, loop: asyncio.AbstractEventLoop) -> None:
        self._open[deadline] = None
        if self._timer is None:
            self._timer = loop.call_at(deadline.at, self._look, loop)

    def leave(self, deadline: Timed) -> None:
        self._open.pop(deadline, None)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        while self._open:
            first = next(iter(self._open))
            if first.at > now:
                self._timer = loop.call_at(first.at, self._look, loop)
                return
            del self._open[first]
            first.end()


class Deadline:
    """`with` it, within a task: raises TimeoutError in place of what it interrupts."""

    __slots__ = ("_cancelling", "_deadlines", "_is_over", "_task", "at")

    def __init__(self, deadlines: Deadlines) -> None:
        self._deadlines = deadlines
        self._is_over = False

    def __enter__(self) -> None:
        task = self._deadlines.current_task()
        loop = task.get_loop()
        self._task, self._cancelling = task, task.cancelling()
        self.at = loop.time() + self._deadlines.seconds
        self._deadlines.enter(self, loop)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._deadlines.leave(self)
        if self._is_over and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            # Who was cancelled by somebody else, too, is to be cancelled.
            raise TimeoutError from error

    def end(self) -> None:
        self._is_over = True
        self._task.cancel()


class DeadlineWait:
    """Sets a deadline for a future, without a task: calls `done` with it, or `overdue` when it takes too long."""

    __slots__ = ("_deadlines", "_done", "_future", "_overdue", "at")

    def __init__(
        self,
        deadlines: Deadlines,
        future: asyncio.Future[Any],
        done: Callable[[asyncio.Future[Any]], None],
        overdue: Callable[[], None],
    ) -> None:
        self._deadlines, self._future, self._done, self._overdue = deadlines, future, done, overdue
        loop = future.get_loop()
        self.at = loop.time() + deadlines.seconds
        deadlines.enter(self, loop)
        future.add_done_callback(self._came)

    def _came(self, future: asyncio.Future[Any]) -> None:
        self._deadlines.leave(self)
        if future.cancelled():
            self._overdue()
        else:
            self._done(future)

    def end(self) -> None:
        self._future.cancel()
