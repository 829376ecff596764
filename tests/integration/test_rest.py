"""/api/workstations: six operations on the same use cases as GraphQL."""

import secrets
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Any

import asyncpg
import httpx
import pytest
from pydantic import SecretStr

from graphql_app.app.application import create
from graphql_app.development import with_keys
from graphql_app.domain.access import ROLES
from graphql_app.embedded import Servers
from graphql_app.services.identify import Identify
from graphql_app.services.keys import KeyRing
from graphql_app.settings import read
from tests.acceptance.conftest import OFFICE

ANY = "V29ya3N0YXRpb246MQ=="  # Workstation:1
Client = Callable[[str], httpx.AsyncClient]


@pytest.fixture
async def client(
    database_url: str, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Client]:
    """Clients with the token of a role, on one application in this process."""
    connection = await asyncpg.connect(database_url)
    await connection.execute(OFFICE)
    await connection.close()
    settings = with_keys(read(data=tmp_path_factory.mktemp("keys"))).model_copy(
        update={
            "database_url": database_url,
            "redis_url": servers.redis_url,
            # Its own: copies of one database share an epoch, and tests a Redis.
            "secret": SecretStr(secrets.token_urlsafe(32)),
        }
    )
    assert settings.token_private_key is not None
    identify = Identify(
        KeyRing.read(settings.token_private_key.get_secret_value()),
        issuer="graphql_app",
        audience="graphql_app",
        roles=ROLES,
    )
    app = create(settings)
    opened: list[httpx.AsyncClient] = []

    def as_role(role: str) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {identify.issue(role, [role], seconds=600)}"} if role else {}
        opened.append(httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test", headers=headers))
        return opened[-1]

    async with app.router.lifespan_context(app):
        yield as_role
        for one in opened:
            await one.aclose()


async def test_pages_lead_from_one_to_the_next_through_the_link(client: Client) -> None:
    url: str | None = "/api/workstations?first=50&floor=3"
    names: list[str] = []
    while url is not None:
        answer = await client("admin").get(url)
        names += [item["name"] for item in answer.json()["items"]]
        assert (answer.json()["next"] is None) == ("next" not in answer.links)
        url = answer.json()["next"]
    assert names == [f"A3-{i}" for i in range(1, 101)]


async def test_a_filter_asks_for_what_it_says(client: Client) -> None:
    answer = await client("admin").get(
        "/api/workstations", params={"building": "Riverside", "name": "r1-1", "first": 500}
    )
    assert {item["name"] for item in answer.json()["items"]} == {"R1-1", *(f"R1-{i}" for i in range(10, 20))}
    assert (await client("admin").get("/api/workstations?status=BROKEN")).status_code == 400


async def test_rest_and_graphql_show_the_same_values_masked_the_same_way(client: Client) -> None:
    fields = "id name status building floorNumber floorName employeeId xPosition yPosition width height equipment notes"
    fields += " version updatedAt createdAt department { id name } employee { id }"
    for role in ROLES:
        rest = (await client(role).get(f"/api/workstations/{ANY}")).json()
        query = {"query": f'{{ workstation(id: "{ANY}") {{ {fields} }} }}'}
        graph = (await client(role).post("/graphql", json=query)).json()["data"]["workstation"]
        assert rest == graph


async def test_an_etag_answers_304_until_what_is_shown_changes(client: Client) -> None:
    visitor, admin = client("visitor"), client("admin")
    tag = (await visitor.get(f"/api/workstations/{ANY}")).headers["etag"]
    assert (await visitor.get(f"/api/workstations/{ANY}", headers={"If-None-Match": tag})).status_code == 304
    await admin.put(f"/api/workstations/{ANY}", json={"xPosition": 999})  # a visitor cannot notice this
    assert (await visitor.get(f"/api/workstations/{ANY}", headers={"If-None-Match": tag})).status_code == 304
    await admin.put(f"/api/workstations/{ANY}", json={"notes": "by the window"})
    assert (await visitor.get(f"/api/workstations/{ANY}", headers={"If-None-Match": tag})).status_code == 200


async def test_if_match_changes_only_what_the_client_has_seen(client: Client) -> None:
    admin = client("admin")
    tag = (await admin.get(f"/api/workstations/{ANY}")).headers["etag"]
    first = await admin.put(f"/api/workstations/{ANY}", json={"notes": "mine"}, headers={"If-Match": tag})
    second = await admin.put(f"/api/workstations/{ANY}", json={"notes": "yours"}, headers={"If-Match": tag})
    third = await admin.delete(f"/api/workstations/{ANY}", headers={"If-Match": tag})
    assert [first.status_code, second.status_code, third.status_code] == [200, 412, 412]
    assert second.headers["content-type"] == "application/problem+json"
    assert (await admin.get(f"/api/workstations/{ANY}")).json()["notes"] == "mine"


async def test_a_workstation_is_created_found_and_deleted(client: Client) -> None:
    admin = client("admin")
    new = {"name": "新工位", "xPosition": 1.5, "yPosition": 2, "building": "总部A座", "floorNumber": 4}
    created = await admin.post("/api/workstations", json=new, headers={"Idempotency-Key": "k1"})
    again = await admin.post("/api/workstations", json=new, headers={"Idempotency-Key": "k1"})
    assert created.status_code == 201
    assert again.json()["id"] == created.json()["id"]
    assert (await admin.get(created.headers["location"])).json() == created.json()
    assert (await admin.delete(created.headers["location"])).status_code == 204
    assert (await admin.get(created.headers["location"])).status_code == 404


async def test_a_status_follows_the_table_in_rest_too(client: Client) -> None:
    admin = client("admin")
    assert (await admin.put(f"/api/workstations/{ANY}", json={"status": "MAINTENANCE"})).status_code == 200
    refused = await admin.put(f"/api/workstations/{ANY}", json={"status": "OCCUPIED"})
    assert refused.status_code == 409
    assert refused.json()["allowed"] == ["AVAILABLE"]


async def test_statistics_count_by_group(client: Client) -> None:
    found = (await client("visitor").get("/api/workstations/stats?group=building")).json()
    assert {row["key"]: row["total"] for row in found} == {"Riverside": 20, "总部A座": 100}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/api/workstations?first=501", None, 400, "TOO_MANY"),
        ("GET", "/api/workstations?first=many", None, 400, "INVALID_INPUT"),
        ("GET", "/api/workstations?after=zzz", None, 400, "INVALID_INPUT"),
        ("GET", "/api/workstations/zzz", None, 400, "INVALID_INPUT"),
        ("GET", "/api/workstations/V29ya3N0YXRpb246OTk5OQ==", None, 404, "NOT_FOUND"),
        ("POST", "/api/workstations", {"name": "x"}, 400, "INVALID_INPUT"),
        ("POST", "/api/workstations", {"name": "x", "xPosition": 1, "yPosition": 1, "colour": 1}, 400, "INVALID_INPUT"),
        ("PUT", f"/api/workstations/{ANY}", {"name": "A3-2"}, 409, "NAME_TAKEN"),
        ("PUT", f"/api/workstations/{ANY}", {"building": "nowhere", "floorNumber": 1}, 400, "INVALID_INPUT"),
    ],
)
async def test_what_is_refused_is_a_problem_with_a_code(
    client: Client, method: str, path: str, body: Any, status: int, code: str
) -> None:
    answer = await client("admin").request(method, path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["title"] == HTTPStatus(status).phrase
    assert answer.headers["content-type"] == "application/problem+json"


async def test_who_may_not_write_is_refused(client: Client) -> None:
    assert (await client("visitor").put(f"/api/workstations/{ANY}", json={"notes": "x"})).status_code == 403
    assert (await client("").get("/api/workstations")).status_code == 401


async def test_the_openapi_document_has_the_six_operations(client: Client) -> None:
    paths = (await client("").get("/api/openapi.json")).json()["paths"]
    found = {(path, method) for path in paths if path.startswith("/api/workstations") for method in paths[path]}
    assert found == {
        ("/api/workstations", "get"),
        ("/api/workstations", "head"),
        ("/api/workstations", "post"),
        ("/api/workstations/stats", "get"),
        ("/api/workstations/stats", "head"),
        ("/api/workstations/{id}", "get"),
        ("/api/workstations/{id}", "head"),
        ("/api/workstations/{id}", "put"),
        ("/api/workstations/{id}", "delete"),
    }


async def test_a_body_over_the_limit_is_refused_before_anybody_asks_for_a_token(client: Client) -> None:
    answer = await client("").post("/api/workstations", content=b" " * (2 * 1024 * 1024))
    assert answer.status_code == 413
