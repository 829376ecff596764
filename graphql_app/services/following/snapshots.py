"""All that a topic shows, as of one and the same moment: in parts, so that it may be any number."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

from graphql_app.aio.cooperative import CooperativeScheduler
from graphql_app.aio.next_round import NextRound
from graphql_app.domain.change import Head, Rewinding
from graphql_app.domain.errors import Unavailable
from graphql_app.domain.topics import Topic
from graphql_app.store import notifications
from graphql_app.store import office as queries
from graphql_app.store.log import outbox
from graphql_app.store.postgres.database import Database
from graphql_app.store.postgres.retry import retry_on_contention
from graphql_app.store.postgres.session import Session
from graphql_app.store.schema import rows

READ_MOST = 2000  # rows by one statement: a few megabytes
LARGE_AT_ONCE = 2  # of those that take more than one; others wait for their turn
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

    async def read(self, topic: Topic[Any]) -> AsyncGenerator[Part, None]:
        """The head and what is shown, part by part and by id. Raises Unavailable."""
        small = await self._small.join(topic, partial(self._whole, topic))
        if small is not None:
            yield small
            return
        async with self._large, aclosing(self._parts(topic)) as parts:
            async for head, shown, _ in parts:
                yield head, shown

    @retry_on_contention
    async def _whole(self, topic: Topic[Any]) -> Part | None:
        """All of it, if that is no more than one part."""
        async with aclosing(self._parts(topic)) as parts:
            head, shown, is_last = await anext(parts)
        return (head, shown) if is_last else None

    async def _parts(self, topic: Topic[Any]) -> AsyncGenerator[tuple[Head, Sequence[Any], bool], None]:
        read, make = _READ[topic.entity], _MADE[topic.entity]
        await self._settled()
        async with self._database.snapshot() as session:
            head = await outbox.head(session)
            found = await read(session, topic, queries.BEFORE_ALL)
            waiting = await outbox.unnumbered(session, topic.entity, [topic.place] if topic.place else None)
            rewinding = Rewinding[Any](waiting)
            if len(found) == READ_MOST:
                await session.may_idle(WAITED_SECONDS)
                make = _MADE_ONCE[topic.entity]()
            while len(found) == READ_MOST:
                made = await self._turns.all(map(make, found))
                yield head, await self._shown(topic, rewinding.part(made)), False
                found = await read(session, topic, made[-1].id)
        made = await self._turns.all(map(make, found))
        yield head, await self._shown(topic, rewinding.rest(made)), True

    async def _settled(self) -> None:
        """Until no more changes are without a revision than fit into memory."""
        try:
            async with asyncio.timeout(BEHIND_SECONDS):
                while await outbox.has_more_unnumbered(self._database, REWOUND_MOST):  # noqa: ASYNC110  # who else knows?
                    await asyncio.sleep(0.1)
        except TimeoutError as error:
            raise Unavailable("The change feed is behind; try again.") from error

    async def _shown(self, topic: Topic[Any], states: Sequence[Any]) -> list[Any]:
        shown = await self._turns.all(map(topic.shown, states))
        return [one for one in shown if one is not None]
