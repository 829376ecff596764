"""All that a topic shows, as of one and the same moment: in parts, so that it may be any number."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

from graphql_app.aio.cooperative import BRIEFLY_SECONDS, CooperativeScheduler
from graphql_app.aio.heap import Heap
from graphql_app.aio.next_round import NextRound
from graphql_app.domain.change import Head, Rewinding
from graphql_app.domain.errors import Unavailable
from graphql_app.domain.topics import Topic
from graphql_app.store import notifications
from graphql_app.store import office as queries
from graphql_app.store.log import outbox
from graphql_app.store.postgres.database import Database
from graphql_app.store.postgres.retry import tried_again
from graphql_app.store.postgres.session import Session
from graphql_app.store.schema import rows

READ_MOST = 250  # rows by one statement: what the driver makes of it holds up the loop for a few milliseconds
SMALL_MOST = 2000  # rows: a few megabytes, that are kept for all who ask at the same time
LARGE_AT_ONCE = 2  # of those that are more; others wait for their turn
REWOUND_MOST = 5000  # changes without a revision, of which each has two images in memory
BEHIND_SECONDS = 10.0
WAITED_SECONDS = 60  # for a client, between two statements

# Of the topics of each entity: what is made of the rows of a small snapshot, and of a large one; the next rows after an
# id.
_MADE: Mapping[str, Callable[[Any], Any]] = {"workstation": rows.selected, "notification": lambda found: found}
_MADE_ONCE: Mapping[str, Callable[[], Callable[[Any], Any]]] = {
    "workstation": rows.selected_once,
    "notification": lambda: lambda found: found,
}
_READ: Mapping[str, Callable[[Session, Any, int], Awaitable[Sequence[Any]]]] = {
    "workstation": lambda session, topic, after: queries.matching_workstations(
        session, topic.matching, after=after, most=READ_MOST
    ),
    "notification": lambda session, topic, after: notifications.told_to(session, topic.audience, after, READ_MOST),
}

Part = tuple[Head, Sequence[Any]]


class Snapshots:
    """Reads them. Those who show the same in different ways need not read it each, unless it is large."""

    def __init__(self, database: Database, turns: CooperativeScheduler) -> None:
        self._database = database
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
            async with self._large, aclosing(self._parts(topic, _MADE_ONCE[topic.entity]())) as parts:
                async for part in parts:
                    yield part
        finally:
            self._heap.give_back()

    @tried_again
    async def _whole(self, topic: Topic[Any]) -> Part | None:
        """All of it, if that is not large."""
        found: list[Part] = []
        async with aclosing(self._parts(topic, _MADE[topic.entity])) as parts:
            async for part in parts:
                found.append(part)
                if len(found) * READ_MOST > SMALL_MOST:
                    return None
        return found[0][0], [one for _, shown in found for one in shown]

    async def _parts(self, topic: Topic[Any], make: Callable[[Any], Any]) -> AsyncGenerator[Part, None]:
        """The first has what is shown of as many rows as one statement reads, and so on."""
        read = _READ[topic.entity]
        await self._settled()
        async with self._database.snapshot() as session:
            head = await outbox.head(session)
            found = await read(session, topic, queries.BEFORE_ALL)
            waiting = await outbox.unnumbered(session, topic.entity, [topic.place] if topic.place else None)
            rewinding = Rewinding[Any](waiting)
            if len(found) == READ_MOST:
                await session.may_idle(WAITED_SECONDS)
            while len(found) == READ_MOST:
                made = await self._turns.all(map(make, found), BRIEFLY_SECONDS)
                yield head, await self._shown(topic, rewinding.part(made))
                found = await read(session, topic, made[-1].id)
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
