"""RFC 6455 by the Autobahn test suite's own cases, against what carries our sockets, with our limits."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import cast

import kosoku
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from websockets.http11 import Request

from graphql_app.domain.addresses import Proxies
from graphql_app.graph.websocket.protocol import Connection
from graphql_app.graph.websocket.transports.asgi import WebSocketEndpoint
from graphql_app.graph.websocket.transports.uvicorn import DirectSocket
from graphql_app.graph.websocket.wire import Rules, Wire
from graphql_app.live.sessions.sessions import Sessions
from graphql_app.settings import Settings

pytestmark = pytest.mark.conformance

# Sections 1 to 7 and 10: framing, pings, reserved bits, opcodes, fragments, UTF-8, closing. 9 is about large messages,
# 12 and 13 about compression, which is off.
PROTOCOL = ["9.*", "12.*", "13.*"]
# Of the cases with large messages, those whose messages are no larger than ours may be.
SMALL = ["9.1.1", "9.2.1", "9.7.*", "9.8.*"]
MESSAGE_BYTES = Settings.model_fields["socket_message_bytes"].default


class Echo(Connection):
    """The cases want their messages back; our own protocol closes on what is no JSON."""

    def __init__(self, wire: Wire) -> None:
        self._socket = cast(EchoSocket, wire)

    def receive(self, message: str | bytes) -> None:
        if isinstance(message, str):
            self._socket.write(message.encode())
        else:
            self._socket.write_binary(message)

    def closed(self) -> None:
        pass

    def look(self) -> None:
        pass


class EchoDoor(WebSocketEndpoint):
    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions
        self.proxies = Proxies([])
        self.rules = Rules(
            init_seconds=10,
            operations_most=1,
            message_bytes_most=MESSAGE_BYTES,
            stall_seconds=20,
            ping_seconds=20,
            compresses=False,
        )

    def refusal(self, path: str, headers: Mapping[str, str]) -> None:
        return None

    def connection(self, wire: Wire, header: str | None, address: str | None) -> Connection:
        return Echo(wire)


class EchoSocket(DirectSocket):
    def _shake_hands(self, request: Request) -> None:
        """The suite's client names no subprotocol."""
        self._core.send_response(self._core.accept(request))
        self._flush()
        self._begin({})

    def write_binary(self, message: bytes) -> None:
        self._core.send_binary(message)
        self._flush()


async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    """The application: it hands the door to the sockets, which do not come as far as ASGI."""
    assert scope["type"] == "lifespan"
    scope["state"]["sockets"] = EchoDoor(Sessions(0))
    for stage in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{stage}.complete"})


@asynccontextmanager
async def echoing() -> AsyncIterator[str]:
    server = uvicorn.Server(uvicorn.Config(lifespan, port=0, ws=EchoSocket, lifespan="on", log_config=None))
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(10):
        while not server.started:  # noqa: ASYNC110  # uvicorn has no event for it
            await asyncio.sleep(0.01)
    yield f"ws://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await serving


async def results(cases: Sequence[str] | None, exclude: Sequence[str]) -> "dict[str, kosoku._kosoku.CaseResult]":
    async with echoing() as url:
        try:
            found = await kosoku.run_fuzzingclient(url, cases, exclude, concurrency=8)
        except kosoku.FailureError as failure:
            found = failure.results
    return {result.case_id: result for result in found}


async def test_every_case_of_the_protocol_passes() -> None:
    told = await results(None, PROTOCOL)

    assert len(told) == 247
    assert {case for case, result in told.items() if not result.passed} == set(), "\n".join(
        f"{case}: {result.result} {result.result_close}" for case, result in told.items() if not result.passed
    )


async def test_every_case_whose_messages_are_within_our_limit_passes() -> None:
    told = await results(SMALL, [])

    assert len(told) == 14
    assert {case for case, result in told.items() if not result.passed} == set()


async def test_a_message_beyond_our_limit_is_closed_with_1009_however_it_is_cut_into_frames() -> None:
    told = await results(["9.*"], SMALL)

    assert len(told) == 40
    assert {case: result.remote_close_code for case, result in told.items()} == dict.fromkeys(told, 1009)
