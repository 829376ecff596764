"""Peers that no library would be, over bare TCP: silent, dead, half open, unfinished, from elsewhere."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from tests.acceptance.conftest import Server, StartServer

WAIT_SECONDS = 15
PING_SECONDS = 1.0
LOOK_SECONDS = 1.0  # how often the server looks after its sockets
GOODBYE_SECONDS = 3.0  # how long it waits for the answer to its close frame

HANDSHAKE = {
    "Host": "office.test",
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": base64.b64encode(b"0123456789abcdef").decode(),
    "Sec-WebSocket-Protocol": "graphql-transport-ws",
}


class Peer:
    """One TCP connection, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, content: bytes) -> None:
        self._writer.write(content)

    def say(self, message: object) -> None:
        self.send(frame(0x1, json.dumps(message).encode()))

    async def answer(self) -> bytes:
        """Status line and header fields of an HTTP answer."""
        async with asyncio.timeout(WAIT_SECONDS):
            return await self._reader.readuntil(b"\r\n\r\n")

    async def frame(self) -> tuple[int, bytes]:
        """The opcode and the payload of the next frame."""
        async with asyncio.timeout(WAIT_SECONDS):
            first, size = await self._reader.readexactly(2)
            if size == 126:
                size = int.from_bytes(await self._reader.readexactly(2), "big")
            return first & 0x0F, await self._reader.readexactly(size)

    async def rest(self) -> bytes:
        """All that comes until the server ends the TCP connection."""
        async with asyncio.timeout(WAIT_SECONDS):
            try:
                return await self._reader.read()
            except ConnectionResetError:
                return b""


def frame(opcode: int, payload: bytes) -> bytes:
    """A final frame, masked with zeros."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else bytes([0xFE]) + size.to_bytes(2, "big")
    return bytes([0x80 | opcode]) + length + bytes(4) + payload


def request(**changes: str | None) -> bytes:
    fields = {**HANDSHAKE, **{name.replace("_", "-"): value for name, value in changes.items()}}
    lines = [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return "\r\n".join(["GET /graphql HTTP/1.1", *lines, "", ""]).encode()


@asynccontextmanager
async def peer(server: Server) -> AsyncIterator[Peer]:
    address = urlsplit(server.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        yield Peer(reader, writer)
    finally:
        writer.transport.abort()


@asynccontextmanager
async def acknowledged(server: Server) -> AsyncIterator[Peer]:
    async with peer(server) as one:
        one.send(request())
        assert (await one.answer()).startswith(b"HTTP/1.1 101 ")
        one.say({"type": "connection_init", "payload": {"authorization": f"Bearer {server.token('visitor')}"}})
        assert await one.frame() == (0x1, b'{"type":"connection_ack"}')
        yield one


# --- the opening handshake -------------------------------------------------------------------------------------------

FAULTY = {
    "no key": request(Sec_WebSocket_Key=None),
    "a key that is no key": request(Sec_WebSocket_Key="short"),
    "no version": request(Sec_WebSocket_Version=None),
    "an old version": request(Sec_WebSocket_Version="8"),
    "another protocol to upgrade to": request(Upgrade="websockets"),
    "a method that cannot": request().replace(b"GET", b"POST", 1),
}


@pytest.mark.parametrize("fault", FAULTY)
async def test_a_handshake_that_is_none_is_answered_with_a_4xx(shared_server: Server, fault: str) -> None:
    async with peer(shared_server) as one:
        one.send(FAULTY[fault])

        assert (await one.answer()).startswith(b"HTTP/1.1 4")


@pytest.mark.parametrize(
    "origin",
    [
        "http://elsewhere.test",
        "null",
        "",
        "http://office.test.elsewhere.test",
        "http://elsewhere-office.test",
        "http://elsewhere.test/office.test",
        "http://elsewhere.test@office.test",
        "http://desk.office.test",
        "http://office.test:81",
        "http://office.test/",
        "ftp://office.test",
        "office.test",
    ],
)
async def test_a_page_from_elsewhere_is_answered_with_403(shared_server: Server, origin: str) -> None:
    async with peer(shared_server) as one:
        one.send(request(Origin=origin))

        assert (await one.answer()).startswith(b"HTTP/1.1 403 ")


async def test_a_page_of_this_host_may_come_in(shared_server: Server) -> None:
    async with peer(shared_server) as one:
        one.send(request(Origin="http://office.test"))

        assert (await one.answer()).startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize("name", ["access_token", "token", "Authorization"])
async def test_an_address_with_a_token_in_it_is_answered_with_400(shared_server: Server, name: str) -> None:
    async with peer(shared_server) as one:
        one.send(request().replace(b"/graphql", f"/graphql?{name}={shared_server.token('visitor')}".encode(), 1))

        assert (await one.answer()).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("field", ["Host", "Origin", "Sec-WebSocket-Version", "Sec-WebSocket-Key", "Upgrade"])
async def test_what_must_be_said_once_is_not_taken_twice(shared_server: Server, field: str) -> None:
    said = {"Origin": "http://office.test", **HANDSHAKE}
    async with peer(shared_server) as one:
        one.send(request(Origin=said["Origin"])[:-2] + f"{field}: {said[field]}\r\n\r\n".encode())

        assert (await one.answer()).startswith(b"HTTP/1.1 4")
    assert "Traceback" not in shared_server.log.read_text()


async def test_two_tokens_are_none_for_a_socket_too(shared_server: Server) -> None:
    token = f"Authorization: Bearer {shared_server.token('visitor')}\r\n".encode()
    async with peer(shared_server) as one:
        one.send(request()[:-2] + token * 2 + b"\r\n")
        assert (await one.answer()).startswith(b"HTTP/1.1 101 ")
        one.say({"type": "connection_init"})

        opcode, payload = await one.frame()
        assert (opcode, int.from_bytes(payload[:2], "big")) == (0x8, 4403)


async def test_another_path_has_no_socket(shared_server: Server) -> None:
    async with peer(shared_server) as one:
        one.send(request().replace(b"/graphql", b"/api/changes", 1))

        assert (await one.answer()).split(b" ")[1] in (b"403", b"404")


async def test_bytes_may_come_one_by_one(shared_server: Server) -> None:
    async with peer(shared_server) as one:
        for part in (request(), frame(0x1, b'{"type":"ping"}')):
            for byte in part:
                one.send(bytes([byte]))
                await asyncio.sleep(0.001)
            if part == request():
                assert (await one.answer()).startswith(b"HTTP/1.1 101 ")

        assert await one.frame() == (0x1, b'{"type":"pong"}')


# --- silent, dead and half open --------------------------------------------------------------------------------------


@pytest.fixture
def pinging(start_server: StartServer) -> Server:
    return start_server(GRAPHQL_APP_SOCKET_PING_SECONDS=str(PING_SECONDS))


async def test_a_peer_that_answers_pings_stays_and_one_that_does_not_is_cut_in_time(pinging: Server) -> None:
    async with acknowledged(pinging) as alive, acknowledged(pinging) as dead:
        began = time.monotonic()
        cut = asyncio.create_task(dead.rest())
        pings = 0
        while not cut.done():
            opcode, payload = await alive.frame()
            assert opcode == 0x9
            alive.send(frame(0xA, payload))
            pings += 1
        took = time.monotonic() - began

        # Asked after one ping time and given another; each is noticed at the next look. Then the goodbye.
        assert 2 * PING_SECONDS <= took < 2 * (PING_SECONDS + LOOK_SECONDS) + GOODBYE_SECONDS + 2
        assert b"\x88" in cut.result()
        assert (1011).to_bytes(2, "big") + b"No answer to a ping" in cut.result()
        assert pings >= 2
        alive.say({"type": "ping"})
        assert (await alive.frame())[0] in (0x1, 0x9)


async def test_a_peer_that_does_not_answer_a_close_is_hung_up_on(shared_server: Server) -> None:
    async with acknowledged(shared_server) as one:
        one.say({"type": "nonsense"})
        began = time.monotonic()
        told = await one.rest()

        assert (4400).to_bytes(2, "big") in told
        assert time.monotonic() - began < GOODBYE_SECONDS + 2


async def test_a_message_larger_than_the_limit_is_closed_with_1009_before_it_is_there(shared_server: Server) -> None:
    async with acknowledged(shared_server) as one:
        one.send(bytes([0x81, 0xFF]) + (2**40).to_bytes(8, "big") + bytes(4))

        opcode, payload = await one.frame()
        assert (opcode, payload[:2]) == (0x8, (1009).to_bytes(2, "big"))


async def test_a_peer_that_hangs_up_in_the_middle_of_a_frame_leaves_no_trace(shared_server: Server) -> None:
    for cut in range(1, 12):
        async with acknowledged(shared_server) as one:
            one.send(frame(0x1, b'{"type":"ping"}')[:cut])
            await asyncio.sleep(0)

    assert "Traceback" not in shared_server.log.read_text()
