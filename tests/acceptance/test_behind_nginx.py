"""Behind a real nginx with the shipped configuration: two processes that look like one, even when one dies."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from tests.acceptance.conftest import Server, StartServer
from tests.acceptance.nginx import Front, StartNginx, free_port, starting

pytestmark = pytest.mark.conformance

FLOOR = '{ floor(building: "总部A座", number: 3) { cursor workstations { id name status notes } } }'
FOLLOW = """subscription ($after: Cursor) {
    workstationChanges(filter: {building: "总部A座", floorNumber: 3}, after: $after) {
        kind cursor workstations { id name status }
    }
}"""
SET_STATUS = """mutation ($id: ID!) {
    setWorkstationStatus(id: $id, status: MAINTENANCE) { __typename ... on Refusal { code message } }
}"""


@pytest.fixture
def start_nginx() -> Iterator[StartNginx]:
    with starting() as start:
        yield start


# --- the two processes -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Installation:
    front: Front
    first: Server
    second: Server

    def http(self, role: str = "admin") -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.front.url, headers=self.first.headers(role), trust_env=False, timeout=20)


@pytest.fixture
def installation(office: None, start_server: StartServer, start_nginx: StartNginx) -> Installation:
    first, second = start_server(), start_server()
    return Installation(start_nginx(first.url, second.url), first, second)


async def asked(client: httpx.AsyncClient, query: str, **variables: Any) -> Any:
    """The data of an answer without errors."""
    answer = await client.post("/graphql", json={"query": query, "variables": variables})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert "errors" not in body, body
    return body["data"]


class Subscriber:
    """Follows floor 3; `states` is what it believes, `cursor` what it would come back with."""

    def __init__(self, socket: ClientConnection, states: dict[str, str], cursor: str | None) -> None:
        self.kinds: list[str] = []
        self.states = states
        self.cursor = cursor
        self._socket = socket

    async def begin(self, token: str) -> None:
        await self._send({"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}})
        assert (await self._receive())["type"] == "connection_ack"
        payload = {"query": FOLLOW, "variables": {"after": self.cursor}}
        await self._send({"id": "1", "type": "subscribe", "payload": payload})
        await self.take()

    async def take(self) -> None:
        """The next payload."""
        message = await self._receive()
        assert message["type"] == "next", message
        feed = message["payload"]["data"]["workstationChanges"]
        self.kinds.append(feed["kind"])
        self.states |= {workstation["name"]: workstation["status"] for workstation in feed["workstations"]}
        self.cursor = feed["cursor"]

    async def until(self, *names: str) -> None:
        """Takes payloads until all of these are known to be in maintenance."""
        while any(self.states[name] != "MAINTENANCE" for name in names):
            await self.take()

    async def is_cut_off(self) -> bool:
        """Whether the socket ends within a second; what arrives meanwhile is taken."""
        try:
            async with asyncio.timeout(1):
                while True:
                    await self.take()
        except ConnectionClosed:
            return True
        except TimeoutError:
            return False

    async def _send(self, message: dict[str, Any]) -> None:
        await self._socket.send(orjson.dumps(message).decode())

    async def _receive(self) -> Any:
        async with asyncio.timeout(15):
            return orjson.loads(await self._socket.recv())


@asynccontextmanager
async def subscriber(installation: Installation, before: Subscriber | None = None) -> AsyncIterator[Subscriber]:
    """One that starts with a snapshot, or goes on where another one was."""
    async with connect(
        installation.front.ws_url, subprotocols=[Subprotocol("graphql-transport-ws")], proxy=None
    ) as socket:
        following = Subscriber(socket, dict(before.states), before.cursor) if before else Subscriber(socket, {}, None)
        await following.begin(installation.first.token("admin"))
        yield following


async def test_a_query_is_answered_by_post_and_by_get_and_compressed(installation: Installation) -> None:
    async with installation.http() as client:
        posted = await asked(client, FLOOR)
        got = await client.get("/graphql", params={"query": FLOOR}, headers={"Accept": "application/json"})

    assert len(posted["floor"]["workstations"]) == 100
    assert got.json()["data"]["floor"]["workstations"] == posted["floor"]["workstations"]
    assert got.headers["content-encoding"] == "gzip"
    assert "x-request-id" in got.headers


async def test_rest_is_optimistic_although_nginx_makes_every_tag_of_what_it_zips_a_weak_one(
    installation: Installation,
) -> None:
    """Decision 10. What is over 1 KB is zipped: this is where locking matters, and where it did not work."""
    async with installation.http() as one, installation.http() as other:
        desk = f"/api/workstations/{(await asked(one, FLOOR))['floor']['workstations'][0]['id']}"
        assert (await one.put(desk, json={"notes": "by the window, " * 120})).status_code == 200
        seen = await other.get(desk)
        tag = seen.headers["etag"]
        assert (seen.headers["content-encoding"], tag[:3]) == ("gzip", 'W/"')

        assert (await other.get(desk, headers={"If-None-Match": tag})).status_code == 304
        head = await other.head(desk)
        assert (head.status_code, head.headers["etag"].removeprefix("W/")) == (200, tag.removeprefix("W/"))
        assert (await other.put(desk, json={"notes": "x"}, headers={"If-None-Match": tag})).status_code == 412

        mine = await one.put(desk, json={"width": 130}, headers={"If-Match": tag})
        assert mine.status_code == 200
        for method in ("PUT", "DELETE"):
            late = await other.request(method, desk, json={"width": 140}, headers={"If-Match": tag})
            assert (late.status_code, late.headers["content-type"]) == (412, "application/problem+json")
        assert (await other.get(desk, headers={"If-None-Match": tag})).json()["width"] == 130

        again = await one.put(desk, json={"width": 150}, headers={"If-Match": mine.headers["etag"]})
        assert (again.status_code, again.json()["width"]) == (200, 150)


async def test_a_subscriber_sees_the_snapshot_a_mutation_and_an_update_in_sql(
    installation: Installation, database_url: str
) -> None:
    async with subscriber(installation) as follower, installation.http() as client:
        assert follower.kinds == ["SNAPSHOT"]
        assert len(follower.states) == 100

        found = (await asked(client, FLOOR))["floor"]["workstations"]
        changed = await asked(client, SET_STATUS, id=found[0]["id"])
        assert changed["setWorkstationStatus"]["__typename"] == "WorkstationChanged"
        await follower.until(found[0]["name"])

        connection = await asyncpg.connect(database_url)
        await connection.execute("UPDATE workstations SET status = 'maintenance' WHERE name = $1", found[1]["name"])
        await connection.close()
        await follower.until(found[1]["name"])
        assert set(follower.kinds[1:]) == {"CHANGES"}


async def test_an_event_stream_and_a_long_poll_are_told_of_a_mutation(installation: Installation) -> None:
    floor: dict[str, str | int] = {"building": "总部A座", "floor": 3}
    async with installation.http() as client, installation.http() as changing:
        found = (await asked(client, FLOOR))["floor"]["workstations"]
        headers = {"Accept": "text/event-stream"}
        async with client.stream("GET", "/api/changes", params=floor, headers=headers) as stream:
            events = data_of(stream)
            snapshot = await anext(events)
            await asked(changing, SET_STATUS, id=found[0]["id"])
            assert named(await anext(events)) == [found[0]["name"]]

        polled = await client.get("/api/changes", params={**floor, "after": snapshot["cursor"]})
        assert named(polled.json()) == [found[0]["name"]]


async def data_of(stream: httpx.Response) -> AsyncIterator[Any]:
    """What the events of a stream carry."""
    async for line in stream.aiter_lines():
        if line.startswith("data: "):
            yield orjson.loads(line.removeprefix("data: "))


def named(feed: Any) -> list[str]:
    return [workstation["name"] for workstation in feed["workstations"]]


async def test_a_browser_page_of_this_address_may_open_a_socket_and_a_foreign_one_may_not(
    installation: Installation,
) -> None:
    protocols = [Subprotocol("graphql-transport-ws")]
    url = installation.front.ws_url
    async with connect(url, origin=Origin(installation.front.url), subprotocols=protocols, proxy=None) as socket:
        assert socket.subprotocol == "graphql-transport-ws"
    with pytest.raises(InvalidStatus) as refused:
        await connect(url, origin=Origin("http://elsewhere.example"), subprotocols=protocols, proxy=None)
    assert refused.value.response.status_code == 403


async def test_when_a_process_dies_queries_are_answered_and_its_subscriber_resumes_with_nothing_lost(
    installation: Installation,
) -> None:
    async with (
        subscriber(installation) as one,
        subscriber(installation) as other,  # nginx sends it where fewer are: to the other process
        installation.http() as client,
    ):
        found = (await asked(client, FLOOR))["floor"]["workstations"][:10]
        names = [workstation["name"] for workstation in found]
        await asked(client, SET_STATUS, id=found[0]["id"])
        await asyncio.gather(one.until(names[0]), other.until(names[0]))

        installation.first.kill()  # the first one leads

        for workstation in found[1:]:
            await asked(client, SET_STATUS, id=workstation["id"])
        one_is_gone, other_is_gone = await asyncio.gather(one.is_cut_off(), other.is_cut_off())
        assert one_is_gone != other_is_gone
        lost, kept = (one, other) if one_is_gone else (other, one)

        async with subscriber(installation, lost) as back:
            await asyncio.gather(back.until(*names), kept.until(*names))

        for follower in (back, kept):
            assert "RESYNC" not in follower.kinds
            assert sum(status == "MAINTENANCE" for status in follower.states.values()) == len(names)
        assert "SNAPSHOT" not in back.kinds
        for _ in range(20):
            await asked(client, FLOOR)


async def test_the_metrics_are_not_public(installation: Installation) -> None:
    operator = installation.first.headers("operator")
    async with httpx.AsyncClient(headers=operator, trust_env=False) as client:
        assert (await client.get(f"{installation.first.url}/metrics")).status_code == 200
    for path in ("/metrics", "//metrics", "/%6detrics", "/metrics/", "/./metrics", "/x/../metrics"):
        assert await status_of(installation.front, path, operator["Authorization"]) == 403, path


async def status_of(front: Front, path: str, authorization: str) -> int:
    """Asked without httpx, which would tidy the path."""
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(front.url).port)
    writer.write(f"GET {path} HTTP/1.0\r\nAuthorization: {authorization}\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    await writer.wait_closed()
    return int(answer.split()[1])


async def test_a_body_larger_than_the_app_takes_is_refused_at_the_door(installation: Installation) -> None:
    async with installation.http() as client:
        answer = await client.post("/graphql", json={"query": "#" + "x" * 1024 * 1024})
        assert answer.status_code == 413
        assert "x-request-id" not in answer.headers  # the app was not asked


# --- what no client of the app can see, with stand-ins behind nginx --------------------------------------------------


Behaviour = Callable[[bytes, asyncio.StreamWriter], Any]


@asynccontextmanager
async def stand_in(behave: Behaviour) -> AsyncIterator[tuple[str, list[bytes]]]:
    """The address of a server that gives each request's head to `behave`, and all the heads that it was sent."""
    heads: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if (length := re.search(rb"(?i)content-length: (\d+)", head)) is not None:
                    await reader.readexactly(int(length[1]))
                heads.append(head)
                await behave(head, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", heads
    finally:
        server.close()


async def answer_ok(head: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    await writer.drain()


async def hang_up(head: bytes, writer: asyncio.StreamWriter) -> None:
    writer.close()
    raise ConnectionResetError


async def begin_a_stream(head: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n7\r\ndata: 1\r\n"
    )
    await writer.drain()
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("method", "tries"), [("GET", 2), ("HEAD", 2), ("POST", 1), ("PUT", 1), ("DELETE", 1), ("PATCH", 1)]
)
async def test_what_a_process_was_sent_and_did_not_answer_is_repeated_only_if_it_reads(
    start_nginx: StartNginx, method: str, tries: int
) -> None:
    async with stand_in(hang_up) as (first, to_first), stand_in(hang_up) as (second, to_second):
        front = start_nginx(first, second)
        async with httpx.AsyncClient(base_url=front.url, trust_env=False) as client:
            answer = await client.request(method, "/api/workstations", content=b"" if tries == 2 else b"{}")

    assert len(to_first) + len(to_second) == tries
    assert answer.status_code == 503
    if method != "HEAD":
        assert answer.json()["errors"][0]["extensions"]["code"] == "UNAVAILABLE"


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_process_that_is_not_there_costs_no_answer(start_nginx: StartNginx, method: str) -> None:
    async with stand_in(answer_ok) as (there, heads):
        front = start_nginx(f"http://127.0.0.1:{free_port()}", there)
        async with httpx.AsyncClient(base_url=front.url, trust_env=False) as client:
            for _ in range(20):
                assert (await client.request(method, "/graphql")).status_code == 200

    assert len(heads) == 20


async def test_the_app_is_told_who_asks_and_how_and_not_what_the_client_claims(start_nginx: StartNginx) -> None:
    async with stand_in(answer_ok) as (address, heads):
        front = start_nginx(address, address)
        claims = {"X-Forwarded-For": "10.9.8.7", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "elsewhere"}
        async with httpx.AsyncClient(base_url=front.url, headers=claims, trust_env=False) as client:
            await client.get("/healthz")

    told = dict(line.lower().split(": ", 1) for line in heads[0].decode().strip().splitlines()[1:])
    netloc = urlsplit(front.url).netloc
    assert told["host"] == told["x-forwarded-host"] == netloc
    assert (told["x-forwarded-for"], told["x-forwarded-proto"]) == ("127.0.0.1", "http")
    assert "connection" not in told


async def test_behind_another_proxy_the_app_is_told_of_the_client_and_not_of_that_proxy(
    start_nginx: StartNginx,
) -> None:
    def told_to(configuration: str) -> str:
        """As docs/operations.md says; the proxy is on this machine."""
        taken = re.sub(r"# (set_real_ip_from|real_ip_header|real_ip_recursive) ", r"\1 ", configuration)
        assert taken.count("real_ip") == configuration.count("# set_real_ip") + configuration.count("# real_ip") == 3
        return taken.replace("172.16.0.0/12", "127.0.0.1")

    async with stand_in(answer_ok) as (address, heads):
        front = start_nginx(address, address, told_to)
        async with httpx.AsyncClient(base_url=front.url, trust_env=False) as client:
            await client.get("/healthz", headers={"X-Forwarded-For": "6.6.6.6, 10.9.8.7"})

    assert b"x-forwarded-for: 10.9.8.7\r\n" in heads[0].lower()


async def test_nothing_but_a_websocket_is_upgraded(start_nginx: StartNginx) -> None:
    async with stand_in(answer_ok) as (address, heads):
        front = start_nginx(address, address)
        async with httpx.AsyncClient(base_url=front.url, trust_env=False) as client:
            await client.get("/", headers={"Connection": "Upgrade", "Upgrade": "h2c"})
            await client.get("/", headers={"Connection": "Upgrade", "Upgrade": "WebSocket"})

    plain, upgraded = (head.lower() for head in heads)
    assert b"upgrade" not in plain
    assert b"upgrade: websocket\r\nconnection: upgrade\r\n" in upgraded


async def test_connections_to_the_app_are_kept(start_nginx: StartNginx) -> None:
    connections = set()

    async def count(head: bytes, writer: asyncio.StreamWriter) -> None:
        connections.add(writer)
        await answer_ok(head, writer)

    async with stand_in(count) as (address, _):
        front = start_nginx(address, address)
        for _ in range(10):
            async with httpx.AsyncClient(base_url=front.url, trust_env=False) as client:
                await client.get("/healthz")

    assert len(connections) < 10  # a few: nginx has workers


async def test_an_event_is_sent_on_before_the_stream_ends(start_nginx: StartNginx) -> None:
    async with stand_in(begin_a_stream) as (address, _):
        front = start_nginx(address, address)
        headers = {"Accept": "text/event-stream"}
        async with (
            httpx.AsyncClient(base_url=front.url, headers=headers, trust_env=False, timeout=10) as client,
            client.stream("POST", "/graphql", json={}) as stream,
        ):
            assert await anext(stream.aiter_bytes()) == b"data: 1"
