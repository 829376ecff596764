"""What browsers are kept from: foreign pages, forged requests, tokens in addresses; what production does not tell."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import pytest_asyncio
from httpx import Headers, Response
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphql_app import observe
from graphql_app.embedded import Servers
from graphql_app.server.security import SECURE
from graphql_app.services.office.browse import Browse
from tests.graphql_client import Office, Socket, fresh_database, running_office, seed, settings_for

pytestmark = pytest.mark.asyncio(loop_scope="module")

ORIGIN = "https://office.example"
OURS = "http://office.test"  # as the client of these tests addresses the server
ME = "{ me { subject } }"
FOLLOW = "subscription { workstationChanges { cursor } }"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
EVENTS = "text/event-stream"

# What each door is asked, by a client that may come in.
DOORS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "GraphQL": ("POST", "/graphql", {"json": {"query": ME}}),
    "GraphQL by GET": ("GET", "/graphql", {"params": {"query": ME}}),
    "GraphQL, refused": ("POST", "/graphql", {"json": {"query": "{ nothing }"}}),
    "GraphQL events": ("POST", "/graphql", {"json": {"query": ME}, "headers": {"accept": EVENTS}}),
    "GraphiQL": ("GET", "/graphql", {"headers": {"accept": BROWSER}}),
    "REST": ("GET", "/api/workstations", {}),
    "REST, refused": ("GET", "/api/workstations/nothing", {}),
    "long-poll": ("GET", "/api/changes", {"params": {"wait": 0}}),
    "metrics": ("GET", "/metrics", {}),
    "health": ("GET", "/healthz", {}),
    "keys": ("GET", "/.well-known/jwks.json", {}),
    "the docs": ("GET", "/api/docs", {}),
    "a file": ("GET", "/static/favicon.svg", {}),
    "nothing": ("GET", "/nothing", {}),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def office(servers: Servers, template: str) -> AsyncIterator[Office]:
    async with (
        fresh_database(servers, template) as url,
        running_office(settings_for(url, servers, origins=[ORIGIN])) as office,
    ):
        await seed(office.database)
        yield office


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def production(servers: Servers, template: str) -> AsyncIterator[Office]:
    async with (
        fresh_database(servers, template) as url,
        running_office(settings_for(url, servers, mode="production")) as office,
    ):
        await seed(office.database)
        yield office


async def asked(office: Office, door: str, **headers: str) -> Response:
    method, path, given = DOORS[door]
    all_headers = {**office.headers("admin"), **given.get("headers", {}), **headers}
    return await office.client.request(method, path, **{**given, "headers": all_headers})


# --- origins ---------------------------------------------------------------------------------------------------------

FOREIGN = [
    "https://evil.example",
    "null",
    "",
    "http://office.example",  # another scheme
    "https://office.example:8443",  # another port
    "https://office.example:443",
    "https://office.example.evil.example",  # ours as its beginning
    "https://evil-office.example",  # ours as its end
    "https://desk.office.example",
    "https://office.example/",
    "https://office.example@evil.example",
    "https://evil.example#https://office.example",
    "https://OFFICE.EXAMPLE",
    "office.example",
    "*",
    f"{ORIGIN}, https://evil.example",
    "http://office.test:8080",
    "http://office.test.evil.example",
    "ftp://office.test",
    "office.test",
]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("origin", FOREIGN)
async def test_a_foreign_page_is_refused_at_every_door(office: Office, origin: str, door: str) -> None:
    answer = await asked(office, door, origin=origin)

    assert answer.status_code == 403
    assert answer.json()["code"] == "FORBIDDEN"
    assert "GRAPHQL_APP_ORIGINS" in answer.json()["detail"]
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("origin", FOREIGN)
async def test_a_foreign_page_has_no_socket(office: Office, origin: str) -> None:
    socket = Socket(office.app, {"host": "office.test", "origin": origin, **office.headers("visitor")})

    assert (await socket.receive())[0] == 1008  # before it is accepted: the server makes a 403 of it


@pytest.mark.parametrize("origin", [ORIGIN, OURS, "https://office.test"])
async def test_a_page_of_a_listed_origin_or_of_this_host_has_a_socket(office: Office, origin: str) -> None:
    socket = Socket(office.app, {"host": "office.test", "origin": origin, **office.headers("visitor")})

    await socket.open()
    await socket.close()


@pytest.mark.parametrize("door", DOORS)
async def test_a_page_of_a_listed_origin_reads_every_answer(office: Office, door: str) -> None:
    answer = await asked(office, door, origin=ORIGIN)

    assert answer.status_code != 403
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "Origin" in answer.headers["vary"]
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("door", DOORS)
async def test_a_page_of_this_host_is_served_without_being_listed(office: Office, door: str) -> None:
    answer = await asked(office, door, origin=OURS)

    assert answer.status_code != 403
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("origin", FOREIGN)
@pytest.mark.parametrize("path", ["/graphql", "/api/workstations"])
async def test_a_foreign_page_asks_in_vain_whether_it_may(office: Office, origin: str, path: str) -> None:
    headers = {"origin": origin, "access-control-request-method": "POST"}

    assert (await office.client.options(path, headers=headers)).status_code == 403


# --- forged requests -------------------------------------------------------------------------------------------------

# What a page may send to anybody without asking first (fetch.spec.whatwg.org, CORS-safelisted request-header).
SIMPLE = ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", ""]
NEW = orjson.dumps({"name": "Forged", "xPosition": 1, "yPosition": 1})


@pytest.mark.parametrize("media", SIMPLE)
async def test_what_needs_no_preflight_changes_nothing(office: Office, media: str) -> None:
    before = await office.sql("SELECT count(*) FROM workstations")
    headers = {**office.headers("admin"), "content-type": media}
    mutation = orjson.dumps({"query": 'mutation { deleteWorkstation(id: "x") { __typename } }'})

    assert (await office.client.post("/graphql", content=mutation, headers=headers)).status_code == 415
    assert 400 <= (await office.client.post("/api/workstations", content=NEW, headers=headers)).status_code < 500
    assert await office.sql("SELECT count(*) FROM workstations") == before


async def test_a_mutation_in_an_address_changes_nothing(office: Office) -> None:
    query = 'mutation { deleteWorkstation(id: "x") { __typename } }'

    answer = await office.client.get("/graphql", params={"query": query}, headers=office.headers("admin"))

    assert answer.status_code == 405


async def test_nobody_is_let_in_by_a_cookie(office: Office) -> None:
    cookie = {"cookie": f"token={office.token('admin')}; authorization=Bearer {office.token('admin')}"}

    assert (await office.client.post("/graphql", json={"query": ME}, headers=cookie)).status_code == 401


# --- headers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("door", DOORS)
async def test_every_answer_says_to_browsers_what_they_may_not(office: Office, door: str) -> None:
    for answer in (await asked(office, door), await asked(office, door, authorization="Bearer wrong")):
        said = dict(answer.headers.multi_items())
        assert {name.decode() for name, _ in SECURE} <= said.keys()
        assert len(said) == len(answer.headers.multi_items()), "each is said once"
        assert "frame-ancestors 'none'" in said["content-security-policy"]
        assert "unsafe-eval" not in said["content-security-policy"]
        assert "script-src 'unsafe-inline'" not in said["content-security-policy"]
        assert "server" not in said


async def test_an_answer_to_an_unexpected_error_says_so_too(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the password is geheim")

    monkeypatch.setattr(Browse, "workstations", broken)
    answer = await asked(office, "REST")

    assert answer.status_code == 500
    assert "geheim" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


# --- tokens in addresses ---------------------------------------------------------------------------------------------


WRITTEN = [
    "access%5Ftoken",
    "%61ccess_token",
    "access%255Ftoken",
    "access_token%3D1&x",
    "+access_token",
    "accessToken",
    "token[]",
]


@pytest.mark.parametrize("written", WRITTEN)
@pytest.mark.parametrize("path", ["/graphql", "/api/workstations", "/nothing"])
async def test_however_its_name_is_written(office: Office, path: str, written: str) -> None:
    answer = await office.client.get(f"{path}?x=1&{written}=1", headers=office.headers("admin"))

    assert answer.status_code == 400
    assert "revoked" in answer.json()["detail"]
    socket = Socket(office.app, {"host": "office.test"}, query=f"{written}=1")
    assert (await socket.receive())[0] == 1008


@pytest.mark.parametrize("name", ["access_token", "token", "jwt", "authorization", "Authorization", "id_token"])
@pytest.mark.parametrize("path", ["/graphql", "/api/workstations", "/api/changes", "/metrics", "/healthz", "/nothing"])
async def test_a_token_in_an_address_is_refused_and_told_to_be_revoked(office: Office, path: str, name: str) -> None:
    token = office.token("admin")
    params = {"query": ME, name: token}

    answer = await office.client.get(path, params=params, headers=office.headers("admin"))

    assert answer.status_code == 400
    assert answer.json()["code"] == "INVALID_INPUT"
    assert "Authorization: Bearer" in answer.json()["detail"]
    assert "revoked" in answer.json()["detail"]
    assert token not in answer.text


async def test_a_post_with_a_token_in_its_address_is_refused_too(office: Office) -> None:
    address = f"/graphql?access_token={office.token('admin')}"

    answer = await office.client.post(address, json={"query": ME}, headers=office.headers("admin"))

    assert answer.status_code == 400


async def test_a_socket_with_a_token_in_its_address_is_refused(office: Office) -> None:
    socket = Socket(office.app, {"host": "office.test"}, query=f"access_token={office.token('admin')}")

    assert (await socket.receive())[0] == 1008


async def test_a_query_may_speak_of_tokens(office: Office) -> None:
    query = "query ($token: ID!) { node(id: $token) { id } }"
    given = {"query": query, "variables": '{"token": "access_token=1"}'}

    answer = await office.client.get("/graphql", params=given, headers=office.headers("visitor"))

    assert answer.json()["errors"][0]["message"] == "'access_token=1' is not the id of anything here."


# --- whatever is sent in place of a token ----------------------------------------------------------------------------


async def status_of(office: Office, path: str, header: bytes) -> int:
    """Of a GET with this Authorization, whatever bytes it is made of."""
    request = office.client.build_request("GET", path)
    request.headers = Headers([*request.headers.raw, (b"authorization", header)])
    return (await office.client.send(request)).status_code


tokens = st.binary(max_size=200) | st.lists(
    st.sampled_from([b"eyJhbGciOiJFZERTQSJ9", b"W1tbW1s", b"e30", b".", b"=", b"\xff", b"\x00", b" ", b","]),
    max_size=12,
).map(b"".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(tokens)
@pytest.mark.parametrize("path", ["/graphql?query={me{subject}}", "/api/workstations", "/api/changes", "/metrics"])
async def test_whatever_is_sent_in_place_of_a_token_is_a_401(office: Office, path: str, token: bytes) -> None:
    assert await status_of(office, path, b"Bearer " + token) == 401
    assert await status_of(office, path, token) == 401


# --- header fields that are said twice ------------------------------------------------------------------------------


ASKING = ["/graphql?query={me{subject}}", "/api/workstations", "/api/changes?wait=0", "/metrics"]


async def said_twice(office: Office, path: str, *tokens: str) -> Response:
    request = office.client.build_request("GET", path)
    lines = [(b"authorization", f"Bearer {token}".encode()) for token in tokens]
    request.headers = Headers([*request.headers.raw, *lines])
    return await office.client.send(request)


@pytest.mark.parametrize("path", ASKING)
async def test_two_tokens_are_none(office: Office, path: str) -> None:
    admin, visitor = office.token("admin"), office.token("visitor")
    assert (await said_twice(office, path, admin)).status_code == 200

    for tokens in ((admin, admin), (admin, visitor), (visitor, admin), (admin, "")):
        answer = await said_twice(office, path, *tokens)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        if not path.startswith("/graphql"):
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["code"] == "UNAUTHENTICATED"


async def test_two_tokens_show_no_figures(office: Office) -> None:
    operator = office.token("operator")

    async def told(*tokens: str) -> str:
        return str((await said_twice(office, "/readyz", *tokens)).json()["checks"]["feed"]["detail"])

    assert "," in await told(operator)
    assert "," not in await told(operator, operator)


async def test_two_tokens_are_none_for_a_socket(office: Office) -> None:
    token = f"Bearer {office.token('admin')}"
    both: list[tuple[list[str], dict[str, str]]] = [
        ([token, token], {}),
        ([], {"authorization": token, "Authorization": token}),
    ]
    for header, payload in both:
        socket = Socket(office.app, [("host", "office.test"), *(("authorization", one) for one in header)])
        await socket.accepted()
        socket.send({"type": "connection_init", "payload": payload})
        assert (await socket.receive())[0] == 4403


# --- what production does not tell -----------------------------------------------------------------------------------

INTROSPECTION = {
    "the schema": "{ __schema { types { name } } }",
    "a type": '{ __type(name: "Workstation") { fields { name } } }',
    "under another name": '{ typename: __type(name: "Workstation") { name } }',
    "in a fragment": "{ ...all } fragment all on Query { ... { __schema { queryType { name } } } }",
    "beside something else": "{ me { subject } __schema { queryType { name } } }",
    "perhaps": "query ($is: Boolean! = false) { __schema @include(if: $is) { queryType { name } } }",
}
ALMOST: dict[str, tuple[str, dict[str, Any]]] = {
    "a field": ("{ workstatio { id } }", {}),
    "a field of a type": ("{ me { subjec } }", {}),
    "an argument": ('{ floor(buildin: "x", number: 1) { id } }', {}),
    "a type": ("query ($f: WorkstationFilte) { workstations(filter: $f) { nodes { id } } }", {}),
    "a directive": ("{ me @includ(if: true) { subject } }", {}),
    "a value": ("{ workstations(filter: {statuses: [AVAILABL]}) { nodes { id } } }", {}),
    "an input field": ("{ workstations(filter: {buildin: 1}) { nodes { id } } }", {}),
    "a value in a variable": (
        "query ($f: WorkstationFilter) { workstations(filter: $f) { nodes { id } } }",
        {"f": {"statuses": ["AVAILABL"]}},
    ),
    "an input field in a variable": (
        "query ($f: WorkstationFilter) { workstations(filter: $f) { nodes { id } } }",
        {"f": {"buildin": "x"}},
    ),
    "a fragment's type": ("{ node(id: 1) { ... on Workstatio { id } } }", {}),
    "a field of a subscription": ("subscription { workstationChange { cursor } }", {}),
}


async def over_http(office: Office, role: str, query: str, variables: dict[str, Any]) -> Any:
    return await office.ask(role, query, variables)


async def over_events(office: Office, role: str, query: str, variables: dict[str, Any]) -> Any:
    answer = await office.post(role, query, variables, accept=EVENTS)
    data = next((line for line in answer.text.splitlines() if line.startswith("data: {")), None)
    return orjson.loads(data[6:] if data else answer.content)


async def over_a_socket(office: Office, role: str, query: str, variables: dict[str, Any]) -> Any:
    async with office.socket(role) as socket:
        socket.subscribe(query, variables)
        message = await socket.receive()
    return {"errors": message["payload"]} if message["type"] == "error" else message["payload"]


WAYS = pytest.mark.parametrize("way", [over_http, over_events, over_a_socket])


@WAYS
@pytest.mark.parametrize("kind", INTROSPECTION)
async def test_production_does_not_show_its_schema(production: Office, kind: str, way: Any) -> None:
    answer = await way(production, "facilities", INTROSPECTION[kind], {})

    assert answer.get("data") is None
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["FORBIDDEN"]
    assert answer["errors"][0]["extensions"]["scope"] == "schema:read"


@WAYS
@pytest.mark.parametrize("role", ["operator", "admin"])
async def test_who_has_the_scope_is_shown_the_schema_in_production_too(production: Office, role: str, way: Any) -> None:
    answer = await way(production, role, INTROSPECTION["a type"], {})

    assert {"name": "xPosition"} in answer["data"]["__type"]["fields"]
    # An answer kept for them is not one for others.
    assert (await way(production, "visitor", INTROSPECTION["a type"], {})).get("data") is None


async def test_names_of_types_are_told_in_production_too(production: Office) -> None:
    assert await production.data("visitor", "{ __typename me { __typename } }") == {
        "__typename": "Query",
        "me": {"__typename": "Viewer"},
    }


@WAYS
@pytest.mark.parametrize("kind", ALMOST)
async def test_production_makes_no_suggestions(production: Office, kind: str, way: Any) -> None:
    query, variables = ALMOST[kind]

    answer = await way(production, "visitor", query, variables)

    assert answer["errors"]
    assert "Did you mean" not in str(answer)


@WAYS
@pytest.mark.parametrize("kind", ["a field", "an argument", "a value in a variable", "an input field in a variable"])
async def test_development_makes_suggestions(office: Office, kind: str, way: Any) -> None:
    query, variables = ALMOST[kind]

    assert "Did you mean" in str(await way(office, "visitor", query, variables))


@pytest.mark.parametrize("path", ["/", "/api/docs", "/api/openapi.json"])
async def test_production_has_no_pages_for_trying_things_out(production: Office, path: str) -> None:
    assert (await production.client.get(path)).status_code == 404


async def test_production_has_no_graphiql(production: Office) -> None:
    answer = await production.client.get("/graphql", headers={"accept": BROWSER})

    assert answer.status_code in (400, 401)
    assert "text/html" not in answer.headers["content-type"]


async def test_an_operator_may_turn_it_on(servers: Servers, template: str) -> None:
    async with (
        fresh_database(servers, template) as url,
        running_office(settings_for(url, servers, mode="production", introspection=True)) as office,
    ):
        assert "GraphiQL" in (await office.client.get("/graphql", headers={"accept": BROWSER})).text
        assert (await office.client.get("/api/openapi.json")).status_code == 200
        assert "data" in await office.ask("visitor", INTROSPECTION["the schema"])


async def test_and_off_in_development(servers: Servers, template: str) -> None:
    async with (
        fresh_database(servers, template) as url,
        running_office(settings_for(url, servers, introspection=False)) as office,
    ):
        assert (await office.client.get("/api/docs")).status_code == 404
        assert "errors" in await office.ask("visitor", INTROSPECTION["the schema"])


@WAYS
async def test_an_unexpected_error_is_masked_with_an_id_that_the_log_has(
    production: Office, way: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("the password is geheim")

    monkeypatch.setattr(Browse, "departments", broken)
    heard: list[observe.News] = []
    end = observe.listen(heard.append)
    (error,) = (await way(production, "visitor", "{ departments { name } }", {}))["errors"]
    end()

    (incident,) = [news for news in heard if isinstance(news, observe.Unexpected)]
    assert error["extensions"] == {"code": "INTERNAL", "id": incident.id}
    assert "geheim" not in str(error)
