"""GraphQL over HTTP by the audits of the npm package graphql-http, each against a real server."""

import json
from typing import Any

import pytest

from tests.acceptance.conftest import Server
from tests.clients import npm

pytestmark = pytest.mark.conformance


@pytest.fixture(scope="session")
def node() -> str:
    return npm.node()


def test_every_audit_passes(node: str, server: Server) -> None:
    results: list[dict[str, Any]] = json.loads(
        npm.run(node, "audit.js", f"{server.url}/graphql", server.token("visitor"))
    )

    assert len(results) == 61
    assert [result for result in results if result["status"] != "ok"] == []
