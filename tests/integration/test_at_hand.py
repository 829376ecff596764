"""A request that arrives in one piece is answered past ASGI, in the same words: at once when its answer is at hand."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import Mock

import asyncpg
import orjson
import pytest
import pytest_asyncio
from uvicorn.server import ServerState

from graphql_app.app.application import Application
from graphql_app.embedded import Servers
from graphql_app.graph.http import endpoint as http
from graphql_app.graph.http.endpoint import HttpEndpoint
from graphql_app.server.arrival import Arrivals
from tests.graphql_client import (
    A_01,
    A_02,
    HQ,
    NONE,
    Office,
    fresh_database,
    numbered,
    running_office,
    seed,
    settings_for,
)
from tests.one_piece import listening

pytestmark = pytest.mark.asyncio(loop_scope="module")

FLOOR = f'{{ floor(building: "{HQ}", number: 1) {{ name workstations {{ name }} }} }}'
FLOORS = "{ floors { number name } }"
ME = "{ me { subject } }"
JSON = {"Content-Type": "application/json"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def office(servers: Servers, template: str) -> AsyncIterator[Office]:
    async with (
        fresh_database(servers, template) as url,
        running_office(settings_for(url, servers, origins=["https://office.example"])) as office,
    ):
        await seed(office.database)
        await numbered(office.database)
        yield office


@pytest_asyncio.fixture(loop_scope="module")
async def port(office: Office) -> AsyncIterator[int]:
    async with listening(office.app, {"graphql": office.app.graphql}) as port:
        yield port


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def kept(office: Office) -> None:
    """The answer to FLOOR is, and the request is known for one that it answers."""
    for _ in range(2):
        await office.client.post(
            "/graphql", content=orjson.dumps({"query": FLOOR}), headers=JSON | office.headers("visitor")
        )


@pytest.fixture
def by_asgi(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of the requests that ASGI served, from now on."""
    served: list[str] = []
    call = Application.__call__

    async def counted(self: Application, scope: dict[str, str], *rest: object) -> None:
        served.append(scope["path"])
        await call(self, scope, *rest)  # type: ignore[arg-type]  # ASGI's own

    monkeypatch.setattr(Application, "__call__", counted)
    return served


@pytest.fixture
def at_hand(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each request that came past ASGI, from now on: whether its answer was at hand."""
    answered: list[bool] = []
    answer = HttpEndpoint.answer

    def noted(self: HttpEndpoint, *request: Any) -> Any:
        given = answer(self, *request)
        answered.append(isinstance(given, tuple))
        return given

    monkeypatch.setattr(HttpEndpoint, "answer", noted)
    return answered


def request(
    office: Office,
    query: str,
    *lines: str,
    role: str = "visitor",
    version: str = "1.1",
    variables: dict[str, str] | None = None,
) -> bytes:
    body = orjson.dumps({"query": query} | ({"variables": variables} if variables else {}))
    token = f"Authorization: Bearer {office.token(role)}"
    said = (token, *lines) if not any(line.startswith("Authorization") for line in lines) else lines
    if not any(line.startswith("Content-Type") for line in lines):
        said = (*said, "Content-Type: application/json")
    head = "\r\n".join((f"POST /graphql HTTP/{version}", "Host: office.test", *said, f"Content-Length: {len(body)}"))
    return head.encode() + b"\r\n\r\n" + body


class Client:
    """One connection, kept."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def answer(self) -> tuple[str, dict[str, str], bytes]:
        """Status, header fields and body."""
        status, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
        fields = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        return status, fields, await self.reader.readexactly(int(fields.get("content-length", 0)))

    async def ask(self, *pieces: bytes) -> tuple[str, dict[str, str], bytes]:
        for piece in pieces:
            self.writer.write(piece)
            await asyncio.sleep(0.01)
        return await self.answer()


@pytest_asyncio.fixture(loop_scope="module")
async def client(port: int) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    yield Client(reader, writer)
    writer.close()
    await writer.wait_closed()


async def test_what_is_kept_is_answered_past_asgi_in_the_same_words(
    office: Office, client: Client, by_asgi: list[str]
) -> None:
    asked = request(office, FLOOR)
    by_connection, by_asgi_alone = await client.ask(asked), await client.ask(asked[:-1], asked[-1:])

    assert by_asgi == ["/graphql"]
    assert by_connection[1].pop("x-request-id") != by_asgi_alone[1].pop("x-request-id")
    assert by_connection == by_asgi_alone
    assert by_connection[0] == "HTTP/1.1 200 OK"


async def test_the_client_s_id_and_media_type_come_back(office: Office, client: Client, by_asgi: list[str]) -> None:
    media = "application/graphql-response+json"
    _, fields, _ = await client.ask(request(office, FLOOR, f"Accept: {media}", "X-Request-ID: mine"))

    assert (fields["x-request-id"], fields["content-type"]) == ("mine", f"{media}; charset=utf-8")
    assert by_asgi == []


async def test_it_is_counted_as_any_operation(office: Office, client: Client) -> None:
    async def counted() -> list[float]:
        text = (await office.client.get("/metrics", headers=office.headers("operator"))).text
        series = ('operations_total{kind="query",result="ok"}', 'operation_seconds_count{kind="query"}')
        return [float(re.findall(rf"^graphql_app_{re.escape(one)} (\S+)$", text, re.M)[0]) for one in series]

    before = await counted()
    for _ in range(3):
        await client.ask(request(office, FLOOR))

    assert await counted() == [number + 3 for number in before]


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("Content-Type: text/plain", 415),
        ("Content-Encoding: gzip", 415),
        ("Accept: image/png", 406),
        ("Accept: text/event-stream", 200),
        ("Origin: https://office.example", 200),
        ("Expect: 100-continue", 100),
        ("Connection: close", 200),
    ],
)
async def test_whatever_is_more_to_find_out_about_is_found_out_by_asgi(
    office: Office, client: Client, by_asgi: list[str], line: str, status: int
) -> None:
    client.writer.write(request(office, FLOOR, line))
    said = await client.reader.readuntil(b"\r\n")

    assert (int(said.split()[1]), by_asgi) == (status, ["/graphql"])


@pytest.mark.parametrize(
    "line",
    [
        "Authorization: Bearer nonsense",
        "Authorization: Basic eA==",
        "X-Min-Cursor: nonsense",
        "X-Request-ID: mine",
        "Accept: application/graphql-response+json",
    ],
)
@pytest.mark.parametrize(
    "query", [FLOOR, ME, FLOORS, "{ nonsense }", "{", "subscription { workstationChanges { cursor } }"]
)
async def test_what_takes_waiting_is_answered_past_asgi_in_the_same_words(
    office: Office, client: Client, by_asgi: list[str], line: str, query: str
) -> None:
    asked = request(office, query, line)
    by_connection, by_asgi_alone = await client.ask(asked), await client.ask(asked[:-1], asked[-1:])

    assert by_asgi == ["/graphql"]
    for _, fields, _ in (by_connection, by_asgi_alone):
        assert fields.pop("x-request-id") == "mine" or "mine" not in line
    assert by_connection == by_asgi_alone


async def test_two_tokens_are_none(office: Office, client: Client) -> None:
    token = f"Authorization: Bearer {office.token('visitor')}"
    status, _, _ = await client.ask(request(office, FLOOR, token, token))

    assert status == "HTTP/1.1 401 Unauthorized"


async def test_an_older_client_is_answered_and_left(office: Office, client: Client) -> None:
    _, fields, body = await client.ask(request(office, FLOOR, version="1.0"))

    assert (fields["connection"], await client.reader.read()) == ("close", b"")
    assert b"workstations" in body


@pytest.mark.parametrize("at", [1, 60, -1, "body"])
async def test_a_request_in_two_pieces_is_answered_as_well(office: Office, client: Client, at: int | str) -> None:
    asked = request(office, FLOOR)
    whole = await client.ask(asked)
    place = asked.index(b"\r\n\r\n") + 4 if isinstance(at, str) else at
    in_two = await client.ask(asked[:place], asked[place:])

    assert (in_two[0], in_two[2]) == (whole[0], whole[2])
    assert (await client.ask(asked))[2] == whole[2]


async def test_those_who_do_not_wait_are_answered_in_the_order_in_which_they_asked(
    office: Office, client: Client
) -> None:
    asked = [request(office, query) for query in (FLOOR, ME, FLOORS, FLOOR, ME, ME, FLOORS)]
    one_by_one = [(await client.ask(one))[2] for one in asked]
    client.writer.write(b"".join(asked))

    assert [(await client.answer())[2] for _ in asked] == one_by_one


@pytest.fixture
def parsed(office: Office, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of what uvicorn is given to parse from now on, when no head is known yet."""
    office.app.graphql._heads.clear()
    sizes: list[int] = []
    parse = Arrivals.data_received

    def noted(self: Arrivals, data: bytes) -> None:
        sizes.append(len(data))
        parse(self, data)

    monkeypatch.setattr(Arrivals, "data_received", noted)
    return sizes


async def test_a_head_that_was_sent_before_is_not_parsed_again(
    office: Office, client: Client, parsed: list[int]
) -> None:
    asked = [request(office, ONE, variables={"id": one}) for one in (A_01, A_02, A_01)]
    answers = [await client.ask(one) for one in asked]

    assert len({one.partition(b"\r\n\r\n")[0] for one in asked}) == 1
    assert [b"A-01" in answers[0][2], b"A-02" in answers[1][2]] == [True, True]
    assert answers[0][2] == answers[2][2]
    assert parsed == [len(asked[0])]
    assert len({fields["x-request-id"] for _, fields, _ in answers}) == 3


async def test_a_head_that_was_sent_before_says_no_more_than_it_did(
    office: Office, client: Client, parsed: list[int]
) -> None:
    """Its body may come later, or with another request behind it; another token is another head."""
    asked = request(office, ONE, variables={"id": A_01})
    whole = (await client.ask(asked))[2]
    assert (await client.ask(asked[:-5], asked[-5:]))[2] == whole
    assert (await client.ask(asked + asked))[2] == (await client.answer())[2] == whole
    masked = await client.ask(request(office, ONE, role="admin", variables={"id": A_01}))

    assert masked[2] != whole
    assert len(parsed) == 5
    assert (await client.ask(asked))[2] == whole
    assert len(parsed) == 5


async def test_what_is_no_plain_request_is_none_the_second_time(
    office: Office, client: Client, by_asgi: list[str]
) -> None:
    for _ in range(2):
        assert (await client.ask(request(office, FLOOR, "Origin: https://office.example")))[0] == "HTTP/1.1 200 OK"

    assert by_asgi == ["/graphql"] * 2


async def test_heads_without_end_are_not_all_kept(
    office: Office, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "HEADS_KEPT", 5)
    office.app.graphql._heads.clear()
    for number in range(12):
        _, fields, _ = await client.ask(request(office, FLOOR, f"X-Request-ID: {number}"))
        assert fields["x-request-id"] == str(number)

    assert len(office.app.graphql._heads) <= 5


async def test_a_connection_is_kept_for_as_long_as_it_is_used(office: Office) -> None:
    async with listening(office.app, {"graphql": office.app.graphql}, timeout_keep_alive=1) as port:
        client, asked = Client(*await asyncio.open_connection("127.0.0.1", port)), request(office, FLOOR)
        loop = asyncio.get_running_loop()
        for _ in range(4):
            await asyncio.sleep(0.4)
            assert (await client.ask(asked))[0] == "HTTP/1.1 200 OK"
        idle_since = loop.time()
        async with asyncio.timeout(5):
            assert await client.reader.read() == b""
        assert loop.time() - idle_since > 0.8
        client.writer.close()
        await client.writer.wait_closed()


async def test_a_connection_is_kept_while_its_answer_is_made(office: Office) -> None:
    async with listening(office.app, {"graphql": office.app.graphql}, timeout_keep_alive=1) as port:
        client = Client(*await asyncio.open_connection("127.0.0.1", port))
        await client.ask(request(office, FLOOR))
        await client.ask(request(office, FLOOR))  # whose timer goes on
        async with locked(office, "A-01"):
            asked = {"id": A_01, "status": "MAINTENANCE"}
            client.writer.write(request(office, SET_STATUS, role="facilities", variables=asked))
            await asyncio.sleep(1.5)
        assert b"receipt" in (await client.answer())[2]
        async with asyncio.timeout(5):
            assert await client.reader.read() == b""
        client.writer.close()
        await client.writer.wait_closed()


async def test_limits_hold_and_a_trusted_proxy_says_for_whom(
    servers: Servers, template: str, by_asgi: list[str]
) -> None:
    limited = {"user_operations_per_second": 1, "user_operations_burst": 6, "trusted_proxies": ["127.0.0.1"]}
    async with (
        fresh_database(servers, template) as url,
        running_office(settings_for(url, servers, mode="production", **limited)) as office,
        listening(office.app, {"graphql": office.app.graphql}) as port,
    ):
        client = Client(*await asyncio.open_connection("127.0.0.1", port))
        asked = request(office, FLOOR, "X-Forwarded-For: 192.0.2.7")
        statuses = [(await client.ask(asked))[0].split()[1] for _ in range(4)]
        by_asgi.clear()
        while statuses[-1] == "200":
            statuses.append((await client.ask(asked))[0].split()[1])
        client.writer.close()
        await client.writer.wait_closed()

    assert (statuses[-1], by_asgi) == ("429", [])


async def test_what_is_personal_is_never_at_hand(office: Office, client: Client, at_hand: list[bool]) -> None:
    for _ in range(3):
        await client.ask(request(office, ME))

    assert at_hand == [False] * 3


@asynccontextmanager
async def locked(office: Office, name: str) -> AsyncIterator[None]:
    """Nobody can change the desk."""
    connection = await asyncpg.connect(office.database.url.replace("+asyncpg", ""))
    try:
        async with connection.transaction():
            await connection.execute("SELECT 1 FROM workstations WHERE name = $1 FOR UPDATE", name)
            yield
    finally:
        await connection.close()


async def test_who_goes_away_while_it_is_made_is_written_to_no_more(office: Office, port: int) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    async with locked(office, "A-02"):
        writer.write(request(office, SET_STATUS, role="facilities", variables={"id": A_02, "status": "MAINTENANCE"}))
        await asyncio.sleep(0.1)
        writer.close()
        await writer.wait_closed()

    async with asyncio.timeout(5):  # it is done all the same
        while await office.sql("SELECT status FROM workstations WHERE name = 'A-02'") != "maintenance":  # noqa: ASYNC110  # nobody is told
            await asyncio.sleep(0.01)


async def test_what_is_at_work_when_the_process_is_to_stop_is_finished_and_its_client_told_to_leave(
    office: Office,
) -> None:
    uvicorn = ServerState()
    state = {"graphql": office.app.graphql, "sessions": Mock(), "stall_seconds": 5.0}
    async with listening(office.app, state, uvicorn) as port:
        client = Client(*await asyncio.open_connection("127.0.0.1", port))
        async with locked(office, "A-02"):
            asked = {"id": A_02, "status": "AVAILABLE"}
            client.writer.write(request(office, SET_STATUS, role="facilities", variables=asked))
            await asyncio.sleep(0.1)
            (connection,) = uvicorn.connections
            connection.shutdown()
            assert len(uvicorn.tasks) == 1  # uvicorn waits for it
        said, fields, body = await client.answer()
        assert (said, fields["connection"], await client.reader.read()) == ("HTTP/1.1 200 OK", "close", b"")
        client.writer.close()
        await client.writer.wait_closed()

    assert b"receipt" in body


SET_STATUS = (
    "mutation ($id: ID!, $status: WorkstationStatus!) { setWorkstationStatus(id: $id, status: $status)"
    " { ... on WorkstationChanged { receipt } } }"
)
ONE = "query ($id: ID!) { workstation(id: $id) { name status xPosition version } }"


@pytest_asyncio.fixture(loop_scope="module")
async def holding(servers: Servers, template: str) -> AsyncIterator[Office]:
    """An office whose process holds floors in memory."""
    async with (
        fresh_database(servers, template) as url,
        running_office(settings_for(url, servers, cache_rows=1000)) as office,
    ):
        await seed(office.database)
        await numbered(office.database)
        yield office


@pytest.mark.parametrize("role", ["visitor", "admin"])
async def test_one_desk_in_memory_is_answered_at_once_as_it_is_now(
    holding: Office, at_hand: list[bool], role: str
) -> None:
    async with listening(holding.app, {"graphql": holding.app.graphql}) as port:
        client = Client(*await asyncio.open_connection("127.0.0.1", port))

        async def read(key: str) -> tuple[bool, bytes]:
            """Whether it was at hand, and the answer."""
            answer = await client.ask(request(holding, ONE, role=role, variables={"id": key}))
            return at_hand[-1], answer[2]

        async with asyncio.timeout(10):  # until the floor is read, and the operation has come twice
            while not (await read(A_01))[0]:
                await holding.data(role, FLOOR)
        for key in (A_01, A_02):
            by_asgi_alone = await holding.post(role, ONE, {"id": key})
            assert await read(key) == (True, by_asgi_alone.content)

        assert not (await read(NONE))[0]
        for status in ("MAINTENANCE", "AVAILABLE") * 3:
            await holding.data("facilities", SET_STATUS, {"id": A_02, "status": status})
            assert orjson.loads((await read(A_02))[1])["data"]["workstation"]["status"] == status
        client.writer.close()
        await client.writer.wait_closed()
