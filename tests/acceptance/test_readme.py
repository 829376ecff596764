"""What the README shows works as it stands there, on the demo office."""

import asyncio
import json
import re
import shutil
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.acceptance.conftest import Server, StartServer
from tests.clients import npm

README = (Path(__file__).parents[2] / "README.md").read_text()
LINE_SECONDS = 20.0


def block(language: str, holding: str = "") -> str:
    """The one block of that language, or the one that holds such words."""
    (found,) = [one for one in re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL) if holding in one]
    return str(found)


@pytest.fixture
def server(start_server: StartServer) -> Server:
    return start_server(GRAPHQL_APP_SEED="true")


@asynccontextmanager
async def running(
    server: Server, program: list[str], text: str, folder: Path | None = None, token: str = ""
) -> AsyncIterator[asyncio.StreamReader]:
    """The program, given what the README says but for the address. Yields what it prints, warnings too."""
    environment: Mapping[str, str] = {
        "TOKEN": token or server.token("admin"),
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "PYTHONUNBUFFERED": "1",
        "LC_ALL": "C.UTF-8",
    }
    process = await asyncio.create_subprocess_exec(
        *program, stdin=PIPE, stdout=PIPE, stderr=STDOUT, limit=2**20, env=environment, cwd=folder
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(text.replace("127.0.0.1:8080", server.url.removeprefix("http://")).encode())
    process.stdin.close()
    try:
        yield process.stdout
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def line(output: asyncio.StreamReader) -> str:
    async with asyncio.timeout(LINE_SECONDS):
        return (await output.readline()).decode()


async def changed(server: Server) -> None:
    """As the README changes a desk of the floor that its programs follow."""
    async with httpx.AsyncClient() as http:
        answer = await http.post(
            f"{server.url}/graphql",
            json={"query": block("graphql", "MAINTENANCE")},
            headers=server.headers(),
            timeout=LINE_SECONDS,
        )
    assert answer.json()["data"]["setWorkstationStatus"]["__typename"] == "WorkstationChanged"


async def test_who_logs_in_is_given_tokens(server: Server) -> None:
    variables = {"name": "admin", "password": "demo office"}
    async with httpx.AsyncClient(base_url=server.url, timeout=LINE_SECONDS) as http:
        asked = {"query": block("graphql", "login"), "variables": variables}
        given = (await http.post("/graphql", json=asked)).json()["data"]["login"]
        assert given["viewer"] == {"roles": ["admin"]}
        headers = {"Authorization": f"Bearer {given['accessToken']}"}
        answer = await http.post("/graphql", json={"query": "{ me { subject } }"}, headers=headers)
    assert answer.json() == {"data": {"me": {"subject": "admin"}}}


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize("address", ["8080/graphql", "8080/api/changes"])
async def test_what_is_asked_with_curl_is_answered(server: Server, address: str) -> None:
    async with running(server, ["bash"], block("sh", address)) as output:
        answer = json.loads(await output.read())

    assert (answer["data"]["floor"] if "data" in answer else answer)["workstations"]


async def test_the_program_in_python_follows_the_floor(server: Server) -> None:
    async with running(server, [sys.executable, "-"], block("python")) as output:
        assert "'SNAPSHOT'" in await line(output)
        await changed(server)
        assert "'CHANGES'" in await line(output)


@pytest.mark.conformance
async def test_the_program_in_javascript_follows_the_floor(server: Server) -> None:
    command = [npm.node(), "--input-type=module", "-"]
    async with running(server, command, block("js"), npm.HERE) as output:
        assert "SNAPSHOT" in await line(output)
        await changed(server)
        assert re.match(r"CHANGES 1 ", await line(output))
