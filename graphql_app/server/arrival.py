"""Requests as they arrive on one HTTP connection under uvicorn: nobody is told of one before it is here whole, and what
has no certain end is refused.

uvicorn hands a request on by its head. What comes of the rest would then be known too late: an application that needs
no body has acted by the time that the body turns out to be none.
"""

from typing import Any

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from graphql_app.server.framing import MALFORMED, FramingFault, answer, is_handshake, require_certain, written
from graphql_app.server.write_coalescer import CoalescedTransport

PIPELINED_MOST = 100  # requests sent ahead of their answers
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class FinalResponse:
    """The refusal that ends a connection; it waits behind the answers to the requests that were sent ahead."""

    __slots__ = ("sent",)

    def __init__(self, sent: bytes) -> None:
        self.sent = sent


class Arrivals(HttpToolsProtocol):
    """Hands on each request when it is complete. One that is larger than any door takes is handed on at once, to be
    refused."""

    transport: CoalescedTransport  # type: ignore[assignment]  # of which more is asked than of a transport
    _body_parts: list[bytes] | None = None  # the body so far of a request that nobody was told of yet
    _body_bytes = 0
    _is_arriving = False
    _is_in_head = False
    _is_in_parts = False
    _is_handed_on = False
    _is_over = False  # all that comes is thrown away

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            return
        rest: bytes | memoryview | None = data
        try:
            while rest:
                rest = self._parse(rest)
        except httptools.HttpParserError as error:
            self._refuse(_fault(error))
        self._is_in_parts = self._is_arriving

    def _parse(self, data: bytes | memoryview) -> memoryview | None:
        """Returns what is behind a request that wants an upgrade and gets none: the parser does not read its body, so
        that it is given the head again without that wish (RFC 9110, 7.8)."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            rest = memoryview(data)[upgrade.args[0] :]
            method, version = self.parser.get_method(), self.parser.get_http_version()
            if self.ws_protocol_class is not None and is_handshake(method, version, self.headers):
                self._open_socket(written(method, self.url, version, self.headers) + rest)
                return None
            lines = [line for line in self.headers if line[0] != b"upgrade"]
            self.parser = _parser(self)  # the one that was told to upgrade may be at the end of its connection
            self.parser.feed_data(written(method, self.url, version, lines))
            return rest
        return None

    def _open_socket(self, sent: bytes) -> None:
        """Leaves the connection to the door of WebSockets, with the bytes that its peer sent."""
        assert self.ws_protocol_class is not None
        self._is_arriving = False
        if not self._is_free():
            self._refuse(FramingFault(400, "Open a WebSocket on a connection where nothing waits for its answer."))
            return
        self._is_over = True
        self.connections.discard(self)
        socket = self.ws_protocol_class(  # type: ignore[call-arg]  # as uvicorn makes it
            config=self.config, server_state=self.server_state, app_state=self.app_state
        )
        transport = self.transport.released()
        transport.set_protocol(socket)
        socket.connection_made(transport)
        socket.data_received(sent)

    # --- what the parser tells -----------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Begins a request. Raises FramingFault when too many wait for their answers already."""
        if len(self.pipeline) >= PIPELINED_MOST - 1:  # besides the one that is answered now
            raise FramingFault(400, f"Send no more than {PIPELINED_MOST} requests ahead of their answers.")
        super().on_message_begin()
        self._unset_keepalive_if_required()  # not before: empty lines are no reason to stay
        self._is_arriving = self._is_in_head = True
        self._is_in_parts = self._is_handed_on = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keeps a header field. Drops trailer fields: they come after the decisions that they could be asked for."""
        if self._is_in_head:
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        method, version = self.parser.get_method(), self.parser.get_http_version()
        require_certain(method, self.url, version, self.headers)
        self._is_in_head = False
        if self.parser.should_upgrade():
            return  # see _parse
        self._body_parts, self._body_bytes = [], 0
        fields = dict(self.headers)
        if int(fields.get(b"content-length", 0)) > self._body_most:
            self._hand_on()
        elif fields.get(b"expect", b"").lower() == b"100-continue" and version == "1.1":
            self._go_ahead()

    def on_body(self, body: bytes) -> None:
        if self._body_parts is None:
            super().on_body(body)
            return
        self._body_parts.append(body)
        self._body_bytes += len(body)
        if self._body_bytes > self._body_most:
            self._hand_on()

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._is_arriving = False
        if self._body_parts is not None:
            if self._is_taken(b"".join(self._body_parts)):
                self._body_parts = None
                return
            self._hand_on()
        self.transport.lingers = False
        super().on_message_complete()

    # --- and what comes of it --------------------------------------------------------------------------------------

    @property
    def _body_most(self) -> int:
        most: int = self.app_state["body_most"]
        return most

    def _is_free(self) -> bool:
        """Returns whether all earlier requests are answered, and the peer reads."""
        return (
            not self.flow.write_paused
            and (self.cycle is None or self.cycle.response_complete)
            and not self.transport.is_closing()
        )

    def _is_taken(self, body: bytes) -> bool:
        """Returns whether the complete request is answered without ASGI."""
        return False

    def _go_ahead(self) -> None:
        """Sends `100 Continue` to a client that waits for it."""
        if not self._is_free():
            raise FramingFault(417, "Ask leave to send a body when nothing waits for its answer.")
        self.transport.write(CONTINUE)
        self._is_in_parts = True

    def _hand_on(self) -> None:
        """Gives the request to ASGI, as uvicorn would have."""
        parts, self._body_parts = self._body_parts, None
        self.transport.lingers = self._is_arriving
        super().on_headers_complete()
        self._is_handed_on = True
        if parts:
            super().on_body(b"".join(parts))

    def _refuse(self, fault: FramingFault) -> None:
        """Answers with the fault, after the answers to earlier requests; reads no more."""
        is_handed_on = self._is_arriving and self._is_handed_on
        self._is_over, self._is_arriving, self._body_parts = True, False, None
        self.transport.lingers = True
        if is_handed_on:  # too large: it was or will be told so
            self.transport.close()
            return
        words: Any = FinalResponse(answer(fault, self.server_state.default_headers))
        if self.cycle is None or self.cycle.response_complete:
            self._start_asgi_task(words, self.app)
        else:
            self.pipeline.appendleft((words, self.app))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if isinstance(cycle, FinalResponse):
            self.transport.write(cycle.sent)
            self.transport.close()
        else:
            super()._start_asgi_task(cycle, app)


def _parser(protocol: Arrivals) -> httptools.HttpRequestParser:
    """Returns a parser as uvicorn makes it: it drops what comes after the last request of a connection."""
    parser = httptools.HttpRequestParser(protocol)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser


def _fault(error: httptools.HttpParserError) -> FramingFault:
    """Returns the fault that a callback of the parser raised, or the one that the parser itself names."""
    told = error.__context__
    return told if isinstance(told, FramingFault) else FramingFault(400, f"{MALFORMED}: {error}.")
