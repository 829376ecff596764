"""The one that leads: numbers what was committed, and publishes it. The others stand by."""

import asyncio
import random

import asyncpg

from graphql_app.live.relay import Relay
from graphql_app.observe import ChangesNumbered, FeedFailed, LeadershipChanged, RowsPruned, note
from graphql_app.store.database import Database
from graphql_app.store.outbox import Leader, leading

HEARTBEAT_SECONDS = 0.5  # also the polling beneath NOTIFY; the server ends a session that is silent for 2 s
STANDBY_SECONDS = 0.5
AT_ONCE_MOST = 500
PRUNE_SECONDS = 5.0
PRUNE_MOST = 1000


class Feed:
    """Runs in every process; exactly one leads at a time, by an advisory lock on the session that numbers."""

    def __init__(self, database: Database, relay: Relay, *, log_hours: float) -> None:
        self._database = database
        self._relay = relay
        self._log_hours = log_hours
        self.is_leading = False

    async def run(self) -> None:
        """Never returns; end it by cancelling."""
        while True:
            try:
                async with leading(self._database) as leader:
                    if leader is not None:
                        await self._lead(leader)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
                note(FeedFailed(error))
            finally:
                if self.is_leading:
                    self.is_leading = False
                    note(LeadershipChanged(False, "the session ended"))
            await asyncio.sleep(STANDBY_SECONDS * random.uniform(0.5, 1))  # noqa: S311  # jitter, not a secret

    async def _lead(self, leader: Leader) -> None:
        self.is_leading = True
        note(LeadershipChanged(True, "took the lock"))
        pruned_at = 0.0
        now = asyncio.get_running_loop().time
        while True:
            numbered = await leader.number(AT_ONCE_MOST)
            if numbered.changes:
                note(ChangesNumbered(len(numbered.changes), numbered.head.revision))
            self._relay.send(numbered)
            if len(numbered.changes) == AT_ONCE_MOST:
                continue
            if now() - pruned_at > PRUNE_SECONDS:
                pruned_at = now()
                await self._prune(leader)
            await leader.wait(HEARTBEAT_SECONDS)

    async def _prune(self, leader: Leader) -> None:
        count = await leader.prune(self._log_hours, PRUNE_MOST)
        if count:
            note(RowsPruned("change_log", count))
