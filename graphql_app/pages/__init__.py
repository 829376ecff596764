"""The pages for people: GraphiQL and Swagger UI, every byte of them served from here."""

import re
from functools import partial
from pathlib import Path
from typing import Final

import orjson
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from graphql_app.domain.media import quality_by_name, ranges
from graphql_app.server.methods import READING, OtherMethods

STATIC: Final = Path(__file__).parent / "static"

# Monaco writes its styles at run time, and GraphiQL and Swagger UI carry fonts and pictures as data. Scripts come from
# files of ours alone: nothing inline, nothing evaluated.
POLICY: Final = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "worker-src 'self'",
        "font-src 'self' data:",
        "img-src 'self' data:",
        "connect-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)

PAGE_HEADERS: Final = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    # A page names hashed files, so it must be asked for anew; /graphql also answers other things to other clients.
    "cache-control": "no-cache",
    "vary": "accept",
}

# Workers take their policy from their own answer, so assets carry it too.
ASSET_HEADERS: Final = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "vary": "accept-encoding",
}
FOREVER: Final = "public, max-age=31536000, immutable"
_HASHED: Final = re.compile(r"-[0-9A-Z]{8}\.(?:js|css)$")  # as esbuild names them

_TOOL: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="/static/favicon.svg">
<link rel="stylesheet" href="/static/bundle/{css}">
<script type="module" src="/static/bundle/{js}"></script>
</head>
<body>
<header id="bar"></header>
<main id="page" {data}><noscript>This page needs JavaScript.</noscript></main>
</body>
</html>
"""

_NOT_BUILT: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}: not built yet</title>
<link rel="icon" href="/static/favicon.svg">
<link rel="stylesheet" href="/static/plain.css">
</head>
<body>
<h1>{title} has not been built yet</h1>
<p>Run <code>make pages</code> in the project's folder, then load this page again. The server need not be restarted.</p>
<p>The API itself works without it:
<code>POST /graphql</code>, <code>WS /graphql</code> and <code>/api/workstations</code>.</p>
</body>
</html>
"""


async def graphiql_page(request: Request, static: Path = STATIC) -> Response:
    """GraphiQL, for a browser's `GET /graphql`; the door there decides who is a browser."""
    return _page("graphiql", "GraphiQL", 'data-endpoint="/graphql"', static)


async def docs_page(request: Request, static: Path = STATIC) -> Response:
    """Swagger UI over `/api/openapi.json`."""
    return _page("docs", "REST API", 'data-openapi="/api/openapi.json"', static)


async def front_page(request: Request) -> Response:
    """To GraphiQL, until there is a floor map to show."""
    return RedirectResponse("/graphql", status_code=307)


def pages(static: Path = STATIC, *, is_explorable: bool = True) -> list[BaseRoute]:
    """The routes of all pages and their files, but for `/graphql`, whose door calls `graphiql_page` itself."""
    tools = [Route("/", front_page), Route("/api/docs", partial(docs_page, static=static))]
    return [*(tools if is_explorable else []), Mount("/static", Assets(directory=static))]


class Assets(StaticFiles):
    """Static files; where the build left a `.gz` beside one, that is sent to whoever takes it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        serve = super().__call__ if scope["method"] in READING else OtherMethods(READING)
        await serve(scope, receive, send)

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await self._zipped(path, scope) or await super().get_response(path, scope)
        response.headers.update(ASSET_HEADERS)
        response.headers["cache-control"] = FOREVER if _HASHED.search(path) else "no-cache"
        return response

    async def _zipped(self, path: str, scope: Scope) -> Response | None:
        if not quality_by_name("gzip", ranges(Headers(scope=scope).get("accept-encoding", ""))):
            return None
        try:
            response = await super().get_response(f"{path}.gz", scope)
        except HTTPException:
            return None
        response.headers["content-encoding"] = "gzip"
        return response


def _page(name: str, title: str, data: str, static: Path) -> Response:
    files = _files_of(name, static)
    html = _TOOL.format(title=title, data=data, **files) if files else _NOT_BUILT.format(title=title)
    return HTMLResponse(html, headers=PAGE_HEADERS)


def _files_of(page: str, static: Path) -> dict[str, str] | None:
    """The page's script and style from the bundle's manifest, read anew each time so that a build shows at once."""
    try:
        manifest: dict[str, dict[str, str]] = orjson.loads((static / "bundle" / "manifest.json").read_bytes())
    except FileNotFoundError:
        return None
    return manifest[page]
