"""Exporting the office to a file that an import reads: from one snapshot, redacted, a part at a time."""

from collections.abc import AsyncIterator, Sequence

from graphql_app.domain.access import Scope, View, require
from graphql_app.domain.caller import Caller
from graphql_app.domain.exporting import WRITERS, ExportFormat, exported_columns
from graphql_app.domain.importing import ImportKind
from graphql_app.store.office.exporting import exported_rows, placeless
from graphql_app.store.postgres.database import Database

IDLE_SECONDS = 60  # whoever takes no part for so long gives the snapshot back


class Exporting:
    """The one way out for all rows of a kind."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, caller: Caller, kinds: Sequence[ImportKind], form: ExportFormat) -> "Export":
        """Returns what writes these kinds with what the viewer may see. A CSV holds one. Raises Forbidden."""
        require(caller.viewer, Scope.READ)
        assert form is not ExportFormat.CSV or len(kinds) == 1
        return Export(self._database, caller.view, kinds, form)


class Export:
    """One file on its way out. `left_out`: workstations on no floor, which no file can tell apart."""

    def __init__(self, database: Database, view: View, kinds: Sequence[ImportKind], form: ExportFormat) -> None:
        self._database = database
        self._view = view
        self._kinds = kinds
        self._writer = WRITERS[form]()
        self.left_out = 0

    async def pieces(self) -> AsyncIterator[bytes]:
        """The file as of one moment, once. Raises Unavailable."""
        async with self._database.snapshot() as snapshot:
            await snapshot.may_idle(IDLE_SECONDS)
            if ImportKind.WORKSTATIONS in self._kinds:
                self.left_out = await placeless(snapshot)
            yield self._writer.begin()
            for kind in self._kinds:
                names = exported_columns(self._view, kind)
                yield self._writer.begin_kind(kind, names)
                async for part in exported_rows(snapshot, kind, names):
                    yield self._writer.rows(map(tuple, part))
                yield self._writer.end_kind()
            yield self._writer.end()
