"""`graphql-app serve`: everything checked first, then uvicorn."""

import asyncio
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from textwrap import wrap

import click
import uvicorn
from fastapi import FastAPI

from graphql_app.app.application import create
from graphql_app.app.checks import check
from graphql_app.app.identity import administer, identify, role_table
from graphql_app.app.store import for_command
from graphql_app.app.workers import Workers
from graphql_app.domain.account import DEMO_PASSWORD
from graphql_app.domain.caller import by_command
from graphql_app.ops import logs
from graphql_app.services.identity.passwords import Passwords
from graphql_app.services.importing.seeding import seed
from graphql_app.settings import Settings, hand_down, read, unknown
from graphql_app.store.postgres.database import Database
from graphql_app.store.postgres.migrations import require_current, upgrade
from graphql_app.store.redis import broadcast

GRACE_SECONDS = 10
KEEP_ALIVE_SECONDS = 75
SEND_BUFFER_BYTES = 256 * 1024
COLUMNS = 80


class CannotServe(Exception):
    """Something that serving needs is not there; the message says what, in one line."""


def run(settings: Settings) -> None:
    """Serves until it is told to stop. Raises CannotServe, WorkersFailed, MigrationError, SettingsError."""
    logs.configure(settings.database_url, settings.redis_url)
    listening = bound(settings)
    # uvicorn ends gracefully and then raises the signal again: as an exception it lets everything below be cleaned up.
    signal.signal(signal.SIGTERM, terminated)
    with listening, metrics_directory(settings) as metrics:
        settings = settings.model_copy(update={"metrics_directory": metrics})
        seeded = asyncio.run(prepared(settings))
        hand_down(settings)
        click.echo(banner(settings, listening.getsockname()[1], seeded))
        config = uvicorn.Config(
            "graphql_app.app.serving:worker",
            factory=True,
            workers=settings.workers,
            # By name: only the workers have to import it.
            http="graphql_app.server.connection:HttpConnection",
            ws="graphql_app.graph.websocket.transports.uvicorn:DirectSocket",
            timeout_graceful_shutdown=GRACE_SECONDS,
            # Longer than a proxy keeps its connections, so that it is never the one to find them closed.
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,  # server/proxies does it: for sockets too, and nobody is trusted unasked
            lifespan="on",
        )
        server = uvicorn.Server(config)
        with suppress(KeyboardInterrupt):  # Ctrl-C is how it ends
            if settings.workers == 1:
                server.run(sockets=[listening])
            else:
                Workers(config, listening).serve()


def terminated(*_: object) -> None:
    sys.exit(0)


@contextmanager
def metrics_directory(settings: Settings) -> Iterator[Path | None]:
    """Where the workers put their metrics for each other; None for one alone, which keeps them in memory."""
    if settings.workers == 1:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="graphql-app-metrics-") as directory:
        yield Path(directory)


def worker() -> FastAPI:
    """What uvicorn makes in each of its processes; the settings come through the environment."""
    settings = read()
    logs.configure(settings.database_url, settings.redis_url)
    return create(settings)


def bound(settings: Settings) -> socket.socket:
    """The listening socket. Raises CannotServe when somebody else has the port."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Every connection inherits it. Left alone, the kernel keeps up to 4 MB for each client that does not read, and it
    # takes as long to notice that.
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    try:
        listening.bind((settings.host, settings.port))
    except OSError as error:
        listening.close()
        raise CannotServe(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror}; set PORT or HOST to another"
        ) from error
    listening.set_inheritable(True)
    return listening


async def prepared(settings: Settings) -> str | None:
    """Checks settings, servers and tables; in development brings the tables up to date and fills an empty office.

    Returns what was seeded, if anything was. Raises CannotServe, MigrationError, SettingsError.
    """
    assert settings.database_url is not None
    assert settings.redis_url is not None
    check(settings)
    for line in unknown():
        logs.logger.warning("%s", line)
    database = for_command(settings.database_url, settings)
    try:
        if (problem := await database.problem()) is not None:
            raise CannotServe(f"DATABASE_URL: {problem}")
        if (problem := await broadcast.problem(settings.redis_url)) is not None:
            if settings.mode == "development" or not broadcast.is_well_formed(settings.redis_url):
                raise CannotServe(f"REDIS_URL: {problem}")
            logs.logger.warning("REDIS_URL: %s; serving all the same, every process reads the log itself", problem)
        if settings.mode == "production":
            await require_current(database)
            return None
        await upgrade(database.engine)
        if not settings.seed:
            return None
        made = ["a demo office"] if await seed(database, by_command("serve")) is not None else []
        if settings.is_private and await demo_accounts(settings, database):
            made.append(f"an account named like each role, with the password `{DEMO_PASSWORD}`")
        return f"{' and '.join(made)}; GRAPHQL_APP_SEED=false makes nothing" if made else None
    finally:
        await database.close()


async def demo_accounts(settings: Settings, database: Database) -> bool:
    """Makes an account for each role, unless there are accounts already."""
    caller = by_command("serve")
    with closing(Passwords()) as passwords:
        administration = administer(settings, database, passwords)
        if await administration.accounts(caller):
            return False
        for role in role_table(settings):
            await administration.add(caller, role, DEMO_PASSWORD, role, None)
    return True


def banner(settings: Settings, port: int, seeded: str | None) -> str:
    """Returns what somebody who just started the server wants to know: a screen of 80 columns and 24 rows holds it."""
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104  # only shown
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    lines = [
        "",
        f"  graphql_app {settings.mode}, {settings.workers} worker{'s' if settings.workers > 1 else ''}",
        f"  {'GraphiQL' if settings.is_explorable else 'GraphQL '}  {address}/graphql",
        f"  health    {address}/healthz and {address}/readyz",
    ]
    if settings.is_explorable:
        lines.append(f"  API docs  {address}/api/docs")
    if seeded:
        lines += wrap(f"made      {seeded}", COLUMNS, initial_indent="  ", subsequent_indent=" " * 12)
    if settings.mode == "development" and settings.token_private_key is not None:
        lines += ["", *ways_in(settings, address)]
    return "\n".join([*lines, "", "  Ctrl-C stops it.", ""])


def ways_in(settings: Settings, address: str) -> Iterator[str]:
    """Yields what lets a developer in: as admin by a click, as anybody else by a command."""
    issued = identify(settings).issue("admin", ["admin"], seconds=settings.token_seconds)
    yield f"  As admin, for {settings.token_seconds / 3600:g} h: {'open' if settings.is_explorable else 'the token'}"
    yield f"  {address}/graphql#token={issued}" if settings.is_explorable else f"  {issued}"
    others = ", ".join(role for role in role_table(settings) if role != "admin")
    program = os.path.relpath(sys.argv[0])
    if not program.endswith("bin/graphql-app") or program.startswith(".."):
        program = "graphql-app"
    yield from wrap(
        f"As another: `{program} token --role ROLE`, of {others}", COLUMNS, initial_indent="  ", subsequent_indent="  "
    )
