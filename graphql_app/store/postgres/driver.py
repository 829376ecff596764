"""A connection of asyncpg, set up as everything here expects it."""

import asyncio
import socket
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, TypeAlias

import asyncpg
import orjson

from graphql_app.store.postgres import timestamps as moments

KEEP_ALIVE = {"idle": 15, "interval": 5, "count": 3}  # seconds, seconds, probes; on both ends

GOODBYE_SECONDS = 2.0

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


async def connected(
    url: str,
    timeout_seconds: float,
    silent_seconds: float | None,
    connect_seconds: float | None = None,
    **settings: str,
) -> Connection:
    """Opens a connection. asyncpg reads the URL as libpq does, sslmode included; `settings` are the server's.

    Connecting may take `connect_seconds`, or `timeout_seconds` where that is None. Raises what asyncpg raises.
    """
    milliseconds = str(int(timeout_seconds * 1000))
    connection = await asyncpg.connect(
        url,
        timeout=connect_seconds or timeout_seconds,
        command_timeout=silent_seconds,
        server_settings={
            "application_name": "graphql_app",
            "statement_timeout": milliseconds,
            "idle_in_transaction_session_timeout": milliseconds,
            # What PostgreSQL keeps for a process that vanished: two hours and more if left alone.
            **{f"tcp_keepalives_{name}": str(value) for name, value in KEEP_ALIVE.items()},
            "timezone": "UTC",
            # Compiling a short query costs more than running it.
            "jit": "off",
            **settings,
        },
    )
    _keep_alive(connection)
    return connection


async def set_codecs(connection: Connection) -> None:
    """Sets how values are read: a JSON column as its value, a moment as one that Python can hold."""
    try:
        for name in ("jsonb", "json"):  # SQLAlchemy's reflection reads json
            await connection.set_type_codec(name, schema="pg_catalog", format="text", encoder=_json, decoder=_value)
        await connection.set_type_codec(
            "timestamptz",
            schema="pg_catalog",
            format="tuple",
            encoder=lambda moment: (moments.to_microseconds(moment),),
            decoder=lambda sent: moments.from_microseconds(sent[0]),
        )
    except BaseException:  # who asked may have given up: nobody else knows of it
        connection.terminate()
        raise


async def said_goodbye(connections: Iterable[Connection]) -> None:
    """Closes connections, each in GOODBYE_SECONDS at most: the peer may be gone."""
    await asyncio.gather(*map(_closed, connections))


async def _closed(connection: Connection) -> None:
    with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        await connection.close(timeout=GOODBYE_SECONDS)


def _keep_alive(connection: Connection) -> None:
    """A connection that lies idle and whose peer is gone ends by itself, before anybody waits for it."""
    transport: asyncio.Transport = connection._transport  # type: ignore[attr-defined]  # asyncpg has no other way
    own = transport.get_extra_info("socket")
    if own.family == socket.AF_UNIX:
        return
    own.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, option in (("idle", "TCP_KEEPIDLE"), ("interval", "TCP_KEEPINTVL"), ("count", "TCP_KEEPCNT")):
        if hasattr(socket, option):  # not everywhere
            own.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), KEEP_ALIVE[name])


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _value(sent: str) -> Any:
    """Of JSON that PostgreSQL took and no program reads (a thousand levels deep) its text."""
    try:
        return orjson.loads(sent)
    except orjson.JSONDecodeError:
        return sent
