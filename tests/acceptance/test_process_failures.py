"""Workers killed, and processes told to stop: others lead, clients come back with their cursors, nothing is lost."""

import asyncio
import os
import signal
import time
from collections import Counter
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import asyncpg
import httpx
import pytest
from websockets.asyncio.client import connect

from graphql_app.domain.identifiers import global_id
from tests import histories
from tests.acceptance.conftest import Server, StartServer
from tests.acceptance.fixtures import follower
from tests.acceptance.following import (
    EVERYWHERE,
    LEADER,
    VISITOR,
    Client,
    Connection,
    joined,
    metric,
    processes,
    work,
)
from tests.acceptance.test_slow_clients import by_events, by_graphql_events, change_all, follower_of
from tests.acceptance.test_workers import both_ready
from tests.histories import FLOOR, check, committed
from tests.pace import Pace

LEADS_SECONDS = 3.0
DRAIN_SECONDS = 3.0
GRACE_SECONDS = 10.0
SERVICE_RESTART = 1012
AT_ALL_SECONDS = 120.0  # on any machine


async def leading_worker(psql: Connection, server: Server) -> int:
    """The pid of the process of this server that numbers."""
    async with asyncio.timeout(AT_ALL_SECONDS):
        while True:
            row = await psql.fetchrow(LEADER)
            for one in processes(server)[1:]:
                if row is not None and row["client_port"] in {c.laddr.port for c in one.net_connections("tcp")}:
                    return one.pid
            await asyncio.sleep(0.02)


async def end_of(server: Server) -> int:
    """Waits until the process has ended by itself. Returns its exit code."""
    return await asyncio.to_thread(server.process.wait, AT_ALL_SECONDS)


async def refuses_connections(server: Server) -> None:
    """Waits until nobody new is let in; with several workers, the parent looks at its signals twice a second."""
    with suppress(ConnectionError):
        while True:
            async with connect(server.ws_url):
                await asyncio.sleep(0.05)


async def test_the_leading_one_of_two_workers_killed_is_replaced_and_its_clients_lose_nothing(
    start_server: StartServer, psql: Connection, database_url: str, secret: str, pace: Pace
) -> None:
    server = start_server(WORKERS="2")
    await asyncio.to_thread(both_ready, server)  # the other one leads at once, and has not to be imported first
    async with AsyncExitStack() as stack:
        clients = await joined(stack, server, *[FLOOR, VISITOR, EVERYWHERE] * 4)
        comings = [asyncio.create_task(client.come_back(server)) for client in clients]
        writing = asyncio.create_task(work(database_url, 4))
        await asyncio.sleep(1)
        killed = await leading_worker(psql, server)
        os.kill(killed, signal.SIGKILL)
        recorders = [client.recorder for client in clients]
        async with pace.within(LEADS_SECONDS):
            while await leading_worker(psql, server) == killed:  # noqa: ASYNC110  # only the database knows
                await asyncio.sleep(0.02)
        async with pace.within(LEADS_SECONDS + 2):
            await histories.told(recorders, database_url, "another leads", AT_ALL_SECONDS)
        await writing
        await histories.told(recorders, database_url, seconds=AT_ALL_SECONDS)
        async with pace.within(15):
            while metric(server, "graphql_app_broadcast_connected") < 2:  # noqa: ASYNC110  # it is started again
                await asyncio.sleep(0.1)
        for coming in comings:
            coming.cancel()
    truth = await committed(database_url)
    truth.check()
    for client in clients:
        check(client.recorder, truth, secret)


# --- told to stop ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.conformance)])
async def test_a_process_told_to_stop_ends_its_subscriptions_spread_over_time_and_they_go_on_elsewhere(
    start_server: StartServer, psql: Connection, database_url: str, secret: str, workers: str, pace: Pace
) -> None:
    stopping = start_server(WORKERS=workers, GRAPHQL_APP_DRAIN_SECONDS=str(DRAIN_SECONDS))
    other = start_server()
    async with AsyncExitStack() as stack:
        clients = await joined(stack, stopping, *[FLOOR, VISITOR, EVERYWHERE] * 10)
        writing = asyncio.create_task(work(database_url, DRAIN_SECONDS + 2))
        await asyncio.sleep(0.5)
        stopping.process.terminate()
        told_at, began = time.monotonic(), pace.seconds()
        closes: list[tuple[int, float]] = []

        async def move(client: Client) -> None:
            closes.append((await client.ended(), time.monotonic() - told_at))
            assert pace.seconds() - began < DRAIN_SECONDS + 2
            await client.leave()
            await client.join(other)

        moving = asyncio.gather(*(move(client) for client in clients))
        async with pace.within(1):
            await refuses_connections(stopping)
        await moving
        assert await end_of(stopping) == 0
        assert pace.seconds() - began < GRACE_SECONDS
        await writing
        await histories.told([client.recorder for client in clients], database_url)
    assert {code for code, _ in closes} == {SERVICE_RESTART}
    moments = [moment for _, moment in closes]
    assert max(moments) - min(moments) > DRAIN_SECONDS / 3
    assert max(Counter(int(2 * moment) for moment in moments).values()) < len(moments) / 2, f"not spread: {moments}"
    truth = await committed(database_url)
    truth.check()
    for client in clients:
        assert {payload.kind for payload in client.recorder.payloads[1:]} <= {"CHANGES", "PROGRESS"}
        check(client.recorder, truth, secret)
    assert "Traceback" not in stopping.log.read_text()


async def test_a_mutation_in_flight_is_finished_before_the_process_ends(
    server: Server, psql: Connection, database_url: str, pace: Pace
) -> None:
    document = 'mutation($id: ID!) { updateWorkstation(id: $id, input: {notes: "in flight"}) { __typename } }'
    body = {"query": document, "variables": {"id": global_id("Workstation", 5)}}
    async with httpx.AsyncClient(headers=server.headers(), timeout=15) as http:
        async with psql.transaction():
            await psql.execute("SELECT FROM workstations WHERE id = 5 FOR UPDATE")
            flying = asyncio.create_task(http.post(f"{server.url}/graphql", json=body))
            await until_somebody_waits(database_url)
            server.process.terminate()
            await asyncio.sleep(1)
            assert not flying.done()
        answer = await flying
    assert answer.json() == {"data": {"updateWorkstation": {"__typename": "WorkstationChanged"}}}
    assert await psql.fetchval("SELECT notes FROM workstations WHERE id = 5") == "in flight"
    async with pace.within(GRACE_SECONDS):
        assert await end_of(server) == 0


async def until_somebody_waits(url: str) -> None:
    connection = await asyncpg.connect(url)
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with asyncio.timeout(AT_ALL_SECONDS):
        while not await connection.fetchval(waiting):  # noqa: ASYNC110  # only the database knows
            await asyncio.sleep(0.02)
    await connection.close()


async def test_event_streams_end_and_a_long_poll_answers_when_the_process_is_told_to_stop(
    start_server: StartServer, psql: Connection, pace: Pace
) -> None:
    server = start_server(GRAPHQL_APP_DRAIN_SECONDS="1")
    place: dict[str, str | int] = {"building": "总部A座", "floor": 3}
    async with httpx.AsyncClient(headers=server.headers(), timeout=AT_ALL_SECONDS) as http:
        cursor = (await http.get(f"{server.url}/api/changes", params=place)).json()["cursor"]
        waiting = asyncio.create_task(
            http.get(f"{server.url}/api/changes", params=place | {"after": cursor, "wait": 25})
        )
        events = {"Accept": "text/event-stream"}
        body = {"query": histories.SUBSCRIPTION, "variables": FLOOR.variables}
        async with (
            http.stream("GET", f"{server.url}/api/changes", params=place, headers=events) as plain,
            http.stream("POST", f"{server.url}/graphql", json=body, headers=events) as graphql,
        ):
            await asyncio.sleep(0.5)
            server.process.terminate()
            async with pace.within(4):
                plain_text = b"".join([part async for part in plain.aiter_raw()])
                graphql_text = b"".join([part async for part in graphql.aiter_raw()])
                answer = await waiting
    assert b"event: changes" in plain_text
    assert b"event: next" in graphql_text
    assert b"event: complete" not in graphql_text, "who is told that it is complete does not come back"
    assert (answer.status_code, answer.json()["kind"], answer.json()["workstations"]) == (200, "CHANGES", [])
    async with pace.within(GRACE_SECONDS):
        assert await end_of(server) == 0


@pytest.mark.conformance
async def test_a_peer_that_does_not_read_does_not_keep_the_process_from_ending(
    start_server: StartServer, psql: Connection, database_url: str, tmp_path: Path, pace: Pace
) -> None:
    server = start_server(GRAPHQL_APP_SOCKET_STALL_SECONDS="60", GRAPHQL_APP_DRAIN_SECONDS="1")
    async with AsyncExitStack() as stack:
        stopped = stack.enter_context(follower_of(server, tmp_path / "stopped"))
        deaf = [stack.enter_context(follower.narrow(server.url)) for _ in range(2)]
        for one, ask in zip(deaf, (by_events, by_graphql_events), strict=True):
            one.sendall(ask(server))
            assert one.recv(15) == b"HTTP/1.1 200 OK"
        await change_all(database_url, 1)
        await histories.mark(database_url, "everybody is there")
        await stopped.until_all_have("everybody is there", 15)
        stopped.process.send_signal(signal.SIGSTOP)
        await change_all(database_url, 6)  # more than fits between
        server.process.terminate()
        async with pace.within(GRACE_SECONDS):
            assert await end_of(server) == 0
