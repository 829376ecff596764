"""The tasks that run for as long as the process does."""

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

from graphql_app import observe


class Loops:
    """Each is ended with the stack, in its turn. None of them ends by itself: /readyz says so, should one do."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self.tasks: dict[str, asyncio.Task[None]] = {}

    def begin(self, name: str, loop: Coroutine[Any, Any, None]) -> None:
        task = self.tasks[name] = asyncio.create_task(loop, name=name)
        task.add_done_callback(_ended)
        self._stack.push_async_callback(_end, task)


def _ended(task: "asyncio.Task[None]") -> None:
    """/readyz says from now on that it has; the log does at once, and why."""
    if not task.cancelled() and (error := task.exception()) is not None:
        observe.note(observe.IsolatedFailure(task.get_name(), error))


async def _end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.wait([task])
