"""The ASGI application: the doors, in front of what is running."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope

from graphql_app.app.running import Parts, running
from graphql_app.domain.addresses import Proxies
from graphql_app.domain.admission import Origins
from graphql_app.domain.errors import Refusal
from graphql_app.graph.engine.engine import Engine
from graphql_app.graph.http.endpoint import HttpEndpoint
from graphql_app.graph.websocket.transports.asgi import PATH, WebSocketEndpoint
from graphql_app.graph.websocket.wire import Rules
from graphql_app.ops.garbage import settle
from graphql_app.pages import graphiql_page, pages
from graphql_app.rest import changes as stream
from graphql_app.rest import export, keys, register
from graphql_app.rest import health as admin
from graphql_app.rest import workstations as rest
from graphql_app.rest.openapi import openapi_document
from graphql_app.server.address_limit import AddressLimit, WithinLimit
from graphql_app.server.body_limit import BodyLimit, RefusedBody, unread
from graphql_app.server.head import as_get
from graphql_app.server.methods import with_other_methods
from graphql_app.server.problems import http_error, refusal_error, unexpected_error, validation_error
from graphql_app.server.proxies import apply_forwarded_headers
from graphql_app.server.security import SECURE, SecurityMiddleware, secured
from graphql_app.server.write_coalescer import WriteCoalescer
from graphql_app.settings import Settings


class Application(FastAPI):
    """FastAPI behind the guard; but requests on /graphql go to their door past its middleware and its routing."""

    graphql: HttpEndpoint
    guarded: ASGIApp
    address_limit: AddressLimit
    origins: Origins
    proxies: Proxies

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await super().__call__(scope, receive, send)
            return
        if self.proxies:
            apply_forwarded_headers(scope, self.proxies)
        if scope["type"] == "http":
            self.address_limit.count(scope)
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope, send = as_get(scope, send)
        if scope["type"] == "http" and scope["path"] == PATH:
            await self.graphql(scope, receive, send)
        else:
            await self.guarded(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            self.openapi_schema = openapi_document(self.title, self.version, self.description, self.routes)
        return self.openapi_schema


def create(settings: Settings) -> Application:
    """What uvicorn is given. The parts start and end with its lifespan."""
    app = Application(
        redirect_slashes=False,  # to what nobody asked for, in the scheme and under the name that a proxy took
        title="graphql_app",
        description="The HTTP doors beside GraphQL. The schema of `/graphql` is in GraphiQL, on that same address.",
        lifespan=partial(lifespan, settings),
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json" if settings.is_explorable else None,
    )
    app.origins, app.proxies = origins_of(settings), Proxies(settings.trusted_proxies)
    app.add_exception_handler(Refusal, refusal_error)
    app.add_exception_handler(RequestValidationError, validation_error)
    app.add_exception_handler(HTTPException, http_error(is_explorable=settings.is_explorable))
    app.add_exception_handler(RefusedBody, unread)
    app.add_exception_handler(Exception, unexpected_error)
    app.add_middleware(BodyLimit, most=settings.request_bytes)
    app.router.routes.extend(pages(is_explorable=settings.is_explorable))
    return app


def origins_of(settings: Settings) -> Origins:
    """Returns whose pages may come in: in development also those that a developer's tools serve on this machine."""
    return Origins(settings.origins, lets_in_local_pages=settings.mode == "development")


@asynccontextmanager
async def lifespan(settings: Settings, app: Application) -> AsyncIterator[dict[str, Any]]:
    """Opens the doors once all is running. Gives what the connection classes
    of uvicorn need to know of them."""
    async with running(settings) as parts, asyncio.TaskGroup() as tasks:
        app.graphql = http_door(settings, parts.engine, app)
        app.guarded = SecurityMiddleware(WithinLimit(partial(FastAPI.__call__, app)), app.origins)
        app.address_limit = AddressLimit(parts.engine.admission, app.proxies)
        rules = socket_rules(settings)
        sockets = WebSocketEndpoint(parts.engine, rules, tasks, origins=app.origins, proxies=app.proxies)
        app.router.routes.append(WebSocketRoute(PATH, sockets.handle))
        for router in routers(settings, parts):
            app.router.routes.extend(router.routes)
        app.router.routes[:] = with_other_methods(app.router.routes)
        settle()
        yield {
            "graphql": app.graphql,
            "sockets": sockets,
            "sessions": parts.engine.sessions,
            "stall_seconds": settings.socket_stall_seconds,
            "write_coalescer": WriteCoalescer(),
            "body_most": settings.request_bytes,
        }


def http_door(settings: Settings, engine: Engine, app: Application) -> HttpEndpoint:
    return HttpEndpoint(
        engine,
        body_most=settings.request_bytes,
        page=graphiql if settings.is_explorable else None,
        guard=partial(SecurityMiddleware, origins=app.origins),
        secure=SECURE,
        proxies=app.proxies,
    )


async def graphiql(scope: AsgiScope, receive: Receive, send: Send) -> None:
    """The page of /graphql, for people's browsers."""
    response = await graphiql_page(Request(scope))
    await response(scope, receive, secured(send))


def socket_rules(settings: Settings) -> Rules:
    return Rules(
        init_seconds=settings.connection_init_seconds,
        operations_most=settings.socket_operations,
        message_bytes_most=settings.socket_message_bytes,
        stall_seconds=settings.socket_stall_seconds,
        ping_seconds=settings.socket_ping_seconds,
        compresses=settings.socket_compression,
        messages_per_second=settings.socket_messages_per_second,
    )


def routers(settings: Settings, parts: Parts) -> list[APIRouter]:
    """The doors beside GraphQL."""
    services, admission, sessions = parts.engine.services, parts.engine.admission, parts.engine.sessions
    identify = services.identify
    return [
        rest.routes(services.browse, services.arrange, admission, services.tokens),
        register.routes(services.browse, services.directory, services.register, admission, services.tokens),
        export.routes(services.exporting, admission),
        stream.routes(services.follow, identify, admission, sessions),
        keys.routes(identify),
        admin.routes(parts.health, identify, admission, settings.metrics_directory),
    ]
