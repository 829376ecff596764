"""A primary that is demoted, frozen or crowded, with a standby promoted: all goes on without a restart."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import asyncpg
import httpx
import pytest

from tests import histories
from tests.acceptance.conftest import Server, StartServer
from tests.acceptance.following import EVERYWHERE, VISITOR, joined
from tests.acceptance.test_database_failures import mutated
from tests.clusters import Cluster, both, cluster, pair
from tests.histories import FLOOR

WRITES_SECONDS = 10.0
SUBSCRIBERS = 40


@pytest.fixture
def two() -> Iterator[tuple[Cluster, Cluster]]:
    """A primary and its standby."""
    with pair() as clusters:
        yield clusters


class Attempts:
    """A client that writes all the time, and what became of it: what the answer was, when, and after how long."""

    def __init__(self) -> None:
        self.made: list[tuple[float, float, str]] = []

    async def go_on(self, server: Server) -> None:
        while True:
            began = time.monotonic()
            answer = await mutated(server, f"attempt {len(self.made)}", 30)
            self.made.append((began, time.monotonic() - began, answer))
            await asyncio.sleep(0.05)

    def back_after(self, moment: float) -> float:
        """Seconds from then to the end of the last attempt that failed."""
        failed = [began + took for began, took, answer in self.made if answer != "WorkstationChanged"]
        return max([*failed, moment]) - moment

    def longest(self) -> float:
        return max(took for _, took, _ in self.made)

    def answers(self) -> set[str]:
        return {answer for _, _, answer in self.made}


@asynccontextmanager
async def writing(*servers: Server) -> AsyncIterator[Attempts]:
    attempts = Attempts()
    tasks = [asyncio.create_task(attempts.go_on(server)) for server in servers for _ in range(3)]
    try:
        yield attempts
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def ready(server: Server) -> tuple[int, str]:
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"{server.url}/readyz", timeout=15)
    return answer.status_code, answer.text


async def until_written(server: Server, seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while await mutated(server, "again", seconds) != "WorkstationChanged":  # noqa: ASYNC110  # it is tried
            await asyncio.sleep(0.1)


async def reads(server: Server) -> bool:
    """From the database: what is kept in memory is not believed while nobody leads."""
    async with httpx.AsyncClient() as http:
        answer = await http.post(
            f"{server.url}/graphql", json={"query": "{ departments { name } }"}, headers=server.headers(), timeout=15
        )
    return "errors" not in answer.json()


async def connected_to(one: Cluster) -> int:
    connection = await asyncpg.connect(one.url)
    count = await connection.fetchval("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'graphql_app'")
    await connection.close()
    return int(count)


@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.conformance)])
async def test_a_primary_that_turns_read_only_is_left_for_the_standby_that_is_promoted_6_seconds_later(
    start_server: StartServer, two: tuple[Cluster, Cluster], processes: int
) -> None:
    primary, standby = two
    servers = [start_server(DATABASE_URL=both([primary.url, standby.url])) for _ in range(processes)]
    await histories.furnish(primary.url)
    async with AsyncExitStack() as stack:
        scenes = [FLOOR, VISITOR, EVERYWHERE, FLOOR] * (SUBSCRIBERS // 4 // processes)
        clients = [client for server in servers for client in await joined(stack, server, *scenes)]
        recorders = [client.recorder for client in clients]
        await histories.told(recorders, primary.url, "before")
        attempts = await stack.enter_async_context(writing(*servers))
        await asyncio.sleep(1)
        await primary.become_read_only()
        await asyncio.sleep(3)
        for server in servers:
            status, text = await ready(server)
            assert (status, "takes no writes" in text) == (200, True), text
            assert await reads(server)
        await asyncio.sleep(3)
        await standby.promote()
        promoted_at = time.monotonic()
        for server in servers:
            await until_written(server, WRITES_SECONDS)
        await histories.told(recorders, standby.url, "written on the new one", WRITES_SECONDS)
        await asyncio.sleep(2)
        assert attempts.answers() <= {"WorkstationChanged", "READ_ONLY", "ReadOnly", "UNAVAILABLE"}
        assert attempts.back_after(promoted_at) < WRITES_SECONDS
        assert await connected_to(primary) == 0, "nobody reads what is not true any more"
        for server in servers:
            assert (await ready(server))[0] == 200
            assert "the primary of the database is 127.0.0.1:" in server.log.read_text()
            assert server.log.read_text().count("the database takes no writes: it is read-only") == 1
            assert "Traceback" not in server.log.read_text()


@pytest.mark.conformance
async def test_a_primary_that_comes_back_as_the_standby_of_the_one_promoted_in_its_place_is_left(
    start_server: StartServer, two: tuple[Cluster, Cluster]
) -> None:
    primary, standby = two
    server = start_server(DATABASE_URL=both([primary.url, standby.url]))
    await histories.furnish(primary.url)
    async with AsyncExitStack() as stack:
        recorders = [client.recorder for client in await joined(stack, server, FLOOR, VISITOR, EVERYWHERE)]
        await histories.told(recorders, primary.url, "before")
        primary.stop()
        await standby.promote()
        (primary.directory / "standby.signal").touch()
        os.chmod(primary.directory / "standby.signal", 0o644)
        primary.settings["primary_conninfo"] = f"'{standby.url}'"
        primary.start()
        await until_written(server, WRITES_SECONDS)
        await histories.told(recorders, standby.url, "written on the new one", WRITES_SECONDS)
        assert (await ready(server))[0] == 200


@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.conformance)])
async def test_a_primary_that_hangs_in_silence_is_left_for_the_standby_that_is_promoted_2_seconds_later(
    start_server: StartServer, two: tuple[Cluster, Cluster], processes: int
) -> None:
    primary, standby = two
    servers = [start_server(DATABASE_URL=both([primary.url, standby.url])) for _ in range(processes)]
    await histories.furnish(primary.url)
    async with AsyncExitStack() as stack:
        clients = [client for server in servers for client in await joined(stack, server, FLOOR, VISITOR, EVERYWHERE)]
        recorders = [client.recorder for client in clients]
        await histories.told(recorders, primary.url, "before")
        attempts = await stack.enter_async_context(writing(*servers))
        await asyncio.sleep(1)
        primary.freeze()
        frozen_at = time.monotonic()
        stack.callback(primary.thaw)
        await asyncio.sleep(2)
        await standby.promote()
        await asyncio.sleep(WRITES_SECONDS)
        assert attempts.back_after(frozen_at) < WRITES_SECONDS, [one for one in attempts.made if one[2][0] != "W"]
        assert attempts.longest() < WRITES_SECONDS
        assert attempts.answers() <= {"WorkstationChanged", "UNAVAILABLE"}
        await histories.told(recorders, standby.url, "written on the new one", WRITES_SECONDS)
        for server in servers:
            assert (await ready(server))[0] == 200
            assert "Traceback" not in server.log.read_text()


async def test_with_no_connections_left_for_12_seconds_nothing_is_told_and_all_goes_on_by_itself(
    start_server: StartServer,
) -> None:
    """Others take them all while those of the server are ended."""
    with cluster(max_connections="40", superuser_reserved_connections="0", reserved_connections="0") as own:
        server = start_server(DATABASE_URL=own.url)
        await histories.furnish(own.url)
        async with AsyncExitStack() as stack:
            recorders = [client.recorder for client in await joined(stack, server, FLOOR, EVERYWHERE)]
            await histories.told(recorders, own.url, "before")
            admin = await asyncpg.connect(own.url)
            taken: list[asyncpg.Connection[asyncpg.Record]] = []
            end = time.monotonic() + 12
            answers = set()
            while time.monotonic() < end:
                await admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'graphql_app'"
                )
                with suppress(asyncpg.TooManyConnectionsError):
                    while True:
                        taken.append(await asyncpg.connect(own.url))
                answers.add(await mutated(server, "no room", 30))
                await asyncio.sleep(0.3)
            assert answers <= {"UNAVAILABLE", "WorkstationChanged"}
            assert "UNAVAILABLE" in answers
            for connection in (*taken, admin):
                await connection.close()
            await histories.told(recorders, own.url, "room again", 5)
            await until_written(server, 5)
        assert "Traceback" not in server.log.read_text()
        assert all(payload.kind != "RESYNC" for recorder in recorders for payload in recorder.payloads)
