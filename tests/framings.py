"""Requests as anybody may frame them, right and wrong, and what a strict reader (h11) makes of the same bytes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import h11
from hypothesis import strategies as st

SMUGGLED = b"POST /smuggled HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nevil"
BODIES = [b"", b"abc", b"0\r\n\r\n", b"a" * 300, SMUGGLED, b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"]
HOST = b"Host: x"


class Message(NamedTuple):
    method: str
    target: str
    body: bytes
    fields: tuple[str, ...]  # names of those in the head, but for the wish for another protocol


def names(lines: Iterable[tuple[bytes, bytes]]) -> tuple[str, ...]:
    return tuple(sorted({name.decode() for name, _ in lines} - {"upgrade"}))


@dataclass(frozen=True)
class Reading:
    """The messages that are whole, and whether the bytes go wrong, end with the last of them, or leave one undone."""

    messages: tuple[Message, ...]
    is_broken: bool
    is_undone: bool


def read(sent: bytes) -> Reading:
    """What h11 makes of it, as a server that answers each message.

    Empty lines before one mean nothing (RFC 9112, 2.2).
    """
    messages: list[Message] = []
    try:
        while sent := sent.lstrip(b"\r\n"):
            message, sent = _first(sent)
            if message is None:
                return Reading(tuple(messages), is_broken=False, is_undone=True)
            messages.append(message)
    except h11.RemoteProtocolError:
        return Reading(tuple(messages), is_broken=True, is_undone=False)
    return Reading(tuple(messages), is_broken=False, is_undone=False)


def _first(sent: bytes) -> tuple[Message | None, bytes]:
    """The first message, if it is whole, and what comes after it on a connection that goes on."""
    server, body = h11.Connection(h11.SERVER), b""
    server.receive_data(sent)
    head = server.next_event()
    if not isinstance(head, h11.Request):
        return None, b""
    while isinstance(part := server.next_event(), h11.Data):
        body += part.data
    if not isinstance(part, h11.EndOfMessage):
        return None, b""
    is_last = server.their_state is h11.MUST_CLOSE
    message = Message(head.method.decode(), head.target.decode(), body, names(head.headers))
    return message, b"" if is_last else server.trailing_data[0]


# --- framings --------------------------------------------------------------------------------------------------------


def chunked(body: bytes, size: int, extension: bytes = b"", trailers: Sequence[bytes] = ()) -> bytes:
    chunks = [body[at : at + size] for at in range(0, len(body), size)]
    lines = [b"%x%b\r\n%b\r\n" % (len(chunk), extension, chunk) for chunk in chunks]
    return b"".join(lines) + b"0\r\n" + b"".join(line + b"\r\n" for line in trailers) + b"\r\n"


CODINGS = [b"chunked"] * 8 + [
    b"Chunked",
    b"gzip, chunked",
    b"chunked, chunked",
    b"identity",
    b"gzip",
    b"x",
    b" chunked ",
]
TRAILERS = [
    b"X-Forwarded-For: 192.0.2.1",
    b"Authorization: Bearer x",
    b"Content-Length: 3",
    b"Transfer-Encoding: gzip",
    b"Connection: close",
    b"Upgrade: h2c",
    b"Host: y",
    b"Trailer-",
]
# What is wrong with a length, from the length.
LENGTHS = [b"%d"] * 8 + [
    b"+%d",
    b"-%d",
    b"0%d",
    b"%d, %d",
    b"%d,%d",
    b"0x%d",
    b"%d ",
    b"",
    b"%d;",
    b"99999999999999999999",
]
OTHERS = [
    b"Connection: close",
    b"Connection: keep-alive",
    b"Connection: Upgrade",
    b"Connection: keep-alive, Upgrade, HTTP2-Settings",
    b"Upgrade: h2c",
    b"Upgrade: foo",
    b"Upgrade: h2c, websocket",
    b"Expect: 100-continue",
    b"Transfer-Encoding: chunked",
    b"Content-Length: 3",
    b"Content-Length: 0",
    b"Accept : x",
    b" folded: x",
    b"Host: y",
    b"X: a\x00b",
    b"X: a\rb",
    b"X: a\nTransfer-Encoding: chunked",
]


@st.composite
def framed(draw: st.DrawFn) -> bytes:
    """One request: most of them right, as the wrong ones end their connection."""
    method = draw(st.sampled_from([b"POST", b"POST", b"PUT", b"GET", b"DELETE", b"OPTIONS"]))
    target = draw(st.sampled_from([b"/graphql", b"/graphql", b"/other?x=y"]))
    version = draw(
        st.sampled_from([b"HTTP/1.1"] * 20 + [b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1.2", b"http/1.1"])
    )
    hosts = draw(st.sampled_from([[HOST]] * 20 + [[], [HOST, HOST]]))
    body = draw(st.sampled_from(BODIES))
    lines, sent = draw(st.one_of(lengthened(body), in_chunks(body), st.just(([], b""))))
    few = st.lists(st.sampled_from(OTHERS[:8]), max_size=3)
    others = draw(st.one_of(st.just([]), few, few, few, st.lists(st.sampled_from(OTHERS), max_size=2)))
    end = draw(st.sampled_from([b"\r\n"] * 30 + [b"\n"]))
    head = [b"%b %b %b" % (method, target, version), *hosts, *draw(st.permutations([*lines, *others])), b"", b""]
    return end.join(head) + sent


@st.composite
def lengthened(draw: st.DrawFn, body: bytes) -> tuple[list[bytes], bytes]:
    length = len(body) + draw(st.sampled_from([0] * 12 + [-1, 1, 200]))
    form = draw(st.sampled_from(LENGTHS))
    value = form.replace(b"%d", b"%d" % max(length, 0))
    return [b"Content-Length: " + value] * draw(st.sampled_from([1] * 12 + [2])), body


@st.composite
def in_chunks(draw: st.DrawFn, body: bytes) -> tuple[list[bytes], bytes]:
    size = draw(st.integers(1, 400))
    extension = draw(st.sampled_from([b""] * 6 + [b";x=y", b" ", b"\t;z", b";\n", b"g"]))
    trailers = draw(st.lists(st.sampled_from(TRAILERS), max_size=2))
    return [b"Transfer-Encoding: " + draw(st.sampled_from(CODINGS))], chunked(body, size, extension, trailers)


@st.composite
def conversations(draw: st.DrawFn) -> list[bytes]:
    """Pieces of what one client sends: some requests, some of them twice, cut where requests end or anywhere."""
    requests = draw(st.lists(framed(), min_size=1, max_size=4))
    requests += draw(st.sampled_from([[], requests[:1] * 2]))
    if draw(st.booleans()):
        return requests
    sent = b"".join(requests)
    cuts = sorted(draw(st.lists(st.integers(0, len(sent)), max_size=3)))
    return [piece for a, b in zip([0, *cuts], [*cuts, len(sent)], strict=True) if (piece := sent[a:b])]
