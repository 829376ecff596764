"""What operators rely on: health, metrics, a clean end."""

import time
from pathlib import Path

import httpx
import pytest

from tests.acceptance.conftest import Server, StartServer
from tests.conftest import disposable

READS = {"query": "{ me { subject } }"}


def metrics(server: Server) -> dict[str, float]:
    text = httpx.get(f"{server.url}/metrics", headers=server.headers("operator")).text
    lines = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in lines}


READS_COUNTED = 'graphql_app_operations_total{kind="query",result="ok"}'


@pytest.mark.parametrize("workers", ["1", "2"])
def test_metrics_are_summed_over_all_workers(start_server: StartServer, workers: str) -> None:
    server = start_server(WORKERS=workers)
    for _ in range(8):  # a connection each, so that both workers get some
        httpx.post(f"{server.url}/graphql", json=READS, headers=server.headers())
    # A worker may still be starting when the other one answers, and says once a second what it has counted.
    expected = {"graphql_app_broadcast_connected": float(workers), READS_COUNTED: 8.0}
    deadline = time.monotonic() + 15
    while not expected.items() <= (lines := metrics(server)).items():
        assert time.monotonic() < deadline, lines
        time.sleep(0.1)
    assert lines["graphql_app_feed_leading"] == 1
    assert httpx.get(f"{server.url}/metrics").status_code == 401
    assert httpx.get(f"{server.url}/metrics", headers=server.headers("visitor")).status_code == 403


def test_sigterm_ends_it_with_nothing_left_behind(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(WORKERS="2", TMPDIR=str(tmp_path))
    assert list(tmp_path.glob("graphql-app-metrics-*"))
    assert server.stop() == 0
    assert not list(tmp_path.glob("graphql-app-metrics-*"))
    assert "Traceback" not in server.log.read_text()


def test_readiness_says_503_and_which_part_when_the_database_is_gone(start_server: StartServer) -> None:
    with disposable() as own:
        server = start_server(DATABASE_URL=own.servers.database_url)
        own.postgres.stop()
        answer = httpx.get(f"{server.url}/readyz", timeout=20)
        assert answer.status_code == 503
        assert {name for name, check in answer.json()["checks"].items() if not check["ok"]} == {
            "database",
            "migrations",
            "feed",
        }
        query = httpx.post(
            f"{server.url}/graphql", json={"query": "{ departments { name } }"}, headers=server.headers()
        )
        assert query.json()["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
        assert httpx.get(f"{server.url}/healthz").status_code == 200
        own.postgres.start()
        assert httpx.get(f"{server.url}/readyz", timeout=20).json()["checks"]["database"]["ok"]
        assert "Traceback" not in server.log.read_text()
