"""A server that hears of no changes says so to all who follow: they would take its silence for quiet."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.acceptance.conftest import StartServer
from tests.acceptance.test_bad_subscriptions import FLOOR, FOLLOW, Socket, opened
from tests.acceptance.test_transports import by_events, by_poll, write
from tests.proxy import Proxy

TOLD_SECONDS = 15.0  # 5 s are promised, and 15 s for what comes after the line is back
FOLLOWED = {
    "workstationChanges": (
        'subscription { workstationChanges(filter: {building: "总部A座", floorNumber: 3}) { kind notice cursor } }'
    ),
    "floorStatus": 'subscription { floorStatus(building: "总部A座", number: 3) { notice stats { total } } }',
    "notifications": "subscription { notifications { kind notice cursor } }",
}


@pytest.fixture
def line(database_url: str) -> Iterator[Proxy]:
    with Proxy(database_url) as line:
        yield line


async def begun(socket: Socket) -> None:
    """Waits until each subscription has its first payload: what is still being read when the line falls is refused."""
    waiting = set(FOLLOWED)
    async with asyncio.timeout(TOLD_SECONDS):
        while waiting:
            waiting.discard((await socket.receive())["id"])


async def notices(socket: Socket, wanted: str) -> dict[str, Any]:
    """The first payload of each subscription that tells so."""
    told: dict[str, Any] = {}
    async with asyncio.timeout(TOLD_SECONDS):
        while len(told) < len(FOLLOWED):
            message = await socket.receive()
            if message["id"] in FOLLOWED:
                payload = message["payload"]["data"][message["id"]]
                told |= {message["id"]: payload} if payload["notice"] == wanted else {}
    return told


def changed(message: dict[str, Any]) -> bool:
    return message["id"] == "running" and bool(message["payload"]["data"]["workstationChanges"]["workstations"])


async def notice(feeds: AsyncIterator[dict[str, Any]]) -> tuple[str, str]:
    """The next one, with the kind of its payload."""
    async with asyncio.timeout(TOLD_SECONDS):
        async for feed in feeds:
            if feed["notice"] is not None:
                return feed["kind"], feed["notice"]
    raise AssertionError("the stream has ended")


@pytest.mark.usefixtures("office")
async def test_who_follows_is_told_that_the_feed_is_silent_and_that_it_is_heard_again(
    start_server: StartServer, database_url: str, line: Proxy
) -> None:
    server = start_server(DATABASE_URL=line.url)
    async with AsyncExitStack() as stack:
        socket = await stack.enter_async_context(opened(server))
        for name, document in FOLLOWED.items():
            await socket.send({"id": name, "type": "subscribe", "payload": {"query": document}})
        await begun(socket)
        events = await stack.enter_async_context(by_events(server, None))
        cursor = (await anext(events))["cursor"]
        polled = asyncio.create_task(by_poll(server, cursor, wait=10))

        line.silence()
        silent = await notices(socket, "FEED_SILENT")
        assert [feed.get("kind", "PROGRESS") for feed in silent.values()] == ["PROGRESS"] * 3
        assert await notice(events) == ("PROGRESS", "FEED_SILENT")
        assert (await polled)["notice"] == "FEED_SILENT"
        assert (await by_poll(server, cursor, wait=0))["notice"] == "FEED_SILENT", "who comes meanwhile is told too"
        late = await socket.ask(FOLLOW, {"filter": FLOOR, "after": silent["workstationChanges"]["cursor"]})
        assert late["payload"]["data"]["workstationChanges"]["kind"] == "CHANGES", "what is in memory needs no database"

        line.restore()
        await notices(socket, "FEED_HEARD")
        assert await notice(events) == ("PROGRESS", "FEED_HEARD")
        assert (await by_poll(server, cursor, wait=0))["notice"] is None
        await write(database_url, 1)
        async with asyncio.timeout(TOLD_SECONDS):
            while not changed(await socket.receive()):
                pass
