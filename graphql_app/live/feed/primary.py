"""Whether the primary still is where this process is connected to: asked all the time, where there is a choice."""

import asyncio

from graphql_app.observe import PrimaryLost, note
from graphql_app.store.postgres.database import Database

LOOK_SECONDS = 1.0
ANSWER_SECONDS = 2.0  # a server that is stopped, or cut off, refuses nothing
RETRY_SECONDS = 0.5


class PrimaryWatch:
    """Its connection is made as all others are, and so finds the new primary for them: they leave the old one then."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self) -> None:
        """Never returns; end it by cancelling. Where the URL names one host it has nothing to do."""
        while self._database.hosts.has_choice:
            try:
                await self._watch()
            except Exception as error:  # noqa: BLE001  # the supervisor of the watch: noted, and the hosts are asked again
                note(PrimaryLost(error))
            await asyncio.sleep(RETRY_SECONDS)
        await asyncio.Event().wait()

    async def _watch(self) -> None:
        """Returns when the server takes no writes any more. Raises what asyncpg raises, and TimeoutError."""
        connection = await self._database.connect()
        try:
            while await self._database.is_primary(connection, ANSWER_SECONDS):  # noqa: ASYNC110  # the server is asked
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            connection.terminate()
