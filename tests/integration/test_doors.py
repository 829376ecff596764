"""The HTTP doors: which status, which media type, which headers, and what is asked of whoever comes."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import jwt
import orjson
import pytest
import pytest_asyncio
from httpx import Response
from hypothesis import given, settings
from hypothesis import strategies as st

from graphql_app.embedded import Servers
from graphql_app.graph.http.negotiation import LEGACY, RESPONSE
from graphql_app.live.feed.watchdog import FeedWatchdog
from tests.graphql_client import A_02, Office, fresh_database, running_office, seed, settings_for

pytestmark = pytest.mark.asyncio(loop_scope="module")

ME = "{ me { subject } }"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
ORIGIN = "https://office.example"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def office(servers: Servers, template: str) -> AsyncIterator[Office]:
    async with (
        fresh_database(servers, template) as url,
        running_office(settings_for(url, servers, origins=[ORIGIN])) as office,
    ):
        await seed(office.database)
        yield office


async def ready(office: Office) -> Response:
    """The first answer that says so: a server that has only just started has not read the log yet."""
    async with asyncio.timeout(10):
        while (answer := await office.client.get("/readyz")).status_code == 503:  # noqa: ASYNC110  # asked over HTTP
            await asyncio.sleep(0.02)
    return answer


def with_token(office: Office, **headers: str) -> dict[str, str]:
    return {**office.headers("visitor"), **{name.replace("_", "-"): value for name, value in headers.items()}}


# --- who may come in -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [None, "", "Basic YTpi", "Bearer", "Bearer wrong"])
async def test_without_a_good_token_the_answer_is_401_and_says_how_to_come_in(
    office: Office, header: str | None
) -> None:
    headers = {} if header is None else {"Authorization": header}
    for answer in (
        await office.client.post("/graphql", json={"query": ME}, headers=headers),
        await office.client.get("/graphql", params={"query": ME}, headers=headers),
    ):
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_a_refusal_to_let_somebody_in_shows_nothing_of_the_schema(office: Office) -> None:
    for query in ("{ __schema { types { name } } }", "{ nothing }", "{"):
        assert (await office.client.post("/graphql", json={"query": query})).status_code == 401


# --- how to ask ------------------------------------------------------------------------------------------------------


async def test_a_query_may_come_by_get(office: Office) -> None:
    asked = {
        "query": "query A { me { roles } } query B($full: Boolean!) { me { subject roles @include(if: $full) } }",
        "operationName": "B",
        "variables": '{"full": false}',
        "extensions": "{}",
    }

    answer = await office.client.get("/graphql", params=asked, headers=with_token(office))

    assert (answer.status_code, answer.json()) == (200, {"data": {"me": {"subject": "visitor"}}})


async def test_a_mutation_does_not_come_by_get(office: Office) -> None:
    before = await office.sql("SELECT count(*) FROM change_log")
    mutation = f'mutation {{ setWorkstationStatus(id: "{A_02}", status: RESERVED) {{ __typename }} }}'

    answer = await office.client.get("/graphql", params={"query": mutation}, headers=office.headers("facilities"))

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert await office.sql("SELECT count(*) FROM change_log") == before


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_no_other_method_is_taken(office: Office, method: str) -> None:
    answer = await office.client.request(method, "/graphql", json={"query": ME}, headers=with_token(office))

    assert answer.status_code == 405
    assert {"GET", "POST"} <= set(answer.headers["allow"].replace(" ", "").split(","))


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_a_body_that_is_not_said_to_be_json_is_not_read(office: Office, content_type: str) -> None:
    # What a page of another origin can send without being asked first.
    body = orjson.dumps({"query": ME})

    answer = await office.client.post(
        "/graphql", content=body, headers=with_token(office, **{"content-type": content_type})
    )

    assert answer.status_code == 415


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
async def test_json_is_read_however_it_is_said(office: Office, content_type: str) -> None:
    body = orjson.dumps({"query": ME})

    answer = await office.client.post(
        "/graphql", content=body, headers=with_token(office, **{"content-type": content_type})
    )

    assert answer.status_code == 200


async def test_a_body_that_is_too_large_is_refused(office: Office) -> None:
    most = office.settings.request_bytes

    for size, status in ((most, 200), (most + 1, 413)):
        body = orjson.dumps({"query": ME, "extensions": {"x": ""}})
        body = body.replace(b'""', b'"' + b"x" * (size - len(body)) + b'"')
        assert len(body) == size
        answer = await office.client.post(
            "/graphql", content=body, headers=with_token(office, content_type="application/json")
        )
        assert answer.status_code == status


MALFORMED: list[bytes] = [
    b"",
    b"{",
    b"nonsense",
    b"null",
    b"5",
    b'"{ me { subject } }"',
    b"[]",
    b'[{"query": "{ me { subject } }"}]',  # a batch: one operation a request
    b"{}",
    b'{"query": null}',
    b'{"query": 5}',
    b'{"query": ["{ me { subject } }"]}',
    b'{"query": "{ me { subject } }", "variables": []}',
    b'{"query": "{ me { subject } }", "variables": "{}"}',
    b'{"query": "{ me { subject } }", "operationName": 5}',
    b'{"query": "{ me { subject } }", "extensions": "x"}',
    b'{"query": "{ me { subject } }", "variables": {"x": NaN}}',
    b'{"query": "\\ud800"}',
    b"\xff\xfe{",
    b"[" * 100_000,
]


@pytest.mark.parametrize("media", [RESPONSE, LEGACY])
@pytest.mark.parametrize("body", MALFORMED, ids=lambda body: repr(body)[:50])
async def test_what_is_no_request_is_a_400_whatever_the_media_type(office: Office, body: bytes, media: str) -> None:
    answer = await office.client.post(
        "/graphql", content=body, headers=with_token(office, content_type="application/json", accept=media)
    )

    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert error["extensions"]["code"] == "BAD_REQUEST"
    assert error["message"]


@settings(max_examples=60, deadline=None)
@given(body=st.binary(max_size=60) | st.text().map(lambda query: orjson.dumps({"query": query})))
async def test_no_body_whatever_breaks_the_server(office: Office, body: bytes) -> None:
    answer = await office.client.post(
        "/graphql", content=body, headers=with_token(office, content_type="application/json", accept=RESPONSE)
    )

    assert answer.status_code in (200, 400)
    assert answer.json().get("errors", [{}])[0].get("message") or answer.json()["data"]


@pytest.mark.parametrize(
    "asked", [{}, {"query": ME, "variables": "{"}, {"query": ME, "variables": "[]"}, {"query": ME, "extensions": "5"}]
)
async def test_what_is_no_request_by_get_is_a_400_too(office: Office, asked: dict[str, str]) -> None:
    answer = await office.client.get("/graphql", params=asked, headers=with_token(office, accept=LEGACY))

    assert answer.status_code == 400


@pytest.mark.parametrize("null", ["variables", "operationName", "extensions"])
async def test_what_is_null_is_as_if_it_were_not_there(office: Office, null: str) -> None:
    answer = await office.client.post("/graphql", json={"query": ME, null: None}, headers=with_token(office))

    assert answer.json() == {"data": {"me": {"subject": "visitor"}}}


# --- how it is answered ----------------------------------------------------------------------------------------------

CANNOT_RUN: dict[str, dict[str, Any]] = {
    "a syntax error": {"query": "{"},
    "an unknown field": {"query": "{ nothing }"},
    "a missing variable": {"query": "query ($b: Boolean!) { me { subject @include(if: $b) } }"},
    "a wrong variable": {"query": "query ($id: ID!) { node(id: $id) { id } }", "variables": {"id": {}}},
    "an unknown operation": {"query": ME, "operationName": "Other"},
    "several operations": {"query": "query A { me { subject } } query B { me { subject } }"},
    "no operation": {"query": "fragment F on Query { me { subject } }"},
    "too large": {"query": ME + " " * 70_000},
}


@pytest.mark.parametrize(("media", "status"), [(RESPONSE, 400), (LEGACY, 200)])
@pytest.mark.parametrize("what", CANNOT_RUN)
async def test_an_operation_that_cannot_run_is_a_400_but_for_clients_of_the_older_media_type(
    office: Office, what: str, media: str, status: int
) -> None:
    answer = await office.client.post("/graphql", json=CANNOT_RUN[what], headers=with_token(office, accept=media))

    assert answer.status_code == status
    assert answer.headers["content-type"].split(";")[0] == media
    assert "data" not in answer.json()
    assert answer.json()["errors"][0]["extensions"]["code"] in ("BAD_REQUEST", "INVALID_INPUT", "TOO_MANY")


@pytest.mark.parametrize("media", [RESPONSE, LEGACY])
async def test_an_operation_that_ran_is_a_200_even_if_something_in_it_failed(office: Office, media: str) -> None:
    answer = await office.client.post(
        "/graphql",
        json={"query": '{ me { subject } node(id: "x") { id } }'},
        headers=with_token(office, accept=media),
    )

    assert answer.status_code == 200
    assert answer.headers["content-type"] == f"{media}; charset=utf-8"
    assert answer.json()["data"] == {"me": {"subject": "visitor"}, "node": None}
    assert answer.json()["errors"][0]["path"] == ["node"]


@pytest.mark.parametrize("accept", ["application/xml", "text/html", "application/json;q=0, text/plain", "image/png"])
async def test_a_client_that_takes_none_of_our_media_types_is_told_them(office: Office, accept: str) -> None:
    answer = await office.client.post("/graphql", json={"query": ME}, headers=with_token(office, accept=accept))

    assert answer.status_code == 406
    assert RESPONSE in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize("accept", ["*/*", "application/json", f"{RESPONSE}, application/json"])
async def test_a_subscription_is_not_answered_to_a_client_that_takes_no_events(office: Office, accept: str) -> None:
    query = "subscription { workstationChanges { cursor } }"

    answer = await office.client.post("/graphql", json={"query": query}, headers=with_token(office, accept=accept))

    assert answer.status_code == 406
    assert "graphql-transport-ws" in answer.json()["errors"][0]["message"]


async def test_a_client_that_merely_lists_events_is_answered_with_json(office: Office) -> None:
    # As urql does with every query.
    accept = "application/graphql-response+json, application/graphql+json, application/json, text/event-stream, "
    accept += "multipart/mixed"

    answer = await office.client.post("/graphql", json={"query": ME}, headers=with_token(office, accept=accept))

    assert answer.headers["content-type"] == f"{RESPONSE}; charset=utf-8"


async def test_an_answer_is_kept_by_no_cache_and_differs_by_who_asks(office: Office) -> None:
    answer = await office.client.get("/graphql", params={"query": ME}, headers=with_token(office))

    assert answer.headers["cache-control"] == "no-store"
    assert {"Accept", "Authorization"} <= set(answer.headers["vary"].replace(" ", "").split(","))


# --- request ids -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", [{"query": ME}, {"query": "{"}, {}])
async def test_the_id_of_a_request_comes_back_with_its_answer_whatever_that_is(
    office: Office, asked: dict[str, str]
) -> None:
    for headers in (with_token(office, x_request_id="my-request-7"), {"X-Request-ID": "my-request-7"}):
        answer = await office.client.post("/graphql", json=asked, headers=headers)

        assert answer.headers["x-request-id"] == "my-request-7"


async def test_a_request_without_an_id_is_given_one_of_its_own(office: Office) -> None:
    ids = {(await office.post("visitor", ME)).headers["x-request-id"] for _ in range(3)}

    assert len(ids) == 3


@pytest.mark.parametrize("id", ["", "x" * 65, "tab\there", "sn\xf6wman"])
async def test_an_id_that_does_not_belong_into_a_log_is_replaced(office: Office, id: str) -> None:
    headers = {name.encode(): value.encode("latin-1") for name, value in with_token(office, x_request_id=id).items()}

    answer = await office.client.post("/graphql", json={"query": ME}, headers=headers)

    assert answer.status_code == 200
    assert answer.headers["x-request-id"] != id
    assert len(answer.headers["x-request-id"]) == 32


# --- health and figures ----------------------------------------------------------------------------------------------


async def test_a_process_that_is_alive_says_so_to_anybody(office: Office) -> None:
    answer = await office.client.get("/healthz")

    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})


async def test_readiness_names_every_part(office: Office) -> None:
    answer = await ready(office)

    assert answer.status_code == 200
    body = answer.json()
    assert {"database", "migrations", "broadcast", "feed"} <= set(body["checks"])
    assert all(check["ok"] and check["detail"] for check in body["checks"].values())
    assert body["status"] == "ready"


MIGRATIONS = {"0001": (503, "not ready", "graphql-app migrate"), "9999": (200, "degraded", "9999")}


@pytest.mark.parametrize("at", MIGRATIONS)
async def test_an_old_database_is_a_503_that_says_why_and_a_newer_one_is_served(
    servers: Servers, template: str, at: str
) -> None:
    async with fresh_database(servers, template) as url, running_office(settings_for(url, servers)) as office:
        await ready(office)
        await office.sql("UPDATE alembic_version SET version_num = :at", at=at)
        answer = await office.client.get("/readyz")

    status, said, why = MIGRATIONS[at]
    body = answer.json()
    assert (answer.status_code, body["status"]) == (status, said)
    assert (body["checks"]["database"]["ok"], body["checks"]["migrations"]["ok"]) == (True, False)
    assert why in body["checks"]["migrations"]["detail"]


async def test_what_nobody_planned_for_is_told_of_the_part_that_has_it(servers: Servers, template: str) -> None:
    async with fresh_database(servers, template) as url, running_office(settings_for(url, servers)) as office:
        await ready(office)
        await office.sql("ALTER TABLE feed_head RENAME COLUMN revision TO number")
        answer = await office.client.get("/readyz")
        await office.sql("ALTER TABLE feed_head RENAME COLUMN number TO revision")

    checks = answer.json()["checks"]
    assert (answer.status_code, checks["database"]["ok"], checks["feed"]["ok"]) == (503, True, False)
    assert "revision" in checks["feed"]["detail"]


async def test_a_part_that_has_ended_for_good_is_a_503_and_in_the_log(
    servers: Servers, template: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(_: FeedWatchdog) -> None:
        raise ValueError("of all things")

    async with fresh_database(servers, template) as url, running_office(settings_for(url, servers)) as office:
        await ready(office)
        monkeypatch.setattr(FeedWatchdog, "look", fails)
        async with asyncio.timeout(10):
            while (answer := await office.client.get("/readyz")).status_code == 200:  # noqa: ASYNC110  # asked over HTTP
                await asyncio.sleep(0.05)

    assert answer.json()["checks"]["feed"]["detail"] == "ended: watchdog; restart this process"
    assert "of all things" in caplog.text


async def test_without_redis_it_is_degraded_and_serves(servers: Servers, template: str) -> None:
    async with fresh_database(servers, template) as url:
        settings = settings_for(url, servers, redis_url="redis://127.0.0.1:9")
        async with running_office(settings) as office:
            answer = await ready(office)
            served = await office.data("visitor", ME)

    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["checks"]["broadcast"]["ok"] is False
    assert served == {"me": {"subject": "visitor"}}


@pytest.mark.parametrize(
    ("role", "status"), [(None, 401), ("visitor", 403), ("hr", 403), ("operator", 200), ("admin", 200)]
)
async def test_metrics_are_for_whoever_may_see_the_server(office: Office, role: str | None, status: int) -> None:
    answer = await office.client.get("/metrics", headers=office.headers(role) if role else {})

    assert answer.status_code == status
    assert ("graphql_app_operations_total" in answer.text) == (status == 200)


async def test_a_refusal_of_metrics_is_a_problem_that_says_what_is_missing(office: Office) -> None:
    stranger = await office.client.get("/metrics")
    visitor = await office.client.get("/metrics", headers=office.headers("visitor"))

    assert stranger.headers["www-authenticate"].startswith("Bearer")
    assert visitor.headers["content-type"].startswith("application/problem+json")
    assert (visitor.json()["code"], visitor.json()["scope"]) == ("FORBIDDEN", "server:read")


async def test_operations_are_counted_by_kind_and_result(office: Office) -> None:
    async def counted(series: str) -> float:
        text = (await office.client.get("/metrics", headers=office.headers("operator"))).text
        return next((float(line.split()[-1]) for line in text.splitlines() if line.startswith(series)), 0)

    good, bad = (f'graphql_app_operations_total{{kind="query",result="{result}"}}' for result in ("ok", "error"))
    before = (await counted(good), await counted(bad))
    await office.post("visitor", ME)
    await office.post("visitor", '{ node(id: "x") { id } }')

    assert (await counted(good), await counted(bad)) == (before[0] + 1, before[1] + 1)


# --- browsers --------------------------------------------------------------------------------------------------------


async def test_a_browser_is_shown_graphiql(office: Office) -> None:
    answer = await office.client.get("/graphql", headers={"Accept": BROWSER})

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "GraphiQL" in answer.text


async def test_a_browser_with_a_query_in_its_address_is_answered_as_anybody_else(office: Office) -> None:
    answer = await office.client.get("/graphql", params={"query": ME}, headers=with_token(office, accept=BROWSER))

    assert answer.json() == {"data": {"me": {"subject": "visitor"}}}


async def test_a_page_of_a_listed_origin_may_ask(office: Office) -> None:
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    asked["Access-Control-Request-Headers"] = "authorization, content-type, idempotency-key, x-request-id"

    answer = await office.client.options("/graphql", headers=asked)

    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "access-control-allow-credentials" not in answer.headers


async def test_a_page_of_another_origin_may_not_ask(office: Office) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}

    assert "access-control-allow-origin" not in (await office.client.options("/graphql", headers=asked)).headers
    answer = await office.client.post("/graphql", json={"query": ME}, headers=with_token(office, **asked))
    assert "access-control-allow-origin" not in answer.headers


async def test_the_rest_doors_are_described(office: Office) -> None:
    described = (await office.client.get("/api/openapi.json")).json()

    assert {"/healthz", "/readyz", "/metrics"} <= set(described["paths"])


async def test_the_public_keys_of_tokens_are_published_for_caches_to_keep(office: Office) -> None:
    answer = await office.client.get("/.well-known/jwks.json")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/jwk-set+json"
    assert answer.headers["cache-control"] == "public, max-age=300"
    (key,) = answer.json()["keys"]
    assert key.keys() == {"kty", "crv", "x", "kid", "alg", "use"}
    claims = jwt.decode(office.token("visitor"), jwt.PyJWK.from_dict(key), audience="graphql_app")
    assert claims["sub"] == "visitor"


READ = {"GET", "HEAD", "OPTIONS"}
NOWHERE = ["/nothing", "/api", "/api/nothing", "/api/workstations/x/y", "/graphql/", "/graphql/x", "/static/nothing.js"]


@pytest.mark.parametrize(
    ("method", "path"), [*(("GET", path) for path in NOWHERE), ("POST", "/nothing"), ("DELETE", "/api/nothing")]
)
async def test_an_unknown_address_is_a_404_that_says_what_there_is(office: Office, method: str, path: str) -> None:
    answer = await office.client.request(method, path)

    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.json().keys() == {"type", "status", "title", "detail", "code"}
    assert (answer.json()["status"], answer.json()["title"]) == (404, "Not Found")
    assert answer.json()["code"] == "NOT_FOUND"
    for there in ("/graphql", "/api/workstations", "/api/changes", "/api/docs"):
        assert there in answer.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", "/api/workstations", READ | {"POST"}),
        ("POST", f"/api/workstations/{A_02}", READ | {"PUT", "DELETE"}),
        ("PUT", "/api/workstations/stats", READ),  # nor is it an id
        ("POST", "/api/changes", READ),
        ("DELETE", "/healthz", READ),
        ("POST", "/api/docs", READ),
        ("POST", "/api/openapi.json", READ),
        ("POST", "/", READ),
        ("POST", "/static/favicon.svg", READ),
    ],
)
async def test_a_wrong_method_is_a_405_that_says_the_right_ones(
    office: Office, method: str, path: str, allowed: set[str]
) -> None:
    answer = await office.client.request(method, path, headers=office.headers("admin"))

    assert (answer.status_code, answer.headers["content-type"]) == (405, "application/problem+json")
    assert (answer.json()["title"], answer.json()["code"]) == ("Method Not Allowed", "METHOD_NOT_ALLOWED")
    assert set(answer.headers["allow"].split(", ")) == allowed
    assert answer.headers["allow"] in answer.json()["detail"]


async def test_the_hint_names_no_page_that_is_not_there(servers: Servers, template: str) -> None:
    async with (
        fresh_database(servers, template) as url,
        running_office(settings_for(url, servers, mode="production")) as office,
    ):
        detail = (await office.client.get("/nothing")).json()["detail"]

    assert "/api/workstations" in detail
    assert "/api/docs" not in detail
