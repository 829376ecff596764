"""One HTTP connection under uvicorn: whose peer must read, and which is told when the process is to stop."""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from graphql_app.observe import AnswerUnread, note

GOODBYE_SECONDS = 3.0  # while the process ends, for a peer to go on reading


class HttpConnection(HttpToolsProtocol):
    """uvicorn's own waits for ever for a peer that stops reading, with a full buffer, and on SIGTERM too. An ASGI
    application cannot help that, as it has no hold of the connection."""

    _unread = 0
    _is_ending = False
    _timer: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        self._rest()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._rest()
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
