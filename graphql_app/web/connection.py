"""One HTTP connection under uvicorn: whose peer must read, and must send what it begins to send, and which is told when
the process is to stop.
"""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from graphql_app.observe import AnswerUnread, RequestUnfinished, note
from graphql_app.web.together import HeldBack
from graphql_app.web.whole import WholeRequests

GOODBYE_SECONDS = 3.0  # while the process ends, for a peer to go on reading
ARRIVAL_SECONDS = 30.0  # for a request to arrive whole
# Of a request line with its header fields, and of a whole request that is refused already; what is read at once, up to
# 256 KB, may come on top.
HEAD_BYTES_MOST = 64 * 1024
REQUEST_BYTES_MOST = 16 * 1024 * 1024
PIPELINED_MOST = 100  # requests sent ahead of their answers


class TooManyAhead(Exception):
    """Raised in the middle of reading: uvicorn answers what it calls an invalid request, and closes."""


class HttpConnection(WholeRequests[Any]):
    """uvicorn's own waits for ever for a peer that stops reading, with a full buffer, and on SIGTERM too; and for one
    that stops in the middle of a request, or never comes to its end. An ASGI application cannot help that, as it has no
    hold of the connection."""

    _unread = 0
    _is_ending = False
    _timer: asyncio.TimerHandle | None = None
    _is_in_head = False
    _arrived_bytes = 0
    _arrival: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_arriving:
            self._await_rest(len(data))
        elif self._arrival is not None:
            self._stop_awaiting()

    # --- who does not send -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own has it
        super().connection_made(cast(asyncio.Transport, HeldBack(transport, self.app_state["together"])))
        self._arrival = self.loop.call_later(ARRIVAL_SECONDS, self._overdue)

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= PIPELINED_MOST:
            raise TooManyAhead
        super().on_message_begin()
        self._is_in_head = True
        self._arrived_bytes = 0

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        super().on_headers_complete()

    def handle_websocket_upgrade(self) -> None:
        self._is_arriving = False
        self._stop_awaiting()
        self.transport = cast(HeldBack, self.transport).released()
        super().handle_websocket_upgrade()

    def _await_rest(self, size: int) -> None:
        """Not before a request comes in parts: for one that comes whole, none of this is to cost anything."""
        self._arrived_bytes += size
        if self._arrived_bytes > (HEAD_BYTES_MOST if self._is_in_head else REQUEST_BYTES_MOST):
            self._give_up(431 if self._is_in_head else 413)
        elif self._arrival is None:
            self._arrival = self.loop.call_later(ARRIVAL_SECONDS, self._overdue)

    def _stop_awaiting(self) -> None:
        if self._arrival is not None:
            self._arrival.cancel()
            self._arrival = None

    def _overdue(self) -> None:
        self._arrival = None
        if self.flow.read_paused:  # it is not the peer who is late
            self._arrival = self.loop.call_later(ARRIVAL_SECONDS, self._overdue)
        else:
            self._give_up(408)

    def _give_up(self, status: int) -> None:
        """Says why, if nobody has begun to answer; whoever works on the request finds that its client is gone."""
        if self.transport.is_closing():
            return
        note(RequestUnfinished())
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(STATUS_LINE[status] + b"content-length: 0\r\nconnection: close\r\n\r\n")
        self.transport.close()

    # --- who does not read -------------------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        self._rest()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._rest()
        self._stop_awaiting()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """The process is to stop: the sessions are told, as an event stream is told by nobody else. Who does not read
        has less time from now on, so that nobody keeps the process from ending."""
        self.app_state["sessions"].drain()
        super().shutdown()
        self._is_ending = True
        self._rest()
        self._watch()

    def _watch(self) -> None:
        self._unread = self.transport.get_write_buffer_size()
        seconds: float = self.app_state["stall_seconds"]
        self._timer = self.loop.call_later(min(seconds, GOODBYE_SECONDS) if self._is_ending else seconds, self._look)

    def _look(self) -> None:
        """Slow is not stalled: while it is paused nothing is added, so that any reading shows."""
        if not self._unread or self.transport.get_write_buffer_size() < self._unread:
            self._watch()
            return
        note(AnswerUnread())
        self.transport.abort()

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
