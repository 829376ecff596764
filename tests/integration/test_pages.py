"""The pages over HTTP: what they refer to is here, and a missing build is explained."""

import gzip
import json
import re
from pathlib import Path

import pytest
from httpx import ASGITransport, AsyncClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from graphql_app.pages import FOREVER, POLICY, STATIC, graphiql_page, pages

PAGES = ("/graphql", "/api/docs")
ELSEWHERE = re.compile(r"""(?:src|href|url\()\s*=?\s*["']?(?:https?:)?//""")


@pytest.fixture
def static(tmp_path: Path) -> Path:
    """A static folder like ours before the first build."""
    for file in STATIC.iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


@pytest.fixture
def built(static: Path) -> Path:
    """The same after one: small stand-ins under names as the build gives them."""
    bundle = static / "bundle"
    bundle.mkdir()
    files = {page: {"js": f"{page}-0A1B2C3D.js", "css": f"{page}-4E5F6G7H.css"} for page in ("graphiql", "docs")}
    for name in (name for page in files.values() for name in page.values()):
        (bundle / name).write_text(f"/* {name} */")
        (bundle / f"{name}.gz").write_bytes(gzip.compress(f"/* {name} */".encode()))
    (bundle / "manifest.json").write_text(json.dumps(files | {"workers": []}))
    return static


def client(static: Path) -> AsyncClient:
    async def graphql(request: Request) -> Response:
        return await graphiql_page(request, static)

    app = Starlette(routes=[*pages(static), Route("/graphql", graphql)])
    return AsyncClient(transport=ASGITransport(app), base_url="http://office.test")


def references(html: str) -> list[str]:
    return re.findall(r'(?:src|href)="([^"]+)"', html)


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_that_is_not_built_says_how_to_build_it(static: Path, path: str) -> None:
    answer = await client(static).get(path)

    assert answer.status_code == 200
    assert "<code>make pages</code>" in answer.text
    assert "The API itself works" in answer.text


@pytest.mark.parametrize("path", PAGES)
async def test_a_build_shows_without_a_restart(static: Path, path: str, request: pytest.FixtureRequest) -> None:
    browser = client(static)
    before = (await browser.get(path)).text
    request.getfixturevalue("built")

    assert "make pages" in before
    assert "make pages" not in (await browser.get(path)).text


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("state", ["static", "built"])
async def test_everything_that_a_page_refers_to_is_served_from_here(
    path: str, state: str, request: pytest.FixtureRequest
) -> None:
    browser = client(request.getfixturevalue(state))
    html = (await browser.get(path)).text

    assert references(html)
    assert not ELSEWHERE.search(html)
    assert {(await browser.get(reference)).status_code for reference in references(html)} == {200}


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("state", ["static", "built"])
async def test_a_page_has_a_strict_policy_and_nothing_that_breaks_it(
    path: str, state: str, request: pytest.FixtureRequest
) -> None:
    answer = await client(request.getfixturevalue(state)).get(path)

    assert answer.headers["content-security-policy"] == POLICY
    assert "unsafe-eval" not in POLICY
    assert "script-src 'self';" in POLICY
    assert re.findall(r"<script[^>]*>([^<]+)</script>| on\w+=", answer.text) == []
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_hashed_files_are_kept_for_ever_and_others_asked_for_anew(built: Path) -> None:
    browser = client(built)

    assert (await browser.get("/static/bundle/docs-0A1B2C3D.js")).headers["cache-control"] == FOREVER
    assert (await browser.get("/static/favicon.svg")).headers["cache-control"] == "no-cache"
    assert (await browser.get("/graphql")).headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_a_file_is_the_same_zipped_or_not(built: Path, encoding: str) -> None:
    answer = await client(built).get("/static/bundle/docs-0A1B2C3D.js", headers={"accept-encoding": encoding})

    assert answer.text == "/* docs-0A1B2C3D.js */"
    assert answer.headers.get("content-encoding", "identity") == encoding
    assert answer.headers["content-type"].split(";")[0] in {"text/javascript", "application/javascript"}
    assert answer.headers["vary"] == "accept-encoding"


async def test_a_file_is_not_zipped_for_who_refuses_that(built: Path) -> None:
    answer = await client(built).get("/static/bundle/docs-0A1B2C3D.js", headers={"accept-encoding": "gzip;q=0, *"})

    assert "content-encoding" not in answer.headers


async def test_a_file_already_held_is_not_sent_again(built: Path) -> None:
    browser = client(built)
    first = await browser.get("/static/favicon.svg")
    again = await browser.get("/static/favicon.svg", headers={"if-none-match": first.headers["etag"]})

    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", ["/static/bundle/nothing.js", "/static/../pages.py", "/static/%2e%2e/pages.py"])
async def test_what_is_no_static_file_is_not_found(built: Path, path: str) -> None:
    assert (await client(built).get(path)).status_code == 404


async def test_the_front_page_leads_to_graphiql(static: Path) -> None:
    answer = await client(static).get("/")

    assert (answer.status_code, answer.headers["location"]) == (307, "/graphql")


@pytest.mark.skipif(not (STATIC / "bundle" / "manifest.json").exists(), reason="the pages are not built: make pages")
async def test_the_real_bundle_is_whole_and_names_no_other_address_to_load_from() -> None:
    browser = client(STATIC)
    manifest = json.loads((STATIC / "bundle" / "manifest.json").read_bytes())
    wanted = [f"/static/bundle/{name}" for name in manifest["workers"]]
    wanted += [reference for path in PAGES for reference in references((await browser.get(path)).text)]
    imported = re.compile(r"""(?:from|import)\s*\(?["']\./(chunk-\w+\.js)["']""")

    seen: set[str] = set()
    while wanted:
        address = wanted.pop()
        answer = await browser.get(address)
        assert answer.status_code == 200, address
        assert not (address.endswith(".css") and ELSEWHERE.search(answer.text)), address
        seen.add(address)
        chunks = imported.findall(answer.text) if address.endswith(".js") else []
        wanted += {f"/static/bundle/{name}" for name in chunks} - seen - set(wanted)

    assert len(seen) > 10


def test_the_lock_file_names_no_registry() -> None:
    lock = json.loads((STATIC.parents[2] / "frontend" / "package-lock.json").read_bytes())
    packages = {path: package for path, package in lock["packages"].items() if path}

    assert not [path for path, package in packages.items() if "resolved" in package]
    assert not [path for path, package in packages.items() if "integrity" not in package]
