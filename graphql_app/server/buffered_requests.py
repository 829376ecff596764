"""Requests that arrive whole, on one HTTP connection under uvicorn: a POST on /graphql is answered by its door, without
ASGI (decision 8). All else goes to ASGI.
"""

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from graphql_app.server.arrival import Arrivals

COPIED_MOST = 4096  # bytes of a body that are sent with the head; more are not worth another copy
BEGINNING = b"POST /graphql HTTP/1.1\r\n"
END = b"\r\n\r\n"

Lines = list[tuple[bytes, bytes]]
Sent = tuple[int, bytes, bytes]  # status, header lines with their ends, body
Answer = Sent | asyncio.Future[Sent] | Coroutine[Any, Any, Sent]


class SizedHead(Protocol):
    """A parsed request line with its header fields. `length` is that of the body which they announce, in bytes."""

    @property
    def length(self) -> int | None: ...


H = TypeVar("H", bound=SizedHead)


class RequestHandler(Protocol[H]):
    """The part of graph/http/endpoint that is called here. A result of None leaves the request to ASGI."""

    def known(self, peer: str | None, sent: bytes) -> H | None: ...
    def head(self, peer: str | None, lines: Lines, sent: bytes | None) -> H | None: ...
    def answer(self, head: H, body: bytes) -> Answer | None: ...


class NeverDisconnected:
    """Stands in for the event of a disconnected peer, for which nobody waits here."""

    def set(self) -> None: ...


class PendingCycle:
    """A request that its door works on, in the form that uvicorn expects of its own request cycles."""

    __slots__ = ("disconnected", "keep_alive", "response_complete")

    message_event: ClassVar = NeverDisconnected()

    def __init__(self) -> None:
        self.disconnected = self.response_complete = False
        self.keep_alive = True


class BufferedRequests(Arrivals, Generic[H]):
    _sent_head: bytes | None = None  # of the request that is being read, if it may be all that has come
    _idle_since = 0.0
    _written: ClassVar[tuple[list[tuple[bytes, bytes]], bytes]] = [], b""
    _behind = 0  # how many bytes have come behind it

    @property
    def _door(self) -> RequestHandler[H]:
        door: RequestHandler[H] = self.app_state["graphql"]
        return door

    @property
    def _peer(self) -> str | None:
        return self.client[0] if self.client else None

    def data_received(self, data: bytes) -> None:
        if not self._is_repeated(data):
            super().data_received(data)

    def _is_repeated(self, data: bytes) -> bool:
        """Answers a request whose head was sent before: clients say the same again with every request, but for the
        length of the body, and of that there are not many. To parse it would be a tenth of what an answer costs."""
        self._sent_head = None
        if self._is_arriving or not (data.startswith(BEGINNING) and self._is_free()):
            return False
        end = data.find(END) + len(END)
        sent_head, self._behind = data[:end], len(data) - end
        head = self._door.known(self._peer, sent_head)
        if head is None or head.length != self._behind:
            self._sent_head = sent_head
            return False
        answer = self._door.answer(head, data[end:])
        if answer is not None:
            self._give(answer)
        return answer is not None

    def _is_taken(self, body: bytes) -> bool:
        """Returns whether the door answers the request that the parser has read."""
        if self._is_in_parts or not self._is_for_the_door():
            return False
        # A body that is all there is behind the head was not sent in chunks.
        head = self._door.head(self._peer, self.headers, self._sent_head if len(body) == self._behind else None)
        answer = None if head is None else self._door.answer(head, body)
        if answer is not None:
            self._give(answer)
        return answer is not None

    def _is_for_the_door(self) -> bool:
        """Returns whether it is a POST on /graphql, with no earlier request that must be answered first."""
        parser = self.parser
        return (
            self.url == b"/graphql"
            and parser.get_method() == b"POST"
            and parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
            and self._is_free()
        )

    # --- the answer --------------------------------------------------------------------------------------------------

    def _give(self, answer: Answer) -> None:
        if isinstance(answer, tuple):
            self._write(*answer)
        else:
            self._await(answer)

    def _await(self, answer: asyncio.Future[Sent] | Coroutine[Any, Any, Sent]) -> None:
        """Sends the answer when it has come. Meanwhile uvicorn queues what the peer sends ahead, and waits for it when
        it stops."""
        self.cycle = awaited = PendingCycle()  # type: ignore[assignment]  # all of a cycle that is looked at
        if not isinstance(answer, asyncio.Future):
            answer = task = self.loop.create_task(answer)
            self.tasks.add(task)  # type: ignore[arg-type]  # waited for, whatever it results in
            task.add_done_callback(self.tasks.discard)
        answer.add_done_callback(partial(self._answered, awaited))

    def _answered(self, awaited: PendingCycle, answer: asyncio.Future[Sent]) -> None:
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
        head = STATUS_LINE[status] + lines + self._of_every_answer()
        if not keep_alive:
            head += b"connection: close\r\n"
        if len(body) > COPIED_MOST:
            self.transport.writelines((head + b"\r\n", body))
        else:
            self.transport.write(b"%b\r\n%b" % (head, body))
        if not keep_alive:
            self.transport.close()
        self._completed()

    def _of_every_answer(self) -> bytes:
        """Returns the date, and the header fields that the operator configured. uvicorn replaces its list of them each
        second."""
        headers = self.server_state.default_headers
        if self._written[0] is not headers:
            BufferedRequests._written = headers, b"".join([b"%b: %b\r\n" % line for line in headers])
        return self._written[1]

    # --- and afterwards ----------------------------------------------------------------------------------------------

    def _completed(self) -> None:
        """Ends the request as uvicorn does, but leaves a running timer to find out that it was too early."""
        if self.pipeline or self.transport.is_closing():
            self.on_response_complete()
            return
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._close_after(self.timeout_keep_alive)

    def _close_after(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def timeout_keep_alive_handler(self) -> None:
        self.timeout_keep_alive_task = None
        if self.cycle is not None and not self.cycle.response_complete:
            return  # its answer will set another
        early = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if early > 0:
            self._close_after(early)
        else:
            super().timeout_keep_alive_handler()
