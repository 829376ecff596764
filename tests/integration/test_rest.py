"""/api/workstations: six operations on the same use cases as GraphQL."""

import secrets
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Any

import asyncpg
import httpx
import orjson
import pytest
from pydantic import SecretStr

from graphql_app.app.application import create
from graphql_app.app.development import with_keys
from graphql_app.domain.access import ROLES
from graphql_app.embedded import Servers
from graphql_app.services.identity.identify import Identify
from graphql_app.services.identity.keys import KeyRing
from graphql_app.services.office.browse import Browse
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


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_if_match_holds_against_a_rival_between_reading_and_writing(
    client: Client, database_url: str, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    admin, read = client("admin"), Browse.workstation
    tag = (await admin.get(f"/api/workstations/{ANY}")).headers["etag"]

    async def before_a_rival(*given: Any) -> Any:
        found = await read(*given)
        rival = await asyncpg.connect(database_url)
        await rival.execute("UPDATE workstations SET notes = 'the rival''s' WHERE id = 1")
        await rival.close()
        return found

    monkeypatch.setattr(Browse, "workstation", before_a_rival)
    body = orjson.dumps({"notes": "mine"}) if method == "PUT" else b""
    headers = {"If-Match": tag, "Content-Type": "application/json"}
    answer = await admin.request(method, f"/api/workstations/{ANY}", content=body, headers=headers)
    monkeypatch.undo()

    assert (answer.status_code, answer.json()["code"]) == (412, "PRECONDITION_FAILED")
    check = await asyncpg.connect(database_url)
    assert await check.fetchval("SELECT notes FROM workstations WHERE id = 1") == "the rival's"
    await check.close()


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


# --- what HTTP says of requests --------------------------------------------------------------------------------------


async def weakly(client: Client, **conditions: str) -> dict[str, str]:
    """These conditions, about the tag of ANY as nginx gives it on."""
    tag = f"W/{(await client('admin').get(f'/api/workstations/{ANY}')).headers['etag']}"
    return {name.replace("_", "-"): value.format(tag=tag) for name, value in conditions.items()}


@pytest.mark.parametrize("condition", ["{tag}", '"x", {tag}', "*"])
async def test_a_read_is_304_by_a_weak_tag_and_by_any(client: Client, condition: str) -> None:
    """RFC 9110, 13.1.2."""
    headers = await weakly(client, If_None_Match=condition)
    for method in ("GET", "HEAD"):
        answer = await client("admin").request(method, f"/api/workstations/{ANY}", headers=headers)
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] in headers["If-None-Match"] or condition == "*"


@pytest.mark.parametrize(
    ("conditions", "status"),
    [
        ({"If_Match": "{tag}"}, 200),
        ({"If_Match": "*"}, 200),
        ({"If_None_Match": '"x"'}, 200),
        ({"If_Match": '"x"'}, 412),
        ({"If_Match": "x"}, 412),
        ({"If_None_Match": "*"}, 412),
        ({"If_None_Match": "{tag}"}, 412),
        ({"If_Match": "{tag}", "If_None_Match": "{tag}"}, 412),
    ],
)
async def test_a_write_is_carried_out_if_its_conditions_hold(
    client: Client, conditions: dict[str, str], status: int
) -> None:
    headers, desk = await weakly(client, **conditions), f"/api/workstations/{ANY}"
    answer = await client("admin").put(desk, json={"notes": "new"}, headers=headers)
    assert answer.status_code == status
    assert ((await client("admin").get(desk)).json()["notes"] == "new") is (status == 200)
    if status == 412:
        assert (await client("admin").delete(desk, headers=headers)).status_code == 412


async def test_the_list_has_no_tag_that_a_new_workstation_could_ask_for(client: Client) -> None:
    new = {"name": "conditional", "xPosition": 1, "yPosition": 1}
    for headers in ({"If-None-Match": "*"}, {"If-Match": '"x"'}):
        assert (await client("admin").post("/api/workstations", json=new, headers=headers)).status_code == 412
    assert (await client("admin").post("/api/workstations", json=new, headers={"If-Match": "*"})).status_code == 201


async def test_who_may_not_write_is_told_that_and_not_whether_conditions_hold(client: Client) -> None:
    """RFC 9110, 13.2.1."""
    for method in ("PUT", "DELETE"):
        answer = await client("visitor").request(
            method, f"/api/workstations/{ANY}", json={}, headers={"If-Match": '"x"'}
        )
        assert answer.status_code == 403


NEW = {"name": "typed", "xPosition": 1, "yPosition": 1}


@pytest.mark.parametrize(
    ("fields", "hint"),
    [
        ({"Content-Type": ""}, "accept"),
        ({"Content-Type": "text/plain"}, "accept"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, "accept"),
        ({"Content-Type": "application/json; charset=utf-16"}, "accept"),
        ({"Content-Type": "application/json; charset=latin-1"}, "accept"),
        ({"Content-Type": "application/vnd.api+json"}, "accept"),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, "accept-encoding"),
        ({"Content-Type": "application/json", "Content-Encoding": "br"}, "accept-encoding"),
    ],
)
async def test_a_body_in_another_form_is_415_at_every_door(client: Client, fields: dict[str, str], hint: str) -> None:
    """RFC 9110, 15.5.16."""
    for method, path in (("POST", "/api/workstations"), ("PUT", f"/api/workstations/{ANY}"), ("POST", "/graphql")):
        answer = await client("admin").request(method, path, content=orjson.dumps(NEW), headers=fields)
        assert answer.status_code == 415, path
        assert answer.headers[hint] == {"accept": "application/json", "accept-encoding": "identity"}[hint]
        if path != "/graphql":
            assert (answer.json()["title"], answer.json()["code"]) == (
                "Unsupported Media Type",
                "UNSUPPORTED_MEDIA_TYPE",
            )
    assert (await client("admin").get("/api/workstations?name=typed")).json()["items"] == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe{\x00}\x00",
        '{"name": "x"}'.encode("utf-16"),
        b'\xef\xbb\xbf{"name": "x"}',
        b'{"name": "\xff"}',
        b'{"name": "x", "xPosition": NaN, "yPosition": 1}',
        b'{"name": "x", "xPosition": -Infinity, "yPosition": 1}',
        b"[" * 100_000,
        b"[]",
        b"null",
    ],
)
async def test_what_is_no_json_object_is_a_400_that_says_so(client: Client, body: bytes) -> None:
    answer = await client("admin").post("/api/workstations", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert (answer.json()["title"], answer.json()["code"]) == ("Bad Request", "INVALID_INPUT")


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("field", ["x_position", "floor_number", "department_id", "XPosition", "colour"])
async def test_a_field_has_one_name(client: Client, method: str, field: str) -> None:
    path = "/api/workstations" if method == "POST" else f"/api/workstations/{ANY}"
    answer = await client("admin").request(method, path, json={"name": "x", "xPosition": 1, "yPosition": 1, field: 1})
    assert (answer.status_code, answer.json()["field"]) == (400, field)


@pytest.mark.parametrize(
    "path",
    [
        "/api/workstations?buildng=Riverside",
        "/api/workstations?Building=Riverside",
        "/api/workstations/stats?first=1",
        f"/api/workstations/{ANY}?fields=name",
        "/api/changes?wait=0&floorNumber=1",
    ],
)
async def test_a_parameter_that_there_is_not_is_refused_by_its_name(client: Client, path: str) -> None:
    answer = await client("admin").get(path)
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_INPUT")
    assert answer.json()["field"] in path


@pytest.mark.parametrize(
    ("accept", "status", "media"),
    [
        (None, 200, "application/json"),
        ("*/*", 200, "application/json"),
        ("application/*", 200, "application/json"),
        ("text/event-stream", 200, "text/event-stream"),
        ("Text/Event-Stream", 200, "text/event-stream"),
        ("text/event-stream, */*", 200, "text/event-stream"),
        ("text/event-stream;q=0", 406, "application/problem+json"),
        ("text/event-stream;q=0, */*", 200, "application/json"),
        ("application/json, text/event-stream;q=0.5", 200, "application/json"),
        ("application/json;q=0, text/event-stream", 200, "text/event-stream"),
        ("text/html", 406, "application/problem+json"),
        ("*/*;q=0", 406, "application/problem+json"),
        ("application/x-text/event-stream", 406, "application/problem+json"),
    ],
)
async def test_changes_come_in_the_form_that_the_client_likes_best(
    client: Client, accept: str | None, status: int, media: str
) -> None:
    """RFC 9110, 12.5.1. Asked by HEAD, which ends though a stream does not."""
    visitor = client("visitor")
    del visitor.headers["accept"]
    answer = await visitor.head("/api/changes?wait=60", headers={"Accept": accept} if accept else {})
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (status, media)
    if status == 200:
        assert answer.headers["vary"] == "Accept, Authorization"
