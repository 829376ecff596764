"""The Python client `gql`, and bare WebSockets: what other people's programs see, to the last close code."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import asyncpg
import pytest
from gql import Client, GraphQLRequest, gql
from gql.client import AsyncClientSession, ReconnectingAsyncClientSession
from gql.transport.exceptions import TransportQueryError
from gql.transport.httpx import HTTPXAsyncTransport
from gql.transport.websockets import WebsocketsTransport
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.acceptance.conftest import Server, StartServer

Sql: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Session: TypeAlias = AsyncClientSession | ReconnectingAsyncClientSession

TRANSPORT_WS = Subprotocol("graphql-transport-ws")
WAIT_SECONDS = 10

FLOOR = {"building": "总部A座", "floorNumber": 3}
FOLLOW = """
subscription ($filter: WorkstationFilter) {
  workstationChanges(filter: $filter) { kind cursor workstations { id name status notes } removed }
}
"""
STATUS = """
mutation ($id: ID!, $status: WorkstationStatus!) {
  setWorkstationStatus(id: $id, status: $status) {
    __typename
    ... on WorkstationChanged { workstation { name status } }
    ... on Refusal { code message }
  }
}
"""


@pytest.fixture
async def sql(shared_server: Server) -> AsyncIterator[Sql]:
    """What another program does to the database, past the server."""
    connection = await asyncpg.connect(shared_server.database_url)
    yield connection
    await connection.close()


@asynccontextmanager
async def over_http(server: Server, role: str = "admin") -> AsyncIterator[Session]:
    transport = HTTPXAsyncTransport(f"{server.url}/graphql", headers=server.headers(role))
    async with Client(transport=transport, fetch_schema_from_transport=True) as session:
        yield session


@asynccontextmanager
async def over_a_socket(server: Server, role: str = "admin") -> AsyncIterator[Session]:
    transport = WebsocketsTransport(
        server.ws_url,
        init_payload={"authorization": f"Bearer {server.token(role)}"},
        subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
    )
    async with Client(transport=transport) as session:
        yield session


@asynccontextmanager
async def following(session: Session) -> AsyncIterator[AsyncGenerator[dict[str, Any], None]]:
    feed = session.subscribe(GraphQLRequest(FOLLOW, variable_values={"filter": FLOOR}))
    try:
        yield feed
    finally:
        await feed.aclose()


def set_status(id: str, status: str) -> GraphQLRequest:
    return GraphQLRequest(STATUS, variable_values={"id": id, "status": status})


async def heard(feed: AsyncGenerator[dict[str, Any], None]) -> dict[str, Any]:
    async with asyncio.timeout(WAIT_SECONDS):
        changes: dict[str, Any] = (await anext(feed))["workstationChanges"]
    return changes


async def test_gql_reads_the_schema_and_queries_over_http(shared_server: Server) -> None:
    async with over_http(shared_server) as session:
        query = gql('{ floor(building: "总部A座", number: 3) { name stats { total available } } }')
        answer = await session.execute(query)
    assert answer == {"floor": {"name": "三楼", "stats": {"total": 100, "available": 100}}}


async def test_gql_is_given_the_snapshot_and_then_what_sql_does(shared_server: Server, sql: Sql) -> None:
    async with over_a_socket(shared_server) as session, following(session) as feed:
        snapshot = await heard(feed)
        assert (snapshot["kind"], len(snapshot["workstations"])) == ("SNAPSHOT", 100)
        await sql.execute("UPDATE workstations SET notes = 'by hand' WHERE name = 'A3-42'")
        change = await heard(feed)
    assert change["kind"] == "CHANGES"
    assert [(w["name"], w["notes"]) for w in change["workstations"]] == [("A3-42", "by hand")]


async def test_a_mutation_over_http_is_seen_by_a_subscriber_on_a_socket(shared_server: Server) -> None:
    async with (
        over_a_socket(shared_server, "visitor") as session,
        following(session) as feed,
        over_http(shared_server) as writer,
    ):
        chosen = (await heard(feed))["workstations"][0]
        answer = await writer.execute(set_status(chosen["id"], "RESERVED"))
        assert answer["setWorkstationStatus"]["__typename"] == "WorkstationChanged"
        change = await heard(feed)
        await writer.execute(set_status(chosen["id"], "AVAILABLE"))
    assert change["workstations"] == [{**chosen, "status": "RESERVED"}]


async def test_a_refused_mutation_over_a_socket_is_a_value_not_an_error(shared_server: Server) -> None:
    async with over_a_socket(shared_server, "visitor") as session, following(session) as feed:
        chosen = (await heard(feed))["workstations"][0]
        answer = await session.execute(set_status(chosen["id"], "RESERVED"))
    assert answer["setWorkstationStatus"]["code"] == "FORBIDDEN"


async def test_a_document_that_does_not_fit_the_schema_is_an_error_of_its_operation_alone(
    shared_server: Server,
) -> None:
    async with over_a_socket(shared_server) as session:
        with pytest.raises(TransportQueryError, match="Cannot query field 'nonsense'"):
            await session.execute(gql("{ nonsense }"))
        assert await session.execute(gql("{ me { roles } }")) == {"me": {"roles": ["admin"]}}


class Raw:
    """A WebSocket on which tests say what no client would."""

    def __init__(self, socket: ClientConnection, server: Server) -> None:
        self._socket = socket
        self._server = server

    async def say(self, message: str | bytes | dict[str, Any]) -> None:
        await self._socket.send(json.dumps(message) if isinstance(message, dict) else message)

    async def init(self, token: str | None = None) -> None:
        token = token or self._server.token("admin")
        await self.say({"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}})

    async def subscribe(self, id: str = "mine", query: str = FOLLOW) -> None:
        await self.say({"id": id, "type": "subscribe", "payload": {"query": query}})

    async def hear(self) -> dict[str, Any]:
        async with asyncio.timeout(WAIT_SECONDS):
            message: dict[str, Any] = json.loads(await self._socket.recv())
        return message

    async def closed(self) -> tuple[int | None, str | None]:
        """The code and the reason with which the server closes, whatever it says before. 1006: it just hung up."""
        async with asyncio.timeout(WAIT_SECONDS):
            await self._socket.wait_closed()
        return self._socket.close_code, self._socket.close_reason


@asynccontextmanager
async def raw(server: Server, subprotocol: str = TRANSPORT_WS) -> AsyncIterator[Raw]:
    async with connect(server.ws_url, subprotocols=[Subprotocol(subprotocol)]) as socket:
        yield Raw(socket, server)


async def acknowledged(socket: Raw) -> None:
    await socket.init()
    assert await socket.hear() == {"type": "connection_ack"}


Breach = tuple[list[str | bytes | dict[str, Any]], tuple[int, str]]


def breaches(server: Server) -> dict[str, Breach]:
    """What a client may do wrong: all that it sends, and how it is closed for it (PROTOCOL.md of graphql-ws)."""

    def init(token: str) -> dict[str, Any]:
        return {"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}}

    def subscribe(**said: Any) -> dict[str, Any]:
        return {"id": "mine", "type": "subscribe", "payload": {"query": FOLLOW}, **said}

    begin = init(server.token("admin"))
    not_an_object = (4400, "A message must be a JSON object with a `type`")
    no_query = (4400, "`subscribe` needs a `payload` with a `query`")
    not_valid = (4403, "The token is not valid here.")
    how_to = "Send a token: `Authorization: Bearer …` (make one with `graphql-app token --role ROLE`)."
    return {
        "no JSON": ([begin, "no JSON"], not_an_object),
        "a list": ([begin, "[]"], not_an_object),
        "no type": ([begin, "{}"], not_an_object),
        "a type that is no text": ([begin, {"type": 1}], not_an_object),
        "an unknown type": ([begin, {"type": "start"}], (4400, "Unknown message type 'start'")),
        "binary": ([begin, b'{"type":"ping"}'], (4400, "Messages must be text, not binary")),
        "no id": ([begin, subscribe(id="")], (4400, "`subscribe` needs an `id`, a text that is not empty")),
        "no payload": ([begin, subscribe(payload=None)], no_query),
        "no query": ([begin, subscribe(payload={})], no_query),
        "variables in a list": (
            [begin, subscribe(payload={"query": FOLLOW, "variables": []})],
            (4400, "`variables` must be an object"),
        ),
        "complete without id": (
            [begin, {"type": "complete"}],
            (4400, "`complete` needs an `id`, a text that is not empty"),
        ),
        "subscribe before init": ([subscribe()], (4401, "Unauthorized")),
        "no token": ([{"type": "connection_init"}], (4403, how_to)),
        "nonsense as token": ([init("nonsense")], (4403, "This is not a token: send a signed JWT.")),
        "another's signature": ([init(server.token("admin")[:-8] + "AAAAAAAA")], not_valid),
        "a token of yesterday": (
            [init(server.token("admin", seconds=-86400))],
            (4403, "The token has expired; get a new one."),
        ),
        "an id in use": ([begin, subscribe(), subscribe()], (4409, "Subscriber for mine already exists")),
        "a second init": ([begin, begin], (4429, "Too many initialisation requests")),
    }


async def test_every_breach_of_the_protocol_closes_the_socket_with_its_own_code(shared_server: Server) -> None:
    closed = {}
    for breach, (messages, _) in breaches(shared_server).items():
        async with raw(shared_server) as socket:
            for message in messages:
                await socket.say(message)
            closed[breach] = await socket.closed()
    assert closed == {breach: expected for breach, (_, expected) in breaches(shared_server).items()}


async def test_the_subprotocol_of_former_days_is_closed_with_4406(shared_server: Server) -> None:
    async with raw(shared_server, "graphql-ws") as socket:
        assert await socket.closed() == (4406, "Subprotocol not acceptable")


async def test_a_connection_that_is_not_initialised_in_time_is_closed_with_4408(start_server: StartServer) -> None:
    server = start_server(GRAPHQL_APP_CONNECTION_INIT_SECONDS="0.5")
    async with raw(server) as socket:
        assert await socket.closed() == (4408, "Connection initialisation timeout")


async def test_an_id_is_free_again_once_it_is_completed(shared_server: Server) -> None:
    async with raw(shared_server) as socket:
        await acknowledged(socket)
        for _ in range(2):
            await socket.subscribe()
            assert (await socket.hear())["type"] == "next"
            await socket.say({"id": "mine", "type": "complete"})


async def test_a_socket_carries_as_many_operations_as_it_may_and_refuses_only_those_above(
    shared_server: Server,
) -> None:
    async with raw(shared_server) as socket:
        await acknowledged(socket)
        for number in range(103):
            await socket.subscribe(str(number))
        told = [await socket.hear() for _ in range(103)]
    assert sorted(message["id"] for message in told if message["type"] == "error") == ["100", "101", "102"]


async def test_two_documents_that_differ_only_in_a_default_are_each_answered_by_their_own(
    shared_server: Server,
) -> None:
    document = "subscription ($is: Boolean! = %s) { workstationChanges { kind removed @include(if: $is) } }"
    async with raw(shared_server) as socket:
        await acknowledged(socket)
        answers = {}
        for default in ("true", "false"):
            await socket.subscribe(default, document % default)
            answers[default] = (await socket.hear())["payload"]["data"]["workstationChanges"]
    assert answers == {"true": {"kind": "SNAPSHOT", "removed": []}, "false": {"kind": "SNAPSHOT"}}


async def test_a_token_in_the_header_of_the_upgrade_serves_as_well(shared_server: Server) -> None:
    async with connect(
        shared_server.ws_url, subprotocols=[TRANSPORT_WS], additional_headers=shared_server.headers("visitor")
    ) as plain:
        socket = Raw(plain, shared_server)
        await socket.say({"type": "connection_init"})
        assert await socket.hear() == {"type": "connection_ack"}


async def test_a_ping_is_answered_with_its_payload_even_before_the_acknowledgement(shared_server: Server) -> None:
    async with raw(shared_server) as socket:
        await socket.say({"type": "ping", "payload": {"sent": 1}})
        assert await socket.hear() == {"type": "pong", "payload": {"sent": 1}}


async def test_a_token_that_expires_on_an_open_socket_closes_it_with_4401(shared_server: Server) -> None:
    async with raw(shared_server) as socket:
        await socket.init(shared_server.token("admin", seconds=2))
        assert await socket.hear() == {"type": "connection_ack"}
        await socket.subscribe()
        assert (await socket.hear())["type"] == "next"
        assert await socket.closed() == (4401, "The token has expired")
