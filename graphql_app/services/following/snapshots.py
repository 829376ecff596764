"""All that a topic shows, as of one and the same moment: in parts, so that it may be any number."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any

from graphql_app.aio.cooperative import BRIEFLY_SECONDS, CooperativeScheduler
from graphql_app.aio.heap import Heap
from graphql_app.aio.next_round import NextRound
from graphql_app.domain.change import Head, Rewinding
from graphql_app.domain.errors import Unavailable
from graphql_app.domain.topics import Topic
from graphql_app.store import office as queries
from graphql_app.store.log import outbox
from graphql_app.store.postgres.database import Database
from graphql_app.store.postgres.retry import retry_on_contention
from graphql_app.store.postgres.session import Session

READ_MOST = 250  # rows by one statement: what the driver makes of it holds up the loop for a few milliseconds
SMALL_MOST = 10_000  # rows: some ten megabytes, that are kept for all who ask at the same time
LARGE_AT_ONCE = 2  # of those that are more; others wait for their turn
REWOUND_MOST = 5000  # changes without a revision, of which each has two images in memory
BEHIND_SECONDS = 10.0
WAITED_SECONDS = 60  # for a client, between two statements


def _as_it_is(row: Any) -> Any:
    return row


@dataclass(frozen=True, slots=True)
class SnapshotRows:
    """How the topics of an entity are read: `read` gives the next rows that the topic shows, in the order of their ids,
    after an id and at most so many; `make` makes a state of one. `for_large` gives what makes the states of a large
    snapshot instead."""

    read: Callable[[Session, Any, int, int], Awaitable[Sequence[Any]]]
    make: Callable[[Any], Any] = _as_it_is
    for_large: Callable[[], Callable[[Any], Any]] | None = None


Part = tuple[Head, Sequence[Any]]


class Snapshots:
    """Reads them. Those who show the same in different ways need not read it each, unless it is large."""

    def __init__(self, database: Database, turns: CooperativeScheduler, rows: Mapping[str, SnapshotRows]) -> None:
        """`rows`: by the entity of the topics."""
        self._database = database
        self._rows = rows
        self._turns = turns
        self._small: NextRound[Topic[Any], Part | None] = NextRound()
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)
        self._heap = Heap()

    async def read(self, topic: Topic[Any]) -> AsyncGenerator[Part, None]:
        """The head and what is shown, part by part and by id. Raises Unavailable."""
        small = await self._small.join(topic, partial(self._whole, topic))
        if small is not None:
            yield small
            return
        try:
            rows = self._rows[topic.entity]
            make = rows.for_large() if rows.for_large is not None else rows.make
            async with self._large, aclosing(self._parts(topic, make)) as parts:
                async for part in parts:
                    yield part
        finally:
            self._heap.give_back()

    @retry_on_contention
    async def _whole(self, topic: Topic[Any]) -> Part | None:
        """All of it, if that is not large."""
        found: list[Part] = []
        async with aclosing(self._parts(topic, self._rows[topic.entity].make)) as parts:
            async for part in parts:
                found.append(part)
                if len(found) * READ_MOST > SMALL_MOST:
                    return None
        return found[0][0], [one for _, shown in found for one in shown]

    async def _parts(self, topic: Topic[Any], make: Callable[[Any], Any]) -> AsyncGenerator[Part, None]:
        """The first has what is shown of as many rows as one statement reads, and so on."""
        rows = self._rows[topic.entity]
        await self._settled()
        async with self._database.snapshot() as session:
            head = await outbox.head(session)
            found = await rows.read(session, topic, queries.BEFORE_ALL, READ_MOST)
            waiting = await outbox.unnumbered(session, topic.entity, [topic.place] if topic.place else None)
            rewinding = Rewinding[Any](waiting)
            if len(found) == READ_MOST:
                await session.may_idle(WAITED_SECONDS)
            while len(found) == READ_MOST:
                made = await self._turns.all(map(make, found), BRIEFLY_SECONDS)
                yield head, await self._shown(topic, rewinding.part(made))
                found = await rows.read(session, topic, made[-1].id, READ_MOST)
        made = await self._turns.all(map(make, found), BRIEFLY_SECONDS)
        yield head, await self._shown(topic, rewinding.rest(made))

    async def _settled(self) -> None:
        """Until no more changes are without a revision than fit into memory."""
        try:
            async with asyncio.timeout(BEHIND_SECONDS):
                while await outbox.has_more_unnumbered(self._database, REWOUND_MOST):  # noqa: ASYNC110  # who else knows?
                    await asyncio.sleep(0.1)
        except TimeoutError as error:
            raise Unavailable("The change feed is behind; try again.") from error

    async def _shown(self, topic: Topic[Any], states: Sequence[Any]) -> list[Any]:
        shown = await self._turns.all(map(topic.shown, states), BRIEFLY_SECONDS)
        return [one for one in shown if one is not None]
