"""One HTTP connection under uvicorn: whose peer must read, and must send what it begins to send, and which is told when
the process is to stop.

A POST on /graphql that arrives in one piece is answered by its door, without ASGI. All else goes to ASGI.
"""

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any, Protocol, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from graphql_app.observe import AnswerUnread, RequestUnfinished, note
from graphql_app.web.together import HeldBack

GOODBYE_SECONDS = 3.0  # while the process ends, for a peer to go on reading
ARRIVAL_SECONDS = 30.0  # for a request to arrive whole
# Of a request line with its header fields, and of a whole request that is refused already; what is read at once, up to
# 256 KB, may come on top.
HEAD_BYTES_MOST = 64 * 1024
REQUEST_BYTES_MOST = 16 * 1024 * 1024
PIPELINED_MOST = 100  # requests sent ahead of their answers


class TooManyAhead(Exception):
    """Raised in the middle of reading: uvicorn answers what it calls an invalid request, and closes."""


Sent = tuple[int, bytes, bytes]  # status, header lines with their ends, body
COPIED_MOST = 4096  # bytes of a body that are sent with the head; more are not worth another copy


class Door(Protocol):
    """Of graph/http, what is asked of it here."""

    def answer(
        self, peer: str | None, lines: list[tuple[bytes, bytes]], body: bytes
    ) -> Sent | asyncio.Future[Sent] | Coroutine[Any, Any, Sent] | None: ...


class Awaited:
    """A request that its door is at work on, as uvicorn sees it: one of its own cycles, of which it asks no more."""

    __slots__ = ("disconnected", "keep_alive", "message_event", "response_complete")

    def __init__(self) -> None:
        self.disconnected = self.response_complete = False
        self.keep_alive = True
        self.message_event = asyncio.Event()  # set when the peer is gone


class HttpConnection(HttpToolsProtocol):
    """uvicorn's own waits for ever for a peer that stops reading, with a full buffer, and on SIGTERM too; and for one
    that stops in the middle of a request, or never comes to its end. An ASGI application cannot help that, as it has no
    hold of the connection."""

    _held: bytes | None = None  # the body so far of a request that nobody was told of yet
    _unread = 0
    _is_ending = False
    _timer: asyncio.TimerHandle | None = None
    _is_arriving = _is_in_head = False
    _arrived_bytes = 0
    _arrival: asyncio.TimerHandle | None = None

    # --- what is answered without ASGI -------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._held is not None:  # the rest of it is still to come
            self._let_go()
        if self._is_arriving:
            self._await_rest(len(data))
        elif self._arrival is not None:
            self._stop_awaiting()

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        if self._is_for_the_door():
            self._held = b""
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self._held is None:
            super().on_body(body)
        else:
            self._held += body

    def on_message_complete(self) -> None:
        self._is_arriving = False
        if self._held is not None:
            door: Door = self.app_state["graphql"]
            answer = door.answer(self.client[0] if self.client else None, self.headers, self._held)
            if answer is not None:
                self._held = None
                if isinstance(answer, tuple):
                    self._write(*answer)
                else:
                    self._await(answer)
                return
            self._let_go()
        super().on_message_complete()

    def _is_for_the_door(self) -> bool:
        """Whether it is a POST on /graphql with nothing before it that would have to be answered first."""
        parser = self.parser
        return (
            self.url == b"/graphql"
            and parser.get_method() == b"POST"
            and parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
            and not parser.should_upgrade()
            and not self.expect_100_continue
            and not self.flow.write_paused
            and (self.cycle is None or self.cycle.response_complete)
            and not self.transport.is_closing()
        )

    def _let_go(self) -> None:
        """Goes on as uvicorn would have without us."""
        body, self._held = self._held, None
        super().on_headers_complete()
        if body:
            super().on_body(body)

    def _await(self, answer: asyncio.Future[Sent] | Coroutine[Any, Any, Sent]) -> None:
        """Meanwhile uvicorn queues what the peer sends ahead, and waits for the answer when it is to stop."""
        self.cycle = awaited = Awaited()  # type: ignore[assignment]  # all of a cycle that is looked at
        if not isinstance(answer, asyncio.Future):
            answer = task = self.loop.create_task(answer)
            self.tasks.add(task)  # type: ignore[arg-type]  # waited for, whatever it results in
            task.add_done_callback(self.tasks.discard)
        answer.add_done_callback(partial(self._answered, awaited))

    def _answered(self, awaited: Awaited, answer: asyncio.Future[Sent]) -> None:
        awaited.response_complete = True
        if answer.cancelled():  # the process ends, and waits no longer
            self.transport.close()
            return
        try:
            sent = answer.result()
        except BaseException:  # said by the loop
            self.transport.close()
            raise
        if not (awaited.disconnected or self.transport.is_closing()):
            self._write(*sent, keep_alive=awaited.keep_alive)

    def _write(self, status: int, lines: bytes, body: bytes, *, keep_alive: bool = True) -> None:
        head = STATUS_LINE[status] + lines
        for line in self.server_state.default_headers:  # when it is, and what the operator has uvicorn say
            head += b"%b: %b\r\n" % line
        if not keep_alive:
            head += b"connection: close\r\n"
        if len(body) > COPIED_MOST:
            self.transport.writelines((head + b"\r\n", body))
        else:
            self.transport.write(b"%b\r\n%b" % (head, body))
        if not keep_alive:
            self.transport.close()
        self.on_response_complete()

    # --- who does not send -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own has it
        super().connection_made(cast(asyncio.Transport, HeldBack(transport, self.app_state["together"])))
        self._arrival = self.loop.call_later(ARRIVAL_SECONDS, self._overdue)

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= PIPELINED_MOST:
            raise TooManyAhead
        super().on_message_begin()
        self._is_arriving = self._is_in_head = True
        self._arrived_bytes = 0

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
