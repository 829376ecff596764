"""graphql-transport-ws, sentence by sentence of its PROTOCOL.md, in dialogues with a real server."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.acceptance.conftest import Server, StartServer

OURS = Subprotocol("graphql-transport-ws")
WAIT_SECONDS = 10


@dataclass(frozen=True)
class Say:
    """What the client sends: a text as it is, bytes as a binary message, all else as JSON."""

    message: Any


@dataclass(frozen=True)
class Init:
    """connection_init with a token of this role, and of this many seconds."""

    role: str = "admin"
    seconds: float = 600


@dataclass(frozen=True)
class Hear:
    """The next message of the server has at least this."""

    message: dict[str, Any]


@dataclass(frozen=True)
class Quiet:
    """The server says nothing of what it was asked before: the answer to a ping comes next."""


@dataclass(frozen=True)
class Closed:
    """The server closes with this, without another message before it."""

    code: int
    reason: str | None = None


Dialogue: TypeAlias = tuple[Say | Init | Hear | Quiet | Closed, ...]

ME = {"query": "{ me { subject } }"}


def slow(name: str) -> dict[str, str]:
    """A query that takes its time, once: by the same name its answer may be kept."""
    return {
        "query": "{ "
        + " ".join(f"{name}{n}: workstations(first: 500) {{ nodes {{ id name }} }}" for n in range(40))
        + " }"
    }


FOLLOW = {"query": 'subscription { workstationChanges(filter: { building: "总部A座" }) { kind } }'}
ACK = Hear({"type": "connection_ack"})
BEGIN = (Init(), ACK)


def subscribe(id: object, payload: object = ME, **more: object) -> Say:
    return Say({"id": id, "type": "subscribe", "payload": payload, **more})


def complete(id: object) -> Say:
    return Say({"id": id, "type": "complete"})


def heard(id: str, type: str, **more: Any) -> Hear:
    return Hear({"id": id, "type": type, **more})


ANSWER = {"data": {"me": {"subject": "admin"}}}

OBLIGATIONS: dict[str, Dialogue] = {
    # --- ConnectionInit and ConnectionAck
    "ConnectionAck acknowledges a connection": (Init(), ACK),
    "ConnectionInit: its payload may be null, and is rejected here for want of a token": (
        Say({"type": "connection_init", "payload": None}), Closed(4403)),
    "ConnectionInit: its payload may be left out": (Say({"type": "connection_init"}), Closed(4403)),
    "ConnectionInit: its payload is an object": (
        Say({"type": "connection_init", "payload": "token"}), Closed(4400)),
    "more than one ConnectionInit closes with 4429": (
        *BEGIN, Init(), Closed(4429, "Too many initialisation requests")),
    "more than one ConnectionInit, at once": (Init(), Init(), ACK, Closed(4429)),
    "a connection is rejected with 4403": (
        Say({"type": "connection_init", "payload": {"authorization": "Bearer x"}}), Closed(4403)),
    "a token that has expired is rejected with 4403": (Init(seconds=-10), Closed(4403)),
    # --- Ping and Pong
    "Ping is answered at any time, before ConnectionInit too": (Say({"type": "ping"}), Hear({"type": "pong"})),
    "Pong carries the payload of its Ping": (
        *BEGIN, Say({"type": "ping", "payload": {"工": [1, {"a": None}]}}),
        Hear({"type": "pong", "payload": {"工": [1, {"a": None}]}})),
    "Ping: its payload may be null": (
        Say({"type": "ping", "payload": None}), Hear({"type": "pong", "payload": None})),
    "Ping: its payload is an object": (Say({"type": "ping", "payload": "text"}), Closed(4400)),
    "Pong may be sent unsolicited": (Say({"type": "pong"}), *BEGIN, Say({"type": "pong", "payload": {}}), Quiet()),
    "Pong: its payload is an object": (Say({"type": "pong", "payload": [1]}), Closed(4400)),
    # --- Subscribe
    "executing before the acknowledgement closes with 4401": (subscribe("1"), Closed(4401, "Unauthorized")),
    "a message of the wrong shape is one before the acknowledgement too": (subscribe("1", {}), Closed(4400)),
    "an id of an active operation closes with 4409": (
        *BEGIN, subscribe("1", FOLLOW), heard("1", "next"), subscribe("1"),
        Closed(4409, "Subscriber for 1 already exists")),
    "an id of an active operation closes with 4409, regardless of the operation's type": (
        *BEGIN, subscribe("1", slow("a")), subscribe("1", FOLLOW), Closed(4409)),
    "an id may be used again once its operation is complete": (
        *BEGIN, subscribe("1"), heard("1", "next", payload=ANSWER), heard("1", "complete"),
        subscribe("1"), heard("1", "next", payload=ANSWER), heard("1", "complete")),
    "an id may be used again once the client completed it": (
        *BEGIN, subscribe("1", FOLLOW), heard("1", "next"), complete("1"),
        subscribe("1"), heard("1", "next", payload=ANSWER), heard("1", "complete")),
    "an id may be used again after an Error": (
        *BEGIN, subscribe("1", {"query": "{"}), heard("1", "error"), subscribe("1"), heard("1", "next")),
    "operations of different ids are active at once": (
        *BEGIN, subscribe("a", FOLLOW), heard("a", "next"), subscribe("b", FOLLOW), heard("b", "next"),
        subscribe("c"), heard("c", "next"), heard("c", "complete")),
    "operationName says which operation": (
        *BEGIN, subscribe("1", {"query": "query A { me { roles } } query B { me { subject } }", "operationName": "B"}),
        heard("1", "next", payload=ANSWER)),
    "variables are heeded": (
        *BEGIN,
        subscribe("1", {"query": "query ($n: Boolean!) { me { subject @include(if: $n) } }", "variables": {"n": True}}),
        heard("1", "next", payload=ANSWER)),
    "operationName, variables and extensions may be null": (
        *BEGIN, subscribe("1", {**ME, "operationName": None, "variables": None, "extensions": None}),
        heard("1", "next", payload=ANSWER)),
    "extensions may be given": (*BEGIN, subscribe("1", {**ME, "extensions": {"x": 1}}), heard("1", "next")),
    "an id is a text": (*BEGIN, subscribe(1), Closed(4400)),
    "an id is not empty": (*BEGIN, subscribe(""), Closed(4400)),
    "a Subscribe has an id": (*BEGIN, Say({"type": "subscribe", "payload": ME}), Closed(4400)),
    "a Subscribe has a payload": (*BEGIN, Say({"id": "1", "type": "subscribe"}), Closed(4400)),
    "a payload has a query": (*BEGIN, subscribe("1", {}), Closed(4400)),
    "a query is a text": (*BEGIN, subscribe("1", {"query": {"a": 1}}), Closed(4400)),
    "an operationName is a text": (*BEGIN, subscribe("1", {**ME, "operationName": 1}), Closed(4400)),
    "variables are an object": (*BEGIN, subscribe("1", {**ME, "variables": [1]}), Closed(4400)),
    "extensions are an object": (*BEGIN, subscribe("1", {**ME, "extensions": "x"}), Closed(4400)),
    # --- Next, Error and Complete
    "a single result is one Next and one Complete": (
        *BEGIN, subscribe("1"), heard("1", "next", payload=ANSWER), heard("1", "complete"), Quiet()),
    "an error while executing is part of a Next": (
        *BEGIN, subscribe("1", {"query": "{ workstations(first: 501) { totalCount } }"}), heard("1", "next"),
        heard("1", "complete"), Quiet()),
    "an Error ends its operation and no Complete follows": (
        *BEGIN, subscribe("1", {"query": "{ nothing }"}), heard("1", "error"), Quiet()),
    "an Error of one operation leaves the others": (
        *BEGIN, subscribe("a", FOLLOW), heard("a", "next"), subscribe("b", {"query": "{"}), heard("b", "error"),
        subscribe("c"), heard("c", "next"), heard("c", "complete"),
        subscribe("a"), Closed(4409)),
    "variables that do not fit are an Error": (
        *BEGIN, subscribe("1", {"query": "query ($b: Boolean!) { me { roles @skip(if: $b) } }"}), heard("1", "error")),
    "an operationName that is not there is an Error": (
        *BEGIN, subscribe("1", {**ME, "operationName": "X"}), heard("1", "error")),
    "a subscription that is refused is an Error": (
        *BEGIN, subscribe("1", {"query": 'subscription { workstationChanges(after: "x") { kind } }'}),
        heard("1", "error")),
    "a result is not sent once the client has completed its operation": (
        *BEGIN, subscribe("1", slow("b")), complete("1"), Quiet()),
    "a Complete is not answered": (*BEGIN, subscribe("1", FOLLOW), heard("1", "next"), complete("1"), Quiet()),
    "a Complete of what is over is ignored": (
        *BEGIN, subscribe("1"), heard("1", "next"), heard("1", "complete"), complete("1"), complete("1"), Quiet()),
    "a Complete of what never was is ignored": (*BEGIN, complete("x"), Quiet()),
    "a Complete before the acknowledgement is ignored": (complete("x"), Quiet()),
    "a Complete has an id": (*BEGIN, Say({"type": "complete"}), Closed(4400)),
    "a Complete has an id that is a text": (*BEGIN, complete(1), Closed(4400)),
    "a Complete has an id that is not empty": (*BEGIN, complete(""), Closed(4400)),
    # --- invalid messages
    "what is no JSON closes with 4400": (*BEGIN, Say("nonsense"), Closed(4400)),
    "what is no object closes with 4400": (*BEGIN, Say("[]"), Closed(4400)),
    "what has no type closes with 4400": (*BEGIN, Say({}), Closed(4400)),
    "an unknown type closes with 4400": (*BEGIN, Say({"type": "unsubscribe"}), Closed(4400)),
    "a type of the older protocol closes with 4400": (*BEGIN, Say({"type": "start", "id": "1"}), Closed(4400)),
    "a type that only the server sends closes with 4400": (
        *BEGIN, Say({"type": "next", "id": "1", "payload": {}}), Closed(4400)),
    "a binary message closes with 4400": (*BEGIN, Say(b'{"type":"ping"}'), Closed(4400)),
    "an invalid message closes before the acknowledgement too": (Say("nonsense"), Closed(4400)),
}  # fmt: skip


@asynccontextmanager
async def socket(server: Server, subprotocol: Subprotocol = OURS) -> AsyncIterator[ClientConnection]:
    async with connect(server.ws_url, subprotocols=[subprotocol]) as connection:
        yield connection


async def hear(connection: ClientConnection) -> Any:
    async with asyncio.timeout(WAIT_SECONDS):
        return json.loads(await connection.recv())


async def closed(connection: ClientConnection) -> tuple[int | None, str | None]:
    """The code and the reason with which the server closes; nothing is said before."""
    with pytest.raises(ConnectionClosed):
        raise AssertionError(f"this came instead of a close: {await hear(connection)}")
    return connection.close_code, connection.close_reason


async def speak(connection: ClientConnection, server: Server, step: Say | Init) -> None:
    message = step.message if isinstance(step, Say) else init(server, step)
    await connection.send(message if isinstance(message, (str, bytes)) else json.dumps(message))


def init(server: Server, step: Init) -> dict[str, Any]:
    token = server.token(step.role, seconds=step.seconds)
    return {"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}}


@pytest.mark.parametrize("obligation", OBLIGATIONS)
async def test_the_obligation_is_kept(obligation: str, shared_server: Server) -> None:
    async with socket(shared_server) as connection:
        for step in OBLIGATIONS[obligation]:
            match step:
                case Say() | Init():
                    await speak(connection, shared_server, step)
                case Hear(expected):
                    message = await hear(connection)
                    assert {name: message.get(name) for name in expected} == expected, message
                case Quiet():
                    await connection.send('{"type":"ping","payload":{"quiet":true}}')
                    assert await hear(connection) == {"type": "pong", "payload": {"quiet": True}}
                case Closed(code, reason):
                    told = await closed(connection)
                    assert told[0] == code
                    assert told[1] if reason is None else told[1] == reason
                    assert len((told[1] or "").encode()) <= 123


@pytest.mark.parametrize("subprotocol", ["graphql-ws", "soap", "GRAPHQL-TRANSPORT-WS"])
async def test_another_subprotocol_is_closed_with_4406(shared_server: Server, subprotocol: str) -> None:
    async with socket(shared_server, Subprotocol(subprotocol)) as connection:
        assert await closed(connection) == (4406, "Subprotocol not acceptable")


async def test_ours_is_chosen_among_several(shared_server: Server) -> None:
    offered = [Subprotocol("graphql-ws"), OURS, Subprotocol("soap")]
    async with connect(shared_server.ws_url, subprotocols=offered) as connection:
        assert connection.subprotocol == OURS


async def test_without_any_subprotocol_it_is_closed_with_4406(shared_server: Server) -> None:
    async with connect(shared_server.ws_url) as connection:
        assert await closed(connection) == (4406, "Subprotocol not acceptable")


async def test_whoever_does_not_initialise_in_time_is_closed_with_4408(start_server: StartServer) -> None:
    server = start_server(GRAPHQL_APP_CONNECTION_INIT_SECONDS="0.5")
    async with socket(server) as connection:
        assert await closed(connection) == (4408, "Connection initialisation timeout")


async def test_the_client_closes_with_1000_and_the_server_answers_so(shared_server: Server) -> None:
    async with socket(shared_server) as connection:
        for step in (Init(), subscribe("1", FOLLOW)):
            await speak(connection, shared_server, step)
        await hear(connection)
        await hear(connection)
        await connection.close(1000)
        assert connection.close_code == 1000
