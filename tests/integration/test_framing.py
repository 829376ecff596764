"""Where a message ends, over real connections of the server's own class: as a strict reader has it, or the connection
is closed; never a second answer, and nothing is carried out that is not answered."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from graphql_app.server.buffered_requests import Lines, Sent
from graphql_app.server.framing import HEAD_BYTES_MOST, TARGET_BYTES_MOST
from tests.framings import Message, conversations, names, read
from tests.one_piece import listening

ANSWERED_SECONDS = 5
QUIET_SECONDS = 0.03  # in which nothing more comes back, where more must not come


class Recorder:
    """Carries out whatever it is asked for, and answers with it: as an ASGI application, and as the door of whole
    requests. What needs no body is carried out before there is one."""

    def __init__(self) -> None:
        self.done: list[Message] = []
        self._heads: dict[bytes, Any] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request, target = Request(scope, receive), scope["raw_path"].decode()
        if scope["query_string"]:
            target += "?" + scope["query_string"].decode()
        message = Message(scope["method"], target, b"", names(scope["headers"]))
        if message.method == "DELETE":
            self.done.append(message)
            message = self.done[-1] = message._replace(body=await request.body())
        else:
            message = message._replace(body=await request.body())
            self.done.append(message)
        content = orjson.dumps(told(message))
        length = (b"content-length", b"%d" % len(content))
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": content})

    def known(self, peer: str | None, sent: bytes) -> Any:
        return self._heads.get(sent)

    def head(self, peer: str | None, lines: Lines, sent: bytes | None) -> Any:
        length = dict(lines).get(b"content-length")
        head = SimpleNamespace(length=None if length is None else int(length), lines=lines)
        if sent is not None:
            self._heads[sent] = head
        return head

    def answer(self, head: Any, body: bytes) -> Sent:
        message = Message("POST", "/graphql", body, names(head.lines))
        self.done.append(message)
        content = orjson.dumps(told(message))
        return 200, b"content-length: %d\r\n" % len(content), content


def told(message: Message) -> list[Any]:
    return [*message[:2], message.body.hex(), message.fields]


@asynccontextmanager
async def recording() -> AsyncIterator[tuple[int, Recorder]]:
    recorder = Recorder()
    state = {"graphql": recorder, "sessions": SimpleNamespace(drain=lambda: None), "stall_seconds": 20.0}
    async with listening(recorder, state) as port:  # type: ignore[arg-type]  # any ASGI application will do
        yield port, recorder


class Heard:
    """What came back on one connection."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, bytes]] = []
        self.is_closed = False

    @property
    def echoes(self) -> list[Message]:
        echoes = [orjson.loads(body) for status, body in self.answers if status == 200]
        return [Message(method, target, bytes.fromhex(body), tuple(fields)) for method, target, body, fields in echoes]

    @property
    def refusals(self) -> list[int]:
        return [status for status, _ in self.answers if status != 200]


async def conversed(port: int, pieces: list[bytes], answers: int) -> Heard:
    """Sends the pieces, and hears so many answers, and whatever else comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    heard, listened = Heard(), asyncio.Event()
    listening_to = asyncio.create_task(hear(reader, heard, listened))
    try:
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0)
        async with asyncio.timeout(ANSWERED_SECONDS):
            while not heard.is_closed and len(heard.answers) < answers:
                listened.clear()
                await listened.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(QUIET_SECONDS):
                await listening_to
    finally:
        listening_to.cancel()
        writer.transport.abort()
    return heard


async def hear(reader: asyncio.StreamReader, heard: Heard, listened: asyncio.Event) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            status = int(head.split()[1])
            if status == 100:
                continue
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length: "))
            body = await reader.readexactly(int(length.split()[1]))
            heard.answers.append((status, body))
            listened.set()
    except (asyncio.IncompleteReadError, ConnectionError):
        heard.is_closed = True
        listened.set()


async def agrees(pieces: list[bytes]) -> None:
    reading = read(b"".join(pieces))
    async with recording() as (port, recorder):
        heard = await conversed(port, pieces, len(reading.messages) + reading.is_broken)

    assert heard.echoes == list(reading.messages[: len(heard.echoes)])
    assert recorder.done == heard.echoes
    assert [status for status, _ in heard.answers[len(heard.echoes) :]] == heard.refusals
    assert len(heard.refusals) <= 1
    assert all(400 <= status < 500 or status in (501, 505) for status in heard.refusals)
    if reading.is_broken or heard.refusals or len(heard.echoes) < len(reading.messages):
        assert heard.is_closed


@given(conversations())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_message_ends_where_a_strict_reader_has_its_end_or_the_connection_is_closed(pieces: list[bytes]) -> None:
    asyncio.run(agrees(pieces))


@pytest.mark.conformance
@pytest.mark.timeout(900)
@given(conversations())
@settings(max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_so_it_does_at_length(pieces: list[bytes]) -> None:
    asyncio.run(agrees(pieces))


# --- what led here ---------------------------------------------------------------------------------------------------

FOUR = b"Content-Length: 4\r\n\r\nevil"
CHUNKS = b"Transfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n"
BEHIND = b"DELETE /other HTTP/1.1\r\nHost: x\r\n\r\n"


def post(rest: bytes, *lines: bytes, method: bytes = b"POST", target: bytes = b"/graphql") -> bytes:
    head = [b"%b %b HTTP/1.1" % (method, target), *(lines or [b"Host: x"])]
    return b"\r\n".join(head) + b"\r\n" + rest


UPGRADE = (b"Host: x", b"Connection: Upgrade", b"Upgrade: foo")
EXAMPLES: dict[str, tuple[bytes, list[int], list[bytes]]] = {  # what is answered, and the bodies of what is carried out
    "an upgrade with a body": (post(FOUR, *UPGRADE) + BEHIND, [200, 200], [b"evil", b""]),
    "an upgrade whose body is a request": (
        post(b"Content-Length: %d\r\n\r\n%b" % (len(BEHIND), BEHIND), *UPGRADE), [200], [BEHIND]),
    "an upgrade with chunks": (post(CHUNKS + b"\r\n", *UPGRADE) + BEHIND, [200, 200], [b"evil", b""]),
    "an upgrade that ends its connection": (post(FOUR, *UPGRADE, b"Connection: close"), [200], [b"evil"]),
    "an upgrade of HTTP/1.0": (post(FOUR, *UPGRADE).replace(b"1.1", b"1.0") + BEHIND, [200], [b"evil"]),
    "a thousand upgrades": (post(FOUR, *UPGRADE) * 1000, [200] * 1000, [b"evil"] * 1000),
    "a socket with a body": (
        post(FOUR, b"Host: x", b"Connection: Upgrade", b"Upgrade: websocket", method=b"GET"), [200], [b"evil"]),
    "no host": (post(FOUR, b"Accept: */*"), [400], []),
    "two hosts": (post(FOUR, b"Host: x", b"Host: x"), [400], []),
    "a host that is none": (post(FOUR, b"Host: x/y"), [400], []),
    "a coding that is not known": (post(CHUNKS.replace(b" chunked", b" gzip, chunked") + b"\r\n"), [501], []),
    "a tunnel": (post(FOUR, method=b"CONNECT", target=b"x:80"), [501], []),
    "something behind it": (post(FOUR) + b"\x00", [200, 400], [b"evil"]),
    "something behind it, for ASGI": (post(FOUR, target=b"/other") + b"\x00", [200, 400], [b"evil"]),
    "something behind the second": (post(FOUR) + BEHIND + b"GET x y\r\n", [200, 200, 400], [b"evil", b""]),
    "a chunk that is none": (post(CHUNKS[:-3] + b"x\r\n", method=b"DELETE", target=b"/other"), [400], []),
    "a trailer that is none": (post(CHUNKS + b"x\r\n\r\n", method=b"DELETE", target=b"/other"), [400], []),
    "leave asked ahead": (
        post(FOUR, target=b"/other") + post(FOUR, b"Host: x", b"Expect: 100-continue"), [200, 417], [b"evil"]),
    "a socket asked for ahead": (
        post(FOUR, target=b"/other")
        + post(b"\r\n", b"Host: x", b"Connection: Upgrade", b"Upgrade: websocket", method=b"GET"),
        [200, 400], [b"evil"]),
    "a long target": (post(FOUR, target=b"/" + b"x" * TARGET_BYTES_MOST), [414], []),
    "a target that is as long as it may be": (
        post(FOUR, target=b"/" + b"x" * (TARGET_BYTES_MOST - 1)), [200], [b"evil"]),
    "long header fields": (post(FOUR, b"Host: x", b"X: " + b"x" * HEAD_BYTES_MOST), [431], []),
}  # fmt: skip


@pytest.mark.parametrize("what", EXAMPLES)
async def test_it_is_answered_once_or_refused_before_it_is_carried_out(what: str) -> None:
    sent, statuses, bodies = EXAMPLES[what]
    async with recording() as (port, recorder):
        heard = await conversed(port, [sent], len(statuses))

    assert [status for status, _ in heard.answers] == statuses
    assert [message.body for message in recorder.done] == bodies
    assert heard.is_closed == (statuses[-1] != 200 or "1.0" in what or "ends" in what)


async def test_a_head_that_was_refused_is_not_known_the_next_time() -> None:
    async with recording() as (port, recorder):
        for _ in range(3):
            assert (await conversed(port, [post(FOUR, b"Host: x", b"Host: x")], 1)).refusals == [400]

    assert recorder.done == []
