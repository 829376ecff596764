"""The committed schema by other people's rules: linters, Relay's compiler, and what breaks the clients of a release."""

import json
import shutil

import pytest

from tests.clients import npm
from tests.clients.npm import HERE, run

pytestmark = pytest.mark.conformance

SCHEMA = HERE.parents[1] / "schema.graphql"
# The schema of the last release; replaced by a copy of schema.graphql when a version is released.
RELEASED = HERE / "released.graphql"

# The one name that a rule would have otherwise: the company calls its employees by it on every type.
NAMED_AFTER_ITS_TYPE = 'Field "employeeNumber" starts with the name of the parent type "Employee"'


@pytest.fixture(scope="session")
def node() -> str:
    return npm.node()


def test_graphql_schema_linter_finds_nothing_but_another_order(node: str) -> None:
    """Fields stand in the order in which a reader wants to meet them, the id first."""
    linter = "node_modules/graphql-schema-linter/lib/cli.js"
    report = json.loads(run(node, linter, "--format", "json", str(SCHEMA), exit_codes=(0, 1)))

    assert [found for found in report["errors"] if not found["rule"].endswith("-sorted-alphabetically")] == []


def test_the_recommended_rules_of_graphql_eslint_find_nothing_but_one_name(node: str) -> None:
    eslint = "node_modules/eslint/bin/eslint.js"
    copy = HERE / "generated" / "schema.graphql"
    copy.parent.mkdir(exist_ok=True)
    shutil.copyfile(SCHEMA, copy)
    report = json.loads(run(node, eslint, "--format", "json", str(copy), exit_codes=(0, 1)))

    assert [found["message"] for file in report for found in file["messages"]] == [NAMED_AFTER_ITS_TYPE]


def test_nothing_breaks_the_clients_of_the_last_release(node: str) -> None:
    changes = json.loads(run(node, "breaking.js", str(RELEASED), str(SCHEMA)))

    assert [change for change in changes if change["level"] == "BREAKING"] == []


def test_relay_compiles_against_it_with_connections_and_refetching(node: str) -> None:
    npm.compile_relay(node)

    made = {file.name.split(".")[0] for file in (HERE / "compiled").iterdir()}
    assert {"officeWorkstationsPaginationQuery", "officeWorkstationRefetchQuery"} <= made
