"""Documents by their hash, at every door: registered by clients, and where only those of the operator are answered."""

from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest
from httpx import Response

from graphql_app.domain.media import EVENTS
from graphql_app.embedded import Servers
from graphql_app.graph.http.negotiation import LEGACY, RESPONSE
from tests.graphql_client import Office, running_office, seed, settings_for

ME = "query Me { me { subject } }"
NAMED = "query Named($first: Int) { floors { number } workstations(first: $first) { totalCount } }"
FOLLOW = "subscription Follow { workstationChanges { kind } }"
STRANGE = "{ departments { name } }"


def hashed(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def apq(text: str, **more: Any) -> dict[str, Any]:
    return {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": hashed(text)}}, **more}


@pytest.fixture
async def office(database_url: str, servers: Servers) -> AsyncIterator[Office]:
    """A server that keeps what clients register."""
    async with running_office(settings_for(database_url, servers, persisted_bytes=100_000)) as office:
        yield office


@pytest.fixture
async def strict(database_url: str, servers: Servers, tmp_path: Path) -> AsyncIterator[Office]:
    """A server in production, with a list of trusted documents."""
    path = tmp_path / "documents.json"
    path.write_bytes(orjson.dumps({hashed(text): text for text in (ME, NAMED, FOLLOW)}))
    settings = settings_for(database_url, servers, mode="production", trusted_documents=path)
    async with running_office(settings) as office:
        await seed(office.database)
        yield office


async def post(office: Office, body: dict[str, Any], accept: str = RESPONSE) -> Response:
    return await office.client.post("/graphql", json=body, headers={**office.headers("visitor"), "Accept": accept})


async def get(office: Office, query: dict[str, Any], accept: str = RESPONSE) -> Response:
    pairs = "&".join(
        f"{name}={quote(value if isinstance(value, str) else orjson.dumps(value).decode())}"
        for name, value in query.items()
    )
    return await office.client.get(f"/graphql?{pairs}", headers={**office.headers("visitor"), "Accept": accept})


def code(response: Response) -> str:
    (error,) = response.json()["errors"]
    return str(error["extensions"]["code"])


# --- registered by clients ------------------------------------------------------------------------------------------


async def test_a_client_registers_its_document_and_names_it_from_then_on(office: Office) -> None:
    missed = await get(office, apq(ME), LEGACY)
    assert (missed.status_code, missed.json()["errors"][0]["message"]) == (200, "PersistedQueryNotFound")
    assert missed.headers["cache-control"] == "no-store"

    assert (await post(office, apq(ME, query=ME))).json() == {"data": {"me": {"subject": "visitor"}}}

    assert (await get(office, apq(ME))).json() == {"data": {"me": {"subject": "visitor"}}}
    assert (await post(office, apq(ME))).json() == {"data": {"me": {"subject": "visitor"}}}


async def test_a_get_registers_too_and_its_answer_may_be_kept(office: Office) -> None:
    first = await get(office, apq(NAMED, query=NAMED, variables={"first": 1}))
    again = await get(office, apq(NAMED, variables={"first": 1}))

    assert first.json() == again.json() == {"data": {"floors": [], "workstations": {"totalCount": 0}}}
    assert first.headers["etag"] == again.headers["etag"]


async def test_who_has_no_token_registers_nothing(office: Office) -> None:
    assert (await office.client.post("/graphql", json=apq(ME, query=ME))).status_code == 401

    assert code(await post(office, apq(ME))) == "PERSISTED_QUERY_NOT_FOUND"


async def test_a_hash_that_is_not_that_of_the_query_registers_nothing(office: Office) -> None:
    assert code(await post(office, apq(ME, query=STRANGE))) == "INVALID_INPUT"

    assert code(await post(office, apq(ME))) == "PERSISTED_QUERY_NOT_FOUND"


async def test_what_one_socket_registered_another_door_knows(office: Office) -> None:
    async with office.socket("visitor") as socket:
        socket.send({"id": "1", "type": "subscribe", "payload": apq(ME)})
        (error,) = (await socket.receive())["payload"]
        assert error["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"
        socket.send({"id": "1", "type": "subscribe", "payload": apq(ME, query=ME)})
        assert await socket.payload() == {"data": {"me": {"subject": "visitor"}}}

    assert (await post(office, apq(ME))).json() == {"data": {"me": {"subject": "visitor"}}}


@pytest.mark.parametrize(
    "body", [{}, {"query": None}, {"documentId": 5}, {"query": 5, "documentId": hashed(ME)}, apq(ME, documentId="x")]
)
async def test_a_request_that_names_no_document_is_a_400(office: Office, body: dict[str, Any]) -> None:
    response = await post(office, body)

    assert (response.status_code, code(response)) == (400, "BAD_REQUEST")


async def test_a_socket_that_names_no_document_is_closed(office: Office) -> None:
    async with office.socket("visitor") as socket:
        socket.send({"id": "1", "type": "subscribe", "payload": {"documentId": 5}})
        assert await socket.receive() == (4400, "`documentId` must be a text.")


# --- trusted by the operator ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [{"query": ME}, {"documentId": hashed(ME)}, {"query": "", "documentId": hashed(ME)}, apq(ME), apq(ME, query=ME)],
)
async def test_a_listed_document_is_answered_however_it_is_named(strict: Office, body: dict[str, Any]) -> None:
    for response in (await post(strict, body), await get(strict, body), await post(strict, body, LEGACY)):
        assert response.json() == {"data": {"me": {"subject": "visitor"}}}


async def test_variables_belong_to_a_named_document(strict: Office) -> None:
    body = {"documentId": f"sha256:{hashed(NAMED)}", "operationName": "Named", "variables": {"first": 1}}

    for response in (await post(strict, body), await get(strict, body)):
        assert response.json()["data"]["workstations"]["totalCount"] > 0


@pytest.mark.parametrize(
    "body",
    [{"query": STRANGE}, {"documentId": hashed(STRANGE)}, apq(STRANGE), apq(STRANGE, query=STRANGE)],
)
@pytest.mark.parametrize("accept", [RESPONSE, LEGACY, EVENTS])
async def test_no_other_is_answered_over_http(strict: Office, body: dict[str, Any], accept: str) -> None:
    for response in (await post(strict, body, accept), await get(strict, body, accept)):
        assert code(response) == "DOCUMENT_NOT_TRUSTED"
        assert response.json()["errors"][0]["extensions"]["documentId"] == hashed(STRANGE)
        assert "data" not in response.json()


@pytest.mark.parametrize(
    "text", ["{ __schema { types { name } } }", f"{ME} {STRANGE}", ME.replace("subject", "scopes")]
)
async def test_neither_is_introspection_nor_one_that_resembles_a_listed_one(strict: Office, text: str) -> None:
    assert code(await post(strict, {"query": text})) == "DOCUMENT_NOT_TRUSTED"


async def test_a_socket_answers_and_follows_the_listed_and_no_other(strict: Office) -> None:
    async with strict.socket("visitor") as socket:
        for payload in ({"query": STRANGE}, {"documentId": hashed(STRANGE)}, apq(STRANGE, query=STRANGE)):
            socket.send({"id": "1", "type": "subscribe", "payload": payload})
            refused = await socket.receive()
            assert (refused["type"], refused["payload"][0]["extensions"]["code"]) == ("error", "DOCUMENT_NOT_TRUSTED")
        socket.send({"id": "2", "type": "subscribe", "payload": {"documentId": hashed(FOLLOW)}})
        assert (await socket.payload())["data"]["workstationChanges"]["kind"] == "SNAPSHOT"


async def test_events_follow_a_listed_document(strict: Office) -> None:
    body = {"documentId": hashed(ME)}

    assert (await post(strict, body, EVENTS)).text.startswith('event: next\ndata: {"data":{"me"')


async def test_in_development_the_listed_are_known_and_all_others_answered(
    database_url: str, servers: Servers, tmp_path: Path
) -> None:
    path = tmp_path / "documents.json"
    path.write_bytes(orjson.dumps({hashed(ME): ME}))
    async with running_office(settings_for(database_url, servers, trusted_documents=path)) as office:
        assert (await post(office, {"documentId": hashed(ME)})).json() == {"data": {"me": {"subject": "visitor"}}}
        assert (await post(office, {"query": STRANGE})).json() == {"data": {"departments": []}}
