"""What can happen to a connection while a request of it waits for the database: seen from outside, over a bare socket.

The requests come in one piece each, so that they are answered past ASGI, and the database is held up by a lock, so that
they provably wait.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import orjson
import psutil
import pytest

from graphql_app.domain.identifiers import global_id
from graphql_app.embedded import Servers
from tests import histories
from tests.acceptance.conftest import Server, address_of, environment_for, fresh, started
from tests.acceptance.following import Connection
from tests.proxy import Proxy

WAIT_SECONDS = 10
OPERATION_SECONDS = 1.0
DESK = {"id": global_id("Workstation", histories.MARKER)}
ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "one by id": ("query ($id: ID!) { workstation(id: $id) { name } }", DESK),
    "a page": ("{ workstations(first: 2) { nodes { name } } }", {}),
    "a change": (
        "mutation ($id: ID!, $notes: String!) { updateWorkstation(id: $id, input: {notes: $notes})"
        " { ... on WorkstationChanged { workstation { name } } } }",
        DESK | {"notes": "waited for"},
    ),
}
ME = "{ me { subject } }"  # waits for nothing
WAITING = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"

every_kind = pytest.mark.parametrize("kind", ASKED)


class Client:
    """One connection, kept."""

    def __init__(self, server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server, self._reader, self.writer = server, reader, writer

    def send(self, query: str, variables: dict[str, Any] | None = None) -> None:
        self.writer.write(request(self._server, query, variables))

    async def answer(self, seconds: float = WAIT_SECONDS) -> Any:
        """The next answer, which is whole and well, or says why not."""
        async with asyncio.timeout(seconds):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
            assert head.startswith("HTTP/1.1 200 "), head
            assert "connection: close" not in head.lower()
            fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:-2])
            return orjson.loads(await self._reader.readexactly(int(fields["content-length"])))

    async def ask(self, query: str, variables: dict[str, Any] | None = None) -> Any:
        self.send(query, variables)
        return await self.answer()

    async def is_told_nothing(self, seconds: float = 0.3) -> bool:
        """Asked last of all: what comes meanwhile is gone."""
        try:
            async with asyncio.timeout(seconds):
                await self._reader.read(1)
        except TimeoutError:
            return True
        return False


def request(server: Server, query: str, variables: dict[str, Any] | None = None) -> bytes:
    body = orjson.dumps({"query": query, "variables": variables or {}})
    return (
        f"POST /graphql HTTP/1.1\r\nHost: office.test\r\nAuthorization: Bearer {server.token('admin')}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


@pytest.fixture(scope="module")
def office_url(servers: Servers, template: str) -> Iterator[str]:
    """A database with the office of the histories."""
    with fresh(servers, template) as url:
        asyncio.run(histories.furnish(url))
        yield url


@pytest.fixture
async def psql(office_url: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(office_url)
    yield connection
    connection.terminate()


@pytest.fixture(scope="module")
def line(office_url: str) -> Iterator[Proxy]:
    """The way of `hasty` to its database."""
    with Proxy(office_url) as line:
        yield line


@contextmanager
def serving(servers: Servers, database_url: str, log: Path, **settings: str) -> Iterator[Server]:
    """A process that has nothing in memory that it could answer with."""
    environment = environment_for(database_url, servers.redis_url)
    forgetful = {"GRAPHQL_APP_CACHE_ROWS": "0", "GRAPHQL_APP_ANSWERS_BYTES": "0"}
    server = started(environment | forgetful | settings, log)
    try:
        server.url = address_of(server)
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def patient(servers: Servers, office_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Has time for an operation."""
    with serving(servers, office_url, tmp_path_factory.mktemp("patient") / "log") as server:
        yield server


@pytest.fixture(scope="module")
def hasty(servers: Servers, line: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Has little time for an operation, and a line that can be cut."""
    seconds = str(OPERATION_SECONDS)
    log = tmp_path_factory.mktemp("hasty") / "log"
    with serving(servers, line.url, log, GRAPHQL_APP_OPERATION_SECONDS=seconds) as server:
        yield server


@asynccontextmanager
async def connected(server: Server) -> AsyncIterator[Client]:
    """A client whose server has come to know all that is asked here."""
    address = urlsplit(server.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    client = Client(server, reader, writer)
    try:
        for query, variables in [*ASKED.values()] * 3:
            assert "errors" not in await client.ask(query, variables)
        yield client
    finally:
        writer.transport.abort()
    await left_alone(server)


@asynccontextmanager
async def held_up(psql: Connection) -> AsyncIterator[None]:
    """Nobody can read or change a workstation."""
    async with psql.transaction():
        await psql.execute("LOCK TABLE workstations IN ACCESS EXCLUSIVE MODE")
        yield


async def waiting(psql: Connection, number: int) -> list[int]:
    """The backends that wait for the lock, as soon as they are so many."""
    async with asyncio.timeout(WAIT_SECONDS):
        while len(found := await psql.fetch(WAITING)) != number:  # noqa: ASYNC110  # PostgreSQL tells nobody
            await asyncio.sleep(0.01)
    return [row["pid"] for row in found]


def unavailable(answer: Any) -> str:
    """The message of the one error, which says that it may be tried again."""
    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "UNAVAILABLE", answer
    return str(error["message"])


# --- the database ----------------------------------------------------------------------------------------------------


@every_kind
async def test_the_database_goes_down_meanwhile_and_the_connection_lives_on(
    hasty: Server, psql: Connection, line: Proxy, kind: str
) -> None:
    async with connected(hasty) as client:
        async with held_up(psql):
            client.send(*ASKED[kind])
            await waiting(psql, 1)
            line.drop()
            unavailable(await client.answer(OPERATION_SECONDS))  # not only when its time is over
        line.restore()

        async with asyncio.timeout(WAIT_SECONDS):
            while "errors" in (answer := await client.ask(*ASKED[kind])):
                unavailable(answer)
                await asyncio.sleep(0.05)
    assert "Traceback" not in hasty.log.read_text()


@every_kind
async def test_its_time_is_over_meanwhile_and_the_connection_lives_on(
    hasty: Server, psql: Connection, kind: str
) -> None:
    async with connected(hasty) as client:
        async with held_up(psql):
            began = time.monotonic()
            client.send(*ASKED[kind])
            await waiting(psql, 1)
            assert f"longer than {OPERATION_SECONDS:g} s" in unavailable(await client.answer())
            assert OPERATION_SECONDS - 0.1 < time.monotonic() - began < OPERATION_SECONDS + 2

        assert "errors" not in await client.ask(*ASKED[kind])
    assert "Traceback" not in hasty.log.read_text()


# --- those behind it -------------------------------------------------------------------------------------------------


@every_kind
@pytest.mark.parametrize("in_one_piece", [True, False])
async def test_those_sent_behind_it_are_answered_behind_it(
    patient: Server, psql: Connection, kind: str, in_one_piece: bool
) -> None:
    async with connected(patient) as client:
        query, variables = ASKED[kind]
        alone = await client.ask(query, variables), await client.ask(ME)
        async with held_up(psql):
            if in_one_piece:
                both = request(patient, query, variables) + request(patient, ME)
                client.writer.write(both)
                await waiting(psql, 1)
            else:
                client.send(query, variables)
                await waiting(psql, 1)
                client.send(ME)
            assert await client.is_told_nothing()

        assert (await client.answer(), await client.answer()) == alone


async def test_one_behind_it_that_waits_too_begins_when_it_has_ended(patient: Server, psql: Connection) -> None:
    async with connected(patient) as client:
        async with held_up(psql):
            for kind in ("a change", "one by id", "a page"):
                client.send(*ASKED[kind])
            assert len(await waiting(psql, 1)) == 1
            assert await client.is_told_nothing()

        answers = [await client.answer() for _ in range(3)]
    assert [next(iter(answer["data"])) for answer in answers] == ["updateWorkstation", "workstation", "workstations"]


async def test_those_behind_one_whose_time_is_over_are_answered(hasty: Server, psql: Connection) -> None:
    async with connected(hasty) as client, held_up(psql):
        client.send(*ASKED["one by id"])
        await waiting(psql, 1)
        client.send(ME)

        unavailable(await client.answer())
        assert (await client.answer())["data"] == {"me": {"subject": "admin"}}


# --- the client ------------------------------------------------------------------------------------------------------


def connections(server: Server) -> int:
    """How many connections of clients the process has."""
    port = urlsplit(server.url).port
    return sum(
        1
        for one in psutil.Process(server.process.pid).net_connections("tcp")
        if one.laddr.port == port and one.status != psutil.CONN_LISTEN
    )


async def left_alone(server: Server) -> None:
    """The process has nobody connected any more."""
    async with asyncio.timeout(WAIT_SECONDS):
        while connections(server):  # noqa: ASYNC110  # the system tells nobody
            await asyncio.sleep(0.02)


@every_kind
@pytest.mark.parametrize("way", ["ends", "resets"])
async def test_a_client_that_goes_away_meanwhile_is_let_go_at_once_and_nothing_is_said_of_it(
    patient: Server, psql: Connection, kind: str, way: str
) -> None:
    async with connected(patient) as client:
        said = patient.log.read_text()
        async with held_up(psql):
            client.send(*ASKED[kind])
            await waiting(psql, 1)
            assert connections(patient) == 1
            go = client.writer.close if way == "ends" else client.writer.transport.abort
            go()
            await left_alone(patient)
    async with connected(patient) as another:  # the process goes on
        assert (await another.ask(ME))["data"] == {"me": {"subject": "admin"}}

    assert patient.log.read_text() == said


@pytest.mark.parametrize("way", ["ends", "resets"])
async def test_one_that_had_sent_more_is_let_go_when_the_first_has_ended(
    patient: Server, psql: Connection, way: str
) -> None:
    """Nothing is read of who is ahead of the answers, so that this is noticed no earlier."""
    async with connected(patient) as client:
        said = patient.log.read_text()
        async with held_up(psql):
            client.send(*ASKED["one by id"])
            await waiting(psql, 1)
            client.send(ME)
            client.send(*ASKED["a page"])
            go = client.writer.close if way == "ends" else client.writer.transport.abort
            go()
        await left_alone(patient)

    assert patient.log.read_text() == said


async def test_a_change_whose_client_went_away_is_made_all_the_same(patient: Server, psql: Connection) -> None:
    query, variables = ASKED["a change"]
    async with connected(patient) as client, held_up(psql):
        client.send(query, variables | {"notes": "nobody waits"})
        await waiting(psql, 1)
        client.writer.close()
        await left_alone(patient)

    notes = f"SELECT notes FROM workstations WHERE id = {histories.MARKER}"
    async with asyncio.timeout(WAIT_SECONDS):
        while await psql.fetchval(notes) != "nobody waits":  # noqa: ASYNC110  # nobody is told
            await asyncio.sleep(0.01)
