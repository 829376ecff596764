"""What an anonymous client can do to the shipped nginx and the processes behind it: be refused, and no more."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence

import orjson
import pytest

from tests.acceptance.conftest import Server
from tests.acceptance.nginx import Front, starting

pytestmark = pytest.mark.conformance

WAIT_SECONDS = 20
TIMES = 4  # max_fails is 2, for each of two processes
HOST = b"Host: office.test\r\n"
SOCKET = b"GET /graphql HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
VERSION = b"Sec-WebSocket-Version: 13\r\n"
QUERY = b"/graphql?query={__typename}&x="
ASKED = b'{"query":"{__typename}"}'
POST = b"POST /graphql HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(ASKED)


def get(target: bytes, *lines: bytes) -> bytes:
    return b"GET %b HTTP/1.1\r\n%b%b\r\n" % (target, HOST, b"".join(line + b"\r\n" for line in lines))


# What is sent, and the status of the first answer.
INPUTS: Mapping[str, tuple[bytes, Sequence[int]]] = {
    "a handshake with a body": (SOCKET + KEY + VERSION + b"Content-Length: 4\r\n\r\nevil", [401]),
    "a handshake with chunks": (
        SOCKET + KEY + VERSION + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", [101]),
    "a handshake without a key": (SOCKET + VERSION + b"\r\n", [400]),
    "a handshake with half a key": (SOCKET + VERSION + b"Sec-WebSocket-Key: x\r\n\r\n", [400]),
    "a handshake without a version": (SOCKET + KEY + b"\r\n", [426]),
    "a handshake of another version": (SOCKET + KEY + b"Sec-WebSocket-Version: 8\r\n\r\n", [426]),
    "a handshake from a foreign page": (SOCKET + KEY + VERSION + b"Origin: http://elsewhere.example\r\n\r\n", [403]),
    "a handshake on another path": (SOCKET.replace(b"/graphql", b"/x") + KEY + VERSION + b"\r\n", [404]),
    "a handshake of HTTP/1.0": (SOCKET.replace(b"1.1", b"1.0") + KEY + VERSION + b"\r\n", [101, 200, 400, 406]),
    "a handshake by POST": (SOCKET.replace(b"GET", b"POST") + KEY + VERSION + b"\r\n", [415]),
    "a handshake with a field of 20 KB": (SOCKET + KEY + VERSION + b"X: " + b"x" * 20_000 + b"\r\n\r\n", [431]),
    "a handshake with a target of 20 KB": (
        (SOCKET + KEY + VERSION + b"\r\n").replace(b"/graphql", b"/graphql?x=" + b"x" * 20_000), [414]),
    "a handshake with 200 fields": (SOCKET + KEY + VERSION + b"X: x\r\n" * 200 + b"\r\n", [431]),
    "a handshake with frames behind it": (SOCKET + VERSION + b"\r\n" + b"\x81\x00" * 50, [400]),
    "an upgrade to HTTP/2 with a body": (
        POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\n" + LENGTH + b"\r\n" + ASKED, [401]),
    "an upgrade to a socket by a POST with a body": (
        POST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n" + LENGTH + b"\r\n" + ASKED, [401]),
    "no host, as HTTP/1.0 may": (b"GET /healthz HTTP/1.0\r\n\r\n", [200]),
    "no host": (b"GET /healthz HTTP/1.1\r\n\r\n", [400]),
    "two hosts": (get(b"/healthz", b"Host: x"), [400]),
    "a host that is none": (b"GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n", [400]),
    "a query string of 55 KB": (get(QUERY + b"x" * 55_000, b"Accept: application/json"), [401]),
    "a query string of 63 KB": (get(QUERY + b"x" * 63_000), [414]),
    "a query string of 70 KB": (get(QUERY + b"x" * 70_000), [414]),
    "a header field of 70 KB": (get(b"/healthz", b"X: " + b"x" * 70_000), [431]),
    "header fields of 70 KB": (get(b"/healthz", b"X: " + b"x" * 35_000, b"Y: " + b"x" * 35_000), [431]),
    "a thousand header fields": (get(b"/healthz", *[b"X-%d: x" % n for n in range(1000)]), [200, 431]),
    "a long address that is sent elsewhere": (get(b"/api/workstations/?x=" + b"x" * 20_000), [307, 401, 404]),
    "a long address of nothing": (get(b"/" + b"x" * 20_000), [404]),
    "another coding": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", [501]),
    "a coding and a length": (POST + b"Transfer-Encoding: chunked\r\n" + LENGTH + b"\r\n" + ASKED, [400]),
    "two lengths": (POST + LENGTH + LENGTH + b"\r\n" + ASKED, [400]),
    "a body of 1 MB": (POST + b"Content-Length: 1000000\r\n\r\n" + b"x" * 1_000_000, [413]),
    "HTTP/2 unasked": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400, 505]),
    "another version": (b"GET / HTTP/3.0\r\n" + HOST + b"\r\n", [505]),
    "a method that there is not": (b"BREW /graphql HTTP/1.1\r\n" + HOST + b"\r\n", [400, 405]),
    "CONNECT": (b"CONNECT office.test:443 HTTP/1.1\r\n" + HOST + b"\r\n", [400, 405]),
    "TRACE": (b"TRACE / HTTP/1.1\r\n" + HOST + b"\r\n", [405]),
    "letters that are no ASCII": (get("/总部".encode()), [400, 404]),
    "no HTTP": (b"\x16\x03\x01\x00\xff", [400]),
    "the metrics": (get(b"/metrics"), [403]),
    "leave to send a body": (POST + LENGTH + b"Expect: 100-continue\r\n\r\n" + ASKED, [100]),
    "a request id with marks": (get(b"/healthz", b"X-Request-ID: \xff\x80"), [200]),
}  # fmt: skip


async def answer(port: int, sent: bytes) -> tuple[int, bytes, bytes]:
    """Status, head and body of the first answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            writer.write(sent)
            head = await reader.readuntil(b"\r\n\r\n")
            length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length: ")]
            body = await reader.readexactly(int(length[0].split()[1])) if length else b""
            return int(head.split()[1]), head, body
    finally:
        writer.transport.abort()


@pytest.fixture
def front(shared_server: Server) -> Iterator[Front]:
    """The same process twice: what counts as a failure of it is nginx's own business."""
    with starting() as start:
        yield start(shared_server.url, shared_server.url)


@pytest.mark.parametrize("what", INPUTS)
async def test_no_input_of_an_anonymous_client_makes_a_process_count_as_failed(front: Front, what: str) -> None:
    sent, expected = INPUTS[what]
    told = [await answer(front.port, sent) for _ in range(TIMES)]

    assert {status for status, _, _ in told} <= set(expected), told[0]
    assert "upstream" not in front.log.read_text()
    assert (await answer(front.port, get(b"/readyz")))[0] == 200


REFUSED = {
    what: expected[0] for what, (_, expected) in INPUTS.items() if expected[0] in (403, 405, 413, 414, 431, 501, 505)
}


@pytest.mark.parametrize("what", [what for what in REFUSED if "handshake" not in what])
async def test_what_nginx_or_the_app_refuses_is_told_as_a_problem(front: Front, what: str) -> None:
    status, head, body = await answer(front.port, INPUTS[what][0])
    told = orjson.loads(body)

    assert b"content-type: application/problem+json" in head.lower()
    assert (told["status"], told["type"]) == (status, "about:blank")
    assert told["detail"]
