"""One HTTP connection under uvicorn: its peer must read, must complete what it begins to send, and is told when the
process stops."""

import asyncio
from typing import Any, cast

from graphql_app.observe import AnswerUnread, RequestUnfinished, note
from graphql_app.server.buffered_requests import BufferedRequests
from graphql_app.server.framing import HEAD_BYTES_MOST, TARGET_BYTES_MOST, TOO_LONG, FramingFault
from graphql_app.server.write_coalescer import CoalescedTransport

GOODBYE_SECONDS = 3.0  # while the process ends, for a peer to go on reading
ARRIVAL_SECONDS = 30.0  # for a request to arrive whole
# Of a whole request, with all that chunks add to it, when most of that is thrown away.
REQUEST_BYTES_MOST = 16 * 1024 * 1024


class HttpConnection(BufferedRequests[Any]):
    """uvicorn's own waits for ever for a peer that stops reading, with a full buffer, and on SIGTERM too; and for one
    that stops in the middle of a request, or never comes to its end. An ASGI application cannot help that, as it has no
    hold of the connection."""

    _unread = 0
    _is_ending = False
    _timer: asyncio.TimerHandle | None = None
    _arrived_bytes = 0  # of a request in parts, without the first
    _arrival: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_arriving:
            self._await_rest(len(data))
        elif self._arrival is not None and not data.isspace():  # nor are empty lines what is waited for
            self._stop_awaiting()

    # --- who does not send -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own has it
        super().connection_made(
            cast(asyncio.Transport, CoalescedTransport(transport, self.app_state["write_coalescer"]))
        )
        self._arrival = self.loop.call_later(ARRIVAL_SECONDS, self._overdue)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._stop_awaiting()
        self._arrived_bytes = 0

    def _await_rest(self, size: int) -> None:
        """Starts the timer of a request that comes in parts. One that comes complete costs nothing."""
        if self._arrival is None:
            self._arrival = self.loop.call_later(ARRIVAL_SECONDS, self._overdue)
            return
        self._arrived_bytes += size
        if self._arrived_bytes > (HEAD_BYTES_MOST if self._is_in_head else REQUEST_BYTES_MOST):
            is_in_target = not self.headers and len(self.url) > TARGET_BYTES_MOST
            self._give_up((414 if is_in_target else 431) if self._is_in_head else 413)

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
        if not self.transport.is_closing():
            note(RequestUnfinished())
            self._stop_awaiting()
            self._refuse(FramingFault(status, TOO_LONG[status]))

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
        """Stops: tells the sessions, as an event stream is told by nobody else. A peer that does not read has less time
        from now on, so that nobody keeps the process from ending."""
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
        """Ends a peer that has read nothing. Slow is not stalled: while writing is paused nothing is added, so any
        reading shows."""
        if not self._unread or self.transport.get_write_buffer_size() < self._unread:
            self._watch()
            return
        note(AnswerUnread())
        self.transport.abort()

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
