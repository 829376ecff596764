"""The wheel, built and installed as the image does it: whole, and able to migrate and serve far from the repository."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import ZipFile

import asyncpg
import httpx
import pytest

from graphql_app.embedded import Servers
from graphql_app.store.postgres.migrations import newest
from tests.conftest import with_database

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
BUNDLE = Path("graphql_app/pages/static/bundle")


def copied_into_the_builder() -> list[str]:
    """What docker/Dockerfile gives to the stage that builds the wheel."""
    stage = re.search(r"AS builder\n(.*?)\nFROM ", (ROOT / "docker" / "Dockerfile").read_text(), re.DOTALL)
    assert stage is not None
    return [name for line in re.findall(r"^COPY (?!--)(.+) \S+$", stage[1], re.MULTILINE) for name in line.split()]


def health_check() -> list[str]:
    """What the image gives to its Python to ask whether the server is alive."""
    (command,) = re.findall(r"HEALTHCHECK .*?CMD (\[.*?\])\n", (ROOT / "docker" / "Dockerfile").read_text(), re.DOTALL)
    given: list[str] = json.loads(command)
    assert given[0] == "python"
    return given[1:]


def run(*command: str | Path, cwd: Path, **settings: str) -> str:
    """The output of a command that must succeed; its environment knows nothing of ours."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV", "GRAPHQL_APP_"))}
    done = subprocess.run(
        command, cwd=cwd, env=env | settings, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert (ROOT / BUNDLE / "manifest.json").exists(), "The pages have not been built: run `make pages` first"
    source, made = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in copied_into_the_builder():
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source)
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", made, source, cwd=made)
    (built,) = made.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a fresh environment with the wheel and what it says that it needs, and nothing else."""
    folder = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", folder, cwd=folder)
    run(folder / "bin" / "pip", "install", "--quiet", wheel, cwd=folder)
    return folder / "bin"


@pytest.fixture
async def empty_database_url(servers: Servers) -> AsyncIterator[str]:
    name = f"empty_{uuid.uuid4().hex}"
    admin = await asyncpg.connect(servers.database_url)
    await admin.execute(f"CREATE DATABASE {name}")
    yield with_database(servers.database_url, name)
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


@contextmanager
def serving(installed: Path, folder: Path, settings: dict[str, str]) -> Iterator[str]:
    """The address of a server in production mode, once it is ready."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    env = {"PATH": os.environ["PATH"], **settings, "PORT": str(port), "GRAPHQL_APP_MODE": "production"}
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [installed / "graphql-app", "serve"], cwd=folder, env=env, stdout=output, stderr=subprocess.STDOUT
        )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 30
        while not is_ready(url):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=5, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def test_it_holds_the_migrations_the_types_marker_and_the_pages_and_no_tests(wheel: Path) -> None:
    names = set(ZipFile(wheel).namelist())

    ours = {path.relative_to(ROOT) for path in (ROOT / "alembic").rglob("*") if "__pycache__" not in path.parts}
    for path in ours:
        if (ROOT / path).is_file():
            assert f"graphql_app/{path.as_posix()}" in names
    assert "graphql_app/py.typed" in names
    for file in (ROOT / BUNDLE).iterdir():
        assert (BUNDLE / file.name).as_posix() in names
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"graphql_app"}


def test_it_migrates_an_empty_database_and_serves_in_production_mode(
    installed: Path, empty_database_url: str, environment: dict[str, str], tmp_path: Path
) -> None:
    settings = {**environment, "DATABASE_URL": empty_database_url}

    said = run(installed / "graphql-app", "migrate", cwd=tmp_path, **settings)

    assert said.strip() == f"The database was at migration none and is at {newest()}."
    with serving(installed, tmp_path, {**settings, "GRAPHQL_APP_INTROSPECTION": "true"}) as url:
        page = httpx.get(f"{url}/graphql", headers={"Accept": "text/html"}, trust_env=False).text
        (script,) = re.findall(r'src="(/static/bundle/[^"]+)"', page)
        assert httpx.get(url + script, trust_env=False).status_code == 200
        run(installed / "python", *health_check(), cwd=tmp_path, PORT=url.rpartition(":")[2])
    assert list(tmp_path.iterdir()) == [tmp_path / "server.log"]
