"""Who writes: single-row UPDATEs, each its own transaction, the same for every server that is measured."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg
from subscribers import Subscribers

UPDATE = "UPDATE workstations SET x_position = $2 WHERE id = $1"


@dataclass(slots=True)
class Writer:
    """Changes the first so many workstations in turn. x_position is the mark of a change: its running number."""

    connections: list[asyncpg.Connection]
    ids: list[int]
    mark: int = 0
    committed: dict[int, float] = field(default_factory=dict)  # when the client was told so, by mark

    async def change(self, connection: asyncpg.Connection, workstations: int) -> None:
        self.mark += 1
        mark = self.mark
        await connection.execute(UPDATE, self.ids[mark % workstations], mark)
        self.committed[mark] = time.time()

    async def paced(self, rate: float, seconds: float, workstations: int) -> None:
        """So many changes a second, each at its own moment, whatever the last one took."""
        began = time.monotonic()
        for number in range(round(rate * seconds)):
            await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
            await self.change(self.connections[0], workstations)

    async def saturate(self, subscribers: Subscribers, ahead: int, workstations: int) -> None:
        """As many changes as are consumed: never more than so many ahead of what the subscribers have seen."""

        async def one(connection: asyncpg.Connection) -> None:
            while True:
                while self.mark - subscribers.progress >= ahead:  # noqa: ASYNC110  # another process's memory
                    await asyncio.sleep(0.0005)
                await self.change(connection, workstations)

        # One workstation is one row lock: a second connection would only wait for the first.
        await asyncio.gather(*map(one, self.connections[: 1 if workstations == 1 else None]))


@asynccontextmanager
async def writer(database_url: str, connections: int = 4) -> AsyncIterator[Writer]:
    opened = [await asyncpg.connect(database_url) for _ in range(connections)]
    ids = [row["id"] for row in await opened[0].fetch("SELECT id FROM workstations ORDER BY id")]
    mark = int(await opened[0].fetchval("SELECT max(x_position) FROM workstations"))
    try:
        yield Writer(opened, ids, mark)
    finally:
        for connection in opened:
            await connection.close()
