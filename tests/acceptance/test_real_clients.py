"""Apollo Client, urql, Relay and graphql-sse, each as its documentation has it, against a real server."""

from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import asyncpg
import httpx
import pytest

from tests.acceptance.conftest import Server, StartServer
from tests.acceptance.fixtures import cable
from tests.accounts import HASH, LOGIN, PASSWORD
from tests.clients import npm
from tests.clients.npm import Kit

pytestmark = pytest.mark.conformance

Sql: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

KITS = ["apollo", "urql", "relay", "graphql-sse"]


@pytest.fixture(scope="session")
def node() -> str:
    node = npm.node()
    npm.compile_relay(node)
    return node


@pytest.fixture
async def sql(database_url: str) -> AsyncIterator[Sql]:
    """What another program does to the database, past the server."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture(params=KITS)
async def kit(node: str, request: pytest.FixtureRequest) -> AsyncIterator[Kit]:
    async with npm.kit(node, request.param) as kit:
        yield kit


async def heard(kit: Kit) -> dict[str, Any]:
    feed: dict[str, Any] = (await kit.data("follow"))["workstationChanges"]
    return feed


@pytest.mark.usefixtures("office")
async def test_it_asks_and_changes_and_is_told_what_was_refused(kit: Kit, server: Server) -> None:
    kit.do("open", url=f"{server.url}/graphql", token=server.token("admin"))

    first, second = (await kit.ask("query", "desks"))["workstations"]["nodes"]
    assert [first["name"], second["name"]] == ["A3-1", "A3-2"]

    changed = (await kit.ask("mutate", "occupy", {"id": first["id"]}))["setWorkstationStatus"]
    assert changed["workstation"]["status"] == "OCCUPIED"
    unknown = (await kit.ask("mutate", "occupy", {"id": "V29ya3N0YXRpb246OTk5OTk"}))["setWorkstationStatus"]
    assert unknown["__typename"] in ("NotFound", "InvalidInput")

    kit.do("query", id="tooMany", name="tooMany")
    assert "at most 500" in await kit.refusal("tooMany")


@pytest.mark.usefixtures("office")
async def test_it_follows_a_floor_and_comes_back_when_the_network_does(kit: Kit, server: Server, sql: Sql) -> None:
    async with cable.laid(server.url) as (url, line):
        kit.do("open", url=f"{url}/graphql", token=server.token("admin"))
        kit.do("subscribe", id="follow", name="follow")
        assert len((await heard(kit))["workstations"]) == 100

        await sql.execute("UPDATE workstations SET notes = 'before' WHERE name = 'A3-7'")
        assert [row["notes"] for row in (await heard(kit))["workstations"]] == ["before"]

        line.cut()
        await sql.execute("UPDATE workstations SET notes = 'meanwhile' WHERE name = 'A3-7'")
        again = await heard(kit)
        assert again["kind"] == "SNAPSHOT"
        assert [row["notes"] for row in again["workstations"] if row["name"] == "A3-7"] == ["meanwhile"]

        await sql.execute("UPDATE workstations SET notes = 'after' WHERE name = 'A3-7'")
        assert [row["notes"] for row in (await heard(kit))["workstations"]] == ["after"]


@pytest.mark.usefixtures("office")
async def test_apollo_registers_its_documents_and_goes_on_with_their_hashes(
    node: str, start_server: StartServer
) -> None:
    server = start_server(GRAPHQL_APP_PERSISTED_BYTES="1000000")
    async with npm.kit(node, "apollo") as kit:
        kit.do("open", url=f"{server.url}/graphql", token=server.token("admin"), persisted=True)
        for _ in range(2):
            first, second = (await kit.ask("query", "desks"))["workstations"]["nodes"]
            assert [first["name"], second["name"]] == ["A3-1", "A3-2"]
        changed = (await kit.ask("mutate", "occupy", {"id": first["id"]}))["setWorkstationStatus"]
        assert changed["workstation"]["status"] == "OCCUPIED"

    async with httpx.AsyncClient(base_url=server.url, headers=server.headers()) as operator:
        counted = (await operator.get("/metrics")).text
    # Each of the two documents was unknown by its hash just once.
    assert 'graphql_app_operations_total{kind="invalid",result="error"} 2.0' in counted
    assert 'graphql_app_operations_total{kind="query",result="ok"} 2.0' in counted


@pytest.mark.usefixtures("office")
@pytest.mark.parametrize("name", ["apollo", "urql"])
async def test_a_login_is_kept_up_while_its_access_tokens_end(
    node: str, start_server: StartServer, sql: Sql, name: str
) -> None:
    server = start_server(GRAPHQL_APP_ACCESS_SECONDS="2")
    await sql.execute("INSERT INTO accounts (name, password_hash, role) VALUES ('ada', $1, 'admin')", HASH)
    async with httpx.AsyncClient() as http:
        asked = {"query": LOGIN, "variables": {"name": "ada", "password": PASSWORD}}
        given = (await http.post(f"{server.url}/graphql", json=asked)).json()["data"]["login"]
    async with npm.kit(node, name) as kit:
        kit.do("open", url=f"{server.url}/graphql", token=given["accessToken"], refreshToken=given["refreshToken"])
        kit.do("subscribe", id="follow", name="follow")
        for _ in range(3):
            # The socket is closed with 4401, and what followed on it follows again.
            assert (await heard(kit))["kind"] == "SNAPSHOT"
            assert (await kit.ask("query", "desks"))["workstations"]["nodes"]
        await sql.execute("UPDATE workstations SET notes = 'after' WHERE name = 'A3-7'")
        assert [row["notes"] for row in (await heard(kit))["workstations"]] == ["after"]
        assert await kit.ask("renewals", "renewals") >= 2


async def test_it_is_told_that_its_token_is_not_valid(kit: Kit, shared_server: Server) -> None:
    kit.do("open", url=f"{shared_server.url}/graphql", token="nonsense")
    kit.do("query", id="desks", name="desks")
    kit.do("subscribe", id="follow", name="follow")

    said = await kit.refusal("desks")
    assert "This is not a token: send a signed JWT." in said or "401: Unauthorized" in said  # graphql-sse reads no body
    assert await kit.refusal("follow")
