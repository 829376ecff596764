"""What reading costs when the office grows: `python bench/growth.py`. See README.md."""

import argparse
import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import parts
import stage
from stage import Office, Server
from websockets.asyncio.client import connect

from graphql_app.domain.filters import WorkstationFilter
from graphql_app.domain.paging import Order, OrderField
from graphql_app.services.cursors import PageCursors
from graphql_app.store.office import complete

PARTS = ("pages", "walks", "audit", "figures", "searches", "snapshot")
SCRIPT = Path(__file__).with_name("grown.sql")
# Every request asks the database.
UNCACHED = {"GRAPHQL_APP_CACHE_ROWS": "0", "GRAPHQL_APP_ANSWERS_BYTES": "0"}
PAGE = """query ($f: WorkstationFilter, $o: [WorkstationOrder!], $first: Int, $last: Int, $after: String,
  $before: String) { workstations(filter: $f, orderBy: $o, first: $first, last: $last, after: $after, before: $before) {
  nodes { id name status updatedAt } pageInfo { endCursor } } }"""
AUDIT = "query ($f: AuditFilter) { auditLog(filter: $f) { nodes { id at actor } } }"
STATS = "query ($g: StatsGroup) { workstationStats(groupBy: $g) { key total available } }"
FLOORS = "{ floors { number building stats { total available } } }"
ONE = "query ($id: ID!) { workstation(id: $id) { id name status } }"
EVERYTHING = """subscription { workstationChanges { kind complete workstations { id name status building floorNumber
  xPosition yPosition version updatedAt } } }"""
FIRST_FLOOR = EVERYTHING.replace(
    "workstationChanges", 'workstationChanges(filter: {building: "B0001", floorNumber: 1})'
)
OTHERS_PER_SECOND = 50
WALKED = 20  # pages


@dataclass(frozen=True, slots=True)
class Grown:
    """An office of so many desks, and a server of it."""

    desks: int
    office: Office
    server: Server
    client: httpx.AsyncClient
    repeats: int

    async def ask(self, query: str, **variables: object) -> dict[str, Any]:
        answer = await self.client.post("/graphql", json={"query": query, "variables": variables})
        content: dict[str, Any] = answer.json()
        return content

    async def p95(self, query: str, **variables: object) -> float:
        """In milliseconds, of a question that is answered, or refused by a limit that names itself."""
        times = []
        for _ in range(self.repeats):
            begun = time.perf_counter()
            answer = await self.ask(query, **variables)
            times.append((time.perf_counter() - begun) * 1000)
            for error in answer.get("errors", ()):
                assert error["extensions"]["code"] == "TOO_MANY", error
        return quantile(times, 0.95)

    async def rows(self, statement: str) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.office.database_url)
        try:
            return list(await connection.fetch(statement))
        finally:
            await connection.close()


def quantile(times: Sequence[float], share: float) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * share))]


Figures = AsyncIterator[tuple[str, float, str]]


# --- what is asked ---------------------------------------------------------------------------------------------------


def _orders() -> Iterator[tuple[OrderField, bool, list[dict[str, str]]]]:
    for field in OrderField:
        for descending in (False, True):
            yield field, descending, [{"field": field.name, "direction": "DESC" if descending else "ASC"}]


async def _middle(grown: Grown, field: OrderField, descending: bool) -> str:
    """The cursor of the row in the middle of the list."""
    direction = "DESC" if descending else "ASC"
    (row,) = await grown.rows(
        f"SELECT {field.value} AS value, id FROM workstations ORDER BY {field.value} {direction}, id {direction} "
        f"OFFSET {grown.desks // 2} LIMIT 1"
    )
    value = row["value"]
    value = (
        value.isoformat() if isinstance(value, datetime) else value if isinstance(value, int | str) else float(value)
    )
    orders = complete([Order(field, descending)])
    listing = ["workstations", WorkstationFilter().normalised(), [(o.field.value, o.descending) for o in orders]]
    return PageCursors(grown.office.secret).encode([value, row["id"]][: len(orders)], listing)


async def pages(grown: Grown) -> Figures:
    """The worst of each order: first, last, and from the middle both ways."""
    for field, descending, order in _orders():
        middle = await _middle(grown, field, descending)
        windows: list[Mapping[str, object]] = [
            {"first": 50},
            {"last": 50},
            {"first": 50, "after": middle},
            {"last": 50, "before": middle},
        ]
        worst = max([await grown.p95(PAGE, o=order, **window) for window in windows])
        yield f"page by {field.name} {'DESC' if descending else 'ASC'}", worst, "ms"


async def walks(grown: Grown) -> Figures:
    for field in (OrderField.NAME, OrderField.UPDATED_AT):
        after, times = None, list[float]()
        for _ in range(WALKED):
            begun = time.perf_counter()
            answer = await grown.ask(PAGE, o=[{"field": field.name}], first=500, after=after)
            times.append((time.perf_counter() - begun) * 1000)
            after = answer["data"]["workstations"]["pageInfo"]["endCursor"]
        yield f"page of 500 of a walk by {field.name}", quantile(times, 0.95), "ms"


async def audit(grown: Grown) -> Figures:
    now = datetime.now(UTC)
    answer = await grown.ask(PAGE, first=1)
    (one,) = answer["data"]["workstations"]["nodes"]
    searches: dict[str, Mapping[str, object]] = {
        "all": {},
        "of a workstation": {"workstationId": one["id"]},
        "since a moment": {"since": (now - timedelta(seconds=grown.desks / 2)).isoformat()},
        "until a moment": {"until": (now - timedelta(seconds=grown.desks / 2)).isoformat()},
        "of an actor": {"actor": "user:7"},
        "of an actor without entries": {"actor": "nobody"},
        "of an action without entries": {"actions": ["DELETED"]},
        "of an actor, of an action that they never did": {"actor": "user:7", "actions": ["CREATED"]},
    }
    for name, matching in searches.items():
        yield f"auditLog {name}", await grown.p95(AUDIT, f=matching), "ms"


async def figures(grown: Grown) -> Figures:
    for group in (None, "BUILDING", "FLOOR", "DEPARTMENT"):
        yield f"workstationStats by {group or 'nothing'}", await grown.p95(STATS, g=group), "ms"
    yield "totalCount", await grown.p95("{ workstations(first: 1) { totalCount } }"), "ms"
    yield "floors with stats", await grown.p95(FLOORS), "ms"


async def searches(grown: Grown) -> Figures:
    asked: dict[str, Mapping[str, object]] = {
        "nameContains of three letters": {"nameContains": "007"},
        "nameContains of three letters, no match": {"nameContains": "zqy"},
        "nameContains of two letters": {"nameContains": "sk"},
        "nameContains of two letters, no match": {"nameContains": "zq"},
        "a range of coordinates": {"xMin": 100, "xMax": 101, "yMin": 0, "yMax": 1000},
        "a range of coordinates, no match": {"xMin": 9_000_000},
        "halves of both coordinates, no match": {"xMin": 1000, "yMin": 1999.9},
    }
    for name, matching in asked.items():
        yield name, await grown.p95(PAGE, f=matching), "ms"


# --- a snapshot of everything ----------------------------------------------------------------------------------------


async def snapshot(grown: Grown) -> Figures:
    await _everything(grown, of=FIRST_FLOOR)  # what any first subscriber brings in: the newest changes of the log
    idle = await _others(grown, asyncio.create_task(asyncio.sleep(10)))
    before = stage.resident_bytes(grown.server.pid)
    begun, peak = time.perf_counter(), Peak(grown.server.pid)
    async with peak.watching():
        reading = asyncio.create_task(_everything(grown))
        busy = await _others(grown, reading)
        assert await reading == grown.desks
    yield "snapshot of everything", time.perf_counter() - begun, "s"
    yield "resident memory, peak beyond before", (peak.bytes - before) / 1e6, "MB"
    await asyncio.sleep(5)
    yield "resident memory, kept after", (stage.resident_bytes(grown.server.pid) - before) / 1e6, "MB"
    yield "others by id, p99 before", quantile(idle, 0.99), "ms"
    yield "others by id, p99 meanwhile", quantile(busy, 0.99), "ms"


class Peak:
    """The most resident memory of a process while it is watched."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.bytes = 0

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            task.cancel()

    async def _watch(self) -> None:
        while True:
            self.bytes = max(self.bytes, stage.resident_bytes(self._pid))
            await asyncio.sleep(0.05)


async def _everything(grown: Grown, of: str = EVERYTHING) -> int:
    """How many workstations the snapshot has."""
    found = 0
    async with connect(
        grown.server.ws_url,
        subprotocols=["graphql-transport-ws"],  # type: ignore[list-item]  # a NewType of str
        compression=None,
        max_size=None,
    ) as socket:
        init = {"type": "connection_init", "payload": {"authorization": f"Bearer {grown.office.token()}"}}
        await socket.send(json.dumps(init))
        await socket.recv()
        await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": {"query": of}}))
        async for message in socket:
            text = message if isinstance(message, str) else message.decode()
            assert '"next"' in text[:100] or '"ping"' in text[:100], text[:500]
            found += len(re.findall(r'"updatedAt"', text))
            if '"complete":true' in text[:300]:
                return found
    raise AssertionError("the socket was closed")


async def _others(grown: Grown, until: "asyncio.Task[Any]") -> list[float]:
    """How long readings by id take, begun at a steady pace until the task is done."""
    nodes = (await grown.ask(PAGE, first=500))["data"]["workstations"]["nodes"]
    times: list[float] = []

    async def one(number: int) -> None:
        begun = time.perf_counter()
        await grown.ask(ONE, id=nodes[number % len(nodes)]["id"])
        times.append((time.perf_counter() - begun) * 1000)

    async with asyncio.TaskGroup() as tasks:
        number = 0
        while not until.done():
            tasks.create_task(one(number))
            number += 1
            await asyncio.sleep(1 / OTHERS_PER_SECOND)
    return times


# --- the table -------------------------------------------------------------------------------------------------------


async def measured(options: argparse.Namespace, grown: Grown) -> dict[tuple[str, str], float]:
    found = {}
    measures = {of.__name__: of for of in (pages, walks, audit, figures, searches, snapshot)}
    for part in options.only:
        async for name, value, unit in measures[part](grown):
            found[name, unit] = value
            print(f"{grown.desks:>9,}  {name}: {value:,.1f} {unit}", flush=True)
    return found


async def measure(options: argparse.Namespace, database_url: str, redis_url: str, directory: Path) -> None:
    columns: dict[int, dict[tuple[str, str], float]] = {}
    for desks in options.sizes:
        script = SCRIPT.read_text().replace(":desks", str(desks))
        office = await stage.office(database_url, redis_url, directory, script, name=f"grown{desks}")
        headers = {"Authorization": f"Bearer {office.token()}"}
        with stage.serving(office, **UNCACHED, **options.settings) as server:
            async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=120) as client:
                columns[desks] = await measured(options, Grown(desks, office, server, client, options.repeats))
    first = next(iter(columns))
    print("\n| p95 | " + " | ".join(f"{size:,}" for size in columns) + " | ratio |")
    print("|---|" + "---|" * (len(columns) + 1))
    for key in columns[first]:
        values = [columns[size][key] for size in columns]
        ratios = ", ".join(f"{value / max(values[0], 0.001):.2g}" for value in values[1:])
        print(f"| {key[0]} | " + " | ".join(f"{value:,.1f} {key[1]}" for value in values) + f" | {ratios} |")


if __name__ == "__main__":
    parser = parts.parser(__doc__, PARTS)
    parser.add_argument("--sizes", default="10000,100000,1000000", help="desks, one office after the other")
    parser.add_argument("--repeats", type=int, default=20, help="how often each question is asked")
    chosen = parts.parsed(parser, PARTS)
    chosen.sizes = [int(size) for size in chosen.sizes.split(",")]
    parts.run(measure, chosen)
