"""Requests over real connections of the server's own class, each of them in one piece, as most clients send them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import h11
import httpx
import uvicorn
from fastapi import FastAPI
from uvicorn.server import ServerState

from graphql_app.server.connection import HttpConnection
from graphql_app.server.write_coalescer import WriteCoalescer
from graphql_app.settings import Settings


@asynccontextmanager
async def listening(
    app: FastAPI, state: dict[str, object], server_state: ServerState | None = None, **options: Any
) -> AsyncIterator[int]:
    """The port of an application whose lifespan has begun, with that state. `server_state` and `options` are
    uvicorn's."""
    config = uvicorn.Config(app, log_config=None, access_log=False, server_header=False, **options)
    config.load()
    server_state = server_state or ServerState()
    loop = asyncio.get_running_loop()
    state = {"body_most": Settings.model_fields["request_bytes"].default, "write_coalescer": WriteCoalescer()} | state
    server = await loop.create_server(lambda: HttpConnection(config, server_state, state), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for connection in list(server_state.connections):
            connection.transport.close()
        await asyncio.gather(*server_state.tasks)
        await server.wait_closed()


class OnePiece(httpx.AsyncBaseTransport):
    """A connection for each request: head and body are written at once."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        client = h11.Connection(h11.CLIENT)
        head = h11.Request(method=request.method, target=request.url.raw_path, headers=request.headers.raw)
        piece = client.send(head) or b""
        body = await request.aread()
        piece += (client.send(h11.Data(data=body)) or b"") if body else b""
        piece += client.send(h11.EndOfMessage()) or b""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(piece)
            return await _response(client, reader)
        finally:
            writer.close()
            await writer.wait_closed()


async def _response(client: h11.Connection, reader: asyncio.StreamReader) -> httpx.Response:
    status, headers, content = 0, [], b""
    while True:
        event = client.next_event()
        if event is h11.NEED_DATA:
            client.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Response):
            status, headers = event.status_code, list(event.headers)
        elif isinstance(event, h11.Data):
            content += event.data
        elif isinstance(event, h11.EndOfMessage):
            return httpx.Response(status, headers=headers, content=content)
