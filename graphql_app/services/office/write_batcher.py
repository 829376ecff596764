"""Group commit: changes that come while others are being written share the next transaction, and its fsync.

Each is still decided by itself, by its guards, and logged in its author's name. What cannot be had at once (a row that
somebody holds), or would undo the others (a name that is taken), is not done here: then each goes the long way, alone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from graphql_app.domain.errors import ReadOnly, Refusal, Unavailable
from graphql_app.domain.workstation import Workstation
from graphql_app.store.office import Update

AT_ONCE_MOST = 2  # transactions; with more of them each holds fewer changes
CHANGES_MOST = 100  # in one transaction

Written = tuple[Workstation, int]
Answer = asyncio.Future[Written | None]
Write = Callable[[Sequence[Update]], Awaitable[Sequence[Written | None]]]


class WriteBatcher:
    """`write` is given changes of the same fields."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._waiting: dict[tuple[str, ...], list[tuple[Update, Answer]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def write(self, update: Update) -> Written | None:
        """The workstation as it was written, and the transaction's id. None when nothing was, which the long way will
        explain or do. Raises ReadOnly, Unavailable."""
        loop = asyncio.get_running_loop()
        answer: Answer = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._begin)
        self._waiting.setdefault(update.fields, []).append((update, answer))
        return await answer

    def _begin(self) -> None:
        while self._waiting and len(self._tasks) < AT_ONCE_MOST:
            fields = next(iter(self._waiting))
            asked = self._waiting.pop(fields)
            if len(asked) > CHANGES_MOST:
                self._waiting[fields] = asked[CHANGES_MOST:]
            task = asyncio.create_task(self._write_coalescer(asked[:CHANGES_MOST]), name="group commit")
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._begin()

    async def _write_coalescer(self, asked: Sequence[tuple[Update, Answer]]) -> None:
        present = [(update, answer) for update, answer in asked if not answer.done()]  # some may have gone away
        if not present:
            return
        written: Sequence[Written | None] = [None] * len(present)
        try:
            written = await self._write([update for update, _ in present])
        except Exception as error:  # noqa: BLE001  # told to all who are not sure to find it out by themselves
            if not isinstance(error, Refusal) or isinstance(error, (ReadOnly, Unavailable)):
                for _, answer in present:
                    if not answer.done():
                        answer.set_exception(error)
                return
        for (_, answer), one in zip(present, written, strict=True):
            if not answer.done():
                answer.set_result(one)
