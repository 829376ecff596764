"""What holds for every address that there is: found by walking the routes, so that a new one cannot be forgotten."""

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import orjson
import pytest
import pytest_asyncio
from httpx import Response
from starlette.routing import Route

from graphql_app.embedded import Servers
from graphql_app.server.methods import OtherMethods
from tests.graphql_client import A_02, Office, fresh_database, running_office, seed, settings_for

pytestmark = pytest.mark.asyncio(loop_scope="module")

EVERY_METHOD = {"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "QUERY"}
PROBLEM = "application/problem+json"
OF_EACH_ANSWER = {"x-request-id", "date"}
FILE = "/static/favicon.svg"
# Whoever comes without a token is served, each for its own reason.
OPEN = {"/", "/api/docs", "/api/openapi.json", "/healthz", "/readyz", "/.well-known/jwks.json", FILE}


class Address(NamedTuple):
    """One that is there, as a client asks for it."""

    path: str
    methods: frozenset[str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def office(servers: Servers, template: str) -> AsyncIterator[Office]:
    async with (
        fresh_database(servers, template) as url,
        running_office(settings_for(url, servers)) as office,
    ):
        await seed(office.database)
        yield office


@pytest.fixture
def addresses(office: Office) -> list[Address]:
    """Every route, a file of the static ones, and GraphQL, which is none."""
    found: dict[str, set[str]] = {}
    for route in office.app.routes:
        if isinstance(route, Route) and not isinstance(route.app, OtherMethods):
            path = route.path.replace("{id}", A_02)
            found.setdefault(path, set()).update(route.methods or ())
    found |= {FILE: {"GET"}, "/graphql": {"GET", "POST"}}
    return [Address(path, frozenset(methods - {"HEAD"})) for path, methods in found.items()]


async def asked(office: Office, method: str, path: str, role: str | None = "admin", **headers: str) -> Response:
    own = office.headers(role) if role else {}
    body = orjson.dumps({"query": "{ __typename }"}) if method in ("POST", "PUT") else None
    typed = {"Content-Type": "application/json"} if body else {}
    url = {"/graphql": "/graphql?query={__typename}", "/api/changes": "/api/changes?wait=0"}.get(path, path)
    return await office.client.request(method, url, content=body, headers={**own, **typed, **headers})


async def test_the_addresses_were_found(addresses: list[Address]) -> None:
    found = dict(addresses)
    assert found["/api/workstations"] == {"GET", "POST"}
    assert found[f"/api/workstations/{A_02}"] == {"GET", "PUT", "DELETE"}
    assert found.keys() >= {*OPEN, "/graphql", "/metrics", "/api/changes", "/api/workstations/stats"}


async def test_whatever_can_be_read_answers_head_with_the_same_fields_and_no_body(
    office: Office, addresses: list[Address]
) -> None:
    """RFC 9110, 9.1 and 9.3.2."""
    for path, methods in addresses:
        if "GET" not in methods:
            continue
        got, head = await asked(office, "GET", path), await asked(office, "HEAD", path)
        assert head.status_code == got.status_code, path
        assert head.content == b"", path
        assert shape(head) == shape(got), path


def shape(answer: Response) -> dict[str, str]:
    """The header fields, but for what is another each time."""
    fields = {name: value for name, value in answer.headers.items() if name not in OF_EACH_ANSWER}
    # Figures, cursors and seconds are other texts in the next answer.
    length = fields.pop("content-length", None)
    return fields | ({} if length is None else {"content-length": "some"})


async def test_a_head_says_what_is_refused_as_the_get_does(office: Office, addresses: list[Address]) -> None:
    for path, methods in addresses:
        if "GET" in methods:
            refused = [await asked(office, method, path, authorization="Bearer x") for method in ("GET", "HEAD")]
            assert refused[0].status_code == refused[1].status_code, path
            assert refused[0].headers.get("www-authenticate") == refused[1].headers.get("www-authenticate"), path


async def test_every_address_says_which_methods_it_has_and_has_no_others(
    office: Office, addresses: list[Address]
) -> None:
    for path, methods in addresses:
        there = {*methods, "OPTIONS"} | ({"HEAD"} if "GET" in methods else set())
        told = await asked(office, "OPTIONS", path, role=None)
        assert (told.status_code, told.content) == (204, b""), path
        assert "content-length" not in told.headers, path
        assert set(told.headers["allow"].split(", ")) == there, path
        for method in EVERY_METHOD - there:
            refused = await asked(office, method, path)
            assert (refused.status_code, refused.headers["allow"]) == (405, told.headers["allow"]), (method, path)
            if path != "/graphql":
                assert_problem(refused, 405, "Method Not Allowed")


async def test_whatever_is_not_open_asks_for_a_token(office: Office, addresses: list[Address]) -> None:
    """RFC 6750, 3 and 3.1."""
    for path, methods in addresses:
        for method in methods:
            for headers, parameter in (({}, None), ({"Authorization": "Bearer x"}, 'error="invalid_token"')):
                answer = await asked(office, method, path, role=None, **headers)
                if path in OPEN:
                    assert answer.status_code in (200, 307, 503), (method, path)
                    continue
                assert answer.status_code == 401, (method, path)
                challenge = answer.headers["www-authenticate"]
                assert challenge == ", ".join(filter(None, ['Bearer realm="graphql_app"', parameter])), path
                if path != "/graphql":
                    assert_problem(answer, 401, "Unauthorized")


async def test_a_scope_that_is_missing_is_named(office: Office) -> None:
    refused = await asked(office, "GET", "/metrics", role="visitor")

    assert_problem(refused, 403, "Forbidden")
    assert refused.headers["www-authenticate"].endswith('error="insufficient_scope", scope="server:read"')


async def test_an_address_has_no_other_name(office: Office, addresses: list[Address]) -> None:
    """Neither served nor redirected: what a proxy keeps from one name, it keeps from all, and it knows host and scheme
    better than this server does."""
    for path, methods in addresses:
        if path == FILE:
            continue  # it is nobody's secret
        for near in (f"{path}/", f"/{path}"):
            for method in (*methods, "HEAD", "OPTIONS"):
                answer = await asked(office, method, f"http://office.test{near}")
                assert answer.status_code == 404, (method, near)
                assert "location" not in answer.headers, near
                assert answer.headers["content-type"] == PROBLEM, near


async def test_the_front_page_leads_on_without_naming_a_host(office: Office) -> None:
    assert (await asked(office, "GET", "/")).headers["location"] == "/graphql"


def assert_problem(answer: Response, status: int, title: str) -> None:
    """RFC 9457, 3.1 and 4.2.1."""
    assert answer.headers["content-type"] == PROBLEM
    body: dict[str, Any] = answer.json()
    assert (body["type"], body["status"], body["title"]) == ("about:blank", status, title)
    assert body["detail"]
    assert body["code"]


async def test_the_document_describes_every_address_and_every_method(office: Office, addresses: list[Address]) -> None:
    described = (await asked(office, "GET", "/api/openapi.json")).json()
    pages = {"/", "/api/docs", "/api/openapi.json", FILE, "/graphql"}
    for path, methods in addresses:
        if path in pages:
            continue
        operations = described["paths"][path.replace(A_02, "{id}")]
        assert {method.upper() for method in operations} == methods | ({"HEAD"} if "GET" in methods else set())
        for operation in operations.values():
            is_open = path in OPEN
            assert ("401" in operation["responses"]) is not is_open, path
            assert (operation.get("security") == [{"bearer": []}]) is not is_open, path
            assert "422" not in operation["responses"], path


async def test_the_ids_of_operations_differ(office: Office) -> None:
    described = (await asked(office, "GET", "/api/openapi.json")).json()
    ids = [operation["operationId"] for path in described["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids))
    assert described["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    assert "HTTPValidationError" not in described["components"]["schemas"]
