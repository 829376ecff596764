"""What generators of requests make of our two schemas, against a real server: no 5xx, and nothing undocumented."""

from collections.abc import Callable
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.graphql import nodes
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from tests.acceptance.conftest import Server

pytestmark = pytest.mark.conformance

# The same requests every time: what is found is found again.
bounded = hypothesis.settings(
    max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=list(hypothesis.HealthCheck)
)

schemathesis.graphql.scalar("Cursor", st.text(max_size=40).map(nodes.String))
schemathesis.graphql.scalar("DateTime", st.datetimes().map(lambda at: nodes.String(at.isoformat() + "Z")))
schemathesis.graphql.scalar("JSON", st.text(max_size=20).map(nodes.String) | st.integers().map(nodes.Int))


def asked(schema: Any, check: Callable[[Any], None]) -> set[str]:
    """Asks every operation of the schema whatever there is to ask. Returns which there are."""
    labels = set()
    for found in schema.get_all_operations():
        operation = found.ok()
        labels.add(operation.label)
        bounded(hypothesis.given(operation.as_strategy())(check))()  # type: ignore[no-untyped-call]
    return labels


def test_a_rest_door_answers_whatever_it_is_asked(shared_server: Server) -> None:
    def check(case: Any) -> None:
        if case.path == "/api/changes":
            case.query = {**(case.query or {}), "wait": 0}
        response = case.call(headers=shared_server.headers(), timeout=10)
        case.validate_response(
            response, checks=[not_a_server_error, content_type_conformance, response_schema_conformance]
        )
        assert "Traceback" not in response.text

    labels = asked(schemathesis.openapi.from_url(f"{shared_server.url}/api/openapi.json"), check)

    assert {"GET /api/workstations", "PUT /api/workstations/{id}", "GET /api/changes"} <= labels


def test_graphql_answers_whatever_it_is_asked(shared_server: Server) -> None:
    def check(case: Any) -> None:
        response = case.call(headers=shared_server.headers(), timeout=10)
        assert response.status_code in (200, 400), response.text
        codes = {error["extensions"]["code"] for error in response.json().get("errors", ())}
        assert "INTERNAL" not in codes, response.text

    url = f"{shared_server.url}/graphql"
    labels = asked(schemathesis.graphql.from_url(url, headers=shared_server.headers()), check)

    assert {"Query.workstations", "Mutation.createWorkstation"} <= labels


def test_nothing_that_was_asked_left_a_traceback_in_the_log(shared_server: Server) -> None:
    assert "Traceback" not in shared_server.log.read_text()
