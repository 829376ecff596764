"""Group commit: changes that arrive while others are being written share the next transaction and its fsync.

Each change is still decided by its own guards and logged under its own author. A change that would have to wait (for a
locked row) or would undo the others (a name that is taken) is not written here: each then gets its own transaction.
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
    """Collects changes by the fields that they set; `write` is called with changes of the same fields."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._waiting: dict[tuple[str, ...], list[tuple[Update, Answer]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def write(self, update: Update) -> Written | None:
        """Writes the change with the next batch. Returns the workstation as written and the transaction's id.

        Returns None when nothing was written: a transaction of its own then does it, or says why not. Raises ReadOnly,
        Unavailable.
        """
        loop = asyncio.get_running_loop()
        answer: Answer = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._begin)
        self._waiting.setdefault(update.fields, []).append((update, answer))
        return await answer

    def _begin(self) -> None:
        while self._waiting and len(self._tasks) < AT_ONCE_MOST:
            fields = next(iter(self._waiting))
            batch = self._waiting.pop(fields)
            if len(batch) > CHANGES_MOST:
                self._waiting[fields] = batch[CHANGES_MOST:]
            task = asyncio.create_task(self._write_batch(batch[:CHANGES_MOST]), name="group commit")
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._begin()

    async def _write_batch(self, batch: Sequence[tuple[Update, Answer]]) -> None:
        present = [(update, answer) for update, answer in batch if not answer.done()]  # some may have gone away
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
