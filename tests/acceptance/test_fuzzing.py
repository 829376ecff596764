"""What generators of requests make of our two schemas, against a real server: no 5xx, and nothing undocumented."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import pytest
import schemathesis
from hypothesis import strategies as st
from schemathesis.graphql import nodes

from tests.acceptance.conftest import Server

pytestmark = pytest.mark.conformance

# The same requests every time: what is found is found again.
bounded = hypothesis.settings(
    max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=list(hypothesis.HealthCheck)
)

schemathesis.graphql.scalar("Cursor", st.text(max_size=40).map(nodes.String))
schemathesis.graphql.scalar("Date", st.dates().map(lambda day: nodes.String(day.isoformat())))
schemathesis.graphql.scalar("Time", st.times().map(lambda at: nodes.String(at.isoformat())))
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


# A cursor, an id and an ETag are texts that only this server can make: the schema calls them valid, and we do not.
UNKNOWABLE = "positive_data_acceptance"
NO_WAITING = """
[[operations]]
include-name = "GET /api/changes"
parameters = { wait = 0 }
"""


def test_rest_is_what_its_document_says(shared_server: Server, tmp_path: Path) -> None:
    """As a stranger finds out: every check of schemathesis, every phase, right requests and wrong ones."""
    document = f"{shared_server.url}/api/openapi.json"
    operations = sum(len(path) for path in httpx.get(document, trust_env=False).json()["paths"].values())
    (tmp_path / "schemathesis.toml").write_text(NO_WAITING)
    options = ["--checks=all", f"--exclude-checks={UNKNOWABLE}", "--mode=all", "--max-examples=25", "--no-color"]
    options += ["--generation-deterministic", "--suppress-health-check=all"]
    options += ["--continue-on-failure", "-H", f"Authorization: {shared_server.headers()['Authorization']}"]

    command = [str(Path(sys.executable).with_name("schemathesis")), "run", document, *options]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"Tested: {operations}\n" in ended.stdout


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
