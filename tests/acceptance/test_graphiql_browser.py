"""GraphiQL and Swagger UI in a real browser: they work, complain of nothing and ask nobody else."""

import contextlib
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import uvicorn

from graphql_app.pages import STATIC
from tests.acceptance.fixtures.chromium import Chromium, chromium, hosts_asked
from tests.acceptance.fixtures.office import BEARER, BUILDING, TOKEN, office

pytestmark = pytest.mark.conformance

RUN = ".graphiql-execute-button"
SECOND_TAB = ".graphiql-tab:nth-of-type(2) .graphiql-tab-button"
DOCUMENTATION = "button[aria-label='Show Documentation Explorer']"
STATUS = "document.querySelector('#status')?.textContent"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Where the pages are served, with an API behind them that `TOKEN` opens."""
    assert (STATIC / "bundle" / "manifest.json").exists(), "The pages have not been built: run `make pages` first"
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(office(), ws="websockets-sansio", lifespan="off", log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join(timeout=20)


@contextlib.asynccontextmanager
async def browsing(profile: Path) -> AsyncIterator[Chromium]:
    """A browser that must not have asked anybody but this machine for anything."""
    async with chromium(profile) as page:
        yield page
    assert hosts_asked(profile) == {"127.0.0.1"}


async def test_a_token_from_a_link_runs_queries_and_subscriptions(url: str, tmp_path: Path) -> None:
    async with browsing(tmp_path) as page:
        await page.open(f"{url}/graphql#token={TOKEN}")
        await page.until(f"{STATUS}?.startsWith('Token in use')")
        assert await page.evaluate("location.href") == f"{url}/graphql"

        await page.until(shown("operation", "query Floor"))
        await page.click(RUN)
        await page.until(shown("response", f'"building": "{BUILDING}"'))

        await page.click(SECOND_TAB)
        await page.until(shown("operation", "subscription WorkstationChanges"))
        await page.click(RUN)
        await page.until(shown("response", '"kind": "CHANGES"'))
        await page.click(RUN)  # hangs up

        assert page.complaints == []
        assert TOKEN not in await page.evaluate("JSON.stringify(localStorage)")


async def test_a_link_does_not_swap_the_token_of_a_tab_without_being_allowed_to(url: str, tmp_path: Path) -> None:
    """Whoever sends the link would choose as whom the reader goes on."""
    used, other = "sessionStorage.getItem('graphql_app.token')", "another.token"
    offer = "document.querySelector('#offer')"
    async with browsing(tmp_path) as page:
        await page.open(f"{url}/graphql#token={TOKEN}")
        await page.until(f"{STATUS}?.includes('from a link')")

        for choice, kept in ((2, TOKEN), (1, other)):
            await page.evaluate(f"location.hash = 'token={other}'")
            await page.until(f"{offer}.textContent.startsWith('A link brought another token')")
            assert await page.evaluate(used) == TOKEN
            assert await page.evaluate("location.href") == f"{url}/graphql"
            await page.click(f"#offer button:nth-of-type({choice})")
            await page.until(f"{offer}.textContent === ''")
            assert await page.evaluate(used) == kept

        await page.open(f"{url}/api/docs#token={TOKEN}")
        await page.until(f"{offer}?.textContent.startsWith('A link brought another token')")
        assert await page.evaluate(used) == other


async def test_without_a_token_the_page_says_how_to_get_one_and_takes_it(url: str, tmp_path: Path) -> None:
    async with browsing(tmp_path) as page:
        await page.open(f"{url}/graphql")
        await page.until(f"{STATUS}?.includes('graphql-app token --role admin')")
        await page.until(shown("operation", "query Floor"))
        assert page.complaints == []  # it did not ask in vain

        await page.type("#token", "no-such-token")
        await page.click("#token-form button[type=submit]")
        await page.until(f"{STATUS}.startsWith('The server refused this token')")

        await page.evaluate("document.querySelector('#token').value = ''")
        await page.type("#token", BEARER)
        await page.click("#token-form button[type=submit]")
        await page.until(f"{STATUS}.startsWith('Token in use')")
        await page.click(DOCUMENTATION)
        await page.until("document.querySelector('.graphiql-doc-explorer')?.textContent.includes('subscription')")


async def test_an_authorization_in_the_headers_editor_serves_http_and_the_socket(url: str, tmp_path: Path) -> None:
    async with browsing(tmp_path) as page:
        await page.open(f"{url}/graphql")
        await page.until(shown("operation", "query Floor"))
        await page.evaluate(f"{model('headers')}.setValue({json.dumps(json.dumps({'Authorization': BEARER}))})")

        await page.click(RUN)
        await page.until(shown("response", f'"building": "{BUILDING}"'))
        await page.until(f"{STATUS}.includes('headers editor')")

        subscription = "subscription { workstationChanges { kind } }"
        await page.evaluate(f"{model('operation')}.setValue({json.dumps(subscription)})")
        await page.click(RUN)
        await page.until(shown("response", '"kind": "CHANGES"'))

        assert page.complaints == []
        assert TOKEN not in await page.evaluate("JSON.stringify(localStorage)")


async def test_a_refused_subscription_says_what_to_do(url: str, tmp_path: Path) -> None:
    async with browsing(tmp_path) as page:
        await page.open(f"{url}/graphql")
        await page.until(shown("operation", "query Floor"))
        await page.click(SECOND_TAB)
        await page.until(shown("operation", "subscription WorkstationChanges"))
        await page.click(RUN)
        await page.until(f"{STATUS}.startsWith('The server wants a token')")
        await page.until(shown("response", "graphql-app token --role admin"))


async def test_the_rest_page_shows_the_openapi_document(url: str, tmp_path: Path) -> None:
    async with browsing(tmp_path) as page:
        await page.open(f"{url}/api/docs#token={TOKEN}")
        await page.until("document.querySelector('.opblock-summary-path')?.textContent.includes('workstations')")
        await page.until(f"{STATUS}.startsWith('Token in use')")
        assert page.complaints == []


def model(editor: str) -> str:
    """A script for the text behind one of GraphiQL's editors: operation, variables, headers or response."""
    return f"globalThis.__MONACO?.editor.getModels().find(model => model.uri.path.includes({json.dumps(editor)}))"


def shown(editor: str, text: str) -> str:
    """A script: does that editor show `text`?"""
    return f"{model(editor)}?.getValue().includes({json.dumps(text)})"
