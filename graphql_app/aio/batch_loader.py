"""Rows by their ids, for all who ask in one moment: one statement fetches them, begun after the last of them asked."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Generic, TypeVar

T = TypeVar("T")
Fetch = Callable[[Collection[int], frozenset[str]], Awaitable[Mapping[int, T]]]


class Moment(Generic[T]):
    """What was asked for since the last statement began. Whoever waits may go away, and the others are answered."""

    def __init__(self) -> None:
        # Asked for once: until Python 3.12, asyncio asks the system for the process's id each time.
        self.loop = asyncio.get_running_loop()
        self.ids: set[int] = set()
        self.fields: set[str] = set()
        self.waiting: list[asyncio.Future[Mapping[int, T]]] = []


class BatchLoader(Generic[T]):
    """`fetch` is given all ids that were asked for and all fields that any of those who asked will look at."""

    def __init__(self, fetch: Fetch[T]) -> None:
        self._fetch = fetch
        self._now: Moment[T] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def ask(self, ids: Iterable[int], fields: Iterable[str]) -> asyncio.Future[Mapping[int, T]]:
        """The rows of these ids, among others; those that there are. Raises what `fetch` raises."""
        moment = self._now
        if moment is None:
            moment = self._now = Moment()
            moment.loop.call_soon(self._begin)
        moment.ids.update(ids)
        moment.fields.update(fields)
        answer: asyncio.Future[Mapping[int, T]] = moment.loop.create_future()
        moment.waiting.append(answer)
        return answer

    def _begin(self) -> None:
        moment, self._now = self._now, None
        assert moment is not None
        task = asyncio.create_task(self._answer(moment), name="gathered rows")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, moment: Moment[T]) -> None:
        waiting = moment.waiting
        try:
            found = await self._fetch(moment.ids, frozenset(moment.fields))
        except Exception as error:  # noqa: BLE001  # handed to all who wait
            for answer in waiting:
                if not answer.done():
                    answer.set_exception(error)
        else:
            for answer in waiting:
                if not answer.done():
                    answer.set_result(found)
