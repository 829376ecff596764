"""The connections to PostgreSQL ended or silently cut: all are caught up within the time that is promised."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack

import httpx
import pytest

from graphql_app.domain.identifiers import global_id
from tests import histories
from tests.acceptance.conftest import Server, StartServer
from tests.acceptance.following import EVERYWHERE, LEADER, VISITOR, Connection, gap_most, joined, leading, work
from tests.histories import FLOOR, check, committed
from tests.proxy import Proxy

ENDED_SECONDS = 5.0
CUT_SECONDS = 15.0
ANSWER_SECONDS = 20.0  # GRAPHQL_APP_OPERATION_SECONDS is 15
UPDATE = "mutation($id: ID!, $text: String!) { updateWorkstation(id: $id, input: {notes: $text}) { __typename } }"


@pytest.fixture
def line(database_url: str) -> Iterator[Proxy]:
    """The way of one process to its database."""
    with Proxy(database_url) as line:
        yield line


async def mutated(server: Server, text: str, seconds: float) -> str:
    """What becomes of a mutation: the type that it answers with, or the code of its error."""
    variables = {"id": global_id("Workstation", histories.MARKER), "text": text}
    async with httpx.AsyncClient(timeout=seconds) as http:
        answer = await http.post(
            f"{server.url}/graphql", json={"query": UPDATE, "variables": variables}, headers=server.headers()
        )
    body = answer.json()
    return str(
        body["errors"][0]["extensions"]["code"] if "errors" in body else body["data"]["updateWorkstation"]["__typename"]
    )


@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.conformance)])
async def test_the_session_that_leads_and_listens_terminated_in_a_burst_is_caught_up_within_5_seconds(
    start_server: StartServer, psql: Connection, database_url: str, secret: str, processes: int
) -> None:
    servers = [start_server() for _ in range(processes)]
    async with AsyncExitStack() as stack:
        clients = [c for server in servers for c in await joined(stack, server, FLOOR, EVERYWHERE, VISITOR)]
        began = time.monotonic()
        writing = asyncio.create_task(work(database_url, 6))
        for _ in range(2):
            await asyncio.sleep(1)
            await leading(psql, servers)
            assert await psql.fetchval(f"SELECT pg_terminate_backend(pid, 1000) FROM ({LEADER}) leader")
            terminated_at = time.monotonic()
            recorders = [client.recorder for client in clients]
            await histories.told(recorders, database_url, f"after {terminated_at}", ENDED_SECONDS)
        await writing
        ended = time.monotonic()
        await histories.told([client.recorder for client in clients], database_url, seconds=ENDED_SECONDS)
    truth = await committed(database_url)
    truth.check()
    for client in clients:
        check(client.recorder, truth, secret)
        assert gap_most(client.recorder, began, ended) < ENDED_SECONDS


@pytest.mark.conformance
async def test_all_connections_silently_dead_are_replaced_and_all_is_caught_up_within_15_seconds(
    start_server: StartServer, psql: Connection, database_url: str, secret: str, line: Proxy
) -> None:
    """As when a firewall forgets them: no packet comes, no error either; a new connection works."""
    server = start_server(DATABASE_URL=line.url)
    async with AsyncExitStack() as stack:
        clients = await joined(stack, server, FLOOR, EVERYWHERE, VISITOR)
        writing = asyncio.create_task(work(database_url, 3))
        await asyncio.sleep(1)
        line.forget()
        cut_at = time.monotonic()
        await writing
        await histories.told([client.recorder for client in clients], database_url, "caught up", CUT_SECONDS - 3)
        assert time.monotonic() - cut_at < CUT_SECONDS
        # Whoever takes a dead connection from the pool is told so in time; the next one is given a new one.
        assert await mutated(server, "the first", CUT_SECONDS) in ("UNAVAILABLE", "WorkstationChanged")
        assert await mutated(server, "the next", 2) == "WorkstationChanged"
        clients += await joined(stack, server, FLOOR)
        await histories.told([client.recorder for client in clients], database_url, seconds=2)
    truth = await committed(database_url)
    truth.check()
    for client in clients:
        check(client.recorder, truth, secret)


@pytest.mark.conformance
async def test_a_process_that_is_cut_off_says_so_in_time_and_its_clients_are_caught_up_when_the_line_is_back(
    start_server: StartServer, psql: Connection, database_url: str, secret: str, line: Proxy
) -> None:
    """The one that leads: another takes over, and those who follow there notice little."""
    cut_off = start_server(DATABASE_URL=line.url)
    async with AsyncExitStack() as stack:
        there = [client.recorder for client in await joined(stack, cut_off, FLOOR, VISITOR)]
        other = start_server()
        here = [client.recorder for client in await joined(stack, other, FLOOR, EVERYWHERE)]
        writing = asyncio.create_task(work(database_url, 6))
        await asyncio.sleep(1)
        line.silence()
        await histories.told(here, database_url, "the other leads", ENDED_SECONDS)
        answers = await asyncio.gather(*(mutated(cut_off, "cut off", ANSWER_SECONDS) for _ in range(20)))
        assert set(answers) == {"UNAVAILABLE"}
        async with httpx.AsyncClient() as http:
            assert (await http.get(f"{cut_off.url}/readyz", timeout=CUT_SECONDS)).status_code == 503
            assert (await http.get(f"{cut_off.url}/healthz")).status_code == 200
        await writing
        line.restore()
        assert await mutated(cut_off, "again", CUT_SECONDS) == "WorkstationChanged"
        await histories.told(there + here, database_url, seconds=CUT_SECONDS)
    truth = await committed(database_url)
    truth.check()
    for recorder in there + here:
        check(recorder, truth, secret)
