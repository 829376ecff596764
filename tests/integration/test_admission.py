"""Every door admits in one order: the address, the token, the user; and does nothing for who is refused."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, cast

import httpx
import orjson
import pytest
import pytest_asyncio
from starlette.routing import Mount, Route, WebSocketRoute
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

import graphql_app
from graphql_app.domain.media import EVENTS
from graphql_app.embedded import Servers
from graphql_app.graph.http.negotiation import RESPONSE
from graphql_app.graph.websocket.transports.asgi import WebSocketEndpoint
from graphql_app.graph.websocket.transports.uvicorn import DirectSocket
from graphql_app.graph.websocket.wire import SUBPROTOCOL
from graphql_app.server.methods import OtherMethods
from tests.graphql_client import A_02, Office, Socket, fresh_database, running_office, seed, settings_for
from tests.one_piece import OnePiece, listening

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUERY = "{ floors { number name } }"
FOLLOW = "subscription { workstationChanges { kind } }"
ONE_EACH = {
    "address_requests_per_second": 0.001,
    "address_requests_burst": 1,
    "user_operations_per_second": 0.001,
    "user_operations_burst": 1,
}
# Whoever comes without a token is served, each for its own reason.
OPEN = {"/", "/api/docs", "/api/openapi.json", "/healthz", "/readyz", "/.well-known/jwks.json", "/static"}
SPARED = {"/healthz"}  # a balancer is never refused

ROOT = str(Path(graphql_app.__file__).parent)
ADDRESS, ORIGIN, TOKEN, USER, READING, WORK = ORDER = ["address", "origin", "token", "user", "reading", "work"]
STEPS = {
    ("/live/admission/limits.py", "request"): ADDRESS,
    ("/services/identity/identify.py", "from_header"): TOKEN,
    ("/live/admission/limits.py", "operation"): USER,
    ("/live/admission/limits.py", "session"): USER,  # of a socket
    ("/graph/http/requests.py", "body_of"): READING,
    ("/graph/http/requests.py", "from_body"): WORK,
    ("/graph/http/requests.py", "from_query"): WORK,
    ("/graph/http/requests.py", "get"): WORK,
    ("/graph/http/responding.py", "cached"): WORK,
    ("/domain/admission.py", "names_a_token"): ORIGIN,
    ("/rest/resource.py", "require_known"): WORK,
}
WORKING = (
    "/graph/documents/",
    "/graph/compile/",
    "/graph/api/workstations.py",
    "/graph/api/office.py",
    "/graph/engine/execution.py",
    "/services/office/",
)
WORKING_OUTSIDE = (("/starlette/requests.py", "body"), ("/starlette/requests.py", "json"))


class Door(NamedTuple):
    """A way to ask. `ask` gives the status of the answer, with the address and the token of who asks."""

    name: str
    path: str
    ask: Callable[[str, str], Awaitable[int]]


def step(frame: FrameType) -> str | None:
    file, name = frame.f_code.co_filename, frame.f_code.co_name
    if file.startswith(ROOT):
        file = file[len(ROOT) :]
        return STEPS.get((file, name)) or (WORK if file.startswith(WORKING) else None)
    return WORK if any(file.endswith(end) and name == called for end, called in WORKING_OUTSIDE) else None


@contextmanager
def steps() -> Iterator[list[str]]:
    """Which steps are taken, each where it is taken first: seen by the interpreter, whatever a door calls."""
    taken: list[str] = []

    def called(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and (now := step(frame)) is not None and now not in taken:
            taken.append(now)

    sys.setprofile(called)
    try:
        yield taken
    finally:
        sys.setprofile(None)


# --- every door ------------------------------------------------------------------------------------------------------


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def office(servers: Servers, template: str) -> AsyncIterator[Office]:
    async with (
        fresh_database(servers, template) as url,
        running_office(settings_for(url, servers, trusted_proxies=["127.0.0.1"], **ONE_EACH)) as office,
    ):
        await seed(office.database)
        yield office


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def port(office: Office) -> AsyncIterator[int]:
    """Of the server's own connections."""
    (route,) = [route for route in office.app.routes if isinstance(route, WebSocketRoute)]
    sockets: WebSocketEndpoint = cast(Any, route.endpoint).__self__
    state = {"graphql": office.app.graphql, "sockets": sockets, "sessions": sockets.sessions, "stall_seconds": 5.0}
    async with listening(office.app, state, ws=DirectSocket) as port:
        yield port


def over_http(client: httpx.AsyncClient, method: str, path: str, body: Any, accept: str) -> Callable[..., Any]:
    async def ask(address: str, token: str) -> int:
        fields = {"X-Forwarded-For": address, "Authorization": f"Bearer {token}", "Accept": accept}
        content = None if body is None else orjson.dumps(body)
        try:
            async with asyncio.timeout(1):
                answer = await client.request(
                    method, path, content=content, headers=fields | {"Content-Type": "application/json"}
                )
        except TimeoutError:  # a stream that goes on
            return 200
        return answer.status_code

    return ask


def over_asgi_socket(office: Office) -> Callable[[str, str], Awaitable[int]]:
    async def ask(address: str, token: str) -> int:
        socket = Socket(office.app, {"host": "office.test", "x-forwarded-for": address})
        await socket.accepted()
        socket.send({"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}})
        said = await socket.receive()
        if not isinstance(said, tuple):
            socket.subscribe(QUERY)
            said = await socket.receive()
        await socket.close()
        return _code(said)

    return ask


def over_socket(port: int) -> Callable[[str, str], Awaitable[int]]:
    async def ask(address: str, token: str) -> int:
        fields = {"X-Forwarded-For": address}
        async with connect(
            f"ws://127.0.0.1:{port}/graphql", subprotocols=[Subprotocol(SUBPROTOCOL)], additional_headers=fields
        ) as socket:
            try:
                init = {"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}}
                await socket.send(orjson.dumps(init).decode())
                await socket.recv()
                asked = {"id": "1", "type": "subscribe", "payload": {"query": QUERY}}
                await socket.send(orjson.dumps(asked).decode())
                return _code(orjson.loads(await socket.recv()))
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd else 1006

    return ask


def _code(said: Any) -> int:
    if isinstance(said, tuple):
        return int(said[0])
    if said["type"] != "error":
        return 200
    return {"RATE_LIMITED": 429}[said["payload"][0]["extensions"]["code"]]


def doors(office: Office, port: int) -> Iterator[Door]:
    """Every route with each of its methods, as JSON and as events, over ASGI and over a connection of the server's own;
    GraphQL, which is no route; and each route of WebSockets, over both its transports."""
    asked: list[tuple[str, str, str, Any]] = [
        ("GET", "/graphql", "/graphql?query={floors{number}}", None),
        ("POST", "/graphql", "/graphql", {"query": QUERY}),
    ]
    for route in office.app.routes:
        if isinstance(route, WebSocketRoute):
            yield Door(f"WS {route.path}, ASGI", route.path, over_asgi_socket(office))
            yield Door(f"WS {route.path}, uvicorn", route.path, over_socket(port))
        elif isinstance(route, Mount):
            asked.append(("GET", route.path, f"{route.path}/favicon.svg", None))
        elif isinstance(route, Route) and not isinstance(route.app, OtherMethods):
            url = route.path.replace("{id}", A_02)
            for method in sorted((route.methods or set()) - {"HEAD"}):
                asked.append((method, route.path, url, {} if method in ("POST", "PUT") else None))
    for way, transport in (("ASGI", httpx.ASGITransport(office.app)), ("connection", OnePiece(port))):
        client = httpx.AsyncClient(transport=transport, base_url="http://office.test")
        for method, path, url, body in asked:
            for accept in (RESPONSE, EVENTS) if path == "/graphql" else ("application/json", EVENTS):
                ask = over_http(client, method, url + ("?wait=0" if path == "/api/changes" else ""), body, accept)
                yield Door(f"{method} {path} as {accept}, {way}", path, ask)


numbers = count(1)


def somewhere() -> str:
    number = next(numbers)
    return f"198.51.{number // 250}.{number % 250 + 1}"


async def test_every_door_takes_each_step_before_the_next_and_none_behind_a_refusal(office: Office, port: int) -> None:
    found = [door for door in doors(office, port) if door.path not in SPARED]
    assert {door.path for door in found} >= {
        "/graphql",
        "/api/changes",
        "/api/workstations",
        "/metrics",
        *OPEN - SPARED,
    }
    assert sum(door.name.startswith("WS") for door in found) == 2
    for door in found:
        home, token = somewhere(), office.token("admin", subject=f"user {next(numbers)}")
        taken, status = await asked(door, home, token)
        # The handshake of a socket takes the one request that its address has.
        assert (status == 429) == door.name.startswith("WS"), (door.name, status)
        if door.path in OPEN:
            assert taken[0] == ADDRESS, door.name
            assert USER not in taken, door.name
        else:
            assert taken == [one for one in ORDER if one in taken], door.name
            assert {ADDRESS, TOKEN, USER} <= set(taken), door.name

        assert (await asked(door, home, token))[0] == [ADDRESS], door.name


async def test_whoever_is_refused_got_no_further_than_that_step(office: Office, port: int) -> None:
    for door in doors(office, port):
        if door.path in OPEN or door.name.startswith("WS"):
            continue
        home, token = somewhere(), office.token("admin", subject=f"user {next(numbers)}")
        await door.ask(home, token)
        for address, by, refusal in (
            (home, token, ([ADDRESS], 429)),
            (somewhere(), token, ([ADDRESS, TOKEN, USER], 429)),
            (somewhere(), "none.of.ours", ([ADDRESS, TOKEN], 401)),
        ):
            taken, status = await asked(door, address, by)
            # A body may be one that asks to log in, which takes no token: it is read, and nothing else.
            beside = {ORIGIN, READING} if refusal[1] == 401 else {ORIGIN}
            assert ([one for one in taken if one not in beside], status) == refusal, door.name


async def asked(door: Door, address: str, token: str) -> tuple[list[str], int]:
    with steps() as taken:
        status = await door.ask(address, token)
    return taken, status


# --- what it costs ---------------------------------------------------------------------------------------------------


async def test_a_refusal_costs_less_than_a_tenth_of_an_answer(office: Office) -> None:
    """Counted in calls, which do not depend on the machine; of a POST that is answered past ASGI."""
    token = office.token("admin", subject=f"user {next(numbers)}")
    answered = await calls(office, somewhere(), token, "{ floors { number name workstations { name status } } }")
    home = somewhere()
    fresh = office.token("admin", subject=f"user {next(numbers)}")
    await calls(office, home, fresh, QUERY)
    costs = {
        "an address": await calls(office, home, fresh, QUERY),
        "a user": await calls(office, somewhere(), fresh, QUERY),
        "a token": await calls(office, somewhere(), "none", QUERY),
    }
    assert {name: cost for name, cost in costs.items() if cost * 10 > answered} == {}, (costs, answered)


async def calls(office: Office, address: str, token: str, query: str) -> int:
    """How many functions are called for a request."""
    body, total = orjson.dumps({"query": query}), 0
    fields = {"x-forwarded-for": address, "authorization": f"Bearer {token}", "content-type": "application/json"}
    lines = [(name.encode(), value.encode()) for name, value in fields.items()]
    head = office.app.graphql.head("127.0.0.1", lines, None)
    assert head is not None

    def called(_: FrameType, event: str, __: object) -> None:
        nonlocal total
        total += event in ("call", "c_call")

    sys.setprofile(called)
    try:
        answer = office.app.graphql.answer(head, body)
        if answer is not None and not isinstance(answer, tuple):
            await answer
    finally:
        sys.setprofile(None)
    return total
