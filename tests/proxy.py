"""A TCP proxy before a real server that fails the way networks do: silently, abruptly, or only by being slow."""

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

AT_ONCE_BYTES = 65536


class Link:
    """One connection through the proxy: what arrives on either side waits until the gate is open."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self._sides = (client, server)

    def abort(self) -> None:
        for side in self._sides:
            side.transport.abort()


class Proxy:
    """Forwards to the server of a URL. It has a thread and a loop of its own: a busy test does not slow it down."""

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._links: set[Link] = set()
        self._forgotten: set[Link] = set()
        self._refuses = self._is_silent = False
        self._delay_seconds = 0.0

    @property
    def url(self) -> str:
        """The same URL by way of the proxy."""
        account, at, _ = self._url.netloc.rpartition("@")
        return self._url._replace(netloc=f"{account}{at}127.0.0.1:{self._port}").geturl()

    def silence(self) -> None:
        """Nothing is forwarded any more and nothing is closed, as when a cable is cut. New connections hang too."""
        self._do(self._silence())

    def forget(self) -> None:
        """The connections of now are dead for ever, silently, as when a firewall forgets them; new ones work."""
        self._do(self._forget())

    def drop(self) -> None:
        """All connections are reset, and new ones closed at once."""
        self._do(self._drop())

    def delay(self, seconds: float) -> None:
        """All that is forwarded comes so much later."""
        self._delay_seconds = seconds

    def restore(self) -> None:
        """Forwards again; what was held back arrives, as TCP has it."""
        self._do(self._restore())

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._do(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self._port: int = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, what: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(10)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            writer.transport.abort()
            return
        host, port = self._url.hostname, self._url.port
        try:
            there_reader, there_writer = await asyncio.open_connection(host, port)
        except OSError:
            writer.transport.abort()
            return
        link = Link(writer, there_writer)
        if self._is_silent:
            link.gate.clear()
        self._links.add(link)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pump(link, reader, there_writer))
                tasks.create_task(self._pump(link, there_reader, writer))
        except* OSError:
            pass
        finally:
            link.abort()
            self._links.discard(link)
            self._forgotten.discard(link)

    async def _pump(self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while content := await reader.read(AT_ONCE_BYTES):
            await asyncio.sleep(self._delay_seconds)
            await link.gate.wait()
            writer.write(content)
            await writer.drain()
        await link.gate.wait()
        with suppress(OSError):
            writer.write_eof()

    async def _silence(self) -> None:
        self._is_silent = True
        for link in self._links:
            link.gate.clear()

    async def _forget(self) -> None:
        for link in self._links:
            link.gate.clear()
        self._forgotten |= self._links
        self._links.clear()

    async def _drop(self) -> None:
        self._refuses = True
        for link in list(self._links):
            link.abort()

    async def _restore(self) -> None:
        self._refuses = self._is_silent = False
        self._delay_seconds = 0
        for link in self._links:
            link.gate.set()

    async def _end(self) -> None:
        self._server.close()
        # Those that are only being opened as well: the server processes still run, and still try.
        tasks = asyncio.all_tasks(self._loop) - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
