"""The live counts of a floor: each was true at some moment, in order, and the last one is; not too many of them."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests import histories
from tests.acceptance.conftest import Server, StartServer
from tests.acceptance.following import Connection, work
from tests.histories import FLOOR, Committed, committed

EVERY_SECONDS = 0.25
BURST_SECONDS = 4.0
STATUSES = ("available", "occupied", "maintenance", "reserved")
DOCUMENT = """subscription ($building: String!, $number: Int!) {
  floorStatus(building: $building, number: $number) {
    building number notice stats { total available occupied maintenance reserved }
  }
}"""

Counts = Mapping[str, int]


@dataclass
class Display:
    """What one display was shown: the counts, each with the moment at which they came."""

    socket: ClientConnection
    shown: list[tuple[Counts, float]] = field(default_factory=list)

    async def read(self) -> None:
        with suppress(ConnectionClosed):
            while True:
                message = orjson.loads(await self.socket.recv())
                assert message["type"] == "next", message
                status = message["payload"]["data"]["floorStatus"]
                assert (status["building"], status["number"], status["notice"]) == (FLOOR.building, FLOOR.floor, None)
                self.shown.append((status["stats"], time.monotonic()))

    async def until_shown(self, count: int, seconds: float) -> None:
        async with asyncio.timeout(seconds):
            while len(self.shown) < count:  # noqa: ASYNC110  # another task appends
                await asyncio.sleep(0.005)

    @property
    def counts(self) -> list[Counts]:
        return [counts for counts, _ in self.shown]


@asynccontextmanager
async def display(server: Server) -> AsyncIterator[Display]:
    """A display of the floor that has been shown its first counts."""
    async with connect(
        server.ws_url,
        subprotocols=["graphql-transport-ws"],  # type: ignore[list-item]  # a NewType of str
        compression=None,
        close_timeout=1,
    ) as socket:
        await _say(
            socket, {"type": "connection_init", "payload": {"authorization": f"Bearer {server.token('visitor')}"}}
        )
        assert orjson.loads(await socket.recv()) == {"type": "connection_ack"}
        variables = {"building": FLOOR.building, "number": FLOOR.floor}
        await _say(socket, {"id": "1", "type": "subscribe", "payload": {"query": DOCUMENT, "variables": variables}})
        display = Display(socket)
        reading = asyncio.create_task(display.read())
        await display.until_shown(1, 5)
        yield display
        await socket.close()
        await reading


async def _say(socket: ClientConnection, message: Mapping[str, Any]) -> None:
    await socket.send(orjson.dumps(message).decode())


def counted(truth: Committed) -> Iterator[Counts]:
    """The counts of the floor as the log has them, after each of its changes."""
    statuses: dict[int, str] = {}
    for entry in truth.log:
        shown = FLOOR.sees(entry.after)
        if shown is None:
            statuses.pop(entry.workstation_id, None)
        else:
            statuses[entry.workstation_id] = str(shown["status"]).lower()
        counts = Counter(statuses.values())
        yield {"total": len(statuses)} | {status: counts[status] for status in STATUSES}


def check(display: Display, truth: Committed) -> None:
    """Raises AssertionError unless the display was shown what was true, in the order in which it was, up to the end."""
    history = list(counted(truth))
    moments = iter(history)
    for number, counts in enumerate(display.counts):
        assert any(counts == true for true in moments), f"{number} of {len(display.shown)} was not true then: {counts}"
    assert display.counts[-1] == history[-1]
    assert all(now != before for before, now in zip(display.counts, display.counts[1:], strict=False)), "no news"


async def test_counts_are_those_of_the_log_in_order_and_at_most_four_a_second(
    start_server: StartServer, psql: Connection, database_url: str
) -> None:
    servers = [start_server(), start_server()]
    async with AsyncExitStack() as stack:
        displays = [await stack.enter_async_context(display(server)) for server in servers]
        writing = asyncio.create_task(work(database_url, BURST_SECONDS))
        began = time.monotonic()
        while not writing.done():
            displays.append(await stack.enter_async_context(display(servers[len(displays) % 2])))
            await asyncio.sleep(0.5)
        await writing
        await psql.execute("UPDATE workstations SET status = 'maintenance' WHERE id = $1", histories.MARKER)
        await asyncio.sleep(4 * EVERY_SECONDS)
        took = time.monotonic() - began
    truth = await committed(database_url)
    for one in displays:
        check(one, truth)
        assert len(one.shown) <= 2 + took / EVERY_SECONDS
    assert min(len(one.shown) for one in displays[:2]) > BURST_SECONDS, (
        "they were shown more than the beginning and end"
    )


async def test_counts_that_change_after_a_quiet_moment_are_shown_at_once_and_what_changes_none_is_not(
    start_server: StartServer, psql: Connection
) -> None:
    async with display(start_server()) as one:
        await psql.execute(
            "UPDATE workstations SET x_position = x_position + 1, notes = 'moved' WHERE floor_number = 3"
        )
        await asyncio.sleep(3 * EVERY_SECONDS)
        assert len(one.shown) == 1
        changed_at = time.monotonic()
        await psql.execute("UPDATE workstations SET status = 'occupied' WHERE id = 7")
        await one.until_shown(2, 5)
        assert one.shown[-1][1] - changed_at < 1
        assert one.counts == [
            {"total": 40, "available": 40, "occupied": 0, "maintenance": 0, "reserved": 0},
            {"total": 40, "available": 39, "occupied": 1, "maintenance": 0, "reserved": 0},
        ]
