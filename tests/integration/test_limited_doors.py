"""Every door refuses who asks too often, and says which limit it was; addresses are those that proxies may speak of."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from httpx import Response

from graphql_app.domain.media import EVENTS
from graphql_app.embedded import Servers
from graphql_app.graph.http.negotiation import LEGACY, RESPONSE
from graphql_app.store.postgres.database import Database
from tests.accounts import add_account
from tests.graphql_client import Office, Socket, running_office, settings_for

ME = "{ me { subject } }"
FLOORS = "{ floors { number } }"
FOLLOW = "subscription { workstationChanges { kind } }"
ONLY_A_FEW = {"user_operations_per_second": 0.01, "user_operations_burst": 3}
A_FEW_FROM_HERE = {"address_requests_per_second": 0.01, "address_requests_burst": 3}
TWO_CONNECTIONS = {"user_connections": 2}

Start = Callable[..., Awaitable[Office]]


@pytest.fixture
async def start(database_url: str, servers: Servers) -> AsyncIterator[Start]:
    """Starts a server with these settings."""
    async with AsyncExitStack() as stack:

        async def started(**settings: Any) -> Office:
            return await stack.enter_async_context(running_office(settings_for(database_url, servers, **settings)))

        yield started


def post(accept: str, query: str = ME) -> Callable[[Office, dict[str, str]], Awaitable[Response]]:
    async def ask(office: Office, headers: dict[str, str]) -> Response:
        return await office.client.post("/graphql", json={"query": query}, headers={**headers, "Accept": accept})

    return ask


def get(path: str, accept: str = "*/*") -> Callable[[Office, dict[str, str]], Awaitable[Response]]:
    async def ask(office: Office, headers: dict[str, str]) -> Response:
        return await office.client.get(path, headers={**headers, "Accept": accept})

    return ask


DOORS = {
    "post": post(RESPONSE),
    "post, as older clients do": post(LEGACY),
    "post, for events": post(EVENTS),
    "a subscription by post": post(EVENTS, FOLLOW),
    "get": get("/graphql?query={me{subject}}", RESPONSE),
    "what is at hand": get("/graphql?query={floors{number}}", RESPONSE),
    "get, for events": get("/graphql?query={me{subject}}", EVENTS),
    "rest": get("/api/workstations"),
    "one by rest": get("/api/workstations/nothing"),
    "long-poll": get("/api/changes?wait=0"),
    "events by rest": get("/api/changes", EVENTS),
    "metrics": get("/metrics"),
}


def said(response: Response) -> dict[str, Any]:
    """The refusal, of whatever door."""
    body = response.json()
    told: dict[str, Any] = body["errors"][0]["extensions"] if "errors" in body else body
    return told


@pytest.mark.parametrize("door", DOORS)
async def test_a_user_who_asks_too_often_is_refused_at_every_door(start: Start, door: str) -> None:
    office = await start(**ONLY_A_FEW)
    headers = office.headers("admin")
    for _ in range(3):
        await office.client.get("/api/workstations", headers=headers)

    response = await DOORS[door](office, headers)

    assert response.status_code == 429
    assert response.headers["retry-after"] == "100"
    assert "Too many operations of one user: 0.01 a second are allowed, 3 at once" in response.text
    told = said(response)
    assert (told["code"], told["measure"]) == ("RATE_LIMITED", "operations of one user")
    assert (told["limit"], told["burst"], told["asked"], told["retryAfter"]) == (0.01, 3, 1, 100)
    assert (await office.client.get("/api/workstations", headers=office.headers("hr"))).status_code == 200


@pytest.mark.parametrize("door", DOORS)
async def test_who_has_no_token_is_counted_by_address_at_every_door(start: Start, door: str) -> None:
    office = await start(**A_FEW_FROM_HERE)
    for _ in range(3):
        assert (await DOORS[door](office, {"Authorization": "Bearer guessed"})).status_code == 401

    for headers in ({"Authorization": "Bearer guessed again"}, office.headers("admin")):
        response = await DOORS[door](office, headers)
        assert response.status_code == 429
        assert said(response)["measure"] == "requests from one address"


def sent(method: str, path: str, **given: Any) -> Callable[[Office, dict[str, str]], Awaitable[Response]]:
    async def ask(office: Office, headers: dict[str, str]) -> Response:
        said = {**headers, **given.get("headers", {})}
        return await office.client.request(method, path, **{**given, "headers": said})

    return ask


OURS = "https://office.example"
PREFLIGHT = {"Origin": OURS, "Access-Control-Request-Method": "POST"}
WITHOUT_A_TOKEN = {
    "keys": sent("GET", "/.well-known/jwks.json"),
    "readiness": sent("GET", "/readyz"),
    "nothing": sent("GET", "/nothing/at/all"),
    "another method": sent("PATCH", "/api/changes"),
    "a body": sent("POST", "/api/workstations", content=b'{"name": "' + b"x" * 100_000 + b'"}'),
    "a body too large": sent("POST", "/api/workstations", content=b"x" * 200_000),
    "a page": sent("GET", "/graphql", headers={"Accept": "text/html"}),
    "the front page": sent("GET", "/"),
    "the docs": sent("GET", "/api/docs"),
    "the description": sent("GET", "/api/openapi.json"),
    "a file": sent("GET", "/static/favicon.svg"),
    "no file": sent("GET", "/static/nothing"),
    "a body that is none": sent("POST", "/graphql", content=b"{"),
    "no JSON": sent("POST", "/graphql", content=b"query=x", headers={"Content-Type": "text/plain"}),
    "a foreign page": sent("GET", "/api/workstations", headers={"Origin": "https://evil.example"}),
    "a foreign page at GraphQL": sent("POST", "/graphql", json={}, headers={"Origin": "https://evil.example"}),
    "a token in the address": sent("GET", "/healthz?access_token=x"),
    "a preflight": sent("OPTIONS", "/api/workstations", headers=PREFLIGHT),
    "a preflight of GraphQL": sent("OPTIONS", "/graphql", headers=PREFLIGHT),
}


@pytest.mark.parametrize("door", WITHOUT_A_TOKEN)
async def test_what_needs_no_token_is_counted_by_address_too_and_once(start: Start, door: str) -> None:
    office = await start(trusted_proxies=["127.0.0.1"], origins=[OURS], **A_FEW_FROM_HERE)
    ask, headers = WITHOUT_A_TOKEN[door], {"X-Forwarded-For": "198.51.100.7"}

    statuses = [(await ask(office, headers)).status_code for _ in range(4)]

    assert 429 not in statuses[:3]
    assert statuses[3] == 429
    assert (await ask(office, {"X-Forwarded-For": "198.51.100.8"})).status_code != 429


async def test_a_page_of_ours_is_told_that_it_asks_too_often(start: Start) -> None:
    office = await start(origins=[OURS], **A_FEW_FROM_HERE)
    answers = [await office.client.get("/api/workstations", headers={"Origin": OURS}) for _ in range(4)]

    assert answers[3].status_code == 429
    assert answers[3].headers["access-control-allow-origin"] == OURS
    assert answers[3].headers["x-content-type-options"] == "nosniff"


async def test_this_machine_and_a_proxy_that_asks_for_itself_are_told_whether_it_is_ready(start: Start) -> None:
    office = await start(trusted_proxies=["127.0.0.1", "10.0.0.5"], **A_FEW_FROM_HERE)

    for asking in ({}, {"X-Forwarded-For": "10.0.0.5"}, {"X-Forwarded-For": "::1"}):
        assert 429 not in {(await office.client.get("/readyz", headers=asking)).status_code for _ in range(10)}


async def test_however_many_ask_at_once_the_database_is_looked_at_once_at_a_time(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = await start()
    looking = looked = most = 0
    takes_writes = Database.takes_writes

    async def counted(database: Database) -> bool:
        nonlocal looking, looked, most
        looking, looked = looking + 1, looked + 1
        most = max(most, looking)
        try:
            return await takes_writes(database)
        finally:
            looking -= 1

    monkeypatch.setattr(Database, "takes_writes", counted)
    answers = await asyncio.gather(*(office.client.get("/readyz") for _ in range(200)))

    assert {answer.json()["checks"]["database"]["ok"] for answer in answers} == {True}
    assert most == 1
    assert looked < 50


async def test_an_operation_on_a_socket_is_refused_and_the_socket_stays(start: Start) -> None:
    office = await start(**ONLY_A_FEW)
    async with office.socket("admin") as socket:
        socket.subscribe(FOLLOW, id="follow")
        assert (await socket.payload())["data"]
        for number in range(2):
            socket.subscribe(ME, id=str(number))
            assert (await socket.payload())["data"]
            assert (await socket.receive())["type"] == "complete"

        socket.subscribe(ME, id="more")
        refused = await socket.receive()
        assert (refused["id"], refused["type"]) == ("more", "error")
        assert refused["payload"][0]["extensions"]["code"] == "RATE_LIMITED"
        socket.send({"type": "ping"})
        assert (await socket.receive())["type"] == "pong"


async def test_health_is_told_however_often_it_is_asked(start: Start) -> None:
    office = await start(**A_FEW_FROM_HERE)

    assert {(await office.client.get("/healthz")).status_code for _ in range(10)} == {200}


# --- sizes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/graphql", "/api/workstations"])
async def test_a_large_body_is_refused_by_every_door_in_the_same_words(start: Start, path: str) -> None:
    office = await start(request_bytes=1000)
    response = await office.client.post(path, json={"query": ME, "x": "x" * 1000}, headers=office.headers("admin"))

    assert response.status_code == 413
    assert "The body is larger than 1000 bytes." in response.text
    told = said(response)
    assert (told["code"], told["measure"], told["limit"]) == ("TOO_MANY", "bytes of the body", 1000)
    assert 1000 < told["asked"] < 1100


async def test_a_long_query_string_is_refused_in_such_words_too(start: Start) -> None:
    office = await start(request_bytes=1000)
    response = await office.client.get("/graphql?query=" + "x" * 1000, headers=office.headers("admin"))

    assert response.status_code == 414
    told = said(response)
    assert (told["code"], told["measure"]) == ("TOO_MANY", "bytes of the query string")
    assert (told["limit"], told["asked"]) == (1000, 1006)


# --- connections ----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def two_sockets(office: Office) -> AsyncIterator[None]:
    async with office.socket("admin"), office.socket("admin"):
        yield


async def turned_away(office: Office, role: str) -> tuple[int, str]:
    """With which code and reason a socket is closed instead of acknowledged."""
    socket = Socket(office.app, {"host": "office.test", **office.headers(role)})
    assert (await socket._from_server.get())["type"] == "websocket.accept"
    socket.send({"type": "connection_init"})
    code, reason = await socket.receive()
    await socket.close()
    return code, reason


async def test_one_socket_too_many_is_closed_with_4429_and_one_is_free_when_one_is_closed(start: Start) -> None:
    office = await start(**TWO_CONNECTIONS)
    async with two_sockets(office):
        async with office.socket("hr"):
            pass
        code, reason = await turned_away(office, "admin")
        assert (code, reason) == (4429, "Too many connections of one user: 2 may be open; close one first.")
    async with two_sockets(office):
        pass


@pytest.mark.parametrize("door", ["a subscription by post", "long-poll", "events by rest"])
async def test_streams_and_polls_are_connections_too(start: Start, door: str) -> None:
    office = await start(**TWO_CONNECTIONS)
    async with two_sockets(office):
        response = await DOORS[door](office, office.headers("admin"))

    assert response.status_code == 429
    assert response.headers["retry-after"] == "5"
    told = said(response)
    assert (told["code"], told["measure"]) == ("TOO_MANY_CONNECTIONS", "connections of one user")
    assert (told["limit"], told["asked"]) == (2, 3)


async def test_one_connection_too_many_from_an_address_is_closed_with_4429(start: Start) -> None:
    office = await start(address_connections=2)
    async with office.socket("admin"), office.socket("hr"):
        assert (await turned_away(office, "visitor"))[0] == 4429
        assert (await DOORS["long-poll"](office, office.headers("visitor"))).status_code == 429


async def test_nothing_is_counted_of_polls_that_have_ended(start: Start) -> None:
    office = await start(user_connections=1)

    assert {(await DOORS["long-poll"](office, office.headers("admin"))).status_code for _ in range(5)} == {200}
    refused = await office.client.get("/api/changes?wait=0&after=nonsense", headers=office.headers("admin"))
    assert refused.status_code == 400
    assert (await DOORS["long-poll"](office, office.headers("admin"))).status_code == 200


# --- addresses ------------------------------------------------------------------------------------------------------


def claiming(office: Office, forwarded: str) -> dict[str, str]:
    return {**office.headers("admin"), "X-Forwarded-For": forwarded}


@pytest.mark.parametrize("door", ["post", "rest", "long-poll"])
async def test_nobody_becomes_another_by_saying_so(start: Start, door: str) -> None:
    office = await start(**A_FEW_FROM_HERE)
    claims = ["198.51.100.1", "198.51.100.2, 127.0.0.1", "127.0.0.1", "::1", "8.8.8.8, 9.9.9.9"]

    statuses = [(await DOORS[door](office, claiming(office, claim))).status_code for claim in claims]

    assert statuses == [200, 200, 200, 429, 429]


@pytest.mark.parametrize("door", ["post", "rest", "long-poll"])
async def test_behind_a_trusted_proxy_each_client_is_one_and_what_it_claims_itself_is_not_believed(
    start: Start, door: str
) -> None:
    office = await start(trusted_proxies=["127.0.0.1"], **A_FEW_FROM_HERE)
    for claim in ("198.51.100.7", "10.1.1.1, 198.51.100.7", "127.0.0.1, 198.51.100.7"):
        assert (await DOORS[door](office, claiming(office, claim))).status_code == 200

    assert (await DOORS[door](office, claiming(office, "10.2.2.2, 198.51.100.7"))).status_code == 429
    assert (await DOORS[door](office, claiming(office, "198.51.100.7, 198.51.100.8"))).status_code == 200


async def test_a_network_of_ipv6_is_one_client(start: Start) -> None:
    office = await start(trusted_proxies=["127.0.0.0/8"], **A_FEW_FROM_HERE)
    for number in range(3):
        assert (await DOORS["rest"](office, claiming(office, f"2001:db8:1:2::{number}"))).status_code == 200

    assert (await DOORS["rest"](office, claiming(office, "2001:db8:1:2:ffff::9"))).status_code == 429
    assert (await DOORS["rest"](office, claiming(office, "2001:db8:1:3::9"))).status_code == 200


# --- logins ---------------------------------------------------------------------------------------------------------


async def test_each_of_several_logins_in_one_document_counts(start: Start) -> None:
    office = await start(logins_per_second=0.01, logins_burst=4)
    await add_account(office, "ada", "facilities")
    tries = " ".join(
        f'try{number}: login(name: "nobody{number}", password: "wrong") {{ __typename }}' for number in range(6)
    )

    answer = (await office.client.post("/graphql", json={"query": f"mutation {{ {tries} }}"})).json()

    named = [one["__typename"] for one in answer["data"].values()]
    assert named == ["Unauthenticated"] * 4 + ["TooMany"] * 2
