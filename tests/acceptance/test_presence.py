"""Presence over server processes and transports: a killed process leaves no ghosts, and Redis may come and go."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg
import httpx
import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from graphql_app.embedded import Valkey
from tests import histories
from tests.acceptance.conftest import Server, StartServer

GHOST_SECONDS = 6
SETTINGS = {
    "GRAPHQL_APP_PRESENCE_GHOST_SECONDS": str(GHOST_SECONDS),
    "GRAPHQL_APP_PRESENCE_LINGER_SECONDS": "0.3",
}
PRESENCE = """subscription { presence(building: "总部A座", floor: 3) {
    building floorNumber count partial people { name employeeNumber } } }"""
STATUS = 'subscription { floorStatus(building: "总部A座", number: 3) { number } }'
CHANGES = 'subscription { workstationChanges(filter: {building: "总部A座", floorNumber: 3}) { kind } }'
ELSEWHERE = 'subscription { workstationChanges(filter: {building: "总部A座"}) { kind } }'


@pytest.fixture(autouse=True)
async def office(database_url: str) -> None:
    await histories.furnish(database_url)


@asynccontextmanager
async def following(server: Server, subject: str, query: str, role: str = "visitor") -> AsyncIterator[ClientConnection]:
    """Somebody who follows something, from its first payload on."""
    token = server.identify.issue(subject, [role], seconds=600)
    async with connect(
        server.ws_url,
        subprotocols=["graphql-transport-ws"],  # type: ignore[list-item]  # a NewType of str
        compression=None,
        close_timeout=0.2,
    ) as socket:
        await say(socket, {"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}})
        assert orjson.loads(await socket.recv()) == {"type": "connection_ack"}
        await say(socket, {"id": "1", "type": "subscribe", "payload": {"query": query}})
        yield socket


async def say(socket: ClientConnection, message: Any) -> None:
    await socket.send(orjson.dumps(message).decode())


async def until(socket: ClientConnection, holds: Callable[[Any], bool], seconds: float = 10) -> Any:
    """The next presence of which it holds."""
    async with asyncio.timeout(seconds):
        while True:
            message = orjson.loads(await socket.recv())
            shown = message["payload"]["data"]["presence"]
            if holds(shown):
                return shown


async def test_a_killed_process_leaves_no_ghosts_beyond_the_bound(start_server: StartServer) -> None:
    one, other = start_server(**SETTINGS), start_server(**SETTINGS)
    async with AsyncExitStack() as stack:
        watching = await stack.enter_async_context(following(other, "watcher", PRESENCE))
        for number, query in enumerate((STATUS, CHANGES, PRESENCE)):
            await stack.enter_async_context(following(one, f"somebody {number}", query))
        await stack.enter_async_context(following(one, "somebody 0", CHANGES))
        await until(watching, lambda shown: shown["count"] == 4 and not shown["partial"])

        one.kill()
        killed_at = time.monotonic()
        shown = await until(watching, lambda shown: shown["count"] == 1, GHOST_SECONDS + 5)

        assert time.monotonic() - killed_at < GHOST_SECONDS
        assert not shown["partial"]
        async with following(other, "somebody 0", STATUS):
            await until(watching, lambda shown: shown["count"] == 2)


async def test_a_process_that_is_told_to_stop_takes_its_people_with_it(start_server: StartServer) -> None:
    one, other = start_server(**SETTINGS), start_server(**SETTINGS)
    async with following(other, "watcher", PRESENCE) as watching:
        try:
            async with following(one, "somebody", STATUS):
                await until(watching, lambda shown: shown["count"] == 2)
                stopping = asyncio.create_task(asyncio.to_thread(one.stop))
                await until(watching, lambda shown: shown["count"] == 1)
                await stopping
        except ConnectionClosed:
            pass


async def test_whatever_the_transport_who_follows_a_floor_is_there_and_who_leaves_is_not(
    start_server: StartServer,
) -> None:
    one, other = start_server(**SETTINGS), start_server(**SETTINGS)
    events = {"Accept": "text/event-stream"}

    def as_(subject: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {one.identify.issue(subject, ['visitor'], seconds=600)}"}

    at = {"building": "总部A座", "floor": "3"}
    async with (
        following(other, "watcher", PRESENCE) as watching,
        httpx.AsyncClient(base_url=one.url, timeout=10) as http,
    ):
        await until(watching, lambda shown: shown["count"] == 1)
        ways: dict[str, Callable[[], Any]] = {
            "WebSocket": lambda: following(one, "a", CHANGES),
            "GraphQL over SSE": lambda: http.stream(
                "POST", "/graphql", json={"query": STATUS}, headers=as_("b") | events
            ),
            "changes over SSE": lambda: http.stream("GET", "/api/changes", params=at, headers=as_("c") | events),
        }
        for way, follow in ways.items():
            async with follow() as followed:
                if isinstance(followed, httpx.Response):
                    await anext(followed.aiter_raw())
                await until(watching, lambda shown: shown["count"] == 2), way
            await until(watching, lambda shown: shown["count"] == 1)

        cursor = (await http.get("/api/changes", params=at, headers=as_("d"))).json()["cursor"]
        for _ in range(3):  # one after the other: whoever polls is there all the time
            polling = await http.get("/api/changes", params={**at, "after": cursor, "wait": "1"}, headers=as_("d"))
            cursor = polling.json()["cursor"]
        await until(watching, lambda shown: shown["count"] == 2)
        shown = await until(watching, lambda shown: True)
        assert shown["count"] == 1, "and in between they were not gone for a moment"

        async with following(one, "e", ELSEWHERE), following(one, "f", STATUS):
            await until(watching, lambda shown: shown["count"] == 2)


async def test_names_are_told_to_who_may_see_them_through_the_token_s_employee(
    start_server: StartServer, database_url: str
) -> None:
    one, other = start_server(**SETTINGS), start_server(**SETTINGS)
    connection = await asyncpg.connect(database_url)
    row = await connection.fetchrow("SELECT public_key, name, employee_number FROM employees WHERE id = 7")
    await connection.close()
    assert row is not None
    token = one.identify.issue(
        "seven", ["employee"], seconds=600, employee_key=row["public_key"], employee_number=row["employee_number"]
    )
    async with (
        following(other, "hr", PRESENCE, "hr") as names,
        following(other, "visitor", PRESENCE) as counts,
        httpx.AsyncClient(base_url=one.url, headers={"Authorization": f"Bearer {token}"}) as http,
        http.stream("POST", "/graphql", json={"query": STATUS}, headers={"Accept": "text/event-stream"}) as response,
    ):
        await anext(response.aiter_raw())
        shown = await until(names, lambda shown: shown["count"] == 3)
        hidden = await until(counts, lambda shown: shown["count"] == 3)

    assert shown["people"] == [{"name": row["name"], "employeeNumber": row["employee_number"]}]
    assert hidden["people"] is None


async def test_redis_away_is_said_changes_go_on_and_all_are_back_when_it_is(
    start_server: StartServer, valkey: Valkey, database_url: str
) -> None:
    settings = {**SETTINGS, "REDIS_URL": valkey.url, "GRAPHQL_APP_PRESENCE_GHOST_SECONDS": "30"}
    one, other = start_server(**settings), start_server(**settings)
    async with AsyncExitStack() as stack:
        watching = await stack.enter_async_context(following(other, "watcher", PRESENCE))
        changes = await stack.enter_async_context(following(one, "somebody", CHANGES))
        await changes.recv()
        await until(watching, lambda shown: shown["count"] == 2 and not shown["partial"])

        await asyncio.to_thread(valkey.stop)
        shown = await until(watching, lambda shown: shown["partial"])
        assert shown["count"] == 2, "they were there when they were heard of last"
        await stack.enter_async_context(following(other, "newcomer", STATUS))
        await until(watching, lambda shown: shown["count"] == 3 and shown["partial"])
        connection = await asyncpg.connect(database_url)
        await connection.execute("UPDATE workstations SET notes = 'still live' WHERE id = 5")
        await connection.close()
        async with asyncio.timeout(2):
            assert b"CHANGES" in orjson.dumps(orjson.loads(await changes.recv()))

        await asyncio.to_thread(valkey.start)
        await until(watching, lambda shown: shown["count"] == 3 and not shown["partial"])
        await stack.enter_async_context(following(one, "another", STATUS))
        await until(watching, lambda shown: shown["count"] == 4)
