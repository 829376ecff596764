"""What the tutorial says to type works as it stands there, in both languages, up to a page that stays live."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Server, StartServer
from tests.acceptance.fixtures.chromium import chromium, hosts_asked
from tests.acceptance.test_live_list import IN_MAINTENANCE, served
from tests.acceptance.test_recipes import START

PAGES = ("tutorial.md", "tutorial.zh.md")
ENGLISH, CHINESE = ((START / page).read_text() for page in PAGES)
STATE = "(document.querySelector('#state')?.textContent ?? '')"


def blocks(text: str) -> list[str]:
    return re.findall(r"```(\w+\n.*?)```", text, re.DOTALL)


def block(language: str, holding: str = "") -> str:
    (found,) = [one for one in blocks(ENGLISH) if one.startswith(f"{language}\n") and holding in one]
    return found.removeprefix(f"{language}\n")


def typed(command: str, server: Server, environment: dict[str, str], folder: Path) -> str:
    """What the shell prints, of the server that runs here."""
    program = f"{shlex.quote(sys.executable)} -m graphql_app"
    done = subprocess.run(
        [
            "/bin/sh",
            "-euc",
            command.replace(".venv/bin/graphql-app", program).replace("http://127.0.0.1:8080", server.url),
        ],
        env={
            **environment,
            "TOKEN": server.token("admin"),
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LC_ALL": "C.UTF-8",
        },
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def server(start_server: StartServer) -> Server:
    return start_server(GRAPHQL_APP_SEED="true")


@pytest.fixture
def page_url(server: Server, tmp_path: Path) -> Iterator[str]:
    """Where the page of the tutorial is served, which follows the server that runs here."""
    at = server.url.removeprefix("http://")
    (tmp_path / "live").mkdir()
    (tmp_path / "live" / "index.html").write_text(block("html").replace("127.0.0.1:8080", at))
    with served(tmp_path / "live") as url:
        yield url


def test_both_languages_have_the_same_steps_and_commands() -> None:
    assert blocks(ENGLISH) == blocks(CHINESE)
    assert len(re.findall("^## ", ENGLISH, re.MULTILINE)) == len(re.findall("^## ", CHINESE, re.MULTILINE))


def test_what_is_typed_asks_and_changes(server: Server, environment: dict[str, str], tmp_path: Path) -> None:
    def answer(holding: str) -> Any:
        return json.loads(typed(block("sh", holding), server, environment, tmp_path))["data"]

    floor = answer("stats { total")["floor"]
    assert (floor["timeZone"], floor["stats"]["total"]) == ("Asia/Shanghai", len(floor["workstations"]))
    changed = answer("setWorkstationStatus")["setWorkstationStatus"]
    assert (changed["__typename"], changed["workstation"]["status"]) == ("WorkstationChanged", "MAINTENANCE")
    token = typed(block("sh", "TOKEN=$") + 'echo "$TOKEN"', server, environment, tmp_path)
    assert token.count(".") == 2


@pytest.mark.conformance
async def test_the_page_is_live_and_misses_nothing_while_the_server_is_restarted(
    server: Server, start_server: StartServer, page_url: str, environment: dict[str, str], tmp_path: Path
) -> None:
    profile = tmp_path / "profile"
    by_mutation, in_psql = block("sh", "setWorkstationStatus"), block("sh", "psql")
    async with chromium(profile) as page:
        await page.open(f"{page_url}/#token={server.token('admin')}")
        await page.until(f"{STATE}.startsWith('live: ')")
        before, shown = await page.evaluate(IN_MAINTENANCE), await page.evaluate(STATE)
        typed(in_psql, server, environment, tmp_path)
        await page.until(f"{IN_MAINTENANCE} === {before + 1}")

        server.kill()
        await page.until(f"{STATE}.startsWith('closed: ')")
        other = start_server()  # the change is made where the page is not
        typed(by_mutation, other, environment, tmp_path)
        other.stop()
        start_server(PORT=server.url.rpartition(":")[2])

        await page.until(f"{STATE} === {json.dumps(shown)} && {IN_MAINTENANCE} === {before + 2}")
    assert hosts_asked(profile) == {"127.0.0.1"}
