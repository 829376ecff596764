"""Server processes on one database: what their clients are told is what was committed, whatever happens to whom."""

import asyncio
import os
import random
import signal
import socket
import time
from contextlib import AsyncExitStack

import pytest

from graphql_app.embedded import Valkey
from tests import histories
from tests.acceptance.conftest import Server, StartServer
from tests.acceptance.following import (
    EVERYWHERE,
    VISITOR,
    Client,
    Connection,
    gap_most,
    joined,
    leading,
    mutate,
    work,
)
from tests.histories import FLOOR, ROLLED_BACK, Recorder, Scene, check, committed, connected


async def test_mutations_and_sql_reach_the_clients_of_both_processes_exactly(
    start_server: StartServer, psql: Connection, database_url: str, secret: str
) -> None:
    apart = start_server(GRAPHQL_APP_BATCH_WINDOW_MS="0")
    batching = start_server()
    async with AsyncExitStack() as stack:
        told_all = await joined(stack, apart, FLOOR, VISITOR, EVERYWHERE, FLOOR)
        told_merged = await joined(stack, batching, FLOOR, VISITOR, EVERYWHERE, Scene("visitor", "总部A座", 4))
        writing = [mutate(apart, 1, 3), mutate(batching, 2, 3)]
        done = asyncio.gather(*writing)
        await work(database_url, 3)
        assert min(await done) > 5
        on_floor = [client.recorder for client in told_all + told_merged if client.recorder.scene.floor != 4]
        await histories.told(on_floor, database_url)
        await psql.execute(
            "UPDATE workstations SET building = '总部A座', floor_number = 4, notes = 'last' WHERE id = 2"
        )
        await told_merged[-1].recorder.until_notes("last")
        await asyncio.gather(
            *(
                recorder.until(lambda payload: 2 in payload.removed)
                for recorder in on_floor
                if recorder.scene.floor == 3
            )
        )
        await asyncio.gather(*(recorder.until_notes("last") for recorder in on_floor if recorder.scene.floor is None))
    truth = await committed(database_url)
    truth.check()
    for client in told_all:
        check(client.recorder, truth, secret, every_version=True)
    for client in told_merged:
        check(client.recorder, truth, secret)
    for client in told_all + told_merged:
        for payload in client.recorder.payloads:
            assert not any(str(state["notes"]).startswith(ROLLED_BACK) for state in payload.workstations.values())


async def test_a_cursor_of_one_process_resumes_on_the_other(
    start_server: StartServer, psql: Connection, database_url: str, secret: str
) -> None:
    servers = [start_server(), start_server(GRAPHQL_APP_RECENT_CHANGES="20")]
    async with AsyncExitStack() as stack:
        clients = await joined(stack, servers[0], FLOOR, VISITOR, EVERYWHERE)
        writing = asyncio.create_task(work(database_url, 3))
        turn = 0
        while not writing.done():
            turn += 1
            for client in clients:
                await client.leave()
                await asyncio.sleep(0.02)
                await client.join(servers[turn % 2])
            await asyncio.sleep(0.2)
        await writing
        await histories.told([client.recorder for client in clients], database_url)
    assert turn > 5
    truth = await committed(database_url)
    for client in clients:
        assert {payload.kind for payload in client.recorder.payloads[1:]} == {"CHANGES"}
        check(client.recorder, truth, secret)


async def test_valkey_restarted_in_a_burst_loses_nothing_and_delays_little(
    start_server: StartServer, psql: Connection, database_url: str, secret: str, valkey: Valkey
) -> None:
    servers = [start_server(REDIS_URL=valkey.url) for _ in range(2)]
    async with AsyncExitStack() as stack:
        clients = [c for server in servers for c in await joined(stack, server, FLOOR, EVERYWHERE, VISITOR)]
        began = time.monotonic()
        writing = asyncio.create_task(work(database_url, 5))
        await asyncio.sleep(1)
        await asyncio.to_thread(valkey.stop)
        await asyncio.sleep(0.5)
        await asyncio.to_thread(valkey.start)
        await writing
        ended = time.monotonic()
        await histories.told([client.recorder for client in clients], database_url)
    truth = await committed(database_url)
    truth.check()
    for client in clients:
        check(client.recorder, truth, secret)
        assert gap_most(client.recorder, began, ended) < 2


async def test_after_a_restart_of_valkey_delivery_is_as_quick_as_before(
    start_server: StartServer, psql: Connection, database_url: str, valkey: Valkey
) -> None:
    """A change that only a poll finds takes up to a second."""
    servers = [start_server(REDIS_URL=valkey.url, GRAPHQL_APP_BATCH_WINDOW_MS="0") for _ in range(2)]
    async with AsyncExitStack() as stack:
        clients = [c for server in servers for c in await joined(stack, server, FLOOR)]
        await asyncio.to_thread(valkey.stop)
        await histories.told([client.recorder for client in clients], database_url, "while it is away")
        await asyncio.to_thread(valkey.start)
        await asyncio.sleep(2)
        delays = []
        for number in range(20):
            await asyncio.sleep(0.11)
            marked_at = time.monotonic()
            await histories.told([client.recorder for client in clients], database_url, f"quick {number}")
            delays.append(time.monotonic() - marked_at)
    assert sorted(delays)[10] < 0.15, delays


async def test_the_leading_process_killed_in_a_burst_loses_nothing(
    start_server: StartServer, psql: Connection, database_url: str, secret: str
) -> None:
    servers = [start_server(), start_server()]
    doomed = await leading(psql, servers)
    (other,) = (server for server in servers if server is not doomed)
    async with AsyncExitStack() as stack:
        there = await joined(stack, doomed, FLOOR, VISITOR, EVERYWHERE, FLOOR)
        here = await joined(stack, other, FLOOR, EVERYWHERE)
        writing = asyncio.create_task(work(database_url, 4))
        await asyncio.sleep(1)
        doomed.kill()
        killed_at = time.monotonic()
        for client in there:
            await client.leave()
            await client.join(other)
        await histories.told([client.recorder for client in there + here], database_url, "the other leads")
        assert time.monotonic() - killed_at < 3
        assert await leading(psql, [other]) is other
        await writing
        await histories.told([client.recorder for client in there + here], database_url)
    truth = await committed(database_url)
    truth.check()
    for client in there + here:
        assert {payload.kind for payload in client.recorder.payloads[1:]} == {"CHANGES"}, "nobody had to start anew"
        check(client.recorder, truth, secret)


async def test_a_leading_process_that_hangs_is_replaced_and_catches_up_when_it_goes_on(
    start_server: StartServer, psql: Connection, database_url: str, secret: str
) -> None:
    servers = [start_server(), start_server()]
    hung = await leading(psql, servers)
    (other,) = (server for server in servers if server is not hung)
    async with AsyncExitStack() as stack:
        there, here = await joined(stack, hung, FLOOR, VISITOR), await joined(stack, other, FLOOR, EVERYWHERE)
        writing = asyncio.create_task(work(database_url, 5))
        await asyncio.sleep(1)
        os.kill(hung.process.pid, signal.SIGSTOP)
        try:
            await histories.told([client.recorder for client in here], database_url, "the other leads", seconds=4)
        finally:
            os.kill(hung.process.pid, signal.SIGCONT)
        await histories.told([client.recorder for client in there], database_url, "and it goes on", seconds=3)
        assert await leading(psql, servers) is other, "who was replaced stands by"
        await writing
        await histories.told([client.recorder for client in there + here], database_url)
    truth = await committed(database_url)
    truth.check()
    for client in there + here:
        check(client.recorder, truth, secret)


async def test_a_client_that_does_not_read_catches_up_merged_and_harms_nobody(
    start_server: StartServer, psql: Connection, database_url: str, secret: str
) -> None:
    server = start_server()
    narrow = socket.socket()
    # Set before it connects, so that it stays small: what is not read waits in the server, not in the kernel.
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    narrow.connect(("127.0.0.1", int(server.url.rsplit(":", 1)[1])))
    async with AsyncExitStack() as stack:
        quick = await joined(stack, server, FLOOR, VISITOR)
        slow = await stack.enter_async_context(
            connected(server.ws_url, server.token("admin"), reading=False, sock=narrow, max_queue=1)
        )
        recorders = [Recorder(FLOOR) for _ in range(50)]
        for recorder in recorders:
            await slow.subscribe(recorder)
        began = time.monotonic()
        for number in range(40):
            await psql.execute("UPDATE floors SET name = $1 WHERE number = 3", f"floor {number}")
            await asyncio.sleep(0.1)
        ended = time.monotonic()
        await histories.mark(database_url, "the end")
        for client in quick:
            await client.recorder.until_notes("the end", seconds=2)
            assert gap_most(client.recorder, began, ended) < 1
        reading = asyncio.create_task(slow.read())
        await asyncio.gather(*(recorder.until_notes("the end") for recorder in recorders))
        reading.cancel()
    truth = await committed(database_url)
    for recorder in [*recorders, *(client.recorder for client in quick)]:
        check(recorder, truth, secret)
    payloads = sum(len(recorder.payloads) for recorder in recorders)
    assert payloads < 0.75 * len(recorders) * len(quick[0].recorder.payloads), "they were spared what was overtaken"


@pytest.mark.conformance
@pytest.mark.timeout(240)
async def test_half_a_minute_of_everything_at_once_loses_nothing(
    start_server: StartServer, psql: Connection, database_url: str, secret: str, valkey: Valkey
) -> None:
    """Processes are killed and started, backends terminated, Valkey restarted and stalled; clients come back."""
    choice = random.Random(31)
    servers = [start_server(REDIS_URL=valkey.url) for _ in range(2)]
    async with AsyncExitStack() as stack:
        clients = [
            client
            for server in servers
            for client in await joined(stack, server, FLOOR, VISITOR, EVERYWHERE, Scene("visitor"), patient=True)
        ]
        homes = {client: servers[number // 4] for number, client in enumerate(clients)}
        writing = asyncio.create_task(work(database_url, 30, writers=2))

        async def move(client: Client, server: Server) -> None:
            await client.leave()
            await client.join(server)
            homes[client] = server

        while not writing.done():
            event = choice.choice(("kill", "terminate", "restart", "stall", "hop", "hop", "hang"))
            if event == "kill":
                doomed = choice.choice(servers)
                doomed.kill()
                (other,) = (server for server in servers if server is not doomed)
                for client in clients:
                    if homes[client] is doomed:
                        await move(client, other)
                servers = [other, await asyncio.to_thread(start_server, REDIS_URL=valkey.url)]
            elif event == "terminate":
                await psql.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND application_name = 'graphql_app' AND random() < 0.7"
                )
            elif event == "restart":
                await asyncio.to_thread(valkey.stop)
                await asyncio.sleep(choice.uniform(0, 2))
                await asyncio.to_thread(valkey.start)
            elif event == "stall":
                assert valkey.pid is not None
                os.kill(valkey.pid, signal.SIGSTOP)
                await asyncio.sleep(choice.uniform(0.5, 3))
                os.kill(valkey.pid, signal.SIGCONT)
            elif event == "hang":
                hung = await leading(psql, servers)
                os.kill(hung.process.pid, signal.SIGSTOP)
                await asyncio.sleep(choice.uniform(1, 4))
                os.kill(hung.process.pid, signal.SIGCONT)
            else:
                for client in choice.sample(clients, 3):
                    await move(client, choice.choice(servers))
            await asyncio.sleep(choice.uniform(0.2, 1.5))
        await writing
        await histories.told([client.recorder for client in clients], database_url)
    truth = await committed(database_url)
    truth.check()
    for client in clients:
        check(client.recorder, truth, secret)
