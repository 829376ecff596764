"""Hidden stays hidden where things move: what streams say on every transport and when, what goes between processes,
what is logged and counted, and what an import says. A real server process, with canaries in every guarded field."""

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import schemathesis
from redis.asyncio import Redis
from sqlalchemy import TextClause, text
from websockets.asyncio.client import connect

from graphql_app.domain.caller import by_command
from graphql_app.domain.importing import ImportOutcome
from graphql_app.embedded import Embedded
from graphql_app.services.importing.importing import Importing
from graphql_app.store.postgres.database import Database
from tests.acceptance.conftest import Server, StartServer
from tests.acceptance.test_fuzzing import asked
from tests.acceptance.test_leaks import OWN, SCOPES, SUBSCRIPTIONS
from tests.canaries import CANARIES, OTHERWISE, Canary, heard, plant
from tests.graphql_client import A_01, HQ

PROGRESS_SECONDS = 0.5
PLACE = {"building": HQ, "floor": "1"}
ROLES = ["visitor", "hr", "facilities", "auditor", "admin"]
# Of each field of Subscription the plain document, and with a cursor that is none.
FOLLOWED = [document for found in SUBSCRIPTIONS.documents.values() for document in (found[0], found[-1])]
FEED = SUBSCRIPTIONS.documents["workstationChanges"][0]
OF_A_FLOOR = FEED.replace("workstationChanges", f'workstationChanges(filter: {{building: "{HQ}", floorNumber: 1}})', 1)


@pytest.fixture
async def planted(database: Database) -> Database:
    await plant(database)
    return database


@pytest.fixture
def server(planted: Database, start_server: StartServer) -> Server:
    return start_server(
        GRAPHQL_APP_ROLES=json.dumps(OWN),
        GRAPHQL_APP_PROGRESS_SECONDS=str(PROGRESS_SECONDS),
        GRAPHQL_APP_BATCH_WINDOW_MS="20",
        GRAPHQL_APP_DOCUMENT_COST="1000000000",
    )


class Heard:
    """All that one listener was told, and when."""

    def __init__(self) -> None:
        self.parts: list[tuple[float, bytes]] = []

    def take(self, part: bytes) -> None:
        self.parts.append((time.monotonic(), part))

    @property
    def content(self) -> bytes:
        return b"\n".join(part for _, part in self.parts)

    async def until(self, found: Callable[[bytes], object]) -> None:
        async with asyncio.timeout(20):
            while not found(self.content):  # noqa: ASYNC110  # listeners have nothing to wait for
                await asyncio.sleep(0.02)


@asynccontextmanager
async def listening(work: AsyncIterator[bytes]) -> AsyncIterator[Heard]:
    told = Heard()

    async def listen() -> None:
        async for part in work:
            told.take(part)

    task = asyncio.create_task(listen())
    try:
        yield told
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def on_a_socket(server: Server, role: str, documents: list[str]) -> AsyncIterator[bytes]:
    async with connect(server.ws_url, subprotocols=["graphql-transport-ws"]) as socket:  # type: ignore[list-item]
        init = {"type": "connection_init", "payload": {"authorization": f"Bearer {server.token(role)}"}}
        await socket.send(json.dumps(init))
        for number, document in enumerate(documents):
            payload = {"query": document}
            await socket.send(json.dumps({"id": str(number), "type": "subscribe", "payload": payload}))
        async for message in socket:
            yield message if isinstance(message, bytes) else message.encode()


async def by_events(server: Server, role: str, path: str, document: str | None = None) -> AsyncIterator[bytes]:
    headers = server.headers(role) | {"Accept": "text/event-stream"}
    asked: dict[str, Any] = {"json": {"query": document}} if document else {"params": PLACE}
    async with (
        httpx.AsyncClient(timeout=60) as client,
        client.stream("POST" if document else "GET", f"{server.url}{path}", headers=headers, **asked) as answer,
    ):
        async for line in answer.aiter_lines():
            yield line.encode()


async def by_polling(server: Server, role: str) -> AsyncIterator[bytes]:
    cursor = None
    async with httpx.AsyncClient(timeout=60, headers=server.headers(role)) as client:
        while True:
            after: dict[str, str] = {"after": cursor} if cursor else {}
            answer = await client.get(f"{server.url}/api/changes", params={**PLACE, "wait": "5", **after})
            cursor = answer.json()["cursor"]
            yield answer.content


def ways(server: Server, role: str) -> dict[str, AsyncIterator[bytes]]:
    return {
        "socket": on_a_socket(server, role, FOLLOWED),
        "events": by_events(server, role, "/graphql", OF_A_FLOOR),
        "REST events": by_events(server, role, "/api/changes"),
        "long-poll": by_polling(server, role),
    }


def hidden_change(canary: Canary) -> str:
    """An `UPDATE` of the field, and of no other, to another canary."""
    value = canary.value(OTHERWISE + 1)
    table = {"Workstation": "workstations", "Employee": "employees"}[canary.type_name]
    return f"UPDATE {table} SET {canary.field} = {value if not isinstance(value, str) else repr(value)} WHERE id = 1"


# What the triggers stamp is nobody's to change.
STAMPED = {"version", "updated_at"}
HIDDEN = [hidden_change(canary) for canary in CANARIES if canary.field not in STAMPED]
SEEN = (
    "UPDATE workstations SET notes = 'seen by all' WHERE id = 1",
    "UPDATE workstations SET name = 'renamed' WHERE id = 2",
    "UPDATE employees SET name = 'somebody' WHERE id = 1",
    "DELETE FROM workstations WHERE id = 4",
    "INSERT INTO notifications (title) VALUES ('something')",
    "UPDATE workstations SET notes = 'the end' WHERE id = 1",
)


async def test_no_stream_tells_a_role_what_it_may_not_see_nor_redis_nor_a_wake_up_nor_the_log(
    server: Server, planted: Database, embedded: Embedded
) -> None:
    servers = embedded.servers
    between = Heard()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(overhearing(servers.redis_url, planted, between))
        told = {
            (role, way): await stack.enter_async_context(listening(work))
            for role in ROLES
            for way, work in ways(server, role).items()
        }
        for listener in told.values():
            await listener.until(lambda content: b"A-01" in content)
        for statement in (*HIDDEN, *SEEN):
            await planted.fetch(text_of(statement))
        await break_something(server, planted)
        for listener in told.values():
            await listener.until(lambda content: b"the end" in content)
        await keep(servers.redis_url, between)
    async with httpx.AsyncClient(headers=server.headers("operator")) as client:
        figures = (await client.get(f"{server.url}/metrics")).content

    for (role, way), listener in told.items():
        found = {canary.scope for canary in heard(listener.content)}
        assert found <= SCOPES[role], (role, way)
        assert found == {canary.scope for canary in CANARIES} & SCOPES[role], (role, way)
    assert len(between.parts) > 20
    assert heard(between.content) == set()
    assert heard(figures) == set()
    log = server.log.read_bytes()
    assert b"incident" in log
    assert heard(log) == set()
    log_of_postgres = embedded.postgres.log.read_bytes()
    assert b'violates check constraint "odd"' in log_of_postgres
    assert heard(log_of_postgres) == set()


def text_of(statement: str) -> TextClause:
    return text(statement.replace(":", r"\:"))


async def break_something(server: Server, database: Database) -> None:
    """An error that nobody planned for, which PostgreSQL tells with the whole row."""
    await database.fetch(text_of("ALTER TABLE workstations ADD CONSTRAINT odd CHECK (notes <> 'odd') NOT VALID"))
    edit = f'mutation {{ updateWorkstation(id: "{A_01}", input: {{notes: "odd"}}) {{ __typename }} }}'
    async with httpx.AsyncClient(headers=server.headers("facilities")) as client:
        answer = await client.post(f"{server.url}/graphql", json={"query": edit})
    assert answer.json()["errors"][0]["extensions"]["code"] == "INTERNAL"
    assert heard(answer.content) == set()


@asynccontextmanager
async def overhearing(redis_url: str, database: Database, told: Heard) -> AsyncIterator[None]:
    """Whatever is published in Redis, and whatever NOTIFY carries."""
    connection = await asyncpg.connect(database.url)
    sources = await connection.fetch("SELECT prosrc FROM pg_proc WHERE prosrc LIKE '%pg_notify%'")
    channels = {name for row in sources for name in re.findall(r"pg_notify\('(\w+)'", row["prosrc"])}
    assert channels
    for channel in channels:
        await connection.add_listener(channel, lambda *said: told.take(f"NOTIFY {said[2:]}".encode()))
    async with Redis.from_url(redis_url) as redis, redis.pubsub() as published:
        await published.psubscribe("*")
        async with listening(all_of(published)) as between:
            yield
    assert any(part.startswith(b"NOTIFY") for _, part in told.parts)
    assert between.parts
    told.parts += between.parts
    await connection.close()


async def all_of(published: Any) -> AsyncIterator[bytes]:
    async for message in published.listen():
        if isinstance(message["data"], bytes):
            yield message["channel"] + b" " + message["data"]


async def keep(redis_url: str, told: Heard) -> None:
    """All that Redis holds."""
    async with Redis.from_url(redis_url) as redis:
        reading: dict[Any, Any] = {
            b"string": redis.get,
            b"hash": redis.hgetall,
            b"zset": lambda key: redis.zrange(key, 0, -1),
            b"set": redis.smembers,
        }
        async for key in redis.scan_iter():
            value: Any = await reading[await redis.type(key)](key)
            told.take(key + b" " + (value if isinstance(value, bytes) else flat(value)))


def flat(value: Any) -> bytes:
    parts = value.items() if isinstance(value, dict) else value
    return b" ".join(part if isinstance(part, bytes) else b" ".join(part) for part in parts)


# --- time ------------------------------------------------------------------------------------------------------------

QUIET_SECONDS = 3.0


async def test_a_change_of_what_is_hidden_is_no_message_and_moves_none(server: Server, planted: Database) -> None:
    """On the fixed clock comes what comes when nothing happens at all, and nothing else."""
    async with AsyncExitStack() as stack:
        following = {way: work for way, work in ways(server, "visitor").items() if way != "long-poll"}
        told = {way: await stack.enter_async_context(listening(work)) for way, work in following.items()}
        for listener in told.values():
            await listener.until(lambda content: b"A-01" in content and b"progress" in content.lower())
        quiet = await during(told, asyncio.sleep(QUIET_SECONDS))
        busy = await during(told, change_what_is_hidden(planted, QUIET_SECONDS))

    for way in told:
        said = [Counter(shape for _, shape in phase[way]) for phase in (quiet, busy)]
        assert said[0].keys() == said[1].keys(), way
        assert all(abs(said[0][shape] - said[1][shape]) <= 2 for shape in said[0]), (way, said)
        progress = [at for at, shape in busy[way] if b"progress" in shape.lower()]
        assert len(progress) >= QUIET_SECONDS / PROGRESS_SECONDS - 2
        assert max(later - earlier for earlier, later in pairwise(progress)) < 2 * PROGRESS_SECONDS + 0.2, way


async def test_a_long_poll_waits_its_time_whatever_happens_to_what_is_hidden(server: Server, planted: Database) -> None:
    async with httpx.AsyncClient(timeout=30, headers=server.headers("visitor")) as client:
        cursor = (await client.get(f"{server.url}/api/changes", params=PLACE)).json()["cursor"]
        working = asyncio.create_task(change_what_is_hidden(planted, 2))
        began = time.monotonic()
        answer = await client.get(f"{server.url}/api/changes", params={**PLACE, "after": cursor, "wait": "1.5"})
        took = time.monotonic() - began
        await working

    news = answer.json()
    assert took >= 1.5
    assert (news["kind"], news["workstations"], news["removed"], news["merged"]) == ("CHANGES", [], [], False)


SEALED = re.compile(rb"[A-Za-z0-9_-]{40,}")
Phase = dict[str, list[tuple[float, bytes]]]


async def during(told: dict[str, Heard], what: Coroutine[Any, Any, None]) -> Phase:
    """What each was told while it went on, and when; of what is sealed, that it is."""
    begun = {way: len(listener.parts) for way, listener in told.items()}
    await what
    return {
        way: [(at, SEALED.sub(b"<>", part)) for at, part in listener.parts[begun[way] :] if part.strip(b": ")]
        for way, listener in told.items()
    }


async def change_what_is_hidden(database: Database, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for statement in HIDDEN:
            await database.fetch(text_of(statement))
        await database.fetch(text_of("UPDATE workstations SET x_position = x_position + 1, width = width + 1"))


# --- imports ---------------------------------------------------------------------------------------------------------

# Rows that do not fit what is there: of a desk that is taken, of nobody, of a floor that is none.
MISFITS = f"""building,floor_number,name,status,employee_number,x_position,y_position
{HQ},1,A-01,occupied,nobody,1,1
{HQ},1,A-01,available,,2,2
{HQ},99,A-02,available,,3,3
{HQ},1,A-02,gone,,4,4
"""


async def test_a_report_of_an_import_repeats_nothing_of_what_is_there(planted: Database, tmp_path: Path) -> None:
    file = tmp_path / "workstations.csv"
    file.write_text(MISFITS)

    report = await Importing(planted).run(
        by_command("import"), file, kind=None, dry_run=False, skip_bad=False, progress=lambda *_: None
    )

    assert (report.outcome, len(report.problems) >= 4) == (ImportOutcome.REFUSED, True)
    assert heard("\n".join(map(str, report.problems)).encode()) == set()


# --- generators ------------------------------------------------------------------------------------------------------


@pytest.mark.conformance
def test_what_generators_ask_tells_no_visitor_what_is_hidden(server: Server) -> None:
    """Documents that nobody would think of."""

    def check(case: Any) -> None:
        assert heard(case.call(headers=server.headers("visitor"), timeout=30).content) == set()

    url = f"{server.url}/graphql"
    assert "Query.auditLog" in asked(schemathesis.graphql.from_url(url, headers=server.headers("visitor")), check)
