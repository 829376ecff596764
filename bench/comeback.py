"""What clients that come back cost, beside those who stay: `python bench/comeback.py`. See README.md."""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import quantiles

import asyncpg
import httpx
import parts
import stage
from figures import Target, figure, heading
from followers import Crowd, Follower, all_level, following, gone
from stage import Office, Server, cpu_seconds, serving
from writer import Writer, writer

DESKS = 30  # of each floor
READS_A_SECOND = 20
SMALL_RATE = 50
TWICE = Target(at_most=2)


def script(floors: int) -> str:
    return f"""
INSERT INTO buildings (name) VALUES ('A');
INSERT INTO floors (building, number) SELECT 'A', i FROM generate_series(0, {floors - 1}) i;
INSERT INTO workstations (name, x_position, y_position, building, floor_number)
    SELECT 'A-' || i, 0, 0, 'A', i % {floors} FROM generate_series(1, {floors * DESKS}) i;
"""


def other_building(desks: int) -> str:
    return f"""
INSERT INTO buildings (name) VALUES ('B');
INSERT INTO floors (building, number) SELECT 'B', i FROM generate_series(0, 999) i;
INSERT INTO departments (name) VALUES ('Sales');
INSERT INTO workstations (name, x_position, y_position, building, floor_number, department_id)
    SELECT 'B-' || i, 0, 0, 'B', i % 1000, currval('departments_id_seq') FROM generate_series(1, {desks}) i;
"""


@dataclass(frozen=True, slots=True)
class Bench:
    options: argparse.Namespace
    office: Office

    def crowd(self, server: Server, write: Writer, count: int) -> tuple[Crowd, list[Follower]]:
        crowd = Crowd(server.ws_url, self.office.token(), write.committed)
        return crowd, [Follower(crowd, number % self.options.floors) for number in range(count)]

    async def all_told(self, followers: list[Follower]) -> None:
        """Returns when everybody holds what the database has; fails unless they do within a minute."""
        connection = await asyncpg.connect(self.office.database_url)
        found = await connection.fetch("SELECT name, version, floor_number FROM workstations WHERE building = 'A'")
        await connection.close()
        true: dict[int, dict[str, int]] = {}
        for row in found:
            true.setdefault(row["floor_number"], {})[row["name"]] = row["version"]
        deadline = time.monotonic() + 60
        while any(one.held != true[one.floor] for one in followers):
            if time.monotonic() > deadline:
                raise SystemExit("somebody was not told everything")
            await asyncio.sleep(0.1)


async def reads(server: Server, token: str, into: list[float]) -> None:
    """Somebody else, who asks for one workstation at a time; never returns."""
    headers = {"Authorization": f"Bearer {token}"}
    number = 0
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=60) as client:
        while True:
            number += 1
            began = time.monotonic()
            body = {"query": f"query Q{number} {{ workstations(first: 5) {{ edges {{ node {{ id name }} }} }} }}"}
            (await client.post("/graphql", json=body)).raise_for_status()
            into.append(time.monotonic() - began)
            await asyncio.sleep(1 / READS_A_SECOND)


def ms(seconds: list[float], percent: int) -> float:
    return quantiles(seconds, n=100)[percent - 1] * 1000


# --- a soak ----------------------------------------------------------------------------------------------------------


async def soaked(bench: Bench, server: Server, reconnections: float) -> tuple[Crowd, float]:
    """What a crowd was told, and the server's CPU time. `reconnections` a second, of all together."""
    options = bench.options
    async with writer(bench.office.database_url) as write:
        crowd, followers = bench.crowd(server, write, options.subscribers)
        with following(followers, options.subscribers / reconnections if reconnections else None) as tasks:
            await all_level(followers)
            await write.paced(options.rate, 2, len(write.ids))
            crowd.forget()
            cpu = cpu_seconds(server.pid)
            await write.paced(options.rate, options.seconds, len(write.ids))
            cpu = cpu_seconds(server.pid) - cpu
            await gone(tasks)
        measured = replace(crowd, kinds=crowd.kinds.copy(), latencies=crowd.latencies[:], returns=crowd.returns[:])
        with following(followers) as tasks:
            await bench.all_told(followers)
            await gone(tasks)
    return measured, cpu


async def soak(bench: Bench) -> None:
    with serving(bench.office, **bench.options.settings) as server:
        still, still_cpu = await soaked(bench, server, 0)
        moving, moving_cpu = await soaked(bench, server, bench.options.reconnections)
    for percent, target in ((50, None), (95, Target(at_most=3))):
        told = ms(moving.latencies, percent)
        figure(
            f"change to payload, {bench.options.reconnections:g} reconnections/s, p{percent}",
            told,
            "ms",
            ("without", ms(still.latencies, percent)),
            target,
        )
    for percent in (50, 95):
        figure(f"the same: from coming back to the first payload, p{percent}", ms(moving.returns, percent), "ms")
    figure("the same: the server's CPU", moving_cpu, "s", ("without", still_cpu))
    figure("the same: RESYNCs", moving.kinds["RESYNC"], "")


# --- many floors at once ---------------------------------------------------------------------------------------------


async def floors(bench: Bench) -> None:
    """One follower of each floor, all away for so many changes, back in one moment."""
    options = bench.options
    with serving(bench.office, **options.settings) as server:
        async with writer(bench.office.database_url) as write:
            crowd, followers = bench.crowd(server, write, options.floors)
            with following(followers) as tasks:
                await all_level(followers)
                await gone(tasks)
            before: list[float] = []
            reading = asyncio.create_task(reads(server, crowd.token, before))
            await write.paced(1000, options.missed / 1000, len(write.ids))
            await asyncio.sleep(1)
            await gone([reading])
            crowd.forget()
            meanwhile: list[float] = []
            reading = asyncio.create_task(reads(server, crowd.token, meanwhile))
            cpu, began = cpu_seconds(server.pid), time.monotonic()
            with following(followers) as tasks:
                await all_level(followers)
                took, cpu = time.monotonic() - began, cpu_seconds(server.pid) - cpu
                await asyncio.sleep(max(0, 2 - took))
                await gone([reading])
                await bench.all_told(followers)
                await gone(tasks)
    name = f"{options.floors} floors resumed at once from {options.missed:,} changes ago"
    figure(f"{name}: all level", took, "s", None, Target(at_most=5))
    figure(f"{name}: CPU of each", cpu * 1000 / options.floors, "ms")
    figure(f"{name}: another's read, longest", max(meanwhile) * 1000, "ms", ("before", max(before) * 1000))
    figure(f"{name}: RESYNCs", crowd.kinds["RESYNC"], "", None, Target(at_most=0))


# --- a restart -------------------------------------------------------------------------------------------------------


async def restart(bench: Bench) -> None:
    """The process ends and another takes its place, while changes go on."""
    options = bench.options
    async with writer(bench.office.database_url) as write:
        with serving(bench.office, **options.settings) as server:
            crowd, followers = bench.crowd(server, write, options.subscribers // 2)
            with following(followers) as tasks:
                await all_level(followers)
                writing = asyncio.create_task(write.paced(options.rate, 600, len(write.ids)))
                await asyncio.sleep(2)
                await gone(tasks)
        crowd.forget()
        await asyncio.sleep(options.missed / options.rate / 2)
        with serving(bench.office, **options.settings) as server:
            crowd.ws_url = server.ws_url
            cpu, began = cpu_seconds(server.pid), time.monotonic()
            with following(followers) as tasks:
                await all_level(followers)
                took, cpu = time.monotonic() - began, cpu_seconds(server.pid) - cpu
                writing.cancel()
                with suppress(asyncio.CancelledError):
                    await writing
                await bench.all_told(followers)
                await gone(tasks)
    name = f"restarted, {len(followers)} subscribers"
    figure(f"{name}: all level", took, "s", None, Target(at_most=5))
    figure(f"{name}: the server's CPU until then", cpu, "s")
    figure(f"{name}: RESYNCs", crowd.kinds["RESYNC"], "", None, Target(at_most=0))


# --- much that is changed at once ----------------------------------------------------------------------------


async def numbered(connection: asyncpg.Connection) -> None:
    while await connection.fetchval("SELECT EXISTS (SELECT FROM change_log WHERE revision IS NULL)"):  # noqa: ASYNC110
        await asyncio.sleep(0.05)


async def readiness(server: Server, into: Counter[str]) -> None:
    """Asks again and again; never returns."""
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        while True:
            answer = await client.get("/readyz")
            feed = answer.json().get("feed", {})
            into[f"{answer.status_code} {'' if answer.is_success else answer.json()}{feed.get('detail', '')}"] += 1
            await asyncio.sleep(0.2)


async def rename(bench: Bench) -> None:
    """A department that so many workstations show gets another name."""
    connection = await asyncpg.connect(bench.office.database_url)
    await connection.execute(other_building(bench.options.desks))

    async def renamed() -> None:
        await connection.execute("UPDATE departments SET name = name || '!'")

    await beside_others(bench, f"a rename that {bench.options.desks:,} workstations show", connection, renamed)
    await connection.close()


async def import_(bench: Bench) -> None:
    """A file changes so many workstations, as `graphql-app import` does it."""
    count = 2 * bench.options.desks
    connection = await asyncpg.connect(bench.office.database_url)
    await connection.execute("DELETE FROM workstations WHERE building = 'B'; DELETE FROM floors WHERE building = 'B'")
    await connection.execute("DELETE FROM buildings WHERE name = 'B'; DELETE FROM departments")
    await connection.execute(other_building(count))
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
        file.write("building,floor_number,name,notes\n")
        file.writelines(f"B,{number % 1000},B-{number},counted\n" for number in range(1, count + 1))
        file.flush()

        async def imported() -> None:
            command = (sys.executable, "-m", "graphql_app", "import", file.name)
            process = await asyncio.create_subprocess_exec(*command, env=os.environ | bench.office.environment)
            assert await process.wait() == 0

        await beside_others(bench, f"an import that changes {count:,} workstations", connection, imported)
    await connection.close()


async def beside_others(
    bench: Bench, name: str, connection: asyncpg.Connection, change: Callable[[], Coroutine[None, None, None]]
) -> None:
    """Prints what those notice who follow and read something else while one transaction changes much."""
    options = bench.options
    with serving(bench.office, **options.settings) as server:
        await numbered(connection)
        async with writer(bench.office.database_url) as write:
            crowd, followers = bench.crowd(server, write, options.floors)
            desks = options.floors * DESKS
            with following(followers) as tasks:
                await all_level(followers)
                before: list[float] = []
                reading = asyncio.create_task(reads(server, crowd.token, before))
                await write.paced(SMALL_RATE, options.seconds, desks)
                await gone([reading])
                still, meanwhile = crowd.latencies[:], list[float]()
                crowd.forget()
                asked: Counter[str] = Counter()
                others = [
                    asyncio.create_task(reads(server, crowd.token, meanwhile)),
                    asyncio.create_task(readiness(server, asked)),
                    asyncio.create_task(write.paced(SMALL_RATE, 600, desks)),
                ]
                cpu, began = cpu_seconds(server.pid), time.monotonic()
                await change()
                committed = time.monotonic() - began
                await numbered(connection)
                told, cpu = time.monotonic() - began, cpu_seconds(server.pid) - cpu
                await gone(others)
                await bench.all_told(followers)
                await gone(tasks)
    figure(f"{name}: until committed", committed, "s")
    figure(f"{name}: until numbered", told, "s")
    figure(f"{name}: the server's CPU until then", cpu, "s")
    for percent in (50, 99):
        baseline = ("before", ms(still, percent))
        figure(f"{name}: others' change to payload, p{percent}", ms(crowd.latencies, percent), "ms", baseline, TWICE)
    for percent in (50, 99):
        baseline = ("before", ms(before, percent))
        figure(f"{name}: others' reads, p{percent}", ms(meanwhile, percent), "ms", baseline, TWICE)
    print(f"/readyz meanwhile: {dict(asked)}", file=sys.stderr)


PARTS: dict[str, Callable[[Bench], Coroutine[None, None, None]]] = {
    "soak": soak,
    "floors": floors,
    "restart": restart,
    "rename": rename,
    "import": import_,
}


async def measure(options: argparse.Namespace, database_url: str, redis_url: str, directory: Path) -> None:
    bench = Bench(options, await stage.office(database_url, redis_url, directory, script(options.floors)))
    heading()
    for name in options.only:
        await PARTS[name](bench)


def arguments() -> argparse.Namespace:
    parser = parts.parser(__doc__, PARTS)
    parser.add_argument("--subscribers", type=int, default=500)
    parser.add_argument("--floors", type=int, default=100)
    parser.add_argument("--rate", type=float, default=240, help="changes a second")
    parser.add_argument("--reconnections", type=float, default=25, help="a second, of all subscribers together")
    parser.add_argument("--missed", type=int, default=4500, help="changes while everybody is away")
    parser.add_argument(
        "--desks", type=int, default=50_000, help="that show what is renamed; twice as many are imported"
    )
    return parts.parsed(parser, PARTS)


if __name__ == "__main__":
    parts.run(measure, arguments())
