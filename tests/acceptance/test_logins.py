"""Logins over two server processes: what ends or changes one takes effect everywhere, on whatever is open."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
import orjson
import pytest
from websockets.asyncio.client import connect

from graphql_app.embedded import Embedded, Servers, Valkey
from graphql_app.services.cursors import FeedCursors
from tests import histories
from tests.acceptance.conftest import Server, address_of, environment_for, fresh, started
from tests.acceptance.following import Connection, work
from tests.accounts import HASH, LOGIN, PASSWORD, REFRESH, REVOKE
from tests.histories import FLOOR, Recorder, Scene, SocketClient, check, committed, connected

EFFECT_SECONDS = 2.0
EXPIRY_SECONDS = 5.0
AS_VISITOR = Scene("visitor", FLOOR.building, FLOOR.floor)
PLACE: dict[str, str | int] = {"building": "总部A座", "floor": 3}


@dataclass(frozen=True, slots=True)
class Stage:
    """Two server processes over one database and one Valkey, which may be stopped, and one whose access tokens last 3
    seconds."""

    database_url: str
    secret: str
    pair: list[Server]
    brief: Server


@pytest.fixture(scope="module")
def stage(
    servers: Servers, own_servers: Embedded, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    with fresh(servers, template) as url:
        asyncio.run(histories.furnish(url))
        environment = environment_for(url, own_servers.servers.redis_url)
        logs = tmp_path_factory.mktemp("logins")
        given: list[dict[str, str]] = [{}, {}, {"GRAPHQL_APP_ACCESS_SECONDS": "3"}]
        running = [started(environment | more, logs / f"{number}.log") for number, more in enumerate(given)]
        try:
            for server in running:
                server.url = address_of(server)
            yield Stage(url, environment["GRAPHQL_APP_SECRET"], running[:2], running[2])
        finally:
            for server in running:
                server.process.terminate()
            for server in running:
                server.stop()


@pytest.fixture
def pair(stage: Stage) -> list[Server]:
    return stage.pair


@pytest.fixture
async def sql(stage: Stage) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(stage.database_url)
    yield connection
    await connection.close()


@pytest.fixture
async def ada(sql: Connection) -> str:
    """The name of an account of the test's own, that sees coordinates and versions."""
    name = f"ada {secrets.token_hex(4)}"
    await sql.execute("INSERT INTO accounts (name, password_hash, role) VALUES ($1, $2, 'admin')", name, HASH)
    return name


async def post(server: Server, query: str, variables: Mapping[str, Any] | None = None, token: str | None = None) -> Any:
    async with httpx.AsyncClient(timeout=20) as client:
        answer = await client.post(
            f"{server.url}/graphql",
            json={"query": query, "variables": dict(variables or {})},
            headers={"authorization": f"Bearer {token}"} if token else {},
        )
    return orjson.loads(answer.content)


async def login(server: Server, name: str) -> Any:
    answer = await post(server, LOGIN, {"name": name, "password": PASSWORD})
    assert answer["data"]["login"]["__typename"] == "SignedIn", answer
    return answer["data"]["login"]


async def seconds_until(event: asyncio.Event, most: float = 10) -> float:
    began = time.monotonic()
    async with asyncio.timeout(most):
        await event.wait()
    return time.monotonic() - began


# --- whatever is open ------------------------------------------------------------------------------------------------


@dataclass
class Stream:
    """A stream of server-sent events, read to its end in the background."""

    lines: list[str]
    task: "asyncio.Task[None]"

    async def until(self, text: str) -> None:
        async with asyncio.timeout(10):
            while not any(text in line for line in self.lines):  # noqa: ASYNC110  # a task of its own reads them
                await asyncio.sleep(0.01)


@asynccontextmanager
async def streaming(url: str, token: str, **request: Any) -> AsyncIterator[Stream]:
    lines: list[str] = []

    async def read() -> None:
        headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
        async with (
            httpx.AsyncClient(timeout=30) as client,
            client.stream(url=url, headers=headers, **request) as answer,
        ):
            assert answer.status_code == 200, await answer.aread()
            async for line in answer.aiter_lines():
                lines.append(line)

    task = asyncio.create_task(read())
    try:
        yield Stream(lines, task)
    finally:
        task.cancel()
        await asyncio.wait([task])


@asynccontextmanager
async def graphql_events(server: Server, token: str) -> AsyncIterator[Stream]:
    body = {"query": histories.SUBSCRIPTION, "variables": FLOOR.variables}
    async with streaming(f"{server.url}/graphql", token, method="POST", json=body) as stream:
        await stream.until("SNAPSHOT")
        yield stream


@asynccontextmanager
async def rest_events(server: Server, token: str) -> AsyncIterator[Stream]:
    async with streaming(f"{server.url}/api/changes", token, method="GET", params=PLACE) as stream:
        await stream.until("SNAPSHOT")
        yield stream


async def poll(server: Server, token: str, after: str | None = None, wait: float = 20) -> httpx.Response:
    params: dict[str, str | int | float] = {**PLACE, "wait": wait, **({"after": after} if after else {})}
    async with httpx.AsyncClient(timeout=30) as client:
        return await client.get(
            f"{server.url}/api/changes", params=params, headers={"Authorization": f"Bearer {token}"}
        )


# --- ended -----------------------------------------------------------------------------------------------------------


async def everything_ends(server: Server, token: str, end: Any) -> None:
    """Opens one of each on the server, ends the login, and sees all of it end in time."""
    async with AsyncExitStack() as stack:
        socket = await stack.enter_async_context(connected(server.ws_url, token))
        recorder = Recorder(FLOOR)
        await socket.subscribe(recorder)
        await recorder.until(lambda payload: payload.complete)
        of_graphql = await stack.enter_async_context(graphql_events(server, token))
        of_rest = await stack.enter_async_context(rest_events(server, token))
        cursor = (await poll(server, token, wait=0)).json()["cursor"]
        polling = asyncio.create_task(poll(server, token, cursor))
        await asyncio.sleep(0.3)

        began = time.monotonic()
        await end()

        await seconds_until(socket.ended)
        assert socket.socket.close_code == 4401
        async with asyncio.timeout(10):
            await asyncio.wait([of_graphql.task, of_rest.task, polling])
        assert time.monotonic() - began < EFFECT_SECONDS
        assert polling.result().status_code == 401
        assert any("UNAUTHENTICATED" in line for line in of_graphql.lines)
        assert (await post(server, "{ me { subject } }", token=token))["errors"][0]["extensions"][
            "code"
        ] == "UNAUTHENTICATED"


async def test_revoked_on_one_process_is_over_on_the_other(pair: list[Server], ada: str) -> None:
    first, second = pair
    given = await login(first, ada)

    await everything_ends(second, given["accessToken"], lambda: post(first, REVOKE, token=given["accessToken"]))


async def test_a_disabled_account_is_out_and_that_holds_while_redis_is_away(
    pair: list[Server], sql: Connection, ada: str, valkey: Valkey
) -> None:
    given = [await login(server, ada) for server in pair]
    await asyncio.to_thread(valkey.stop)
    await asyncio.sleep(0.5)

    await asyncio.gather(
        *(
            everything_ends(server, one["accessToken"], disable)
            for server, one, disable in zip(
                pair,
                given,
                (
                    lambda: sql.execute("UPDATE accounts SET disabled = true WHERE name = $1", ada),
                    lambda: asyncio.sleep(0),
                ),
                strict=True,
            )
        )
    )


async def test_a_refresh_token_that_was_stolen_ends_what_its_session_has_open(
    pair: list[Server], sql: Connection, ada: str
) -> None:
    first, second = pair
    given = await login(first, ada)
    renewed = (await post(first, REFRESH, {"token": given["refreshToken"]}))["data"]["refreshToken"]
    await sql.execute("UPDATE refresh_tokens SET used_at = used_at - interval '11 seconds'")

    await everything_ends(
        second, renewed["accessToken"], lambda: post(first, REFRESH, {"token": given["refreshToken"]})
    )


# --- changed ---------------------------------------------------------------------------------------------------------


async def lowered(sql: Connection, name: str) -> int:
    """Takes the role away. Returns the revision of that, once it has one."""
    await sql.execute("UPDATE accounts SET role = 'visitor' WHERE name = $1", name)
    async with asyncio.timeout(5):
        while True:
            revision = await sql.fetchval(
                "SELECT revision FROM change_log WHERE entity = 'account'"
                " AND after->>'role' = 'visitor' AND after->>'name' = $1",
                name,
            )
            if revision is not None:
                return int(revision)
            await asyncio.sleep(0.005)


def revision_in(feed: Mapping[str, Any], secret: str) -> int:
    return FeedCursors(secret).head(feed["cursor"]).revision


def assert_filtered_from(feeds: list[Mapping[str, Any]], revision: int, secret: str) -> None:
    """What was hidden by then is in no payload of that revision or a later one, and all is told anew."""
    before = [feed for feed in feeds if revision_in(feed, secret) < revision]
    later = [feed for feed in feeds if revision_in(feed, secret) >= revision]
    assert any(shown["xPosition"] is not None for feed in before for shown in feed["workstations"])
    assert later[0]["kind"] == "RESYNC"
    assert later[0]["reason"] == "what you may see has changed"
    assert len(later) > 1
    for feed in later:
        for shown in feed["workstations"]:
            assert shown["xPosition"] is None
            assert shown["version"] is None


def feeds_of(stream: Stream) -> list[Mapping[str, Any]]:
    bodies = [orjson.loads(line.removeprefix("data: ")) for line in stream.lines if line.startswith("data: {")]
    return [body["data"]["workstationChanges"] if "data" in body else body for body in bodies]


async def test_a_role_that_is_lowered_in_a_burst_filters_the_very_next_event(
    stage: Stage, sql: Connection, ada: str
) -> None:
    async with AsyncExitStack() as stack:
        sockets: list[tuple[SocketClient, Recorder]] = []
        streams: list[Stream] = []
        for server in stage.pair:
            token = (await login(server, ada))["accessToken"]
            socket = await stack.enter_async_context(connected(server.ws_url, token))
            recorder = Recorder(FLOOR)
            await socket.subscribe(recorder)
            sockets.append((socket, recorder))
            streams.append(await stack.enter_async_context(graphql_events(server, token)))
            streams.append(await stack.enter_async_context(rest_events(server, token)))
        writing = asyncio.create_task(work(stage.database_url, 3))
        await asyncio.sleep(1.2)

        revision = await lowered(sql, ada)

        await writing
        await histories.told([recorder for _, recorder in sockets], stage.database_url)
        for stream in streams:
            await stream.until("the end")
    truth = await committed(stage.database_url)
    for _, recorder in sockets:
        feeds: list[Mapping[str, Any]] = [
            {
                "kind": payload.kind,
                "cursor": payload.cursor,
                "reason": payload.reason,
                "workstations": payload.workstations.values(),
            }
            for payload in recorder.payloads
        ]
        assert_filtered_from(feeds, revision, stage.secret)
        # And what is told from there on is the whole story as a visitor sees it.
        as_visitor = Recorder(AS_VISITOR)
        begins = next(number for number, payload in enumerate(recorder.payloads) if payload.kind == "RESYNC")
        as_visitor._answers = recorder._answers[begins:]
        check(as_visitor, truth, stage.secret)
    for stream in streams:
        assert_filtered_from(feeds_of(stream), revision, stage.secret)


async def test_a_poll_that_waits_when_the_role_is_lowered_is_answered_as_what_they_are_then(
    pair: list[Server], sql: Connection, ada: str
) -> None:
    server = pair[0]
    token = (await login(server, ada))["accessToken"]
    cursor = (await poll(server, token, wait=0)).json()["cursor"]
    polling = asyncio.create_task(poll(server, token, cursor))
    await asyncio.sleep(0.3)

    async with sql.transaction():
        await sql.execute("UPDATE accounts SET role = 'visitor' WHERE name = $1", ada)
        await sql.execute("UPDATE workstations SET x_position = 4711, notes = 'moved' WHERE id = 1")

    feed = (await polling).json()
    assert feed["kind"] == "RESYNC"
    assert {shown["xPosition"] for shown in feed["workstations"]} == {None}
    assert "moved" in {shown["notes"] for shown in feed["workstations"]}


async def test_who_may_see_nothing_any_more_is_told_so(pair: list[Server], sql: Connection, ada: str) -> None:
    token = (await login(pair[0], ada))["accessToken"]
    async with connect(pair[0].ws_url, subprotocols=["graphql-transport-ws"]) as socket:  # type: ignore[list-item]
        await socket.send(
            orjson.dumps({"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}}).decode()
        )
        assert orjson.loads(await socket.recv())["type"] == "connection_ack"
        payload = {"query": histories.SUBSCRIPTION, "variables": FLOOR.variables}
        await socket.send(orjson.dumps({"id": "1", "type": "subscribe", "payload": payload}).decode())
        assert orjson.loads(await socket.recv())["type"] == "next"

        await sql.execute("UPDATE accounts SET role = 'nobody in particular' WHERE name = $1", ada)

        async with asyncio.timeout(EFFECT_SECONDS):
            message = orjson.loads(await socket.recv())
        assert (message["type"], message["payload"][0]["extensions"]["code"]) == ("error", "FORBIDDEN")


# --- in time ---------------------------------------------------------------------------------------------------------


async def test_what_is_open_ends_with_its_token(stage: Stage, ada: str) -> None:
    began = time.monotonic()
    token = (await login(stage.brief, ada))["accessToken"]
    async with (
        connected(stage.brief.ws_url, token) as socket,
        graphql_events(stage.brief, token) as of_graphql,
        rest_events(stage.brief, token) as of_rest,
    ):
        cursor = (await poll(stage.brief, token, wait=0)).json()["cursor"]
        answer = await poll(stage.brief, token, cursor)
        assert answer.status_code == 200
        assert answer.json()["workstations"] == []
        await seconds_until(socket.ended)
        async with asyncio.timeout(10):
            await asyncio.wait([of_graphql.task, of_rest.task])

    assert socket.socket.close_code == 4401
    assert time.monotonic() - began < 3 + EXPIRY_SECONDS


async def test_a_socket_renews_its_token_in_place(stage: Stage, sql: Connection, ada: str) -> None:
    given = await login(stage.brief, ada)
    async with connect(stage.brief.ws_url, subprotocols=["graphql-transport-ws"]) as socket:  # type: ignore[list-item]

        async def say(message: Mapping[str, Any]) -> None:
            await socket.send(orjson.dumps(message).decode())

        async def heard() -> Any:
            async with asyncio.timeout(10):
                return orjson.loads(await socket.recv())

        await say({"type": "connection_init", "payload": {"authorization": f"Bearer {given['accessToken']}"}})
        assert (await heard())["type"] == "connection_ack"
        variables = {**FLOOR.variables, "snapshot": False}
        await say(
            {"id": "s", "type": "subscribe", "payload": {"query": histories.SUBSCRIPTION, "variables": variables}}
        )
        assert (await heard())["payload"]["data"]["workstationChanges"]["kind"] == "CHANGES"
        for number in range(3):
            await asyncio.sleep(2)
            token = given["refreshToken"]
            await say({"id": "r", "type": "subscribe", "payload": {"query": REFRESH, "variables": {"token": token}}})
            given = (await heard())["payload"]["data"]["refreshToken"]
            assert await heard() == {"id": "r", "type": "complete"}
            await sql.execute("UPDATE workstations SET notes = $1 WHERE id = 1", str(number))
            told = (await heard())["payload"]["data"]["workstationChanges"]
            assert (told["kind"], [shown["notes"] for shown in told["workstations"]]) == ("CHANGES", [str(number)])


async def test_a_token_of_another_login_does_not_keep_a_socket_open(stage: Stage, ada: str) -> None:
    given, other = await login(stage.brief, ada), await login(stage.brief, ada)
    began = time.monotonic()
    async with connected(stage.brief.ws_url, given["accessToken"], reading=False) as client:
        payload = {"query": REFRESH, "variables": {"token": other["refreshToken"]}}
        await client.socket.send(orjson.dumps({"id": "r", "type": "subscribe", "payload": payload}).decode())
        await client.socket.wait_closed()

    assert client.socket.close_code == 4401
    assert time.monotonic() - began < 3 + EXPIRY_SECONDS


async def test_two_tabs_that_renew_on_two_processes_at_once_both_go_on(pair: list[Server], ada: str) -> None:
    given = await login(pair[0], ada)
    for _ in range(5):
        tabs = await asyncio.gather(*(post(server, REFRESH, {"token": given["refreshToken"]}) for server in pair))
        for tab in tabs:
            assert tab["data"]["refreshToken"]["__typename"] == "SignedIn"
        given = tabs[0]["data"]["refreshToken"]


async def test_a_login_on_one_process_is_known_on_the_other_at_once(pair: list[Server], ada: str) -> None:
    first, second = pair
    for _ in range(5):
        token = (await login(first, ada))["accessToken"]
        assert (await post(second, "{ me { subject } }", token=token))["data"]["me"]["subject"] == ada


async def test_an_account_counts_as_soon_as_it_is_made(pair: list[Server], sql: Connection) -> None:
    for server in pair:
        name = f"bob {secrets.token_hex(4)}"
        await sql.execute("INSERT INTO accounts (name, password_hash, role) VALUES ($1, $2, 'visitor')", name, HASH)
        token = (await login(server, name))["accessToken"]
        assert (await post(server, "{ me { roles } }", token=token))["data"]["me"]["roles"] == ["visitor"]
