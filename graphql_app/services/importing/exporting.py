"""Exporting the office to a file that an import reads: from one snapshot, redacted, a part at a time."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, aclosing, contextmanager
from typing import Any

from graphql_app.domain.access import Scope, View, require
from graphql_app.domain.caller import Caller
from graphql_app.domain.errors import RateLimited, Unavailable
from graphql_app.domain.exporting import CsvWriter, ExportFormat, JsonWriter, Writer, exported_columns
from graphql_app.domain.importing import ImportKind
from graphql_app.domain.workbooks import WorkbookWriter
from graphql_app.store.office.exporting import exported_rows, placeless
from graphql_app.store.postgres.database import Database

WRITERS: Mapping[ExportFormat, type[Writer]] = {
    ExportFormat.CSV: CsvWriter,
    ExportFormat.JSON: JsonWriter,
    ExportFormat.XLSX: WorkbookWriter,
}
Turn = Callable[[], AbstractContextManager[None]]

IDLE_SECONDS = 60  # whoever takes no part for so long gives the snapshot back
LONGEST_SECONDS = 600.0  # in which all rows must be taken, however steadily they are
AT_ONCE_MOST = 2  # in one process: each holds a connection for as long as its reader takes
RETRY_SECONDS = 10


class Exporting:
    """The one way out for all rows of a kind."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._running = 0

    def begin(self, caller: Caller, kinds: Sequence[ImportKind], form: ExportFormat) -> "Export":
        """Returns what writes these kinds with what the viewer may see. A CSV holds one. Raises Forbidden,
        InvalidInput where a format is not installed."""
        require(caller.viewer, Scope.READ)
        assert form is not ExportFormat.CSV or len(kinds) == 1
        return Export(self._database, self._turn, caller.view, kinds, form)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Raises RateLimited where enough run already."""
        if self._running >= AT_ONCE_MOST:
            raise RateLimited(
                f"{AT_ONCE_MOST} exports run here already; come back in {RETRY_SECONDS} s.",
                measure="exports",
                limit=AT_ONCE_MOST,
                asked=self._running + 1,
                retry_after=RETRY_SECONDS,
            )
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1


class Export:
    """One file on its way out. `left_out`: workstations on no floor, which no file can tell apart."""

    def __init__(
        self, database: Database, turn: Turn, view: View, kinds: Sequence[ImportKind], form: ExportFormat
    ) -> None:
        self._database = database
        self._turn = turn
        self._view = view
        self._kinds = kinds
        self._writer = WRITERS[form]()
        # One thread, so that closing waits for what is being made.
        self._thread = ThreadPoolExecutor(1, "export") if self._writer.is_slow else None
        self.left_out = 0

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yields the file as of one moment, once. Raises RateLimited, and Unavailable, also for who takes it slowly."""
        try:
            with self._turn():
                async with aclosing(self._parts()) as parts:
                    async for piece in parts:
                        yield piece
            yield await self._made(self._writer.end)
        finally:
            self._close()

    async def _parts(self) -> AsyncGenerator[bytes, None]:
        over_at = time.monotonic() + LONGEST_SECONDS
        async with self._database.snapshot() as snapshot:
            await snapshot.may_idle(IDLE_SECONDS)
            if ImportKind.WORKSTATIONS in self._kinds:
                self.left_out = await placeless(snapshot)
            yield self._writer.begin()
            for kind in self._kinds:
                names = exported_columns(self._view, kind)
                yield self._writer.begin_kind(kind, names)
                async for part in exported_rows(snapshot, kind, names):
                    if time.monotonic() > over_at:
                        raise Unavailable("The export was not read as fast as it must be; try again.")
                    yield await self._made(self._writer.rows, list(map(tuple, part)))
                yield self._writer.end_kind()

    async def _made(self, make: Callable[..., bytes], *given: Any) -> bytes:
        if self._thread is None:
            return make(*given)
        return await asyncio.get_running_loop().run_in_executor(self._thread, make, *given)

    def _close(self) -> None:
        """Nobody waits for it: of a file that was given up as much is to be done as of one that is whole."""
        if self._thread is None:
            self._writer.close()
        else:
            self._thread.submit(self._writer.close)
            self._thread.shutdown(wait=False)
