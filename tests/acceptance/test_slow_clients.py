"""Who does not read harms nobody: not the others, not the memory of the server; and in the end it is cut."""

import asyncio
import signal
import subprocess
import sys
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

import asyncpg
import httpx
import orjson
import pytest

from tests import histories
from tests.acceptance.conftest import Server, StartServer
from tests.acceptance.fixtures import follower
from tests.acceptance.following import Connection, joined, metric, processes
from tests.histories import FLOOR, SUBSCRIPTION, Recorder, check, committed

STALL_SECONDS = 6
COMMITS_PER_SECOND = 25  # each changes the 40 workstations of the floor: 1,000 changes a second
SUBSCRIPTIONS = 20
ROUNDS_MOST = 4  # who is harmed is harmed in every round; a busy machine is busy in some
MEBIBYTE = 1024 * 1024


class Follower:
    """A process of its own, which can be stopped; `recorders` are what its subscriptions were told."""

    def __init__(self, server: Server, file: Path) -> None:
        self._file = file
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                follower.__name__,
                server.ws_url,
                server.token("admin"),
                str(SUBSCRIPTIONS),
                str(file),
            ]
        )

    @property
    def messages(self) -> list[dict[str, object]]:
        lines = self._file.read_bytes().splitlines(keepends=True) if self._file.exists() else []
        return [orjson.loads(line) for line in lines if line.endswith(b"\n")]

    @property
    def recorders(self) -> list[Recorder]:
        recorders = [Recorder(FLOOR) for _ in range(SUBSCRIPTIONS)]
        for message in self.messages:
            if message.get("type") == "next":
                recorders[int(str(message["id"]))].record(message["payload"])  # type: ignore[arg-type]
        return recorders

    @property
    def close(self) -> dict[str, object] | None:
        return next((message for message in self.messages if "code" in message), None)

    async def until_all_have(self, notes: str, seconds: float) -> None:
        """Waits until each of its subscriptions was told of these notes."""
        needed = f'"notes":"{notes}"'.encode()
        async with asyncio.timeout(seconds):
            while not self._file.exists() or self._file.read_bytes().count(needed) < SUBSCRIPTIONS:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


@contextmanager
def follower_of(server: Server, file: Path) -> Iterator[Follower]:
    following = Follower(server, file)
    try:
        yield following
    finally:
        following.process.kill()
        following.process.wait()


async def change_all(url: str, seconds: float) -> dict[float, float]:
    """A thousand changes a second; the notes are when each was begun. Returns when it was committed, by that."""
    connection = await asyncpg.connect(url)
    commits: dict[float, float] = {}
    began = time.monotonic()
    for number in range(int(seconds * COMMITS_PER_SECOND)):
        await asyncio.sleep(began + number / COMMITS_PER_SECOND - time.monotonic())
        moment = time.monotonic()
        await connection.execute(
            "UPDATE workstations SET notes = $1 WHERE building = '总部A座' AND floor_number = 3", repr(moment)
        )
        commits[moment] = time.monotonic()
    await connection.close()
    return commits


async def p99(recorders: Sequence[Recorder], commits: Mapping[float, float]) -> float:
    """How long it took until a client had a state as new as a commit, or newer: the 99th percentile.

    No less than the window, which is no harm.
    """
    delays: list[float] = []
    for recorder in recorders:
        await recorder.until_notes(repr(max(commits)))
        newest = [
            (float(str(state["notes"])), payload.received_at)
            for payload in recorder.payloads
            for state in list(payload.workstations.values())[:1]
            if payload.kind == "CHANGES" and min(commits) <= payload.received_at
        ]
        moments = [moment for moment, _ in newest]
        delays += [newest[bisect_left(moments, begun)][1] - done for begun, done in commits.items()]
    return max(0.12, sorted(delays)[int(len(delays) * 0.99)])


def memory(server: Server) -> float:
    """Of the process that serves, in MiB."""
    return float(processes(server)[-1].memory_info().rss) / MEBIBYTE


def connections_to(server: Server, port: int) -> int:
    return sum(
        bool(one.raddr) and one.raddr.port == port for p in processes(server) for one in p.net_connections("tcp")
    )


@pytest.mark.conformance
async def test_a_stopped_client_harms_nobody_and_is_cut_and_one_that_goes_on_catches_up_merged(
    start_server: StartServer, psql: Connection, database_url: str, secret: str, tmp_path: Path
) -> None:
    server = start_server(GRAPHQL_APP_SOCKET_STALL_SECONDS=str(STALL_SECONDS))
    async with AsyncExitStack() as stack:
        quick = [client.recorder for client in await joined(stack, server, *[FLOOR] * 10)]
        gone, brief = (stack.enter_context(follower_of(server, tmp_path / name)) for name in ("gone", "brief"))
        await change_all(database_url, 1)  # everybody is warm
        await histories.told(quick, database_url, "0")
        for one in (gone, brief):
            await one.until_all_have("0", 15)

        before = memory(server)
        alone, beside = [], []
        for _ in range(ROUNDS_MOST):
            alone.append(await p99(quick, await change_all(database_url, 3)))
            for one in (gone, brief):
                one.process.send_signal(signal.SIGSTOP)
            stopped_at = time.monotonic()
            beside.append(await p99(quick, await change_all(database_url, 3)))
            brief.process.send_signal(signal.SIGCONT)
            if min(beside) < 2 * min(alone):
                break
            gone.process.send_signal(signal.SIGCONT)
        assert min(beside) < 2 * min(alone), f"p99 beside clients that do not read: {beside} s, without: {alone} s"
        await change_all(database_url, 2)
        during = memory(server)
        await histories.told(quick, database_url, "1")
        await brief.until_all_have("1", 15)

        async with asyncio.timeout(stopped_at + 2 * STALL_SECONDS + 5 - time.monotonic()):
            while metric(server, 'graphql_app_socket_closes_total{code="1013"}') < 1:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        gone.process.send_signal(signal.SIGCONT)
        async with asyncio.timeout(10):
            while gone.close is None:  # noqa: ASYNC110  # another process
                await asyncio.sleep(0.05)
    truth = await committed(database_url)
    for recorder in [*quick, *brief.recorders[:3]]:
        check(recorder, truth, secret)
    assert any(payload.merged for payload in brief.recorders[0].payloads)
    assert gone.close in (
        {"code": 1013, "reason": "Reads too slowly; come back with your last cursor"},
        {"code": None, "reason": None},
    )
    assert during - before < 64, "some hundred MiB were owed to who did not read"


# --- over HTTP -------------------------------------------------------------------------------------------------------


def request(server: Server, head: str, body: bytes = b"", **headers: str) -> bytes:
    given = server.headers() | headers | {"Host": urlsplit(server.url).netloc, "Content-Length": str(len(body))}
    return "\r\n".join([head, *(f"{name}: {value}" for name, value in given.items()), "", ""]).encode() + body


CROWD = """
INSERT INTO workstations (name, x_position, y_position, building, floor_number, notes)
SELECT 'crowd ' || i, i, i, 'Riverside', 1, repeat('long ', 100) FROM generate_series(1, 2000) i
"""


def by_events(server: Server) -> bytes:
    path = f"/api/changes?building={quote('总部A座')}&floor=3"
    return request(server, f"GET {path} HTTP/1.1", Accept="text/event-stream")


def by_graphql_events(server: Server) -> bytes:
    body = orjson.dumps({"query": SUBSCRIPTION, "variables": FLOOR.variables})
    return request(
        server, "POST /graphql HTTP/1.1", body, Accept="text/event-stream", **{"Content-Type": "application/json"}
    )


def by_long_poll(server: Server) -> bytes:
    """A single answer, and a large one."""
    return request(server, "GET /api/changes?building=Riverside HTTP/1.1")


async def answer_read(server: Server) -> httpx.Response:
    """The large answer, to somebody who reads it."""
    async with httpx.AsyncClient(base_url=server.url, headers=server.headers()) as http:
        return await http.get("/api/changes", params={"building": "Riverside"})


@pytest.mark.parametrize(
    "door",
    [
        by_events,
        pytest.param(by_graphql_events, marks=pytest.mark.conformance),
        pytest.param(by_long_poll, marks=pytest.mark.conformance),
    ],
)
async def test_a_client_over_http_that_stops_reading_is_cut_and_harms_nobody(
    start_server: StartServer, psql: Connection, database_url: str, secret: str, door: Callable[[Server], bytes]
) -> None:
    await psql.execute(CROWD)
    server = start_server(GRAPHQL_APP_SOCKET_STALL_SECONDS="2")
    await histories.committed(database_url)  # until all of the crowd is numbered: a snapshot is as of the head
    async with AsyncExitStack() as stack:
        quick = [client.recorder for client in await joined(stack, server, FLOOR)]
        # What the making of one such answer leaves with the allocator is owed to nobody who does not read.
        assert len((await answer_read(server)).content) > 1_000_000
        before = memory(server)
        deaf = [follower.narrow(server.url) for _ in range(10)]
        for one in deaf:
            stack.callback(one.close)
            one.sendall(door(server))
            assert one.recv(15) == b"HTTP/1.1 200 OK"
        writing = asyncio.create_task(change_all(database_url, 10))
        async with asyncio.timeout(20):
            while metric(server, "graphql_app_answers_unread_total") < len(deaf):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        assert memory(server) - before < 32
        assert [connections_to(server, one.getsockname()[1]) for one in deaf] == [0] * len(deaf)
        assert metric(server, "graphql_app_subscriptions_open") == 1
        await writing
        await histories.told(quick, database_url)
    truth = await committed(database_url)
    for recorder in quick:
        check(recorder, truth, secret)
    assert "Traceback" not in server.log.read_text()


async def test_a_client_over_http_that_reads_slowly_is_not_cut(start_server: StartServer, psql: Connection) -> None:
    await psql.execute(CROWD)
    server = start_server(GRAPHQL_APP_SOCKET_STALL_SECONDS="2")
    read, ends_at = 0, time.monotonic() + 5
    with follower.narrow(server.url) as slow:
        slow.sendall(by_long_poll(server))
        slow.setblocking(False)
        while time.monotonic() < ends_at:
            read += len(await asyncio.get_running_loop().sock_recv(slow, 16384))
            await asyncio.sleep(0.05)
    assert read > 100_000, "there was enough to wait for"
    assert metric(server, "graphql_app_answers_unread_total") == 0
