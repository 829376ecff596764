"""How long a committed change takes to reach its subscribers: `python bench/latency.py`. README.md says how."""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles
from typing import Any

import asyncpg
import stage
from stage import Server
from websockets.asyncio.client import connect

from graphql_app.embedded import Servers, running

OFFICE = """
INSERT INTO buildings (name) VALUES ('A');
INSERT INTO floors (building, number) VALUES ('A', 1);
INSERT INTO workstations (name, x_position, y_position, building, floor_number)
    SELECT 'A1-' || i, i, i, 'A', 1 FROM generate_series(1, 100) i;
"""
DOCUMENT = """
subscription { workstationChanges(filter: {building: "A", floorNumber: 1}) {
  kind cursor removed workstations { id name status version xPosition yPosition }
} }
"""
SETTLE_SECONDS = 2.0


# --- the process of the subscribers ----------------------------------------------------------------------------------


async def subscribers(ws_url: str, token: str, count: int) -> None:
    """Says "ready" when each has its snapshot; when told "stop", prints when which version arrived, and ends."""
    arrivals: list[list[tuple[float, str | bytes]]] = [[] for _ in range(count)]
    begun = [asyncio.Event() for _ in range(count)]

    async def follow(number: int) -> None:
        async with connect(
            ws_url,
            subprotocols=["graphql-transport-ws"],  # type: ignore[list-item]  # a NewType of str
            compression=None,
            ping_interval=None,
        ) as socket:
            init = {"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}}
            await socket.send(json.dumps(init))
            await socket.recv()
            await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": {"query": DOCUMENT}}))
            await socket.recv()
            begun[number].set()
            while True:
                message = await socket.recv()
                arrivals[number].append((time.time(), message))

    tasks = [asyncio.create_task(follow(number)) for number in range(count)]
    await asyncio.gather(*(event.wait() for event in begun))
    await told_to_stop()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    print(json.dumps([[at, *state] for received in arrivals for at, message in received for state in states(message)]))


def states(message: str | bytes) -> Iterator[tuple[str, int]]:
    for workstation in json.loads(message)["payload"]["data"]["workstationChanges"]["workstations"]:
        yield workstation["name"], workstation["version"]


async def listener(database_url: str) -> None:
    """The baseline's receiver: nothing but LISTEN. The payload is the moment of sending."""
    received: list[float] = []
    connection = await asyncpg.connect(database_url)
    await connection.add_listener("bench", lambda *news: received.append(time.time() - float(str(news[-1]))))
    await told_to_stop()
    await connection.close()
    print(json.dumps(received))


async def told_to_stop() -> None:
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)


@contextmanager
def receiver(*arguments: str) -> Iterator[Callable[[], Any]]:
    """This file as a process of its own. Yields what tells it to stop and returns what it measured."""
    command = [sys.executable, __file__, *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def stop() -> Any:
        return json.loads(process.communicate("stop\n", timeout=60)[0].splitlines()[-1])

    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield stop
    finally:
        process.kill()
        process.wait()


# --- the process that writes -----------------------------------------------------------------------------------------


async def paced(rate: float, seconds: float, act: Callable[[int], Awaitable[object]]) -> None:
    """Calls it so often in a second, each call at its own moment, whatever the last one took."""
    began = time.monotonic()
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
        await act(number)
    await asyncio.sleep(SETTLE_SECONDS)


async def baseline(database_url: str, rate: float, seconds: float) -> list[float]:
    connection = await asyncpg.connect(database_url)
    with receiver("listener", database_url) as stop:
        send = "SELECT pg_notify('bench', extract(epoch FROM clock_timestamp())::text)"
        await paced(rate, seconds, lambda _: connection.execute(send))
        latencies: list[float] = stop()
    await connection.close()
    assert len(latencies) == int(rate * seconds)
    return latencies


async def through_server(
    database_url: str, server: Server, token: str, rate: float, seconds: float, count: int
) -> list[list[float]]:
    """For each change, how long it took to each subscriber."""
    connection = await asyncpg.connect(database_url)
    first = await connection.fetchval("SELECT coalesce(max(seq), 0) FROM change_log")
    update = "UPDATE workstations SET x_position = x_position + 1 WHERE id = $1"
    with receiver("subscribers", server.ws_url, token, str(count)) as stop:
        await paced(rate, seconds, lambda number: connection.execute(update, 1 + number % 100))
        arrivals = stop()
    rows = await connection.fetch(
        "SELECT after ->> 'name' AS name, version, extract(epoch FROM logged_at)::float8 AS at FROM change_log"
        " WHERE seq > $1",
        first,
    )
    await connection.close()
    committed = {(row["name"], row["version"]): row["at"] for row in rows}
    assert len(committed) == int(rate * seconds)
    assert len(arrivals) == count * len(committed), "every subscriber is told of every version"
    latencies: defaultdict[tuple[str, int], list[float]] = defaultdict(list)
    for at, name, version in arrivals:
        latencies[name, version].append(at - committed[name, version])
    return list(latencies.values())


# --- the figures -----------------------------------------------------------------------------------------------------


def percentiles(latencies: Iterable[float]) -> tuple[float, float]:
    """p50 and p99, in milliseconds."""
    cuts = quantiles(latencies, n=100)
    return cuts[49] * 1000, cuts[98] * 1000


async def measure(servers: Servers, directory: Path, options: argparse.Namespace) -> None:
    office = await stage.office(servers.database_url, servers.redis_url, directory, OFFICE)
    database_url, token = office.database_url, office.token()
    bare = percentiles(await baseline(database_url, options.rate, options.seconds))
    print(f"{'commit to receive':<50}{'p50':>10}{'p99':>10}{'p50 ratio':>12}{'p99 ratio':>12}")
    report("NOTIFY to an asyncpg listener", bare, bare)
    for name, settings in (
        ("no batching (window 0)", {"GRAPHQL_APP_BATCH_WINDOW_MS": "0"}),
        ("as shipped (window 100 ms)", {}),
    ):
        with stage.serving(office, **settings) as server:
            found = await through_server(
                database_url, server, token, options.rate, options.seconds, options.subscribers
            )
        report(f"{name}: the first subscriber", percentiles(map(min, found)), bare)
        report(f"{name}: all {options.subscribers}", percentiles(one for change in found for one in change), bare)


def report(name: str, measured: tuple[float, float], bare: tuple[float, float]) -> None:
    ratios = [own / of_bare for own, of_bare in zip(measured, bare, strict=True)]
    print(
        f"{name:<50}" + "".join(f"{ms:>7.2f} ms" for ms in measured) + "".join(f"{r:>12.1f}" for r in ratios),
        flush=True,
    )


def main() -> None:
    if sys.argv[1:2] == ["subscribers"]:
        asyncio.run(subscribers(sys.argv[2], sys.argv[3], int(sys.argv[4])))
        return
    if sys.argv[1:2] == ["listener"]:
        asyncio.run(listener(sys.argv[2]))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subscribers", type=int, default=100)
    parser.add_argument("--rate", type=float, default=50, help="changes per second")
    parser.add_argument("--seconds", type=float, default=20, help="how long each of the three is measured")
    options = parser.parse_args()
    stage.take_the_stage()
    with tempfile.TemporaryDirectory(prefix="graphql-app-") as data, running(Path(data)) as servers:
        asyncio.run(measure(servers, Path(data), options))


if __name__ == "__main__":
    main()
