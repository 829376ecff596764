"""The composition root: every part built once, by hand, and ended in the reverse order."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from graphql import GraphQLSchema
from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope

from graphql_app import observe
from graphql_app.domain.access import ROLES, Scope
from graphql_app.domain.account import DEMO_PASSWORD
from graphql_app.domain.addresses import Proxies
from graphql_app.domain.admission import Origins
from graphql_app.domain.ceilings import Ceiling
from graphql_app.domain.errors import Refusal
from graphql_app.domain.rates import Rate
from graphql_app.domain.seal import Pseudonyms, Seal
from graphql_app.domain.workstation import Place
from graphql_app.graph.answers import Answers
from graphql_app.graph.context import Services
from graphql_app.graph.documents import Documents
from graphql_app.graph.http import HttpDoor
from graphql_app.graph.limits import Limits as DocumentLimits
from graphql_app.graph.persisted import BadManifest, Persisted, manifest
from graphql_app.graph.protocol import Engine, Rules
from graphql_app.graph.schema import Execution, build
from graphql_app.graph.socket import SocketDoor
from graphql_app.graph.subscribing import Subscribing
from graphql_app.live.accounts import Accounts
from graphql_app.live.feed import Feed
from graphql_app.live.freshness import Freshness
from graphql_app.live.gate import (
    ADDRESS_CONNECTIONS,
    ADDRESS_REQUESTS,
    LOGINS,
    USER_CONNECTIONS,
    USER_OPERATIONS,
    Gate,
)
from graphql_app.live.hub import Hub
from graphql_app.live.limits import KEPT_SECONDS, Limiter
from graphql_app.live.mailbox import Batching
from graphql_app.live.presence import Presence, kept_seconds
from graphql_app.live.relay import Relay
from graphql_app.live.replica import Replica
from graphql_app.live.sessions import Sessions
from graphql_app.live.silence import Silence
from graphql_app.live.ticker import Duty, Ticker, housekeeping_duties
from graphql_app.live.warming import Warming
from graphql_app.ops import logs, metrics
from graphql_app.ops.garbage import settle
from graphql_app.ops.health import Health
from graphql_app.services.administer import Administer
from graphql_app.services.arrange import Arrange
from graphql_app.services.audit import Audit
from graphql_app.services.authenticate import Authenticate, Lifetimes
from graphql_app.services.browse import Browse
from graphql_app.services.cohorts import Cohorts
from graphql_app.services.cursors import FeedCursors, PageCursors
from graphql_app.services.follow import Follow
from graphql_app.services.history import History
from graphql_app.services.identify import Identify
from graphql_app.services.issuer import Issuer
from graphql_app.services.keys import KeyRing
from graphql_app.services.notify import Notify
from graphql_app.services.passwords import Passwords
from graphql_app.services.receipts import Receipts
from graphql_app.services.streams import Limits
from graphql_app.settings import Settings, SettingsError
from graphql_app.store import broadcast, floors
from graphql_app.store.cache import FloorCache
from graphql_app.store.database import Database
from graphql_app.store.discovery import published_keys
from graphql_app.store.floors import FloorState
from graphql_app.store.limits import LimitStore
from graphql_app.store.presence import PresenceStore
from graphql_app.web import admin, keys, rest, stream
from graphql_app.web.guard import SECURE, Guard, secured
from graphql_app.web.limits import BodyLimit, BodyTooLarge, oversized
from graphql_app.web.pages import graphiql_page, pages
from graphql_app.web.proxies import introduce
from graphql_app.web.replies import broken, misshapen, refused

INNER_SECONDS_MOST = 5.0


def role_table(settings: Settings) -> Mapping[str, frozenset[Scope]]:
    """The shipped roles and the operator's. Raises SettingsError for a scope that does not exist."""
    try:
        own = {role: frozenset(Scope(scope) for scope in scopes) for role, scopes in settings.roles.items()}
    except ValueError as error:
        raise SettingsError(f"GRAPHQL_APP_ROLES: {error}; there are {', '.join(Scope)}") from error
    return {**ROLES, **own}


def trusted_documents(settings: Settings) -> Mapping[str, str]:
    """The documents that the operator listed, by their hashes. Raises SettingsError for a list that is none."""
    if settings.trusted_documents is None:
        return {}
    try:
        return manifest(settings.trusted_documents)
    except BadManifest as error:
        raise SettingsError(f"GRAPHQL_APP_TRUSTED_DOCUMENTS: {error}") from error


def identify(settings: Settings, openid: Issuer | None = None, accounts: Accounts | None = None) -> Identify:
    """Without accounts, as commands have it, tokens of a login are not believed."""
    private = settings.token_private_key.get_secret_value() if settings.token_private_key else None
    only_openid = settings.oidc_issuer and not private and not settings.token_public_key
    return Identify(
        KeyRing(()) if only_openid else KeyRing.read(private, settings.token_public_key),
        issuer=settings.token_issuer,
        audience=settings.token_audience,
        roles=role_table(settings),
        openid=openid,
        accounts=accounts,
    )


def openid_issuer(settings: Settings) -> Issuer | None:
    """The OpenID issuer, if one is set. Raises SettingsError for a role that does not exist."""
    if settings.oidc_issuer is None:
        return None
    assert settings.oidc_audience is not None
    known, named = role_table(settings).keys(), {r for roles in settings.oidc_roles.values() for r in roles.values()}
    if not named <= known:
        raise SettingsError(f"GRAPHQL_APP_OIDC_ROLES: no such role: {', '.join(sorted(named - known))}")
    fetch = partial(published_keys, settings.oidc_issuer)
    return Issuer(settings.oidc_issuer, settings.oidc_audience, settings.oidc_roles, fetch)


def limiter_of(settings: Settings, stack: AsyncExitStack) -> Limiter:
    """The limits that are on, and what holds them over all processes."""
    assert settings.redis_url is not None
    assert settings.secret is not None
    store = LimitStore(settings.redis_url, settings.secret.get_secret_value(), kept_seconds=KEPT_SECONDS)
    stack.push_async_callback(store.close)
    rates = [
        Rate(USER_OPERATIONS, settings.user_operations_per_second, settings.user_operations_burst),
        Rate(ADDRESS_REQUESTS, settings.address_requests_per_second, settings.address_requests_burst),
        Rate(LOGINS, settings.logins_per_second, settings.logins_burst),
    ]
    ceilings = [
        Ceiling(USER_CONNECTIONS, settings.user_connections),
        Ceiling(ADDRESS_CONNECTIONS, settings.address_connections),
    ]
    return Limiter(
        store,
        [rate for rate in rates if rate.per_second],
        [ceiling for ceiling in ceilings if ceiling.most],
        processes=settings.workers,
    )


@dataclass(frozen=True, slots=True)
class Parts:
    """What the doors stand on."""

    engine: Engine
    health: Health


def duties(settings: Settings, database: Database) -> list[Duty]:
    return housekeeping_duties(
        database,
        log_hours=settings.log_hours,
        idempotency_hours=settings.idempotency_hours,
        notification_hours=settings.notification_hours,
        audit_days=settings.audit_days,
        refresh_seconds=settings.refresh_seconds,
    )


def authenticate(
    settings: Settings, database: Database, identifying: Identify, gate: Gate, stack: AsyncExitStack
) -> Authenticate:
    passwords = Passwords()
    stack.callback(passwords.close)
    lifetimes = Lifetimes(settings.access_seconds, settings.refresh_seconds, settings.session_seconds)
    refused = refused_passwords(settings)
    return Authenticate(database, identifying, passwords, lifetimes, gate, refused_passwords=refused)


def administer(settings: Settings, database: Database, passwords: Passwords) -> Administer:
    return Administer(database, passwords, role_table(settings), refused_passwords=refused_passwords(settings))


def refused_passwords(settings: Settings) -> frozenset[str]:
    """What everybody knows is let in on a developer's own machine alone."""
    return frozenset() if settings.is_private else frozenset({DEMO_PASSWORD})


def documents_of(settings: Settings, schema: GraphQLSchema) -> tuple[Documents, Persisted]:
    """The documents that are kept parsed, and those that are known by their hashes."""
    documents = Documents(
        schema,
        DocumentLimits(
            bytes=settings.document_bytes,
            tokens=settings.document_tokens,
            depth=settings.document_depth,
            aliases=settings.document_aliases,
            directives=settings.document_directives,
            nodes=settings.document_nodes,
            comparisons=settings.document_comparisons,
            cost=settings.document_cost,
            page=settings.page_most,
        ),
        kept=settings.documents_kept,
        suggests=settings.is_explorable,
    )
    persisted = Persisted(
        documents,
        trusted_documents(settings),
        only_trusted=settings.mode == "production" and settings.trusted_documents is not None,
        registered_bytes=settings.persisted_bytes,
    )
    return documents, persisted


def floors_in_memory(
    settings: Settings, database: Database, hub: Hub, freshness: Freshness, stack: AsyncExitStack
) -> tuple[Replica | None, dict[str, Coroutine[Any, Any, None]]]:
    """The two levels of the cache of floors, as far as they are on, and what keeps them."""
    if not settings.cache_rows:
        return None, {}
    read: Callable[[Place], Awaitable[FloorState | None]] = partial(floors.read, database)
    shared = None
    if settings.cache_shared_seconds:
        assert settings.redis_url is not None
        assert settings.secret is not None
        secret, kept_seconds = settings.secret.get_secret_value(), settings.cache_shared_seconds
        shared = FloorCache(settings.redis_url, secret, read, lambda: hub.oldest, kept_seconds=kept_seconds)
        stack.push_async_callback(shared.close)
        read = shared.read
    replica = Replica(read, hub, freshness, rows_most=settings.cache_rows, unused_seconds=settings.cache_unused_seconds)
    hub.listen(replica)
    keeping = {"replica": replica.run()}
    return replica, keeping | ({"warming": Warming(replica, shared).run()} if shared is not None else {})


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Parts]:
    """All parts, built and running. Needs DATABASE_URL, REDIS_URL and a secret (`serve` sees to it in development)."""
    assert settings.database_url is not None
    assert settings.redis_url is not None
    assert settings.secret is not None
    secret = settings.secret.get_secret_value()
    async with AsyncExitStack() as stack:
        for listener in (logs.log, metrics.count):
            stack.callback(observe.listen(listener))
        database = Database(
            settings.database_url,
            pool=settings.database_pool,
            is_shown=True,
            timeout_seconds=settings.database_timeout_seconds,
            silent_seconds=settings.database_timeout_seconds + 1,  # PostgreSQL says itself what takes too long
        )
        stack.push_async_callback(database.close)
        channel = await stack.enter_async_context(
            broadcast.opened(settings.redis_url, Seal(secret, "broadcast"), "graphql_app:changes")
        )
        # Connections of their own: however many clients wait for one, changes go on and health is told. What is asked
        # on them is quick, so that a dead one is given up soon.
        inner_seconds = min(INNER_SECONDS_MOST, settings.database_timeout_seconds)
        inner = Database(settings.database_url, pool=3, timeout_seconds=inner_seconds, silent_seconds=inner_seconds)
        stack.push_async_callback(inner.close)
        hub = Hub(settings.recent_changes, timedelta(hours=settings.log_hours))
        freshness = Freshness()
        hub.listen(freshness)
        accounts = Accounts(inner, hub, freshness, access_seconds=settings.access_seconds)
        silence = Silence(freshness)
        relay = Relay(inner, channel, hub, freshness)
        feed = Feed(inner, relay)
        ticker = Ticker(feed, duties(settings, inner))
        sessions = Sessions(settings.drain_seconds)
        presence = Presence(
            PresenceStore(settings.redis_url, secret, kept_seconds=kept_seconds(settings.presence_ghost_seconds)),
            channel.beside("graphql_app:presence"),
            Pseudonyms(secret, "present"),
            ghost_seconds=settings.presence_ghost_seconds,
            linger_seconds=settings.presence_linger_seconds,
        )
        stack.push_async_callback(presence.close)
        replica, keeping = floors_in_memory(settings, database, hub, freshness, stack)
        limiter = limiter_of(settings, stack)
        gate = Gate(limiter)
        running = keeping | {
            "limits": limiter.run(),
            "relay": relay.run(),
            "feed": feed.run(),
            "accounts": accounts.run(),
            "silence": silence.run(),
            "ticker": ticker.run(),
            "sessions": sessions.run(),
            "presence": presence.run(),
            "metrics": metrics.run(),
        }
        openid = openid_issuer(settings)
        if openid is not None:
            running["issuer"] = openid.run()
        loops = {name: _begun(name, loop, stack) for name, loop in running.items()}

        history = History(database, hub, silence, catch_up_most=settings.catch_up_most, replica=replica)
        limits = Limits(
            Batching(settings.batch_window_ms / 1000, settings.batch_changes, settings.batch_eager),
            progress_seconds=settings.progress_seconds,
            snapshot_part=settings.snapshot_part,
        )
        cursors = FeedCursors(secret)
        receipts = Receipts(secret, cursors, hub, freshness)
        cohorts = stack.enter_context(closing(Cohorts()))
        identifying = identify(settings, openid, accounts)
        services = Services(
            identify=identifying,
            authenticate=authenticate(settings, database, identifying, gate, stack),
            browse=Browse(database, PageCursors(secret), page_most=settings.page_most, replica=replica),
            arrange=Arrange(database, receipts),
            follow=Follow(history, cursors, presence, limits, cohorts),
            notify=Notify(
                database,
                receipts,
                history,
                PageCursors(secret),
                cursors,
                limits,
                page_most=settings.page_most,
                roles=role_table(settings).keys(),
            ),
            audit=Audit(database, PageCursors(secret), page_most=settings.page_most),
            receipts=receipts,
        )
        execution = Execution(build(), seconds=settings.operation_seconds, is_explorable=settings.is_explorable)
        documents, persisted = documents_of(settings, execution.schema)
        answers = None
        if settings.answers_bytes:
            answers = Answers(
                execution,
                services,
                hub,
                freshness,
                bytes_most=settings.answers_bytes,
                seconds_most=settings.answers_seconds,
            )
            hub.listen(answers)
            loops["answers"] = _begun("answers", answers.run(), stack)
        engine = Engine(
            services, documents, persisted, execution, Subscribing(execution, cohorts), sessions, gate, answers
        )
        yield Parts(engine, Health(inner, channel, hub, freshness, loops))


def _begun(name: str, loop: Coroutine[Any, Any, None], stack: AsyncExitStack) -> "asyncio.Task[None]":
    task = asyncio.create_task(loop, name=name)
    task.add_done_callback(_ended)
    stack.push_async_callback(_end, task)
    return task


def _ended(task: "asyncio.Task[None]") -> None:
    """None of them ends by itself: /readyz says so from now on, and the log does at once."""
    if not task.cancelled() and (error := task.exception()) is not None:
        observe.note(observe.IsolatedFailure(task.get_name(), error))


async def _end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.wait([task])


class Application(FastAPI):
    """FastAPI behind the guard; but requests on /graphql go to their door past its middleware and its routing."""

    graphql: HttpDoor
    guarded: ASGIApp
    proxies: Proxies

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if self.proxies and scope["type"] != "lifespan":
            introduce(scope, self.proxies)
        if scope["type"] == "http" and scope["path"] == "/graphql":
            await self.graphql(scope, receive, send)
        else:
            await self.guarded(scope, receive, send)


async def graphiql(scope: AsgiScope, receive: Receive, send: Send) -> None:
    """The page of /graphql, for people's browsers."""
    response = await graphiql_page(Request(scope))
    await response(scope, receive, secured(send))


def create(settings: Settings) -> Application:
    """The ASGI application: what uvicorn is given. The parts start and end with its lifespan."""
    origins = Origins(settings.origins)
    is_explorable = settings.is_explorable

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with running(settings) as parts, asyncio.TaskGroup() as tasks:
            app.graphql = HttpDoor(
                parts.engine,
                body_most=settings.request_bytes,
                page=graphiql if is_explorable else None,
                guard=partial(Guard, origins=origins),
                secure=SECURE,
                proxies=app.proxies,
            )
            rules = Rules(
                init_seconds=settings.connection_init_seconds,
                operations_most=settings.socket_operations,
                message_bytes_most=settings.socket_message_bytes,
                stall_seconds=settings.socket_stall_seconds,
                ping_seconds=settings.socket_ping_seconds,
                compresses=settings.socket_compression,
                messages_per_second=settings.socket_messages_per_second,
            )
            socket = SocketDoor(parts.engine, rules, tasks, origins=origins, proxies=app.proxies)

            app.router.routes.append(WebSocketRoute("/graphql", socket.handle))
            services, gate = parts.engine.services, parts.engine.gate
            app.include_router(
                rest.routes(services.browse, services.arrange, services.identify, gate, services.receipts)
            )
            app.include_router(stream.routes(services.follow, services.identify, gate, parts.engine.sessions))
            app.include_router(keys.routes(services.identify))
            app.include_router(admin.routes(parts.health, services.identify, gate, settings.metrics_directory))
            settle()
            # For the connections: graph/direct and web/connection.
            yield {
                "graphql": app.graphql,
                "sockets": socket,
                "sessions": parts.engine.sessions,
                "stall_seconds": settings.socket_stall_seconds,
            }

    app = Application(
        title="graphql_app",
        description="The HTTP doors beside GraphQL. The schema of `/graphql` is in GraphiQL, on that same address.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json" if is_explorable else None,
    )
    # Outside of FastAPI's own middleware: an answer to an unexpected error is one too.
    app.guarded = Guard(partial(FastAPI.__call__, app), origins)
    app.proxies = Proxies(settings.trusted_proxies)
    app.add_exception_handler(Refusal, refused)
    app.add_exception_handler(RequestValidationError, misshapen)
    app.add_exception_handler(BodyTooLarge, oversized)
    app.add_exception_handler(Exception, broken)
    app.add_middleware(BodyLimit, most=settings.request_bytes)
    app.router.routes.extend(pages(is_explorable=is_explorable))
    return app
