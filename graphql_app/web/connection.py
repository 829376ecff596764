"""One HTTP connection under uvicorn: whose peer must read, and which is told when the process is to stop."""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from graphql_app.observe import AnswerUnread, note


class HttpConnection(HttpToolsProtocol):
    """uvicorn's own waits for ever for a peer that stops reading, with a full buffer, and on SIGTERM too. An ASGI
    application cannot help that, as it has no hold of the connection."""

    _unread = 0
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
        """The process is to stop: the sessions are told, as an event stream is told by nobody else."""
        self.app_state["sessions"].drain()
        super().shutdown()

    def _watch(self) -> None:
        self._unread = self.transport.get_write_buffer_size()
        self._timer = self.loop.call_later(self.app_state["stall_seconds"], self._look)

    def _look(self) -> None:
        """Slow is not stalled: while it is paused nothing is added, so that any reading shows."""
        if self.transport.get_write_buffer_size() < self._unread:
            self._watch()
            return
        note(AnswerUnread())
        self.transport.abort()

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
