"""Writes that connections make in one round of the loop, handed to the system together.

Waking the reader is most of what a small answer costs. A proxy, or a client with many connections, that was woken by
the first answer is still awake for the others.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

CONNECTIONS_MOST = 32  # connections: the first of them is not to wait for more answers than that
PENDING_BYTES_MOST = 64 * 1024  # of one connection: only what was handed on can make a writer pause
LINGER_SECONDS = 3.0  # for a peer that still sends to read why nobody listens any more


class WriteCoalescer:
    """The connections of one event loop with something to write before its next round."""

    def __init__(self) -> None:
        self._deferred: Callable[[Callable[[], None]], object] = asyncio.get_running_loop().call_soon
        self._written: list[CoalescedTransport] = []

    def add(self, transport: "CoalescedTransport") -> None:
        if not self._written:
            self._deferred(self._flush)
        self._written.append(transport)
        if len(self._written) == CONNECTIONS_MOST:
            self._flush()

    def _flush(self) -> None:
        written, self._written = self._written, []
        for transport in written:
            transport.flush()


class CoalescedTransport:
    """A transport whose writes wait for those of others, until the loop has gone round once. It closes after them;
    all else is the transport's own.

    `lingers`: whether the peer may still be sending. To close with something unread resets the connection, and what was
    written last is lost with it.
    """

    __slots__ = ("_is_closing", "_pending", "_pending_bytes", "_transport", "_write_coalescer", "lingers")

    def __init__(self, transport: asyncio.Transport, write_coalescer: WriteCoalescer) -> None:
        self._transport = transport
        self._write_coalescer = write_coalescer
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._is_closing = False
        self.lingers = False

    def write(self, data: bytes) -> None:
        self._pending.append(data)
        self._pending_bytes += len(data)
        if len(self._pending) == 1:
            self._write_coalescer.add(self)
        elif self._pending_bytes > PENDING_BYTES_MOST:
            self.flush()

    def writelines(self, parts: Iterable[bytes]) -> None:
        for part in parts:
            self.write(part)

    def close(self) -> None:
        self.flush()
        if self.lingers and not self.is_closing() and self._transport.can_write_eof():
            self._transport.write_eof()
            self._transport.resume_reading()
            asyncio.get_running_loop().call_later(LINGER_SECONDS, self._transport.close)
        else:
            self._transport.close()
        self._is_closing = True

    def is_closing(self) -> bool:
        return self._is_closing or self._transport.is_closing()

    def flush(self) -> None:
        pending, self._pending, self._pending_bytes = self._pending, [], 0
        if pending and not self._transport.is_closing():
            self._transport.writelines(pending)

    def released(self) -> asyncio.Transport:
        """Returns the transport itself, for whoever writes without delay."""
        self.flush()
        return self._transport

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size() + self._pending_bytes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
