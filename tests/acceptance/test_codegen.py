"""A TypeScript client generated from the committed schema: it compiles, it is exhaustive, and it works."""

import json
import shutil

import graphql
import httpx
import pytest

from tests.acceptance.conftest import Server, StartServer
from tests.clients import npm
from tests.clients.npm import HERE, run

pytestmark = pytest.mark.conformance

GENERATED = HERE / "generated"
BIN = HERE / "node_modules" / ".bin"

TOUR = """\
floor: 四楼, 0 of 0
people: admin sees E0001
followed: CHANGES []
counted: 0
create: T-1 is AVAILABLE, version 1
followed: CHANGES [T-1]
counted: 1
create again: NameTaken
update: T-1 is AVAILABLE, version 2
update late: allowed: -; current version: 2
assign: T-1 is OCCUPIED, version 3
release: T-1 is AVAILABLE, version 4
set status: T-1 is MAINTENANCE, version 5
set status wrongly: allowed: AVAILABLE; current version: 5
page: T-1 of 1
delete: true
delete again: NotFound
told: SNAPSHOT
publish: NotificationPublished
told: Fire drill
present: 1
log in: Unauthenticated
renew: Unauthenticated
log out without a login: InvalidInput
revoke: NotFound
"""


@pytest.fixture(scope="session")
def node() -> str:
    return npm.node()


@pytest.fixture(scope="module")
def generated(node: str) -> None:
    """The client, generated anew."""
    shutil.rmtree(GENERATED, ignore_errors=True)
    run(node, str(BIN / "graphql-codegen"), "--config", "codegen.yml")


def test_every_mutation_and_subscription_is_among_the_operations() -> None:
    schema = graphql.build_schema((HERE.parents[1] / "schema.graphql").read_text())
    assert schema.mutation_type is not None
    assert schema.subscription_type is not None
    operations = graphql.parse("".join(file.read_text() for file in (HERE / "operations").glob("*.graphql")))
    used = {
        selection.name.value
        for operation in operations.definitions
        if isinstance(operation, graphql.OperationDefinitionNode)
        for selection in operation.selection_set.selections
        if isinstance(selection, graphql.FieldNode)
    }
    assert {*schema.mutation_type.fields, *schema.subscription_type.fields} - used == set()


@pytest.mark.usefixtures("generated")
def test_the_generated_client_compiles_with_switches_over_every_union(node: str) -> None:
    run(node, str(BIN / "tsc"), "--noEmit", "--strict")


@pytest.mark.usefixtures("generated", "office")
def test_the_generated_client_runs_every_operation_on_a_live_server(node: str, server: Server) -> None:
    run(node, str(BIN / "tsc"))
    told = run(node, "generated/js/src/tour.js", f"{server.url}/graphql", server.token("admin"))
    assert told == TOUR


@pytest.mark.usefixtures("generated", "office")
def test_its_manifest_makes_a_server_that_answers_this_client_and_no_other(
    node: str, start_server: StartServer
) -> None:
    manifest = str(GENERATED / "persisted-documents.json")
    server = start_server(GRAPHQL_APP_MODE="production", GRAPHQL_APP_TRUSTED_DOCUMENTS=manifest)
    run(node, str(BIN / "tsc"))

    told = run(node, "generated/js/src/tour.js", f"{server.url}/graphql", server.token("admin"), "hashes")
    other = httpx.post(f"{server.url}/graphql", json={"query": "{ me { subject } }"}, headers=server.headers())

    assert told == TOUR
    assert other.json()["errors"][0]["extensions"]["code"] == "DOCUMENT_NOT_TRUSTED"


@pytest.mark.usefixtures("office")
def test_the_manifest_of_relay_makes_a_server_that_answers_what_is_in_it(node: str, start_server: StartServer) -> None:
    listed = npm.relay_manifest(node)
    server = start_server(GRAPHQL_APP_MODE="production", GRAPHQL_APP_TRUSTED_DOCUMENTS=str(listed))
    (digest,) = (name for name, text in json.loads(listed.read_text()).items() if "officeDesksQuery" in text)

    answer = httpx.post(f"{server.url}/graphql", json={"documentId": digest}, headers=server.headers())

    assert [desk["name"] for desk in answer.json()["data"]["workstations"]["nodes"]] == ["A3-1", "A3-2"]


def test_the_lock_file_names_no_registry() -> None:
    assert "http" not in "".join(
        line for line in (HERE / "package-lock.json").read_text().splitlines() if '"resolved"' in line
    )
