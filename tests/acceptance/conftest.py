"""Real server processes: `graphql-app serve` on a free port, over a fresh database and the test's Valkey."""

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx
import pytest

from graphql_app.domain.access import ROLES
from graphql_app.embedded import Servers
from graphql_app.services.identity.identify import Identify
from graphql_app.services.identity.keys import KeyRing
from graphql_app.testing import new_key
from tests import histories
from tests.conftest import with_database

START_SECONDS = 30


@dataclass
class Server:
    """One `graphql-app serve`, its own leader of a process group."""

    process: "subprocess.Popen[bytes]"
    url: str
    database_url: str
    log: Path
    identify: Identify
    secret: str

    @property
    def ws_url(self) -> str:
        return self.url.replace("http", "ws", 1) + "/graphql"

    def token(self, role: str, seconds: float = 600) -> str:
        return self.identify.issue(role, [role], seconds=seconds)

    def headers(self, role: str = "admin") -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(role)}"}

    def kill(self) -> None:
        """SIGKILL to all its processes."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.returncode


StartServer = Callable[..., Server]


def environment_for(database_url: str, redis_url: str) -> dict[str, str]:
    """What a server process is given; two processes with the same one are one installation."""
    return {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "PORT": "0",
        "GRAPHQL_APP_SECRET": secrets.token_urlsafe(32),
        "GRAPHQL_APP_TOKEN_PRIVATE_KEY": new_key(),
        "GRAPHQL_APP_SEED": "false",
    }


@pytest.fixture
def environment(servers: Servers, database_url: str) -> dict[str, str]:
    return environment_for(database_url, servers.redis_url)


SERVE = ("-m", "graphql_app", "serve")


def started(environment: dict[str, str], log: Path, program: Sequence[str] = SERVE) -> Server:
    """A server process, which has still to find its port; `address_of` waits for that."""
    env = {**{k: v for k, v in os.environ.items() if not k.startswith("GRAPHQL_APP_")}, **environment}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *program],
            env=env,
            cwd=log.parent,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    identify = Identify(
        KeyRing.read(env["GRAPHQL_APP_TOKEN_PRIVATE_KEY"]),
        issuer="graphql_app",
        audience="graphql_app",
        roles={**ROLES, **json.loads(env.get("GRAPHQL_APP_ROLES", "{}"))},
    )
    return Server(process, "", env["DATABASE_URL"], log, identify, env["GRAPHQL_APP_SECRET"])


@pytest.fixture
def start_server(environment: dict[str, str], tmp_path: Path) -> Iterator[StartServer]:
    """Starts server processes; all that still run are stopped at the end."""
    running: list[Server] = []

    def start(**settings: str) -> Server:
        server = started(environment | settings, tmp_path / f"server-{len(running)}.log")
        running.append(server)
        server.url = address_of(server)
        return server

    yield start
    for server in running:
        server.stop()


@contextmanager
def fresh(servers: Servers, template: str) -> Iterator[str]:
    """The URL of a migrated database, for a whole module."""
    name = f"test_{secrets.token_hex(8)}"
    asyncio.run(_execute(servers.database_url, f"CREATE DATABASE {name} TEMPLATE {template}"))
    try:
        yield with_database(servers.database_url, name)
    finally:
        asyncio.run(_execute(servers.database_url, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(scope="module")
def shared_server(servers: Servers, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all tests of a module which do not mind what the others leave there, with the office in it."""
    with fresh(servers, template) as url:
        asyncio.run(_execute(url, OFFICE))
        server = started(environment_for(url, servers.redis_url), tmp_path_factory.mktemp("shared") / "server.log")
        try:
            server.url = address_of(server)
            yield server
        finally:
            server.stop()


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()


def address_of(server: Server) -> str:
    """Waits until the server says where it is and answers there."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.process.poll() is None:
        for line in server.log.read_text().splitlines():
            if line.strip().startswith(("GraphiQL", "GraphQL")):
                url = line.split()[-1].removesuffix("/graphql")
                try:
                    if httpx.get(f"{url}/readyz", timeout=5).status_code == 200:
                        return url
                except httpx.TransportError:
                    break
        time.sleep(0.05)
    raise AssertionError(f"the server did not start:\n{server.log.read_text()}")


@pytest.fixture
def server(start_server: StartServer) -> Server:
    return start_server()


OFFICE = """
INSERT INTO buildings (name, time_zone) VALUES ('总部A座', 'Asia/Shanghai'), ('Riverside', 'Europe/London');
INSERT INTO floors (building, number, name) VALUES ('总部A座', 3, '三楼'), ('总部A座', 4, '四楼'), ('Riverside', 1, '');
INSERT INTO departments (name) VALUES ('研发'), ('Sales');
INSERT INTO employees (employee_number, name, department_id)
    SELECT 'E' || lpad(i::text, 4, '0'), '员工' || i, 1 + i % 2 FROM generate_series(1, 20) i;
INSERT INTO workstations (name, x_position, y_position, building, floor_number, department_id)
    SELECT 'A3-' || i, i * 130, 40, '总部A座', 3, 1 FROM generate_series(1, 100) i;
INSERT INTO workstations (name, x_position, y_position, building, floor_number, department_id)
    SELECT 'R1-' || i, i * 130, 40, 'Riverside', 1, 2 FROM generate_series(1, 20) i;
"""


@pytest.fixture
async def office(database_url: str) -> None:
    """A small office: 总部A座 floor 3 has 100 workstations, floor 4 none, Riverside floor 1 has 20."""
    connection = await asyncpg.connect(database_url)
    await connection.execute(OFFICE)
    await connection.close()


# --- for histories ---------------------------------------------------------------------------------------------------


@pytest.fixture
async def psql(database_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection to the office of the histories."""
    await histories.furnish(database_url)
    connection = await asyncpg.connect(database_url)
    yield connection
    connection.terminate()


@pytest.fixture
def secret(environment: dict[str, str]) -> str:
    return environment["GRAPHQL_APP_SECRET"]
