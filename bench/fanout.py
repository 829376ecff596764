"""Fan-out of subscriptions, each figure beside a baseline of the same run: `python bench/fanout.py`. See README.md."""

import argparse
import asyncio
import sys
import time
from array import array
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import asyncpg
import parts
import stage
from figures import Target, figure, heading
from stage import Office, Server, cpu_seconds
from subscribers import Subscribers, subscribed
from writer import Writer, writer

WORKSTATIONS = 100
FLOORS = 2000  # of building B, without workstations: for those whom no change concerns
SCHEMA = f"""
INSERT INTO buildings (name) VALUES ('A'), ('B');
INSERT INTO floors (building, number) VALUES ('A', 1);
INSERT INTO floors (building, number) SELECT 'B', i FROM generate_series(0, {FLOORS - 1}) i;
INSERT INTO workstations (name, x_position, y_position, building, floor_number)
    SELECT 'A1-' || i, 0, i, 'A', 1 FROM generate_series(1, {WORKSTATIONS}) i;
"""
DOCUMENT = """subscription ($building: String!, $floor: Int!) {
  workstationChanges(filter: {building: $building, floorNumber: $floor}) {
    kind cursor removed workstations { id name status version xPosition yPosition }
  }
}"""
THIS_FLOOR = {"query": DOCUMENT, "variables": {"building": "A", "floor": 1}}
OTHER_FLOORS = {"query": DOCUMENT, "variables": {"building": "B", "floor": "%N"}}  # each socket its own number

STEADY = Target(at_least=0.75, at_most=1.25)
WAIT_SECONDS = 300
WARM_SECONDS = 2.0
APART = {"GRAPHQL_APP_BATCH_WINDOW_MS": "0"}
# While the CPU of changes is measured idle subscribers are sent nothing. Those who came together are pinged together,
# within a second or two of twenty, and that would count either as rest or as work.
QUIET = {"GRAPHQL_APP_PROGRESS_SECONDS": "3600", "GRAPHQL_APP_SOCKET_PING_SECONDS": "3600"}


# --- who is measured -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Contender:
    """A kind of server: how it is started, and where its writer writes."""

    name: str
    office: Office
    serve: Callable[..., AbstractContextManager[Server]]


@dataclass(slots=True)
class Bench:
    options: argparse.Namespace
    binaries: Path
    ours: Contender
    peer: Contender
    token: str

    def subscribed(
        self, servers: list[Server], count: int, payload: Mapping[str, object] = THIS_FLOOR, **options: Any
    ) -> AbstractContextManager[Subscribers]:
        ports = [server.port for server in servers]
        return subscribed(self.binaries / "subscribers", ports, count, self.token, payload, **options)


async def until(condition: Callable[[], bool], them: Subscribers, seconds: float = WAIT_SECONDS) -> None:
    """Looks every now and then: what is looked at is memory that another process writes."""
    deadline = time.monotonic() + seconds
    while not condition():
        them.check()
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {seconds} s in vain: {them.counters.now()}")
        await asyncio.sleep(0.02)


async def first_payloads(them: Subscribers) -> None:
    await until(lambda: them.counters.begun == them.count, them)


async def all_follow(them: Subscribers, write: Writer) -> None:
    """Returns when each has subscribed and seen the last change. A server without snapshots is given one to show."""
    await until(lambda: them.counters.acknowledged == them.count, them)
    while them.counters.begun < them.count:
        await write.change(write.connections[0], 1)
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await first_payloads(them)
    await caught_up(them, write)


async def caught_up(them: Subscribers, write: Writer) -> None:
    """Returns when all have seen the last change, and a moment of rest has passed."""
    await until(lambda: them.counters.marks == write.mark * them.count, them)
    await asyncio.sleep(0.5)


# --- (a), (b): deliveries at saturation ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Saturated:
    payloads: float  # a second, as all that follow
    states: float
    bytes: float
    server_busy: float  # share of its core
    others_idle: float  # share of the cores of everything else
    last: Path

    @property
    def of_a_core(self) -> float:
        """Payloads for a second of the server's CPU: what a core gives that nobody else takes from it."""
        return self.payloads / self.server_busy


async def saturated(
    bench: Bench, of: Contender, count: int, workstations: int, ahead: int, settings: dict[str, str]
) -> Saturated:
    async with writer(of.office.database_url) as write:
        with of.serve(of.office, **settings) as server, bench.subscribed([server], count) as them:
            await all_follow(them, write)
            writing = asyncio.create_task(write.saturate(them, ahead, workstations))
            await asyncio.sleep(WARM_SECONDS)
            found = await rates(bench, them, server.pid)
            if writing.done():
                writing.result()
            writing.cancel()
            await asyncio.wait([writing])
            them.check()
            them.stop()
            return found


async def rates(bench: Bench, them: Subscribers, pid: int) -> Saturated:
    def sample() -> list[float]:
        now = them.counters.now()
        idle = stage.idle_seconds(stage.OTHER_CORES) / len(stage.OTHER_CORES)
        return [time.monotonic(), now["payloads"], now["states"], now["bytes"], cpu_seconds(pid), idle]

    before = sample()
    await asyncio.sleep(bench.options.seconds)
    seconds, *rest = [after - first for after, first in zip(sample(), before, strict=True)]
    payloads, states, read, cpu, idle = [amount / seconds for amount in rest]
    return Saturated(payloads, states, read, cpu, idle, them.files / "last")


async def bare(bench: Bench, command: list[str], count: int, message: Path) -> Saturated:
    """What a server delivers that only sends: this message, to so many."""
    counters = bench.binaries / f"counters-{count}-{Path(command[0]).name}"
    counters.unlink(missing_ok=True)
    with (
        stage.program([*command, str(count), str(message), str(counters)]) as server,
        bench.subscribed([server], count, counters=counters) as them,
    ):
        await first_payloads(them)
        await asyncio.sleep(WARM_SECONDS)
        found = await rates(bench, them, server.pid)
        them.check()
        return found


async def saturation(bench: Bench) -> None:
    """Deliveries a second, one change a payload."""
    for count in bench.options.subscribers:
        ahead = max(8, 20_000 // count)
        peer = await saturated(bench, bench.peer, count, 1, ahead, {})
        ours = await saturated(bench, bench.ours, count, 1, ahead, APART)
        picows = await bare(bench, [sys.executable, str(stage.HERE / "broadcast.py")], count, ours.last)
        blast = await bare(bench, [str(bench.binaries / "blast")], count, ours.last)
        name = f"{count:,} subscribers, one change a payload"
        figure(name, ours.payloads, "/s", (bench.peer.name, peer.payloads), Target(at_least=4))
        figure(f"{name}: of a bare broadcast", ours.payloads, "/s", ("picows", picows.payloads), Target(at_least=0.5))
        figure(f"{name}: by a second of server CPU", ours.of_a_core, "/s", (bench.peer.name, peer.of_a_core))
        figure("the same of a bare broadcast", ours.of_a_core, "/s", ("picows", picows.of_a_core))
        figure("the load generator: bare broadcast in C", blast.payloads, "/s", ("picows", picows.payloads))
        utilisation(f"{count:,} subscribers", ours=ours, peer=peer, picows=picows, C=blast)


async def batching(bench: Bench) -> None:
    """Distinct states a second, batching as shipped."""
    for count in bench.options.subscribers:
        peer = await saturated(bench, bench.peer, count, WORKSTATIONS, WORKSTATIONS, {})
        ours = await saturated(bench, bench.ours, count, WORKSTATIONS, WORKSTATIONS, {})
        name = f"{count:,} subscribers, batching as shipped: distinct (id, version)"
        figure(name, ours.states, "/s", (bench.peer.name, peer.states), Target(at_least=8))
        name = f"{name}, by a second of server CPU"
        figure(name, ours.states / ours.server_busy, "/s", (bench.peer.name, peer.states / peer.server_busy))
        figure("states in a payload", ours.states / ours.payloads, "")
        utilisation(f"{count:,} subscribers, batching", ours=ours, peer=peer)


def utilisation(name: str, **found: Saturated) -> None:
    """Who was at the limit: the server's core is to be busy, the others' are to have something left."""
    for who, one in found.items():
        told = f"busy {one.server_busy:.0%}, the other cores idle {one.others_idle:.0%}, {one.bytes / 1e6:,.0f} MB/s"
        print(f"{name}: {who}: {told}", file=sys.stderr, flush=True)


# --- (c): latency ----------------------------------------------------------------------------------------------------


async def latencies(bench: Bench, of: Contender, settings: dict[str, str]) -> tuple[float, float]:
    """p50 and p99 in milliseconds, from the writer's having been told of the commit to the reading of it."""
    count = bench.options.subscribers[0]
    async with writer(of.office.database_url) as write:
        with (
            of.serve(of.office, **settings) as server,
            bench.subscribed([server], count, arrivals=True) as them,
        ):
            await all_follow(them, write)
            await write.paced(11_000 / count, WARM_SECONDS, WORKSTATIONS)
            first = write.mark
            await write.paced(11_000 / count, bench.options.seconds, WORKSTATIONS)
            await caught_up(them, write)
            them.stop()
            arrived = array("d", (them.files / "arrivals").read_bytes())
            # struct {uint32 socket, mark; double at}: read as doubles for `at`, as numbers for the mark.
            marks = memoryview(arrived).cast("B").cast("I")[1::4].tolist()
    late = [(at - write.committed[mark]) * 1000 for mark, at in zip(marks, arrived[1::2], strict=True) if mark > first]
    assert len(late) == count * (write.mark - first), f"{len(late)} of {count * (write.mark - first)} arrived"
    cuts = quantiles(late, n=100)
    return cuts[49], cuts[98]


async def latency(bench: Bench) -> None:
    """Commit to receive, at 11,000 deliveries a second."""
    peer = await latencies(bench, bench.peer, {})
    for name, settings in (("window 0", APART), ("batching as shipped", {})):
        ours = await latencies(bench, bench.ours, settings)
        count = f"{bench.options.subscribers[0]:,} subscribers, 11,000 deliveries/s, {name}"
        figure(f"{count}: commit to receive, p50", ours[0], "ms", (bench.peer.name, peer[0]))
        figure(f"{count}: commit to receive, p99", ours[1], "ms", (bench.peer.name, peer[1]), Target(at_most=0.25))


# --- (d): memory -----------------------------------------------------------------------------------------------------


async def kilobytes(bench: Bench, of: Contender) -> float:
    count: int = bench.options.subscribers[-1]
    async with writer(of.office.database_url) as write:
        with of.serve(of.office) as server:
            # A server that has served: code is loaded, plans are made.
            with bench.subscribed([server], 100) as few:
                await all_follow(few, write)
            await asyncio.sleep(1)
            before = stage.resident_bytes(server.pid)
            with bench.subscribed([server], count) as them:
                await all_follow(them, write)
                await asyncio.sleep(3)
                grown: int = stage.resident_bytes(server.pid) - before
                return grown / count / 1024


async def memory(bench: Bench) -> None:
    """Resident memory of an idle subscribed socket."""
    peer = await kilobytes(bench, bench.peer)
    ours = await kilobytes(bench, bench.ours)
    name = f"memory of an idle subscribed socket, {bench.options.subscribers[-1]:,} open"
    figure(f"{name}: against 10 KB", ours, "KB", ("asked for", 10), Target(at_most=1))
    figure(name, ours, "KB", (bench.peer.name, peer))


# --- (e), (f): CPU ---------------------------------------------------------------------------------------------------


async def cpu_a_change(bench: Bench, them: Subscribers, write: Writer, servers: list[Server], rate: float) -> float:
    """Milliseconds of the servers' CPU for one change, above what they need when nothing happens."""
    seconds: float = bench.options.seconds
    pids = [server.pid for server in servers]

    async def over(activity: Coroutine[Any, Any, None]) -> tuple[float, float]:
        cpu, began = cpu_seconds(*pids), time.monotonic()
        await activity
        return cpu_seconds(*pids) - cpu, time.monotonic() - began

    async def changes() -> None:
        await write.paced(rate, seconds, 1)
        await caught_up(them, write)

    resting, resting_seconds = await over(asyncio.sleep(seconds))
    working, working_seconds = await over(changes())
    return (working - resting / resting_seconds * working_seconds) / round(rate * seconds) * 1000


async def cpu_with(bench: Bench, count: int, *, servers: int = 1, others: int = 0, rate: float = 5) -> float:
    ours = bench.ours
    async with writer(ours.office.database_url) as write:
        with ExitStack() as stack:
            running = [stack.enter_context(ours.serve(ours.office, **APART, **QUIET)) for _ in range(servers)]
            them = stack.enter_context(bench.subscribed(running, count))
            if others:
                elsewhere = stack.enter_context(bench.subscribed(running, others, OTHER_FLOORS))
                await first_payloads(elsewhere)
            await all_follow(them, write)
            await asyncio.sleep(WARM_SECONDS)  # what connecting has left to do
            return await cpu_a_change(bench, them, write, running, rate)


async def medians(rounds: int, of: Mapping[int, Callable[[], Coroutine[Any, Any, float]]]) -> dict[int, float]:
    """Of so many rounds in which each is measured in turn: what the machine does meanwhile is done to all alike."""
    found: dict[int, list[float]] = {key: [] for key in of}
    for _ in range(rounds):
        for key, measured in of.items():
            found[key].append(await measured())
    return {key: median(each) for key, each in found.items()}


async def cost(bench: Bench) -> None:
    """CPU of a change as a + b x subscribers, and with cohorts that it does not concern."""
    few, most = bench.options.subscribers[0], bench.options.subscribers[-1]
    counts = sorted({few, (few + most) * 5 // 12, most})
    spent = await medians(bench.options.rounds, {count: partial(cpu_with, bench, count) for count in [1, *counts]})
    figure("CPU of a change is a + b x subscribers: a, with one subscriber", spent[1], "ms")
    each = {count: (spent[count] - spent[1]) / (count - 1) * 1000 for count in counts}
    steps = [(spent[after] - spent[first]) / (after - first) * 1000 for first, after in pairwise(counts)]
    for count in counts:
        figure(f"{count:,} subscribers: server CPU of a change", spent[count], "ms")
    figure(f"b of {few:,} subscribers", each[few], "µs")
    for count in counts[1:]:
        figure(f"b of {count:,} subscribers", each[count], "µs", (f"of {few:,}", each[few]), STEADY)
    figure(
        f"b of those between {counts[-2]:,} and {most:,}", steps[-1], "µs",
        (f"between {few:,} and {counts[1]:,}", steps[0]), STEADY,
    )  # fmt: skip
    none = await cpu_with(bench, 10, rate=50)
    many = await cpu_with(bench, 10, others=FLOORS, rate=50)
    name = f"CPU of a change with {FLOORS:,} cohorts on other floors, 10 subscribers on this"
    figure(name, many, "ms", ("without them", none), Target(at_most=1.25))


async def processes(bench: Bench) -> None:
    """CPU of a delivery with the subscribers on two processes, against one."""
    for count in bench.options.subscribers:
        spent = await medians(
            bench.options.rounds, {servers: partial(cpu_with, bench, count, servers=servers) for servers in (1, 2)}
        )
        one, two = (spent[servers] / count * 1000 for servers in (1, 2))
        name = f"{count:,} subscribers on two processes: CPU of a delivery, summed"
        figure(name, two, "µs", ("on one", one), Target(at_most=1.1))


# --- (g): a storm of connections -------------------------------------------------------------------------------------


SCANS = "SELECT seq_scan + idx_scan FROM pg_stat_user_tables WHERE relname = 'workstations'"
STATISTICS_SECONDS = 11  # a session that rests tells its statistics after 10


async def scans(database_url: str) -> int:
    await asyncio.sleep(STATISTICS_SECONDS)
    connection = await asyncpg.connect(database_url)
    try:
        return int(await connection.fetchval(SCANS))
    finally:
        await connection.close()


async def storm(bench: Bench) -> None:
    """All subscribers come within 5 seconds, while the floor changes, and each wants a snapshot."""
    ours, count, over, rate = bench.ours, bench.options.subscribers[-1], 5, 10
    async with writer(ours.office.database_url) as write:
        with ours.serve(ours.office) as server:
            none = await scans(ours.office.database_url)
            with bench.subscribed([server], 1) as alone:
                await all_follow(alone, write)
            one = await scans(ours.office.database_url)
            cpu = cpu_seconds(server.pid)
            with bench.subscribed([server], count, over=over) as them:
                writing = asyncio.create_task(write.paced(rate, WAIT_SECONDS, WORKSTATIONS))
                counted = them.counters
                while counted.begun + counted.closed < count and not writing.done():  # noqa: ASYNC110  # another process's memory
                    await asyncio.sleep(0.02)
                writing.cancel()
                await asyncio.wait([writing])
                turned_away = counted.closed
                cpu = cpu_seconds(server.pid) - cpu
                them.stop()
                late = array("d", (them.files / "begun").read_bytes())
            many = await scans(ours.office.database_url)
    cuts = quantiles(late, n=100)
    name = f"{count:,} subscribers come within {over} s, {rate} changes/s"
    figure(f"{name}: connect to snapshot, p50", cuts[49], "ms")
    figure(f"{name}: connect to snapshot, p99", cuts[98], "ms")
    figure(f"{name}: server CPU of each", cpu / count * 1000, "ms")
    figure(f"{name}: turned away, to come again", turned_away, "")
    queries = (many - one) / max(1, one - none)
    figure(f"{name}: queries for snapshots", queries, "", ("subscribers", count), Target(at_most=0.2))


# --- (h): writes -----------------------------------------------------------------------------------------------------


async def writes_a_second(bench: Bench, of: Office, writers: int) -> float:
    async with writer(of.database_url, writers) as write:
        deadline = time.monotonic() + bench.options.seconds
        first, began = write.mark, time.monotonic()

        async def one(connection: asyncpg.Connection) -> None:
            while time.monotonic() < deadline:
                await write.change(connection, WORKSTATIONS)

        await asyncio.gather(*map(one, write.connections))
        count: int = write.mark - first
        return count / (time.monotonic() - began)


async def writes(bench: Bench) -> None:
    """UPDATEs a second with the feed, against no server at all, and against tables without our triggers."""
    ours, plain = bench.ours.office, bench.peer.office
    for writers in (1, 8):
        bare_table = await writes_a_second(bench, plain, writers)
        alone = await writes_a_second(bench, ours, writers)
        with bench.ours.serve(ours):
            followed = await writes_a_second(bench, ours, writers)
        name = f"UPDATEs, {writers} writer{'s' if writers > 1 else ''}"
        figure(f"{name}: with the feed", followed, "/s", ("no server", alone))
        figure(f"{name}: our log, no server", alone, "/s", ("the peer's trigger alone", bare_table))


# --- the whole -------------------------------------------------------------------------------------------------------

PARTS: dict[str, Callable[[Bench], Coroutine[Any, Any, None]]] = {
    "saturation": saturation,
    "batching": batching,
    "latency": latency,
    "memory": memory,
    "cost": cost,
    "processes": processes,
    "storm": storm,
    "writes": writes,
}


async def measure(options: argparse.Namespace, database_url: str, redis_url: str, directory: Path) -> None:
    node = stage.node()
    for source in ("subscribers", "blast"):
        stage.compiled(source, directory)
    ours = await stage.office(database_url, redis_url, directory, SCHEMA, "ours")
    peer = await stage.office(database_url, redis_url, directory, SCHEMA + stage.PEER_SCHEMA.read_text(), "peer")

    def serve_ours(office: Office, **settings: str) -> Any:
        return stage.serving(office, **(settings | options.settings))

    def serve_peer(office: Office) -> Any:
        return stage.program([node, str(stage.PEERS / "mercurius.js")], office.environment | {"NODE_ENV": "production"})

    bench = Bench(
        options,
        directory,
        Contender("graphql-app", ours, serve_ours),
        Contender("Mercurius", peer, serve_peer),
        ours.token(),
    )
    heading()
    for name in options.only:
        await PARTS[name](bench)


def arguments() -> argparse.Namespace:
    parser = parts.parser(__doc__, PARTS)
    parser.add_argument("--subscribers", default="1000,5000", help="a smaller and a larger number")
    parser.add_argument("--rounds", type=int, default=3, help="how often the CPU of a change is measured")
    options = parts.parsed(parser, PARTS)
    options.subscribers = [int(count) for count in options.subscribers.split(",")]
    return options


if __name__ == "__main__":
    parts.run(measure, arguments())
