"""One cursor on every transport: WebSocket, long-poll, server-sent events."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg
import httpx
import pytest
from websockets.asyncio.client import connect

from tests.acceptance.conftest import Server, StartServer

CHANGES = """subscription ($after: Cursor) {
  workstationChanges(filter: {building: "总部A座", floorNumber: 3}, after: $after) {
    kind cursor removed merged complete reason workstations { id name version notes }
  }
}"""
KEPT_ALIVE_SECONDS = 14.0  # a comment comes after 12
PLACE: dict[str, str | int] = {"building": "总部A座", "floor": 3}


class Map:
    """A client's floor map, and every version that it was told of."""

    def __init__(self) -> None:
        self.cursor: str | None = None
        self.rows: dict[str, dict[str, Any]] = {}
        self.versions: list[tuple[str, int]] = []
        self.kinds: list[str] = []

    def take(self, feed: dict[str, Any]) -> None:
        self.kinds.append(feed["kind"])
        for row in feed["workstations"]:
            assert feed["kind"] == "SNAPSHOT" or row["version"] > self.rows[row["id"]]["version"], (
                "twice, or out of order"
            )
            self.rows[row["id"]] = row
            self.versions.append((row["id"], row["version"]))
        self.cursor = feed["cursor"]


@asynccontextmanager
async def by_socket(
    server: Server, after: str | None, role: str = "admin"
) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    async with connect(server.ws_url, subprotocols=["graphql-transport-ws"]) as socket:  # type: ignore[list-item]
        await socket.send(
            json.dumps({"type": "connection_init", "payload": {"authorization": f"Bearer {server.token(role)}"}})
        )
        assert json.loads(await socket.recv())["type"] == "connection_ack"
        payload = {"query": CHANGES, "variables": {"after": after}}
        await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))

        async def feeds() -> AsyncIterator[dict[str, Any]]:
            async for text in socket:
                message = json.loads(text)
                assert message["type"] == "next", message
                yield message["payload"]["data"]["workstationChanges"]

        yield feeds()


@asynccontextmanager
async def by_events(
    server: Server, after: str | None, place: dict[str, str | int] = PLACE
) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    headers = server.headers() | {"Accept": "text/event-stream"} | ({"Last-Event-ID": after} if after else {})
    async with (
        httpx.AsyncClient(timeout=20) as client,
        client.stream("GET", f"{server.url}/api/changes", params=place, headers=headers) as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")

        async def feeds() -> AsyncIterator[dict[str, Any]]:
            async for line in answer.aiter_lines():
                if line.startswith("data: "):
                    yield json.loads(line.removeprefix("data: "))

        yield feeds()


@asynccontextmanager
async def by_graphql_events(
    server: Server, after: str | None, document: str = CHANGES
) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """GraphQL over server-sent events, the way a browser's EventSource comes back."""
    headers = server.headers() | {"Accept": "text/event-stream"} | ({"Last-Event-ID": after} if after else {})
    async with (
        httpx.AsyncClient(timeout=20) as client,
        client.stream("POST", f"{server.url}/graphql", json={"query": document}, headers=headers) as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream"), await answer.aread()

        async def feeds() -> AsyncIterator[dict[str, Any]]:
            identity = ""
            async for line in answer.aiter_lines():
                if line.startswith("id: "):
                    identity = line.removeprefix("id: ")
                if line.startswith("data: "):
                    feed = json.loads(line.removeprefix("data: "))["data"]["workstationChanges"]
                    assert identity == feed["cursor"]
                    yield feed

        yield feeds()


async def by_poll(
    server: Server, after: str | None, wait: float = 5, place: dict[str, str | int] = PLACE
) -> dict[str, Any]:
    params: dict[str, Any] = {**place, "wait": wait} | ({"after": after} if after else {})
    async with httpx.AsyncClient(timeout=30) as client:
        answer = await client.get(f"{server.url}/api/changes", params=params, headers=server.headers())
    assert answer.status_code == 200, answer.text
    feed: dict[str, Any] = answer.json()
    return feed


async def write(url: str, changes: int) -> None:
    """So many single-row commits, over 20 workstations of the floor."""
    connection = await asyncpg.connect(url)
    for i in range(changes):
        await connection.execute("UPDATE workstations SET notes = $1 WHERE name = $2", str(i), f"A3-{1 + i % 20}")
        await asyncio.sleep(0.002)
    await connection.close()


async def truth(url: str) -> dict[str, tuple[int, str | None]]:
    connection = await asyncpg.connect(url)
    rows = await connection.fetch("SELECT name, version, notes FROM workstations WHERE building = '总部A座'")
    await connection.close()
    return {row["name"]: (row["version"], row["notes"]) for row in rows}


@pytest.mark.usefixtures("office")
async def test_a_client_that_changes_its_transport_in_a_burst_loses_nothing(
    start_server: StartServer, database_url: str
) -> None:
    server = start_server(GRAPHQL_APP_BATCH_WINDOW_MS="20")
    seen = Map()
    async with by_socket(server, None) as feeds:
        seen.take(await anext(feeds))
        writing = asyncio.create_task(write(database_url, 600))
        for _ in range(5):
            seen.take(await anext(feeds))
    for _ in range(5):
        seen.take(await by_poll(server, seen.cursor))
    async with by_events(server, seen.cursor) as feeds:
        for _ in range(5):
            seen.take(await anext(feeds))
    async with by_graphql_events(server, seen.cursor) as feeds:
        for _ in range(5):
            seen.take(await anext(feeds))
    async with by_socket(server, seen.cursor) as feeds:
        async with asyncio.timeout(30):
            while not writing.done() or {row["name"]: row["version"] for row in seen.rows.values()} != {
                name: version for name, (version, _) in (await truth(database_url)).items()
            }:
                seen.take(await anext(feeds))
    assert {row["name"]: (row["version"], row["notes"]) for row in seen.rows.values()} == await truth(database_url)
    assert len(seen.versions) == len(set(seen.versions)), "nothing twice"
    assert set(seen.kinds[1:]) <= {"CHANGES", "PROGRESS"}


async def test_a_long_poll_without_news_answers_empty_with_a_cursor_that_goes_on(shared_server: Server) -> None:
    first = await by_poll(shared_server, None)
    assert (first["kind"], len(first["workstations"])) == ("SNAPSHOT", 100)
    second = await by_poll(shared_server, first["cursor"], wait=0.2)
    assert (second["kind"], second["workstations"], second["removed"]) == ("CHANGES", [], [])
    waiting = asyncio.create_task(by_poll(shared_server, second["cursor"], wait=20))
    await asyncio.sleep(0.3)
    await write(shared_server.database_url, 1)
    news = await asyncio.wait_for(waiting, 3)
    assert [row["name"] for row in news["workstations"]] == ["A3-1"]


async def test_a_cursor_of_another_role_gets_a_resync_on_every_transport(shared_server: Server) -> None:
    async with by_socket(shared_server, None, role="visitor") as feeds:
        cursor = (await anext(feeds))["cursor"]
    assert (await by_poll(shared_server, cursor))["kind"] == "RESYNC"
    async with by_events(shared_server, cursor) as feeds:
        assert (await anext(feeds))["kind"] == "RESYNC"
    async with by_socket(shared_server, cursor) as feeds:
        resync = await anext(feeds)
        assert (resync["kind"], len(resync["workstations"])) == ("RESYNC", 100)


async def test_a_query_is_one_event_for_who_takes_nothing_else(shared_server: Server) -> None:
    headers = shared_server.headers() | {"Accept": "text/event-stream"}
    async with httpx.AsyncClient() as client:
        answer = await client.post(
            f"{shared_server.url}/graphql", json={"query": "{ me { subject } }"}, headers=headers
        )
    assert answer.text == 'event: next\ndata: {"data":{"me":{"subject":"admin"}}}\n\nevent: complete\ndata:\n\n'


async def test_a_mistake_in_a_subscription_is_an_error_before_the_stream_begins(shared_server: Server) -> None:
    headers = shared_server.headers() | {"Accept": "text/event-stream"}
    async with httpx.AsyncClient() as client:
        wrong = await client.post(
            f"{shared_server.url}/graphql", json={"query": "subscription { nothing }"}, headers=headers
        )
        plain = await client.post(
            f"{shared_server.url}/graphql", json={"query": CHANGES}, headers=shared_server.headers()
        )
    assert (wrong.status_code, wrong.headers["content-type"]) == (400, "application/json; charset=utf-8")
    assert plain.status_code == 406
    assert "text/event-stream" in plain.json()["errors"][0]["message"]


@pytest.mark.conformance
@pytest.mark.usefixtures("office")
async def test_an_event_stream_on_which_nothing_happens_is_kept_alive_by_comments(server: Server) -> None:
    headers = server.headers() | {"Accept": "text/event-stream"}
    heard = {"/api/changes": b"", "/graphql": b""}

    async def listen(client: httpx.AsyncClient, method: str, path: str, **asked: Any) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(KEPT_ALIVE_SECONDS), client.stream(method, path, **asked) as answer:
                async for part in answer.aiter_raw():
                    heard[path] += part

    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=20) as client:
        await asyncio.gather(
            listen(client, "GET", "/api/changes", params=PLACE),
            listen(client, "POST", "/graphql", json={"query": CHANGES}),
        )
    for text in heard.values():
        first, *later = text.removesuffix(b"\n\n").split(b"\n\n")
        assert b"SNAPSHOT" in first
        assert b":" in later, "a comment, which a client passes over"
