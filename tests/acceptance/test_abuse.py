"""What no client should do, against a real server: what comes of each, and for how long it holds up everybody else.

`pytest -rP tests/acceptance/test_abuse.py` prints the whole list with the figures.
"""

import asyncio
import json
import secrets
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import orjson
import pytest
from graphql import get_introspection_query
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from graphql_app.domain.identifiers import global_id
from graphql_app.embedded import Servers
from graphql_app.graph.websocket.wire import SUBPROTOCOL
from graphql_app.services.identity.issuer import REST_SECONDS
from tests.acceptance.conftest import Server, address_of, environment_for, fresh, started
from tests.acceptance.fixtures import watched
from tests.integration.test_bad_input import BEYOND, UNREADABLE, UNRUNNABLE, body
from tests.issuer import AUDIENCE, KEYS, answer, openid_server
from tests.unit.graph.documents import test_document as test_documents
from tests.unit.graph.documents import test_limits
from tests.unit.graph.documents.test_limits import each
from tests.unit.graph.websocket.test_protocol import MISSHAPEN

LONGEST_SECONDS = 0.1  # promised are 0.05, measured on a machine of its own
MANY_CHANGES_SECONDS = 0.4  # 500 changes are numbered, handed out and rendered for every cohort in one turn: some 0.15
TRIES = 3  # others work on the machine too: what holds up for long must do so each time
WAIT_SECONDS = 30
WATCHED = (watched.__file__, "serve")
WORKSTATIONS = 5000

OFFICE = f"""
INSERT INTO buildings (name) VALUES ('HQ');
INSERT INTO floors (building, number) SELECT 'HQ', i FROM generate_series(1, 10) i;
INSERT INTO departments (name) VALUES ('研发'), ('Sales');
INSERT INTO employees (employee_number, name, department_id)
    SELECT 'E' || i, '员工' || i, 1 + i % 2 FROM generate_series(1, {WORKSTATIONS}) i;
INSERT INTO workstations
    (name, x_position, y_position, building, floor_number, department_id, employee_id, status, equipment)
    SELECT 'A-' || i, i * 1.5, 40, 'HQ', 1 + i % 10, 1 + i % 2, i, 'occupied', '{{"monitors": 2, "dock": ["a"]}}'
    FROM generate_series(1, {WORKSTATIONS}) i;
"""


@dataclass(frozen=True)
class Office:
    """A server with five thousand workstations, and the watch over its loop."""

    server: Server
    database_url: str
    watch: int  # the port

    @property
    def headers(self) -> dict[str, str]:
        return self.server.headers() | {"content-type": "application/json"}

    async def held_up(self) -> tuple[float, float]:
        return await watched.longest(self.watch)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


async def furnished(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(OFFICE)
    await connection.close()


@pytest.fixture(scope="module")
def database(servers: Servers, template: str) -> Iterator[str]:
    with fresh(servers, template) as url:
        asyncio.run(furnished(url))
        yield url


@pytest.fixture(scope="module")
def office(servers: Servers, database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    port, log = free_port(), tmp_path_factory.mktemp("abuse") / "server.log"
    environment = environment_for(database, servers.redis_url) | {watched.PORT: str(port)}
    server = started(environment, log, WATCHED)
    try:
        server.url = address_of(server)
        yield Office(server, database, port)
    finally:
        server.stop()


# --- ways to abuse ---------------------------------------------------------------------------------------------------

Act = Callable[[Office], Awaitable[str]]  # returns what came back


async def request(office: Office, method: str, path: str, **given: Any) -> str:
    """Status, and the code of the first error if there is one."""
    headers = httpx.Headers(office.headers)
    headers.update(given.pop("headers", {}))
    async with httpx.AsyncClient(timeout=WAIT_SECONDS) as client:
        response = await client.request(method, office.server.url + path, headers=headers, **given)
    try:
        told = response.json()
        code = told["errors"][0]["extensions"]["code"] if "errors" in told else told.get("code", "")
    except (ValueError, KeyError, AttributeError):
        code = ""
    return f"{response.status_code} {code}".strip()


def sent(content: bytes) -> Act:
    return lambda office: request(office, "POST", "/graphql", content=content)


def asked(document: str, **variables: Any) -> Act:
    """Each time with another comment, so that the document is new."""

    async def act(office: Office) -> str:
        text = f"{document} #{secrets.token_hex(4)}"
        accept = {"accept": "application/graphql-response+json"}
        return await request(office, "POST", "/graphql", json={"query": text, "variables": variables}, headers=accept)

    return act


def rest(method: str, path: str, content: bytes | None = None, headers: Mapping[str, str] | None = None) -> Act:
    headers = headers or {}
    return lambda office: request(office, method, path, content=content, headers=headers)


@asynccontextmanager
async def acknowledged(office: Office) -> AsyncIterator[ClientConnection]:
    url = office.server.ws_url
    async with connect(url, subprotocols=[Subprotocol(SUBPROTOCOL)], max_size=None, close_timeout=1) as client:
        await client.send(json.dumps({"type": "connection_init", "payload": office.server.headers()}))
        assert json.loads(await client.recv())["type"] == "connection_ack"
        yield client


LAST = {"type": "ping", "payload": {"last": True}}


def said(*messages: object) -> Act:
    """A text or bytes as they are, all else as JSON. How it is closed, or else what comes back of what was subscribed,
    or of the last ping."""
    awaits = "subscribe" in str(messages)

    async def act(office: Office) -> str:
        async with acknowledged(office) as client, asyncio.timeout(WAIT_SECONDS):
            try:
                for message in (*messages, LAST):
                    await client.send(message if isinstance(message, (str, bytes)) else orjson.dumps(message).decode())
                while True:
                    told = json.loads(await client.recv())
                    if told["type"] == "error":
                        return f"error {told['payload'][0]['extensions']['code']}"
                    if told["type"] == "next" or (told.get("payload") == LAST["payload"] and not awaits):
                        return str(told["type"])
            except ConnectionClosed:
                return f"closed {client.close_code}"

    return act


def subscribe(query: str, id: str = "1", **payload: Any) -> dict[str, Any]:
    return {"id": id, "type": "subscribe", "payload": {"query": query, **payload}}


async def raw(office: Office, content: bytes, size: int = 0) -> str:
    """Over bare TCP, with so many bytes more: the status line, or that the connection ended without one."""
    address = urlsplit(office.server.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            writer.write(content)
            for _ in range(size // 65536):
                writer.write(b"x" * 65536)
                await writer.drain()
            line = await reader.readline()
    except ConnectionError:
        line = b""
    finally:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()
    return line.decode().split(" ", 1)[-1].strip()[:3] or "cut"


async def logins(office: Office) -> str:
    """Forty at once, each of a name of its own."""
    login = 'mutation {{ login(name: "{0}", password: "{0}{0}{0}{0}") {{ __typename }} }}'
    acts = [asked(login.format(secrets.token_hex(4)))(office) for _ in range(40)]
    return ", ".join(sorted(set(await asyncio.gather(*acts))))


async def documents_in_one_moment(office: Office) -> str:
    """Thirty new ones, each on a connection that is open already."""
    address = urlsplit(office.server.url)
    head = HEAD + b"".join(f"{name}: {value}\r\n".encode() for name, value in office.server.headers().items())
    streams = [await asyncio.open_connection(address.hostname, address.port) for _ in range(30)]
    for _, writer in streams:
        content = body(query=f"{test_limits.HOSTILE['variables']} #{secrets.token_hex(4)}")
        writer.write(head + f"Content-Length: {len(content)}\r\n\r\n".encode() + content)
    async with asyncio.timeout(WAIT_SECONDS):
        lines = {(await reader.readline()).decode().split()[1] for reader, _ in streams}
    for _, writer in streams:
        writer.close()
        await writer.wait_closed()
    return ", ".join(sorted(lines))


async def snapshots_in_one_moment(office: Office) -> str:
    """A hundred of all workstations on one socket, each shown in another way: what comes of them all."""
    follow = "subscription {{ workstationChanges {{ complete workstations {{ a{}: id name }} }} }}"
    shown: Counter[str] = Counter()
    ended: set[str] = set()
    async with acknowledged(office) as client, asyncio.timeout(WAIT_SECONDS):
        for number in range(100):
            await client.send(orjson.dumps(subscribe(follow.format(number), id=str(number))).decode())
        while len(ended) < 100:
            told = json.loads(await client.recv())
            feed = told["payload"]["data"]["workstationChanges"]
            shown[told["id"]] += len(feed["workstations"])
            ended |= {told["id"]} if feed["complete"] else set()
    return f"{len(shown)} of {min(shown.values())}"


async def everything_changes(office: Office) -> str:
    """In one transaction, while twenty sockets follow all of it, each with a document of its own."""
    follow = "subscription { workstationChanges(snapshot: false) { kind workstations { id name employee { name } } } }"
    async with AsyncExitStack() as stack, asyncio.timeout(WAIT_SECONDS):
        clients = [await stack.enter_async_context(acknowledged(office)) for _ in range(20)]
        for number, client in enumerate(clients):
            await client.send(orjson.dumps(subscribe(follow.replace("id", f"a{number}: id"))).decode())
            await client.recv()
        connection = await asyncpg.connect(office.database_url)
        await connection.execute("UPDATE workstations SET notes = md5(random()::text)")
        await connection.close()
        kinds = {json.loads(await client.recv())["payload"]["data"]["workstationChanges"]["kind"] for client in clients}
    return ", ".join(sorted(kinds))


# --- the list --------------------------------------------------------------------------------------------------------

FULL = (
    "id name status building floorNumber xPosition yPosition width height version createdAt updatedAt equipment notes"
    " department { id name } employee { id name employeeNumber department { id name } }"
)
IDS = " ".join(json.dumps(global_id("Workstation", key)) for key in range(1, 101))
# As much as the limits allow, in all the ways in which an answer can be large.
LEGAL: Mapping[str, str] = {
    "a page of 500 with all its fields": f"{{ workstations(first: 500) {{ totalCount nodes {{ {FULL} }} }} }}",
    "19 pages of 500 in one document": "{ " + each(
        19, "a#: workstations(first: 500) { nodes { id name status building floorNumber xPosition createdAt } }"
    ) + " }",
    "one field under 190 aliases": "{ workstations(first: 500) { nodes { " + each(190, "a#: createdAt") + " } } }",
    "one object under 90 aliases": "{ workstations(first: 500) { nodes {"
    + each(90, "a#: department { name }") + "} } }",
    "objects in objects under 40 aliases": "{ workstations(first: 500) { nodes { "
    + each(40, "a#: employee { department { id name } }") + " } } }",
    "edges with cursors": "{ workstations(first: 500) { edges { cursor node { id } } } }",
    "every floor with every field": f"{{ floors {{ workstations {{ {FULL} }} }} }}",
    "100 nodes by id": f"{{ nodes(ids: [{IDS}]) {{ ... on Workstation {{ {FULL} }} }} }}",
    "100 aliases of one node": "{ " + each(100, f"a#: node(id: {IDS.split()[0]}) {{ id }}") + " }",
    "the whole schema": get_introspection_query(),
    "who is who, 500 at once": "{ employees(first: 500) { nodes { id name employeeNumber department { id name } } } }",
    "the audit log": "{ auditLog(first: 100) { nodes { id } } }",
}  # fmt: skip
QUIETLY = "subscription {{ workstationChanges(snapshot: false) {{ kind workstations {{ {} }} }} }}"
FOLLOWED = "subscription {{ workstationChanges {{ kind workstations {{ {} }} }} }}"
ME = "{ me { subject } }"
DEEP = "[" * 20_000 + "]" * 20_000
SEARCH = "query ($f: WorkstationFilter) { workstations(filter: $f) { totalCount } }"
DESK = "/api/workstations"
LOGINS = "mutation { " + each(20, 'a#: login(name: "n#", password: "0123456789ab") { __typename }') + " }"
AHEAD = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
HEAD = b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"

ABUSES: dict[str, tuple[Act, str]] = {
    **{f"a body of {what}": (sent(content), "400 BAD_REQUEST") for what, content in UNREADABLE.items()},
    **{f"a body with {what}": (sent(content), "") for what, (content, _) in BEYOND.items()},
    **{f"a request with {what}": (sent(body(**given)), "200") for what, given in UNRUNNABLE.items()},
    **{f"a document with {what}": (asked(text), "") for what, text in test_limits.HOSTILE.items()},
    **{f"a document of {what}": (asked(text), "400") for what, text in test_documents.HOSTILE.items()},
    **{f"exponential fragments, {what}": (asked(text), "400") for what, text in test_documents.EXPONENTIAL.items()},
    **{f"legal, {what}": (asked(text), "200") for what, text in LEGAL.items()},
    "variables: 9,990 ids that are none": (asked(SEARCH, f={"ids": ["x"] * 9990}), "200 INVALID_INPUT"),
    "variables: a text of 60,000 letters to search for": (
        asked(SEARCH, f={"nameContains": "%_" * 30_000}), "200 INVALID_INPUT"),
    "a body of 5 MB": (sent(body(extensions={"x": "x" * 5_000_000})), "413 TOO_MANY"),
    "a body that is announced and never sent whole": (
        lambda office: raw(office, HEAD + b"Content-Length: 100000000\r\n\r\n", 5_000_000), "413"),
    "a query string of 60 KB": (rest("GET", "/graphql?query={me{subject}}&x=" + "x" * 60_000), "200"),
    "a thousand header fields": (rest("GET", "/healthz", headers={f"x-{n}": "x" * 50 for n in range(1000)}), ""),
    "a header field without an end": (lambda office: raw(office, HEAD + b"X: ", 8_000_000), ""),
    "8,000 requests ahead of their answers": (lambda office: raw(office, AHEAD * 8000), ""),
    "a request line without an end": (lambda office: raw(office, b"GET /", 8_000_000), ""),
    "REST: 20,000 lists deep": (rest("POST", DESK, b"[" * 20_000 + b"]" * 20_000), "400"),
    "REST: a number of 5,000 digits": (rest("POST", DESK, b'{"name": "x", "xPosition": ' + b"9" * 5000 + b"}"), "4"),
    "REST: NaN": (rest("POST", DESK, b'{"name": "x", "xPosition": NaN, "yPosition": 1}'), "4"),
    "REST: half a character": (rest("POST", DESK, b'{"name": "\\ud800", "xPosition": 1, "yPosition": 1}'), "4"),
    "REST: a body of 5 MB": (rest("POST", DESK, b'{"name": "' + b"x" * 5_000_000 + b'"}'), "413"),
    "REST: a page of 500": (rest("GET", "/api/workstations?first=500"), "200"),
    "REST: a page of a million": (rest("GET", "/api/workstations?first=1000000"), "400 TOO_MANY"),
    "long-poll: the snapshot of 5,000": (rest("GET", "/api/changes?wait=0"), "200"),
    "a cursor of 8 KB": (asked('{ workstations(after: "' + "A" * 8000 + '") { totalCount } }'), "200 INVALID_INPUT"),
    "a token of 8 KB": (rest("GET", DESK, headers={"Authorization": "Bearer " + "a.b" * 2700}), "401"),
    "thirty new documents in one moment": (documents_in_one_moment, "200"),
    "forty logins at once": (logins, "200"),
    "twenty logins in one document": (asked(LOGINS), "200"),
    **{f"socket: {message!r:.60}": (said(message), "closed 4400") for message in MISSHAPEN},
    "socket: an operation that there is not": (said(subscribe(ME, operationName="x")), "error INVALID_INPUT"),
    "socket: 2,000 pings in a moment": (said(*['{"type": "ping"}'] * 2000), "closed 1008"),
    "socket: a message of 1 MB": (said(subscribe("#" * 1_000_000)), "closed 1009"),
    "socket: a message of 100 KB with a payload": (said({"type": "ping", "payload": {"x": "工" * 30_000}}), "pong"),
    "socket: 20,000 lists deep": (said(f'{{"type": "ping", "payload": {DEEP}}}'), "closed 4400"),
    "socket: 10,001 variables": (said(subscribe(ME, variables={"x": [1] * 10_001})), "error TOO_MANY"),
    "socket: a hundred subscriptions, each another": (
        said(*[subscribe(QUIETLY.format(f"a{n}: id"), id=str(n)) for n in range(100)]), "next"),
    "socket: a hundred snapshots of 5,000, each shown in another way": (snapshots_in_one_moment, "100 of 5000"),
    "socket: the snapshot of 5,000, all its fields": (said(subscribe(FOLLOWED.format(FULL))), "next"),
    "socket: the snapshot of 5,000, 180 aliases": (
        said(subscribe(FOLLOWED.format(each(180, "a#: createdAt")))), "next"),
}  # fmt: skip


# --- what comes of it ------------------------------------------------------------------------------------------------

FOUND: dict[str, tuple[str, float, float]] = {}  # by the abuse: what came back, and for how long the loop was held up


@pytest.mark.parametrize("what", ABUSES)
async def test_it_is_answered_and_holds_up_nobody_for_long(office: Office, what: str) -> None:
    act, expected = ABUSES[what]
    for _ in range(TRIES):
        await office.held_up()
        told = await act(office)
        work, clock = await office.held_up()
        FOUND[what] = told, work, clock
        if work < LONGEST_SECONDS:
            break

    assert not told.startswith("5")
    assert told.startswith(expected)
    assert work < LONGEST_SECONDS


async def test_thousands_of_changes_at_once_hold_up_nobody_for_long(office: Office) -> None:
    """Whoever follows waits for them anyway; whoever asks for something else is let in between."""
    await office.held_up()
    told = await everything_changes(office)
    FOUND[f"{WORKSTATIONS} changes in one transaction, 20 cohorts"] = told, *(held := await office.held_up())

    assert told == "CHANGES"
    assert held[0] < MANY_CHANGES_SECONDS


def test_what_came_of_them_is_said_for_all_and_the_server_is_as_it_was(office: Office) -> None:
    for what, (told, work, clock) in sorted(FOUND.items(), key=lambda item: -item[1][1]):
        print(f"{work * 1000:6.1f} ms of work, {clock * 1000:6.1f} ms by the clock  {what}: {told}")
    log = office.server.log.read_text()
    assert "Traceback" not in log
    assert "incident" not in log
    assert httpx.get(f"{office.server.url}/readyz").status_code == 200


@pytest.mark.conformance
async def test_an_issuer_of_a_thousand_keys_holds_up_nobody_for_long(
    servers: Servers, database: str, tmp_path: Path
) -> None:
    async with openid_server() as openid:
        many = [{**openid.jwks()[0], "kid": str(n)} for n in range(600)]
        openid.answers[KEYS] = answer(200, orjson.dumps({"keys": many}))
        environment = environment_for(database, servers.redis_url) | {
            watched.PORT: str(port := free_port()),
            "GRAPHQL_APP_OIDC_ISSUER": openid.url,
            "GRAPHQL_APP_OIDC_AUDIENCE": AUDIENCE,
            "GRAPHQL_APP_OIDC_ROLES": '{"groups": {"all": "visitor"}}',
        }
        server = started(environment, tmp_path / "server.log", WATCHED)
        try:
            server.url = await asyncio.to_thread(address_of, server)
            office = Office(server, database, port)
            await asyncio.sleep(REST_SECONDS + 1)  # it may ask for keys again
            await office.held_up()
            rest_with = rest("GET", DESK, headers={"Authorization": f"Bearer {openid.token(groups=['all'])}"})
            told = await rest_with(office)
            work, clock = await office.held_up()
        finally:
            server.stop()

    print(f"{work * 1000:.1f} ms of work, {clock * 1000:.1f} ms by the clock: {told}, asked {openid.asked}")
    assert told == "401 UNAUTHENTICATED"  # of keys that are its own, but not among those
    assert openid.asked.count(KEYS) >= 2
    assert work < LONGEST_SECONDS
