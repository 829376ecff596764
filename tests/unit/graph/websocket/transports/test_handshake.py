"""A handshake is answered whatever it is."""

import pytest

from graphql_app.graph.websocket.transports.handshake import Core

HEAD = b"GET /graphql HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
VERSION = b"Sec-WebSocket-Version: 13\r\n"

HANDSHAKES = {
    "as it should be": (HEAD + KEY + VERSION + b"\r\n", b"101"),
    "without a key": (HEAD + VERSION + b"\r\n", b"400"),
    "with two keys": (HEAD + KEY + KEY + VERSION + b"\r\n", b"400"),
    "without a version": (HEAD + KEY + b"\r\n", b"426"),
    "with two versions": (HEAD + KEY + VERSION + VERSION + b"\r\n", b"426"),
    "of another version": (HEAD + KEY + b"Sec-WebSocket-Version: 8\r\n\r\n", b"426"),
    "with a body": (HEAD + KEY + VERSION + b"Content-Length: 4\r\n\r\nevil", b"400"),
    "with chunks": (HEAD + KEY + VERSION + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
    "that is none": (b"\x16\x03\x01\r\n\r\n", b"400"),
    "with a long field": (HEAD + KEY + VERSION + b"X: " + b"x" * 10_000 + b"\r\n\r\n", b"431"),
    "with a long address": (HEAD.replace(b"/graphql", b"/" + b"x" * 10_000) + KEY + VERSION + b"\r\n", b"414"),
}


@pytest.mark.parametrize("what", HANDSHAKES)
def test_a_handshake_is_answered(what: str) -> None:
    sent, status = HANDSHAKES[what]
    core = Core()
    core.receive_data(sent)
    for request in core.events_received():
        core.send_response(core.accept(request))  # type: ignore[arg-type]  # before it is open there are no frames
    answer, *end = core.data_to_send()

    assert answer.split()[1] == status
    assert end == ([] if status == b"101" else [b""])
    if status == b"426":
        assert b"Sec-WebSocket-Version: 13" in answer
        assert b"Upgrade: websocket" in answer
