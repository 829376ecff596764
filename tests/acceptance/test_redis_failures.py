"""Redis is needed for speed, not for correctness: whatever becomes of it in a burst, nobody loses anything."""

import asyncio
import os
import signal
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import httpx
import pytest
import redis.asyncio as redis

from graphql_app.embedded import Valkey
from tests import histories
from tests.acceptance.conftest import Server, StartServer
from tests.acceptance.following import EVERYWHERE, VISITOR, Connection, gap_most, joined, metric, work
from tests.histories import FLOOR, check, committed
from tests.proxy import Proxy

AWAY_SECONDS = 2.5
GAP_MOST = 2.0


@dataclass(frozen=True, slots=True)
class Redis:
    """The Valkey of both processes, and the line that leads there."""

    valkey: Valkey
    line: Proxy


@pytest.fixture
def shaky(valkey: Valkey) -> Iterator[Redis]:
    with Proxy(valkey.url) as line:
        yield Redis(valkey, line)


# Each breaks it for a while, and mends it.


async def flushed(it: Redis) -> None:
    client = redis.Redis.from_url(it.valkey.url)
    for _ in range(25):
        await client.flushall()
        await asyncio.sleep(AWAY_SECONDS / 25)
    await client.aclose()


async def stopped_and_restarted(it: Redis) -> None:
    await asyncio.to_thread(it.valkey.stop)
    await asyncio.sleep(AWAY_SECONDS)
    await asyncio.to_thread(it.valkey.start)


async def paused(it: Redis) -> None:
    assert it.valkey.pid is not None
    os.kill(it.valkey.pid, signal.SIGSTOP)
    await asyncio.sleep(AWAY_SECONDS)
    os.kill(it.valkey.pid, signal.SIGCONT)


async def cut_off(it: Redis) -> None:
    it.line.silence()
    await asyncio.sleep(AWAY_SECONDS)
    it.line.restore()


async def forgotten(it: Redis) -> None:
    it.line.forget()
    await asyncio.sleep(AWAY_SECONDS)


async def dropped(it: Redis) -> None:
    for _ in range(3):
        it.line.drop()
        await asyncio.sleep(AWAY_SECONDS / 4)
        it.line.restore()
        await asyncio.sleep(AWAY_SECONDS / 12)


async def delayed(it: Redis) -> None:
    it.line.delay(0.3)
    await asyncio.sleep(AWAY_SECONDS)
    it.line.restore()


@pytest.mark.parametrize(
    "broken",
    [
        cut_off,
        pytest.param(stopped_and_restarted, marks=pytest.mark.conformance),
        pytest.param(paused, marks=pytest.mark.conformance),
        pytest.param(forgotten, marks=pytest.mark.conformance),
        pytest.param(dropped, marks=pytest.mark.conformance),
        pytest.param(delayed, marks=pytest.mark.conformance),
        pytest.param(flushed, marks=pytest.mark.conformance),
    ],
)
async def test_whatever_becomes_of_redis_in_a_burst_nothing_is_lost_and_little_delayed(
    start_server: StartServer,
    psql: Connection,
    database_url: str,
    secret: str,
    shaky: Redis,
    broken: Callable[[Redis], Awaitable[None]],
) -> None:
    servers = [start_server(REDIS_URL=shaky.line.url) for _ in range(2)]
    async with AsyncExitStack() as stack:
        clients = [c for server in servers for c in await joined(stack, server, FLOOR, EVERYWHERE, VISITOR)]
        began = time.monotonic()
        writing = asyncio.create_task(work(database_url, AWAY_SECONDS + 2))
        await asyncio.sleep(1)
        await broken(shaky)
        await writing
        ended = time.monotonic()
        await histories.told([client.recorder for client in clients], database_url, seconds=GAP_MOST)
    truth = await committed(database_url)
    truth.check()
    for client in clients:
        check(client.recorder, truth, secret)
        assert gap_most(client.recorder, began, ended) < GAP_MOST


async def test_writers_do_not_notice_that_redis_is_away(
    start_server: StartServer, psql: Connection, database_url: str, shaky: Redis
) -> None:
    """Cut off silently, which is the worst that can happen to who waits for an answer."""
    server = start_server(REDIS_URL=shaky.line.url)
    before = await mutation_seconds(server, 2)
    shaky.line.silence()
    during = await mutation_seconds(server, 3)
    shaky.line.restore()
    # A writer that waited for Redis would wait for a second at least.
    assert max(during) < 1, sorted(during)[-5:]
    assert statistics.median(during) < 2 * statistics.median(before) + 0.01, (before, during)


async def mutation_seconds(server: Server, seconds: float) -> list[float]:
    """How long each of a row of mutations took, one after the other for so long."""
    taken: list[float] = []
    document = "mutation($id: ID!, $text: String!) { updateWorkstation(id: $id, input: {notes: $text}) { __typename } }"
    async with httpx.AsyncClient(base_url=server.url, headers=server.headers()) as http:
        end = time.monotonic() + seconds
        while (began := time.monotonic()) < end:
            variables = {"id": "V29ya3N0YXRpb246NQ==", "text": str(began)}
            answer = (await http.post("/graphql", json={"query": document, "variables": variables})).json()
            assert answer == {"data": {"updateWorkstation": {"__typename": "WorkstationChanged"}}}
            taken.append(time.monotonic() - began)
    return taken


async def test_while_redis_is_away_every_process_reads_the_log_itself_and_says_so(
    start_server: StartServer, psql: Connection, database_url: str, shaky: Redis
) -> None:
    servers = [start_server(REDIS_URL=shaky.line.url, GRAPHQL_APP_BATCH_WINDOW_MS="0") for _ in range(2)]
    async with AsyncExitStack() as stack:
        clients = [c for server in servers for c in await joined(stack, server, FLOOR)]
        shaky.line.drop()
        await until_all(servers, degraded=True)
        delays = []
        for number in range(10):
            marked_at = time.monotonic()
            await histories.told([client.recorder for client in clients], database_url, f"away {number}")
            delays.append(time.monotonic() - marked_at)
        assert statistics.median(delays) < 0.4, delays  # the log is read every 0.1 s
        gaps = [metric(server, "graphql_app_gaps_filled_total") for server in servers]
        assert max(gaps) >= 10, "who does not lead read each of them from the log"
        shaky.line.restore()
        await until_all(servers, degraded=False)


async def until_all(servers: list[Server], *, degraded: bool) -> None:
    async with asyncio.timeout(10), httpx.AsyncClient() as http:
        for server in servers:
            while ((await http.get(f"{server.url}/readyz")).json()["status"] == "degraded") != degraded:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
