"""The one that leads: numbers what was committed, and publishes it. The others stand by."""

import asyncio
import random

from graphql_app.live.feed.relay import Relay
from graphql_app.observe import ChangesNumbered, FeedFailed, LeadershipChanged, note
from graphql_app.store.log.numbering import Leader, Numbered, leading
from graphql_app.store.postgres.database import Database

HEARTBEAT_SECONDS = 0.5  # also the polling beneath NOTIFY; the server ends a session that is silent for 2 s
RETRY_SECONDS = 0.5
AT_ONCE_MOST = 200
OF_A_BACKLOG_MOST = 50  # so long small transactions wait that come while a large one is numbered
SMALL_MOST = 50  # changes of a transaction that need not wait until a large one is numbered


class Leadership:
    """Runs in every process; exactly one leads at a time, by an advisory lock on the session that numbers."""

    def __init__(self, database: Database, relay: Relay) -> None:
        self._database = database
        self._relay = relay
        self.is_leading = False
        self._failed: type[Exception] | None = None  # how, since it was heard last

    async def run(self) -> None:
        """Never returns; end it by cancelling."""
        while True:
            try:
                async with leading(self._database) as leader:
                    await self._lead(leader)
            except Exception as error:  # noqa: BLE001  # the supervisor of the feed: noted, and another session is tried
                note(FeedFailed(error, again=type(error) is self._failed))
                self._failed = type(error)
            finally:
                if self.is_leading:
                    self.is_leading = False
                    note(LeadershipChanged(False, "the session ended"))
            await asyncio.sleep(RETRY_SECONDS * random.uniform(0.5, 1))  # noqa: S311  # jitter, not a secret

    async def _lead(self, leader: Leader) -> None:
        self.is_leading = True
        note(LeadershipChanged(True, "took the lock"))
        most = AT_ONCE_MOST
        while True:
            numbered = await leader.number(most)
            self._tell(numbered)
            self._failed = None
            if len(numbered.changes) < most:
                most = AT_ONCE_MOST
                await leader.wait(HEARTBEAT_SECONDS)
            else:
                most = OF_A_BACKLOG_MOST
                # Not further ahead than what is told: small transactions would pass the large one only to queue here.
                await self._relay.delivered(numbered.head, HEARTBEAT_SECONDS)
                self._tell(await leader.number_small(SMALL_MOST))

    def _tell(self, numbered: Numbered) -> None:
        if numbered.changes:
            note(ChangesNumbered(len(numbered.changes), numbered.head.revision))
        self._relay.send(numbered)
