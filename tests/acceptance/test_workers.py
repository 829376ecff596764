"""Several workers of one `serve`: who dies is replaced, who is slow to start is not, and the log says what was done."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.acceptance.conftest import Server, StartServer, started

REPLACED_SECONDS = 5.0
START_SECONDS = 60.0
PATIENCE_OF_UVICORN_SECONDS = 5.0


def lines(server: Server, pattern: str) -> list[str]:
    return [line for line in server.log.read_text().splitlines() if re.search(pattern, line)]


def until(holds: Callable[[], object], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def workers(server: Server) -> list[int]:
    """Those that run; what multiprocessing itself keeps running is none."""
    return [
        one.pid
        for one in psutil.Process(server.process.pid).children()
        if one.status() != psutil.STATUS_ZOMBIE and any("spawn_main" in part for part in one.cmdline())
    ]


def ready(server: Server, count: int) -> bool:
    return len(lines(server, r"worker \d+ is ready")) == count


def both_ready(server: Server) -> None:
    until(lambda: ready(server, 2), START_SECONDS, "both workers are ready")


def test_a_worker_that_is_killed_is_replaced_within_5_seconds_and_the_log_says_so(start_server: StartServer) -> None:
    server = start_server(WORKERS="2")
    both_ready(server)
    before = workers(server)
    os.kill(before[0], signal.SIGKILL)
    until(lambda: len(set(workers(server)) - {before[0]}) == 2, REPLACED_SECONDS, "another was started")
    assert lines(server, rf"worker {before[0]} has ended, by SIGKILL: starting another")
    until(lambda: ready(server, 3), START_SECONDS, "it is ready")
    assert len(lines(server, "starting another")) == 1


@pytest.mark.conformance
def test_sighup_replaces_the_workers_one_after_the_other(start_server: StartServer) -> None:
    server = start_server(WORKERS="2")
    both_ready(server)
    before = workers(server)
    server.process.send_signal(signal.SIGHUP)
    until(lambda: set(before) - set(workers(server)), START_SECONDS, "the first leaves")
    until(lambda: ready(server, 4), START_SECONDS, "both are replaced")
    assert not set(workers(server)) & set(before)
    time.sleep(1)
    assert len(lines(server, "starting another")) == 2


def test_a_worker_that_hangs_is_replaced_within_5_seconds_and_the_log_says_so(start_server: StartServer) -> None:
    server = start_server(WORKERS="2")
    both_ready(server)
    hung = workers(server)[0]
    os.kill(hung, signal.SIGSTOP)
    until(lambda: hung not in workers(server) and len(workers(server)) == 2, REPLACED_SECONDS, "another was started")
    assert lines(server, rf"worker {hung} has not been heard for .* s: starting another")
    until(lambda: ready(server, 3), START_SECONDS, "it is ready")


def test_workers_that_take_long_to_import_are_waited_for(environment: dict[str, str], tmp_path: Path) -> None:
    """Stopped for longer than uvicorn's own supervisor would wait: as on a machine that has too much to do."""
    server = started(environment | {"WORKERS": "2"}, tmp_path / "server.log")
    try:
        until(lambda: len(workers(server)) == 2, START_SECONDS, "both were started")
        slow = workers(server)
        for pid in slow:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(PATIENCE_OF_UVICORN_SECONDS + 2)
        for pid in slow:
            os.kill(pid, signal.SIGCONT)
        both_ready(server)
        assert workers(server) == slow
        assert not lines(server, "starting another")
    finally:
        server.stop()


@pytest.mark.conformance
def test_a_parent_that_was_stopped_together_with_its_workers_takes_none_of_them_for_dead(
    start_server: StartServer,
) -> None:
    """Ctrl-Z, or a machine that sleeps."""
    server = start_server(WORKERS="2")
    both_ready(server)
    before = workers(server)
    os.killpg(server.process.pid, signal.SIGSTOP)
    time.sleep(REPLACED_SECONDS + 1)
    os.killpg(server.process.pid, signal.SIGCONT)
    time.sleep(1)
    assert workers(server) == before
    assert not lines(server, "starting another")


def test_workers_whose_parent_is_killed_end_too(start_server: StartServer) -> None:
    server = start_server(WORKERS="2")
    both_ready(server)
    left = [psutil.Process(pid) for pid in workers(server)]
    server.process.kill()
    server.process.wait()
    _, alive = psutil.wait_procs(left, 15)
    for one in alive:
        one.kill()
    assert not alive


def test_workers_that_cannot_start_end_serve_with_one_line(environment: dict[str, str], tmp_path: Path) -> None:
    """The port is free, both servers are there; only within the worker it fails."""
    fails = tmp_path / "sitecustomize.py"
    fails.write_text(
        "import sys\nif any('spawn_main' in part for part in sys.orig_argv):\n    sys.modules['fastapi'] = None\n"
    )
    server = started(environment | {"WORKERS": "2", "PYTHONPATH": str(tmp_path)}, tmp_path / "server.log")
    try:
        assert server.process.wait(START_SECONDS) == 1
    except subprocess.TimeoutExpired:
        server.kill()
        raise
    text = server.log.read_text()
    assert text.splitlines()[-1] == "graphql-app: the workers do not start: the log says why"
    assert "starting another" not in text
