"""Limits over two real server processes that share one Valkey, and what becomes of them when one is killed."""

import asyncio
import time
from contextlib import AsyncExitStack

import httpx
import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.acceptance.conftest import Server, StartServer

RATE, BURST = 50, 50
SECONDS = 4


async def hammered(server: Server) -> dict[int, int]:
    """How many answers of which status a client gets that asks without pause."""
    statuses: dict[int, int] = {}
    until = time.monotonic() + SECONDS
    async with httpx.AsyncClient(base_url=server.url, headers=server.headers()) as client:
        while time.monotonic() < until:
            answer = await client.post("/graphql", json={"query": "{ me { subject } }"})
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
    return statuses


async def test_two_processes_together_answer_as_many_operations_as_are_allowed(start_server: StartServer) -> None:
    limited = {
        "GRAPHQL_APP_USER_OPERATIONS_PER_SECOND": str(RATE),
        "GRAPHQL_APP_USER_OPERATIONS_BURST": str(BURST),
    }
    servers = [start_server(**limited), start_server(**limited)]

    tallies = await asyncio.gather(*(hammered(server) for server in servers))

    assert {status for tally in tallies for status in tally} == {200, 429}
    answered = sum(tally[200] for tally in tallies)
    allowed = BURST + RATE * SECONDS
    assert 0.8 * allowed <= answered <= 1.1 * allowed


async def opened(server: Server) -> ClientConnection:
    """A socket with its connection acknowledged. Raises ConnectionClosed."""
    socket = await connect(server.ws_url, subprotocols=[Subprotocol("graphql-transport-ws")])
    init = {"type": "connection_init", "payload": {"authorization": f"Bearer {server.token('admin')}"}}
    await socket.send(orjson.dumps(init).decode())
    assert orjson.loads(await socket.recv()) == {"type": "connection_ack"}
    return socket


async def is_let_in(server: Server, stack: AsyncExitStack) -> bool:
    """Whether a socket is open and stays: a process may let in one too many, and closes it at once."""
    try:
        socket = await opened(server)
        stack.push_async_callback(socket.close)
        await asyncio.wait_for(socket.recv(), 0.5)
    except ConnectionClosed as closed:
        return "4429" not in str(closed) or "Too many connections of one user" not in str(closed)
    except TimeoutError:
        return True
    raise AssertionError("nothing else is said")


async def test_two_processes_together_hold_as_many_sockets_as_are_allowed(start_server: StartServer) -> None:
    servers = [start_server(GRAPHQL_APP_USER_CONNECTIONS="3") for _ in range(2)]
    async with AsyncExitStack() as stack:
        let_in = [await is_let_in(servers[number % 2], stack) for number in range(6)]

        assert let_in == [True] * 3 + [False] * 3


@pytest.mark.conformance  # takes the 30 s that such a socket counts
async def test_the_sockets_of_a_process_that_was_killed_do_not_count_for_ever(start_server: StartServer) -> None:
    here, there = (start_server(GRAPHQL_APP_USER_CONNECTIONS="2") for _ in range(2))
    async with AsyncExitStack() as stack:
        assert [await is_let_in(there, stack) for _ in range(2)] == [True, True]
        assert not await is_let_in(here, stack)
        there.kill()
        killed_at = time.monotonic()
        while not await is_let_in(here, stack):
            assert time.monotonic() - killed_at < 40
            await asyncio.sleep(1)
