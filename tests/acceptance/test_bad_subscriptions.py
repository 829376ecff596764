"""What a client should not send on a socket: a typed error each, and the socket and what runs on it go on."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.acceptance.conftest import Server, StartServer
from tests.acceptance.test_transports import by_events, by_graphql_events, by_poll

FOLLOW = """subscription ($filter: WorkstationFilter, $after: Cursor, $snapshot: Boolean! = true) {
  workstationChanges(filter: $filter, after: $after, snapshot: $snapshot) {
    kind cursor notice workstations { id name }
  }
}"""
FLOOR = {"building": "总部A座", "floorNumber": 3}


class Socket:
    """A socket of its own with one subscription that must go on whatever else is sent."""

    def __init__(self, connection: ClientConnection, url: str) -> None:
        self.connection = connection
        self._url = url
        self._last = 0

    async def send(self, message: Mapping[str, Any]) -> None:
        await self.connection.send(orjson.dumps(message).decode())

    async def receive(self) -> dict[str, Any]:
        message: dict[str, Any] = orjson.loads(await self.connection.recv())
        return message

    async def ask(self, query: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The answer to an operation: an error, or the first of what it sends."""
        self._last += 1
        asked = {"query": query, "variables": variables or {}}
        await self.send({"id": f"asked {self._last}", "type": "subscribe", "payload": asked})
        while (message := await self.receive())["id"] != f"asked {self._last}":
            pass
        return message

    async def refused(self, query: str, variables: Mapping[str, Any] | None = None) -> tuple[str, str]:
        """The code of the error, and its message. Whatever runs on the socket goes on."""
        message = await self.ask(query, variables)
        assert message["type"] == "error", message
        (error,) = message["payload"]
        await self.goes_on()
        return error["extensions"]["code"], error["message"]

    async def goes_on(self) -> None:
        connection = await asyncpg.connect(self._url)
        await connection.execute("UPDATE workstations SET notes = coalesce(notes, '') || '+' WHERE name = 'A3-1'")
        await connection.close()
        while (message := await self.receive())["id"] != "running":
            pass
        assert [row["name"] for row in message["payload"]["data"]["workstationChanges"]["workstations"]] == ["A3-1"]


@asynccontextmanager
async def opened(server: Server, role: str = "admin") -> AsyncIterator[Socket]:
    async with connect(server.ws_url, subprotocols=["graphql-transport-ws"]) as connection:  # type: ignore[list-item]
        socket = Socket(connection, server.database_url)
        authorization = {"authorization": f"Bearer {server.token(role)}"}
        await socket.send({"type": "connection_init", "payload": authorization})
        assert (await socket.receive())["type"] == "connection_ack"
        payload = {"query": FOLLOW, "variables": {"filter": FLOOR}}
        await socket.send({"id": "running", "type": "subscribe", "payload": payload})
        assert (await socket.receive())["type"] == "next"
        yield socket


@pytest.mark.usefixtures("office")
async def test_a_cursor_that_is_no_cursor_or_of_somebody_else_is_a_typed_error(
    start_server: StartServer,
) -> None:
    server, stranger = start_server(), start_server(GRAPHQL_APP_SECRET="another secret, of thirty-two characters")
    theirs = (await by_poll(stranger, None))["cursor"]
    async with opened(server) as socket:
        for cursor in ("", "x", "工位", "AAAA" * 30, theirs, theirs[:-1]):
            code, message = await socket.refused(FOLLOW, {"filter": FLOOR, "after": cursor})
            assert code == "INVALID_INPUT"
            assert "Leave `after` out" in message
        assert (await socket.ask(FOLLOW, {"filter": FLOOR, "after": 5}))["type"] == "error"


async def test_a_filter_on_a_guarded_field_is_a_typed_error(shared_server: Server) -> None:
    async with opened(shared_server, "visitor") as socket:
        code, message = await socket.refused(FOLLOW, {"filter": FLOOR | {"xMin": 1}})
        assert code == "FORBIDDEN"
        assert "coordinates:read" in message


async def test_the_101st_operation_on_a_socket_is_a_typed_error(shared_server: Server) -> None:
    async with opened(shared_server) as socket:
        for _ in range(99):
            assert (await socket.ask(FOLLOW, {"filter": {"building": "Riverside"}}))["type"] == "next"
        assert (await socket.refused(FOLLOW, {"filter": FLOOR}))[0] == "TOO_MANY"
        await socket.send({"id": "asked 1", "type": "complete"})
        assert (await socket.ask(FOLLOW, {"filter": FLOOR}))["type"] == "next"


async def test_a_document_over_the_limit_is_a_typed_error_and_a_message_over_that_of_the_transport_a_1009(
    shared_server: Server,
) -> None:
    """RFC 6455, 7.4.1: who cannot even take a message in has nothing to answer but the close code."""
    async with opened(shared_server) as socket:
        long = FOLLOW + "#" * 64 * 1024
        code, message = await socket.refused(long, {"filter": FLOOR})
        assert code == "TOO_MANY"
        assert "bytes" in message
        await socket.send({"id": "2", "type": "subscribe", "payload": {"query": "#" * 129 * 1024}})
        await socket.connection.wait_closed()
        assert socket.connection.close_code == 1009


# --- nowhere ---------------------------------------------------------------------------------------------------------


async def test_who_follows_what_does_not_exist_follows_an_empty_floor_and_is_told(
    shared_server: Server,
) -> None:
    async with opened(shared_server) as socket:

        async def notice(**variables: Any) -> tuple[str, str | None]:
            feed = (await socket.ask(FOLLOW, variables))["payload"]["data"]["workstationChanges"]
            assert feed["workstations"] == []
            return feed["kind"], feed["notice"]

        nowhere = {"building": "总部A座", "floorNumber": 99}
        assert await notice(filter=nowhere) == ("SNAPSHOT", "NO_SUCH_FLOOR")
        assert await notice(filter=nowhere, snapshot=False) == ("CHANGES", "NO_SUCH_FLOOR")
        assert await notice(filter={"building": "总部Z座", "floorNumber": 3}) == ("SNAPSHOT", "NO_SUCH_BUILDING")
        assert await notice(filter={"building": "总部Z座"}) == ("SNAPSHOT", "NO_SUCH_BUILDING")
        assert await notice(filter={"building": "总部A座", "floorNumber": 4}) == ("SNAPSHOT", None), "only empty"
        status = 'subscription { floorStatus(building: "总部A座", number: %d) { notice stats { total } } }'
        for floor, told in ((99, "NO_SUCH_FLOOR"), (4, None)):
            answer = (await socket.ask(status % floor))["payload"]["data"]["floorStatus"]
            assert answer == {"notice": told, "stats": {"total": 0}}
        await socket.goes_on()


async def test_a_floor_that_did_not_exist_is_followed_from_its_first_workstation_on(
    shared_server: Server,
) -> None:
    async with opened(shared_server) as socket:
        await socket.ask(FOLLOW, {"filter": {"building": "Riverside", "floorNumber": 7}})
        connection = await asyncpg.connect(shared_server.database_url)
        await connection.execute("INSERT INTO floors (building, number, name) VALUES ('Riverside', 7, '')")
        await connection.execute(
            "INSERT INTO workstations (name, x_position, y_position, building, floor_number)"
            " VALUES ('R7-1', 0, 0, 'Riverside', 7)"
        )
        await connection.close()
        feed = (await socket.receive())["payload"]["data"]["workstationChanges"]
        assert [row["name"] for row in feed["workstations"]] == ["R7-1"]
        assert feed["notice"] is None


async def test_every_transport_tells_of_a_floor_that_does_not_exist(shared_server: Server) -> None:
    place: dict[str, str | int] = {"building": "总部A座", "floor": 99}
    nowhere = 'WorkstationFilter = {building: "总部A座", floorNumber: 99}'
    document = FOLLOW.replace("WorkstationFilter", nowhere, 1)
    assert (await by_poll(shared_server, None, place=place))["notice"] == "NO_SUCH_FLOOR"
    async with by_events(shared_server, None, place=place) as feeds:
        assert (await anext(feeds))["notice"] == "NO_SUCH_FLOOR"
    async with by_graphql_events(shared_server, None, document=document) as feeds:
        assert (await anext(feeds))["notice"] == "NO_SUCH_FLOOR"
