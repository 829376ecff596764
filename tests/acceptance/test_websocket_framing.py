"""RFC 6455 by the Autobahn test suite's own cases, against what carries our sockets, with our limits."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import kosoku
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from graphql_app.settings import Settings

pytestmark = pytest.mark.conformance

# Sections 1 to 7 and 10: framing, pings, reserved bits, opcodes, fragments, UTF-8, closing. 9 is about large messages,
# 12 and 13 about compression, which is off.
PROTOCOL = ["9.*", "12.*", "13.*"]
# Of the cases with large messages, those whose messages are no larger than ours may be.
SMALL = ["9.1.1", "9.2.1", "9.7.*", "9.8.*"]
MESSAGE_BYTES = Settings.model_fields["socket_message_bytes"].default
# uvicorn answers a fragment that comes after a close as a protocol error.
KNOWN = {"7.1.5"}


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """The cases want their messages back; our own door closes on what is no JSON."""
    assert scope["type"] == "websocket"
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message.get("text"), "bytes": message.get("bytes")})


@asynccontextmanager
async def echoing() -> AsyncIterator[str]:
    config = uvicorn.Config(
        echo,
        port=0,
        ws_max_size=MESSAGE_BYTES,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
    )
    server = uvicorn.Server(config)
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
    assert {case for case, result in told.items() if not result.passed} == KNOWN, "\n".join(
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
