"""Reads and a mutation over HTTP, each figure beside others of the same run: `python bench/reads.py`. See README.md."""

import argparse
import asyncio
import random
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, closing
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import asyncpg
import parts
import queries
import stage
from fanout import DOCUMENT
from figures import Target, figure, heading
from graphql import parse, validate
from queries import Question, Words
from stage import Office, Server
from subscribers import subscribed

from graphql_app.domain.identifiers import global_id
from graphql_app.graph.api.schema import build
from graphql_app.graph.documents.document import Documents
from graphql_app.graph.documents.limits import DocumentLimits
from graphql_app.graph.engine.execution import Execution
from graphql_app.settings import Settings

ROLES = ("visitor", "employee", "admin")
CONNECTIONS = 32
NAMES = {"mercurius.js": "Mercurius", "postgraphile.js": "PostGraphile"}
WARM_SECONDS = 2
ROUND = 40  # documents


# Every request asks the database; rows in memory, every request executed; as shipped.
UNCACHED = {"GRAPHQL_APP_CACHE_ROWS": "0", "GRAPHQL_APP_ANSWERS_BYTES": "0"}
ROWS = {"GRAPHQL_APP_ANSWERS_BYTES": "0"}
SHIPPED: dict[str, str] = {}

RESET = "UPDATE workstations SET status = 'available', employee_id = NULL WHERE building <> 'G'"
CHANGE = """UPDATE workstations SET notes = $1 WHERE id = (
    SELECT id FROM workstations WHERE building = $2 AND floor_number = $3 ORDER BY random() LIMIT 1)"""


# --- how it is measured ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hit:
    """What wrk found."""

    rate: float  # requests a second
    p50: float  # ms
    p99: float
    busy: float  # share of the server's core
    size: int  # bytes of an answer, as a mean over some
    answered: int  # requests, those before it was measured included

    @property
    def of_a_core(self) -> float:
        return self.rate / self.busy


def hit(bench: "Bench", server: Server, questions: Sequence[Question]) -> Hit:
    """Asks these, over and over, as fast as they are answered."""
    requests = [question.request() for question in questions]
    file = bench.directory / "requests"
    file.write_bytes(" ".join(str(len(one)) for one in requests).encode() + b"\n" + b"".join(requests))
    looked_at = questions[: len(ROLES) * 4]
    size = sum(len(question.answer(server.url)) for question in looked_at) // len(looked_at)
    # The next run goes on where the last one ended: what is sent twice changes nothing the second time.
    sent = len(looked_at)
    warm = run_wrk(server, file, sent, WARM_SECONDS)[0]
    sent += warm + CONNECTIONS
    cpu = stage.cpu_seconds(server.pid)
    count, microseconds, p50, p99, errors = run_wrk(server, file, sent, bench.options.seconds)
    cpu = stage.cpu_seconds(server.pid) - cpu
    if errors:
        raise SystemExit(f"{errors} of {count} requests failed, e.g. {questions[0].query}")
    seconds = microseconds / 1e6
    return Hit(count / seconds, p50 / 1000, p99 / 1000, cpu / seconds, size, warm + count)


def run_wrk(server: Server, file: Path, first: int, seconds: int) -> list[int]:
    script = stage.HERE / "load" / "requests.lua"
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "30s"]
    command += ["-s", str(script), f"{server.url}/graphql", "--", str(file), str(first)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [int(number) for number in told.rpartition("measured ")[2].split()]


@dataclass(frozen=True, slots=True)
class Contender:
    name: str
    office: Office
    words: Words
    serve: Callable[..., AbstractContextManager[Server]]


@dataclass(slots=True)
class Bench:
    options: argparse.Namespace
    directory: Path
    ours: Contender
    peers: list[Contender]
    known: dict[tuple[str, str], Hit] = field(default_factory=dict)

    def peer_hits(self, kind: str, ask: Callable[[Words], list[Question]]) -> dict[str, Hit]:
        """Every peer's figures; measured once, as they have no settings to vary."""
        for peer in self.peers:
            if (peer.name, kind) not in self.known:
                with peer.serve(peer.office) as server:
                    self.known[peer.name, kind] = hit(self, server, ask(peer.words))
        return {peer.name: self.known[peer.name, kind] for peer in self.peers}

    def our_hit(self, ask: Callable[[Words], list[Question]], settings: dict[str, str]) -> Hit:
        with self.ours.serve(self.ours.office, **settings) as server:
            return hit(self, server, ask(self.ours.words))


def compared(name: str, ours: Hit, peers: dict[str, Hit], at_least: float) -> None:
    """Requests a second and p99 beside the fastest of the peers; the others for comparison."""
    fastest = max(peers, key=lambda peer: peers[peer].rate)
    figure(f"{name} ({ours.size:,} bytes)", ours.rate, "/s", (fastest, peers[fastest].rate), Target(at_least=at_least))
    figure(f"{name}, by a second of server CPU", ours.of_a_core, "/s", (fastest, peers[fastest].of_a_core))
    figure(f"{name}, p99", ours.p99, "ms", (fastest, peers[fastest].p99), Target(at_most=1))
    for peer in peers.keys() - {fastest}:
        figure(name, ours.rate, "/s", (peer, peers[peer].rate))
    utilisation(name, ours=ours, **peers)


def utilisation(name: str, **found: Hit) -> None:
    told = ", ".join(f"{who} {one.busy:.0%} busy, p50 {one.p50:.3g} ms" for who, one in found.items())
    print(f"{name}: {told}", file=sys.stderr, flush=True)


# --- the parts -------------------------------------------------------------------------------------------------------


async def floor(bench: Bench) -> None:
    """One floor: without caches, with the rows in memory, and with the finished answer."""
    peers = bench.peer_hits("floor", queries.floors)
    ours = bench.our_hit(queries.floors, UNCACHED)
    compared("floor query, one statement a request", ours, peers, 2)
    compared("floor query, rows in memory, each executed", bench.our_hit(queries.floors, ROWS), peers, 2)


async def answers(bench: Bench) -> None:
    """One floor as shipped, while 20 changes a second hit random floors, against a fixed body of that size."""
    ours = bench.ours
    async with changing(ours.office.database_url, bench.options.rate):
        with ours.serve(ours.office) as server:
            warm = await asyncio.to_thread(hit, bench, server, queries.floors(ours.words))
    with stage.program([sys.executable, str(stage.HERE / "fixed.py"), str(warm.size)]) as server:
        fixed = hit(bench, server, [AnyQuestion("", {})])
    name = f"floor query, as shipped, {bench.options.rate:g} changes/s ({warm.size:,} bytes)"
    figure(name, warm.rate, "/s", ("bare uvicorn", fixed.rate), Target(at_least=0.6))
    figure(f"{name}, by a second of server CPU", warm.of_a_core, "/s", ("bare uvicorn", fixed.of_a_core))
    figure(f"{name}, p99", warm.p99, "ms", ("bare uvicorn", fixed.p99))
    utilisation(name, ours=warm, uvicorn=fixed)


class AnyQuestion(Question):
    """To a server that does not care what it is asked."""

    def answer(self, url: str) -> bytes:
        return b""


async def single(bench: Bench) -> None:
    """One workstation by id."""
    peers = bench.peer_hits("one", queries.ones)
    for name, settings in (("uncached", UNCACHED), ("as shipped", SHIPPED)):
        compared(f"one by id, {name}", bench.our_hit(queries.ones, settings), peers, 1)


async def page(bench: Bench) -> None:
    """A filtered page of 50, with the total."""
    peers = bench.peer_hits("page", queries.pages)
    for name, settings in (("uncached", UNCACHED), ("as shipped", SHIPPED)):
        compared(f"page of 50 and total, {name}", bench.our_hit(queries.pages, settings), peers, 1)


async def change(bench: Bench) -> None:
    """setWorkstationStatus, with the feed and a subscriber. The peers have to tell nobody: that is in their favour."""
    ours, before = bench.ours, {}
    for contender in (ours, *bench.peers):
        await execute(contender.office.database_url, RESET)
        before[contender.name] = await versions(contender)
    peers = bench.peer_hits("change", queries.changes)
    token = ours.words.tokens[-1]
    follow = {"query": DOCUMENT, "variables": {"building": "B0", "floor": 1}}
    with (
        ours.serve(ours.office) as server,
        subscribed(bench.directory / "subscribers", [server.port], 1, token, follow) as subscriber,
    ):
        found = hit(bench, server, queries.changes(ours.words))
        subscriber.check()
    for contender in (ours, *bench.peers):
        asked = (found if contender is ours else peers[contender.name]).answered
        changed = await versions(contender) - before[contender.name]
        if changed < asked * 0.99:  # a few are sent twice, or not at all, between two runs of wrk
            raise SystemExit(f"{contender.name} changed {changed} of {asked}")
    compared("setWorkstationStatus, as shipped, one subscriber", found, peers, 1)


async def documents(bench: Bench) -> None:
    """Documents that never come twice, against one that always does, and what they leave in memory."""
    ours, count = bench.ours, bench.options.documents
    with ours.serve(ours.office, **UNCACHED) as server:
        same = each_once(server, queries.repeated(ours.words, count))
        before = stage.resident_bytes(server.pid)
        first = each_once(server, queries.distinct(ours.words, count))
        middle = stage.resident_bytes(server.pid)
        each_once(server, queries.distinct(ours.words, count, first=count))
        after = stage.resident_bytes(server.pid)
    figure(f"{count:,} distinct documents: server CPU of each", first, "ms", ("one document repeated", same))
    texts = [question.query for question in queries.distinct(ours.words, 2000)]
    theirs, own = prepared(texts)
    target = Target(at_most=1.1)
    figure("a document for the first time", own, "ms", ("graphql-core's parse and validate", theirs), target)
    figure(f"{count:,} distinct documents: memory taken", (middle - before) / 1e6, "MB")
    figure(f"memory after {count:,} more", after / 1e6, "MB", ("before", middle / 1e6), Target(at_most=1.05))


def prepared(texts: Sequence[str]) -> tuple[float, float]:
    """Milliseconds of this process for each text: of graphql-core alone, and of ours, which also measures it and keeps
    what it learnt. The best of many short rounds, in turn: this core has other work to do."""
    schema = Execution(build(), seconds=1).schema
    own = Documents(schema, DocumentLimits(), kept=Settings.model_fields["documents_kept"].default)
    ways: tuple[Callable[[str], object], ...] = (lambda text: validate(schema, parse(text)), own.get)
    spent: tuple[list[float], ...] = ([], [])
    for first in range(0, len(texts), ROUND):
        for way, times in zip(ways, spent, strict=True):
            began = time.process_time()
            for text in texts[first : first + ROUND]:
                way(text)
            times.append((time.process_time() - began) / ROUND * 1000)
    return min(spent[0]), min(spent[1])


def each_once(server: Server, questions: Iterable[Question]) -> float:
    """Asks one after the other. Milliseconds of server CPU for each."""
    count, before = 0, stage.cpu_seconds(server.pid)
    with closing(HTTPConnection("127.0.0.1", server.port)) as connection:
        for count, question in enumerate(questions, 1):  # noqa: B007  # how many they were
            headers = {"Authorization": f"Bearer {question.token}", "Content-Type": "application/json"}
            connection.request("POST", "/graphql", question.body(), headers)
            answer = connection.getresponse().read()
            assert b'"errors"' not in answer, answer
    return (stage.cpu_seconds(server.pid) - before) / count * 1000


def again_and_again(question: Question, seconds: float) -> Iterator[Question]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield question


async def growth(bench: Bench) -> None:
    """What a floor of 10, 100 and 1,000 workstations costs."""
    ours = bench.ours
    for name, settings in (("one statement a request", UNCACHED), ("rows in memory", ROWS), ("as shipped", SHIPPED)):
        with ours.serve(ours.office, **settings) as server:
            for size in queries.SIZES:
                question = queries.floor_of(ours.words, size)
                each_once(server, again_and_again(question, WARM_SECONDS))
                spent = each_once(server, again_and_again(question, bench.options.seconds))
                figure(f"floor of {size:,}, {name}: server CPU", spent, "ms")


@asynccontextmanager
async def changing(database_url: str, rate: float) -> AsyncIterator[None]:
    """So many changes a second, on random floors, meanwhile."""
    connection = await asyncpg.connect(database_url)

    async def change() -> None:
        number = 0
        while True:
            number += 1
            building, floor = random.choice(queries.BUILDINGS), random.choice(queries.FLOORS)
            await connection.execute(CHANGE, f"near the window {number}", building, floor)
            await asyncio.sleep(1 / rate)

    changes = asyncio.create_task(change())
    try:
        yield
    finally:
        assert not changes.done(), changes.exception()
        changes.cancel()
        await asyncio.wait([changes])
        await connection.close()


async def versions(of: Contender) -> int:
    """Grows by one with every change."""
    connection = await asyncpg.connect(of.office.database_url)
    found: int = await connection.fetchval("SELECT sum(version) FROM workstations")
    await connection.close()
    return found


async def execute(database_url: str, statement: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute(statement)
    await connection.execute("VACUUM ANALYZE workstations")
    await connection.close()


# --- the whole -------------------------------------------------------------------------------------------------------

PARTS: dict[str, Callable[[Bench], Coroutine[Any, Any, None]]] = {
    "floor": floor,
    "answers": answers,
    "single": single,
    "page": page,
    "documents": documents,
    "growth": growth,
    "change": change,  # the last: it changes what the others read
}


async def measure(options: argparse.Namespace, database_url: str, redis_url: str, directory: Path) -> None:
    node = stage.node()
    stage.compiled("subscribers", directory)
    ours = await stage.office(database_url, redis_url, directory, queries.OFFICE, "ours")
    peer = await stage.office(
        database_url, redis_url, directory, queries.OFFICE + stage.PEER_SCHEMA.read_text(), "peer"
    )
    rows = await workstation_ids(ours.database_url)
    global_ids = [global_id("Workstation", row) for row in rows]

    def serve_ours(office: Office, **settings: str) -> AbstractContextManager[Server]:
        return stage.serving(office, **(settings | options.settings))

    def serve_peer(script: str) -> Callable[[Office], AbstractContextManager[Server]]:
        environment = {"NODE_ENV": "production", "GRAPHILE_ENV": "production"}
        return lambda office: stage.program([node, str(stage.PEERS / script)], office.environment | environment)

    tokens = tuple(ours.token(role) for role in ROLES)
    statuses = ("RESERVED", "AVAILABLE")
    peers = {
        "mercurius.js": Words(*queries.MERCURIUS, rows, statuses),
        "postgraphile.js": Words(*queries.POSTGRAPHILE, rows, ("reserved", "available")),
    }
    bench = Bench(
        options,
        directory,
        Contender("graphql-app", ours, Words(*queries.OURS, global_ids, statuses, tokens), serve_ours),
        [Contender(NAMES[script], peer, words, serve_peer(script)) for script, words in peers.items()],
    )
    heading()
    for name in options.only:
        await PARTS[name](bench)


async def workstation_ids(database_url: str) -> list[int]:
    connection = await asyncpg.connect(database_url)
    rows = await connection.fetch("SELECT id FROM workstations WHERE building <> 'G' ORDER BY id")
    await connection.close()
    return [row["id"] for row in rows]


def arguments() -> argparse.Namespace:
    parser = parts.parser(__doc__, PARTS)
    parser.add_argument("--documents", type=int, default=10_000, help="how many distinct ones")
    parser.add_argument("--rate", type=float, default=20, help="changes a second while answers are cached")
    options = parts.parsed(parser, PARTS)
    if shutil.which("wrk") is None:
        parser.error("needs wrk: apt-get install wrk")
    return options


if __name__ == "__main__":
    parts.run(measure, arguments())
