"""What `docs/start/` shows runs as it stands there, and resumes over a server that was killed."""

import json
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.conftest import Server, StartServer
from tests.acceptance.test_readme import LINE_SECONDS, block, changed, line, running
from tests.clients import npm

START = Path(__file__).parents[2] / "docs" / "start"

FLOOR = '{ floor(building: "总部A座", number: 3) { workstations { id name status } } }'
(CHANGED,) = re.findall(r'id: "(.*?)"', block("graphql", "MAINTENANCE"))

Command = Callable[[Path], list[str]]


def python(folder: Path) -> list[str]:
    return [sys.executable, "-"]


def node(folder: Path) -> list[str]:
    """Node, in a folder where the page's `npm install` has been done."""
    command = npm.node()
    (folder / "node_modules").symlink_to(npm.HERE / "node_modules")
    return [command, "--input-type=module", "-"]


def program_of(page: str, language: str) -> str:
    (program,) = re.findall(rf"```{language}\n(.*?)```", (START / page).read_text(), re.DOTALL)
    return str(program)


def kept(folder: Path) -> dict[str, dict[str, str]]:
    """The desks that the program has written down, by id."""
    return dict(json.loads((folder / "desks.json").read_text())["desks"])


async def asked(server: Server, query: str) -> Any:
    async with httpx.AsyncClient(timeout=LINE_SECONDS) as http:
        answer = await http.post(f"{server.url}/graphql", json={"query": query}, headers=server.headers())
    return answer.json()["data"]


every_language = pytest.mark.parametrize(
    ("page", "language", "command"),
    [
        pytest.param("resume.md", "python", python, id="python"),
        pytest.param("javascript.md", "js", node, id="javascript", marks=pytest.mark.conformance),
    ],
)


@every_language
async def test_the_resume_loop_hears_what_happened_while_it_was_cut_off(
    page: str, language: str, command: Command, start_server: StartServer, tmp_path: Path
) -> None:
    program, started = program_of(page, language), command(tmp_path)
    server = start_server(GRAPHQL_APP_SEED="true", GRAPHQL_APP_SNAPSHOT_PART="10")
    port = server.url.rpartition(":")[2]

    async with running(server, started, program, tmp_path) as output:
        assert (await line(output)).startswith("SNAPSHOT ")
        before = kept(tmp_path)
        assert len(before) > 10  # so that it came in parts
        server.kill()
        assert (await line(output)).startswith("again, because ")
        other = start_server()  # the change is made where the program is not
        await changed(other)
        gone = next(one for one in before if one != CHANGED)
        told = await asked(other, f'mutation {{ deleteWorkstation(id: "{gone}") {{ __typename }} }}')
        assert told == {"deleteWorkstation": {"__typename": "WorkstationDeleted"}}
        other.stop()
        server_at = start_server(PORT=port)
        found = await line(output)
        while found.startswith("again, because "):
            found = await line(output)
        assert found == f"CHANGES {len(before) - 1} MAINTENANCE\n"
        floor = await asked(server_at, FLOOR)
        assert kept(tmp_path) == {one["id"]: one for one in floor["floor"]["workstations"]}

    # The program itself begins again, and has nothing to load anew.
    async with running(server_at, started, program, tmp_path) as output:
        assert await line(output) == f"CHANGES {len(before) - 1}\n"


@every_language
async def test_the_resume_loop_ends_when_its_token_is_refused(
    page: str, language: str, command: Command, start_server: StartServer, tmp_path: Path
) -> None:
    program, started = program_of(page, language), command(tmp_path)
    server = start_server(GRAPHQL_APP_SEED="true")

    async with running(server, started, program, tmp_path, token="no-such-token") as output:
        assert (await line(output)).startswith("the token is refused: ")
        assert await line(output) == ""
    async with running(server, started, program, tmp_path, token=server.token("admin", seconds=5)) as output:
        assert (await line(output)).startswith("SNAPSHOT ")
        assert (await line(output)).startswith("the token is refused: ")
        assert await line(output) == ""


@pytest.mark.conformance
async def test_the_generated_types_compile_and_follow_a_floor(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(GRAPHQL_APP_SEED="true")
    program = generating(server, tmp_path)
    generate, compile_, run = commands(tmp_path)
    npm.run(*generate, folder=tmp_path, environment={"TOKEN": server.token("admin")})
    npm.run(*compile_, folder=tmp_path)

    async with running(server, run, "", tmp_path) as output:
        assert re.fullmatch(r"\d+ desks\n", await line(output))
        await changed(server)
        assert re.fullmatch(r"\S+ MAINTENANCE 20\d\d\n", await line(output))

    program.write_text(program.read_text().replace("desk.status", "desk.state"))
    assert "'state' does not exist" in npm.run(*compile_, folder=tmp_path, exit_codes=(1, 2))


@pytest.mark.conformance
async def test_a_scalar_without_a_type_stops_the_generation(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(GRAPHQL_APP_SEED="true")
    generating(server, tmp_path)
    config = tmp_path / "codegen.yml"
    config.write_text(config.read_text().replace("        DateTime: string\n", ""))

    generate, *_ = commands(tmp_path)
    npm.run(*generate, folder=tmp_path, environment={"TOKEN": server.token("admin")}, exit_codes=(1,))


def generating(server: Server, folder: Path) -> Path:
    """What codegen.md says to write, in a folder where its `npm install` has been done; the program's file."""
    node(folder)
    (folder / "package.json").write_text('{"type": "module"}')
    at = server.url.removeprefix("http://")
    for name, language in (("codegen.yml", "yaml"), ("src/floor.ts", "ts")):
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(program_of("codegen.md", language).replace("127.0.0.1:8080", at))
    return file


def commands(folder: Path) -> list[list[str]]:
    """The last block of commands of codegen.md, a command a line."""
    *_, block = re.findall(r"```sh\n(.*?)```", (START / "codegen.md").read_text(), re.DOTALL)
    bin_ = folder / "node_modules" / ".bin"
    with_node = [
        re.sub(r"^npx (\S+)|^node", lambda it: f"{npm.node()} {bin_ / it[1] if it[1] else ''}", one)
        for one in block.splitlines()
    ]
    return [shlex.split(one) for one in with_node]
