"""`examples/live-list` compiles, and in a real browser its list stays live while the server is restarted."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.acceptance.conftest import Server, StartServer
from tests.acceptance.fixtures.chromium import Chromium, chromium, hosts_asked
from tests.acceptance.test_readme import changed
from tests.clients import npm

pytestmark = pytest.mark.conformance

EXAMPLE = Path(__file__).parents[2] / "examples" / "live-list"
STATUS = "document.querySelector('#status')?.textContent"
DESKS = "document.querySelectorAll('#desks li').length"
IN_MAINTENANCE = (
    "[...document.querySelectorAll('#desks li')].filter(one => one.innerText.includes('MAINTENANCE')).length"
)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    """Where the page is built."""
    return tmp_path / "dist"


@contextmanager
def served(directory: Path) -> Iterator[str]:
    """Where the pages of a folder are: another origin than the server's."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(directory))) as web:
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{web.server_port}"
        web.shutdown()
        thread.join()


@pytest.fixture
def page_url(dist: Path) -> Iterator[str]:
    """Where the page will be served."""
    with served(dist) as url:
        yield url


@pytest.fixture
def server(start_server: StartServer, page_url: str) -> Server:
    return start_server(GRAPHQL_APP_SEED="true", GRAPHQL_APP_ORIGINS=f'["{page_url}"]', GRAPHQL_APP_SNAPSHOT_PART="10")


@pytest.fixture
def built(server: Server, dist: Path) -> None:
    node, at = npm.node(EXAMPLE), {"VITE_SERVER": server.ws_url}
    npm.run(node, "node_modules/typescript/bin/tsc", folder=EXAMPLE)
    build = ("node_modules/vite/bin/vite.js", "build", "--outDir", str(dist))
    npm.run(node, *build, folder=EXAMPLE, environment=at)


@pytest.mark.usefixtures("built")
async def test_its_list_is_live_over_a_restart_of_the_server(
    server: Server, start_server: StartServer, page_url: str, tmp_path: Path
) -> None:
    profile = tmp_path / "profile"
    async with chromium(profile) as page:
        await page.open(page_url)
        await follow(page, server.token("admin"))
        await page.until(f"{STATUS} === 'live' && {DESKS} > 10")
        desks, before = await page.evaluate(DESKS), await page.evaluate(IN_MAINTENANCE)

        server.kill()
        await page.until(f"{STATUS}.startsWith('again, because ')")
        assert await page.evaluate(DESKS) == desks  # it keeps what it has
        other = start_server()  # the change is made where the page is not
        await changed(other)
        other.stop()
        start_server(PORT=server.url.rpartition(":")[2], GRAPHQL_APP_ORIGINS=f'["{page_url}"]')

        await page.until(f"{STATUS} === 'live' && {IN_MAINTENANCE} === {before + 1}")
        assert await page.evaluate(DESKS) == desks
    assert hosts_asked(profile) == {"127.0.0.1"}


@pytest.mark.usefixtures("built")
async def test_it_asks_for_another_token_when_its_own_is_refused(server: Server, page_url: str, tmp_path: Path) -> None:
    async with chromium(tmp_path / "profile") as page:
        await page.open(page_url)
        await follow(page, "no-such-token")
        await page.until(f"{STATUS}.startsWith('the token is refused: ')")
        await page.evaluate("document.querySelector('#token').value = ''")
        await follow(page, server.token("admin"))
        await page.until(f"{STATUS} === 'live'")
        assert page.complaints == []


async def follow(page: Chromium, token: str) -> None:
    await page.until("document.querySelector('#form')?.hidden === false")
    await page.type("#token", token)
    await page.click("#form button")
