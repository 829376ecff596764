"""Fills memory from the log with what happened before this process heard of anything: for those who come back to it."""

import asyncio

from graphql_app.aio.single_flight import SingleFlight
from graphql_app.live.feed.hub import Hub
from graphql_app.observe import FeedFailed, note
from graphql_app.store.log import outbox
from graphql_app.store.postgres.database import Database

STEP = 100  # changes; decoding them holds up the loop for a few milliseconds
RETRY_SECONDS = 0.5


class Recall:
    """Reads backwards, a step at a time, until memory is full or the log begins. Each step is read and decoded once,
    whoever waits for it."""

    def __init__(self, database: Database, hub: Hub) -> None:
        self._database = database
        self._hub = hub
        self._steps: SingleFlight[None, bool] = SingleFlight()

    async def run(self) -> None:
        """Never returns; end it by cancelling."""
        try:
            await self._hub.reached(0)
            while True:
                try:
                    while await self._step():
                        pass
                    await asyncio.Event().wait()
                except Exception as error:  # noqa: BLE001  # the supervisor of what fills memory: noted, and tried again
                    note(FeedFailed(error))
                    await asyncio.sleep(RETRY_SECONDS)
        finally:
            await self._steps.close()

    async def reaches(self, revision: int) -> bool:
        """Whether memory has all that came after the revision, once it has been read as far back as there is room.

        Raises Unavailable.
        """
        while self._hub.recent.begins > revision:
            if not await self._step():
                return False
        return True

    async def _step(self) -> bool:
        return await self._steps.join(None, self._read)

    async def _read(self) -> bool:
        """Whether memory reaches further back now than before."""
        recent = self._hub.recent
        last, epoch = recent.begins, self._hub.head and self._hub.head.epoch
        after = max(last - min(STEP, recent.room), 0)
        if after == last:
            return False
        async with self._database.reading() as connection:
            changes = await outbox.changes_between(connection, after, last)
        is_where_it_was = recent.begins == last and (self._hub.head and self._hub.head.epoch) == epoch
        if is_where_it_was and changes is not None:
            recent.prepend(changes, after)
        return changes is not None
