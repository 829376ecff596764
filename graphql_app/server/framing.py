"""Whether it is certain where a request ends, and whether it asks for a WebSocket: decided by its head (RFC 9112)."""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final

import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from graphql_app.server.security import SECURE

TARGET_BYTES_MOST = 60 * 1024
HEAD_BYTES_MOST = 64 * 1024  # of a request line with its header fields

# RFC 3986, 3.2.2: a name or an address, and a port; it may be empty.
_HOST: Final = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[\w.~!$&'()*+,;=%-]*)(?::[0-9]*)?", re.ASCII)

Lines = Sequence[tuple[bytes, bytes]]


class FramingFault(Exception):
    """Why a request is refused before it is handed on; its connection ends, as nobody knows what follows."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


MALFORMED: Final = "This is not HTTP/1.1"
TOO_LONG: Final[Mapping[int, str]] = {
    408: "The request did not arrive whole in time.",
    413: "The request is too long.",
    414: f"The request target is longer than {TARGET_BYTES_MOST} bytes; ask by POST.",
    431: f"The request line and its header fields are longer than {HEAD_BYTES_MOST} bytes.",
}


def require_certain(method: bytes, target: bytes, version: str, lines: Lines) -> None:
    """Raises FramingFault for a head that two readers might understand differently, or that is too long."""
    hosts, codings, size = [], [], len(method) + len(target) + len(" HTTP/1.1 \r\n\r\n")
    for name, value in lines:
        size += len(name) + len(value) + len(": \r\n")
        if name == b"host":
            hosts.append(value)
        elif name == b"transfer-encoding":
            codings.append(value.lower())
    if version not in ("1.0", "1.1"):
        raise FramingFault(505, "Speak HTTP/1.1.")
    if method == b"CONNECT":  # what follows would be of another protocol
        raise FramingFault(501, "This is no proxy.")
    if len(target) > TARGET_BYTES_MOST:
        raise FramingFault(414, TOO_LONG[414])
    if size > HEAD_BYTES_MOST:
        raise FramingFault(431, TOO_LONG[431])
    _require_host(version, hosts)
    _require_coding(version, codings)


def _require_host(version: str, hosts: Sequence[bytes]) -> None:
    if len(hosts) > 1 or (not hosts and version == "1.1"):
        raise FramingFault(400, "Send one `Host` (RFC 9112, 3.2).")
    if hosts and not _HOST.fullmatch(hosts[0]):
        raise FramingFault(400, "`Host` is not a name or address with a port.")


def _require_coding(version: str, codings: Sequence[bytes]) -> None:
    """Raises FramingFault for a coding other than `chunked`. The parser checks lengths: digits alone, and none beside a
    coding."""
    if codings and version == "1.0":
        raise FramingFault(400, "HTTP/1.0 has no `Transfer-Encoding`.")
    if codings and codings != [b"chunked"]:
        raise FramingFault(501, "Send the body as it is, or with `Transfer-Encoding: chunked` alone.")


def is_handshake(method: bytes, version: str, lines: Lines) -> bool:
    """Returns whether a request with an upgrade asks for a WebSocket and nothing else, without a body: that would be
    read as frames."""
    upgrades = [value.lower() for name, value in lines if name == b"upgrade"]
    lengths = [value for name, value in lines if name in (b"content-length", b"transfer-encoding")]
    return (
        method == b"GET"
        and version == "1.1"
        and upgrades == [b"websocket"]
        and all(length == b"0" for length in lengths)
    )


def written(method: bytes, target: bytes, version: str, lines: Lines) -> bytes:
    """Returns a head as it is sent."""
    fields = b"".join([b"%b: %b\r\n" % line for line in lines])
    return b"%b %b HTTP/%b\r\n%b\r\n" % (method, target, version.encode(), fields)


def answer(fault: FramingFault, lines: Lines) -> bytes:
    """Returns the fault as problem+json (RFC 9457), the last response of its connection."""
    title = HTTPStatus(fault.status).phrase
    body = orjson.dumps({"type": "about:blank", "status": fault.status, "title": title, "detail": fault.detail})
    own = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
        (b"cache-control", b"no-store"),
    ]
    fields = b"".join([b"%b: %b\r\n" % line for line in (*lines, *own, *SECURE)])
    return b"%b%b\r\n%b" % (STATUS_LINE[fault.status], fields, body)
