"""Requests that do not come to an end, byte by byte over real connections: no peer keeps a connection, or fills memory,
by what it does not finish."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, Response

from graphql_app import observe
from graphql_app.server import arrival, connection
from tests.one_piece import listening

WAIT_SECONDS = 20
SOON = 0.3
HEAD = b"POST /sized HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture
async def port() -> AsyncIterator[int]:
    app = FastAPI()

    @app.get("/")
    async def hello() -> Response:
        return PlainTextResponse("hello")

    @app.get("/slow")
    async def slow() -> Response:
        await asyncio.sleep(3 * SOON)
        return PlainTextResponse("slow")

    @app.post("/sized")
    async def sized(request: Request) -> Response:
        return PlainTextResponse(str(len(await request.body())))

    state: dict[str, object] = {"sessions": SimpleNamespace(drain=lambda: None), "stall_seconds": 20.0}
    async with listening(app, state) as port:
        yield port


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "ARRIVAL_SECONDS", SOON)


@pytest.fixture
def cut() -> list[observe.News]:
    return []


@pytest.fixture(autouse=True)
def counted(cut: list[observe.News]) -> Iterator[None]:
    end = observe.listen(lambda news: cut.append(news) if isinstance(news, observe.RequestUnfinished) else None)
    yield
    end()


async def told(port: int, *parts: bytes, pause: float = 0.0) -> bytes:
    """All that comes back until the server ends the connection, after what is sent until then."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    heard = asyncio.ensure_future(reader.read())
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            for part in parts:
                if heard.done():
                    break
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause)
            return await heard
    finally:
        writer.transport.abort()


def status(answer: bytes) -> bytes:
    return answer.split(b"\r\n", 1)[0][9:12]


UNFINISHED = {
    "nothing at all": b"",
    "a part of a request line": b"GET /",
    "a head without its end": b"GET / HTTP/1.1\r\nHost: x\r\n",
    "a second request that stops": b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HT",
}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("what", UNFINISHED)
async def test_a_head_that_does_not_arrive_in_time_is_a_408(port: int, what: str, cut: list[observe.News]) -> None:
    began = time.monotonic()
    answer = await told(port, UNFINISHED[what])

    assert status(answer.rpartition(b"hello")[2]) == b"408"
    assert SOON <= time.monotonic() - began < 5
    assert len(cut) == 1


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("body", [b"Content-Length: 10\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc"])
async def test_a_body_that_does_not_arrive_in_time_is_a_408(port: int, body: bytes, cut: list[observe.News]) -> None:
    assert status(await told(port, HEAD + body)) == b"408"
    assert len(cut) == 1


@pytest.mark.usefixtures("impatient")
async def test_drop_by_drop_is_not_faster(port: int, cut: list[observe.News]) -> None:
    """The time counts from the beginning of a request, however often something comes."""
    began = time.monotonic()
    answer = await told(port, b"GET / HTTP/1.1\r\nX: ", *[b"x"] * 20, pause=SOON / 4)

    assert status(answer) == b"408"
    assert time.monotonic() - began < 20 * SOON / 4
    assert len(cut) == 1


CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
ENDLESS = {
    "a request line": (b"GET /", b"x" * 65536, b"414"),
    "a name of a header field": (b"GET / HTTP/1.1\r\n", b"x" * 65536, b"431"),
    "a header field": (b"GET / HTTP/1.1\r\nX: ", b"x" * 65536, b"431"),
    "header fields": (b"GET / HTTP/1.1\r\n", b"X: y\r\n" * 10_000, b"431"),
    "a trailer": (CHUNKED + b"1\r\na\r\n0\r\nX: ", b"x" * 65536, b"413"),
    "an extension of a chunk": (CHUNKED + b"1;", b"x" * 65536, b"413"),
}


@pytest.mark.parametrize("what", ENDLESS)
async def test_what_has_no_end_is_refused_before_it_fills_the_memory(
    port: int, what: str, cut: list[observe.News], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who goes on sending gets to read it."""
    monkeypatch.setattr(connection, "REQUEST_BYTES_MOST", 1_000_000)
    began, more, expected = ENDLESS[what]
    answer = await told(port, began, *[more] * 64)

    assert status(answer) == expected
    assert b"application/problem+json" in answer
    assert len(cut) == 1


async def test_thousands_of_requests_sent_ahead_are_refused(port: int) -> None:
    answer = await told(port, b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n" + b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 8000)

    assert answer.count(b"200 OK") <= arrival.PIPELINED_MOST


@pytest.mark.usefixtures("impatient")
async def test_who_has_sent_all_of_it_is_waited_for(port: int, cut: list[observe.News]) -> None:
    """An answer may take its time, with another request behind it; and so may the next request on a connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(WAIT_SECONDS):
        writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readuntil(b"slow")).startswith(b"HTTP/1.1 200")
        assert (await reader.readuntil(b"hello")).strip().startswith(b"HTTP/1.1 200")
        await asyncio.sleep(3 * SOON)
        writer.write(HEAD + b"Content-Length: 3\r\n\r\n")
        await asyncio.sleep(SOON / 3)
        writer.write(b"abc")
        assert (await reader.readuntil(b"\r\n\r\n3")).strip().startswith(b"HTTP/1.1 200")
    writer.close()
    await writer.wait_closed()

    assert cut == []
