"""Importing the office from a file: read, checked and written in one transaction, or not at all."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from graphql_app.domain.access import Scope, require
from graphql_app.domain.caller import Caller
from graphql_app.domain.errors import InvalidInput
from graphql_app.domain.importing import (
    BadRow,
    Difference,
    Fault,
    ImportKind,
    ImportOutcome,
    ImportTally,
    Problem,
    Report,
    Row,
    Unreadable,
    worded,
)
from graphql_app.services.importing.files import RECOGNISED, ImportFile, ReadOptions, opened
from graphql_app.store.office.loading import Loading
from graphql_app.store.postgres.database import Database

PROBLEMS_MOST = 1000
DIFFERENCES_MOST = 1000
BATCH_ROWS = 2000
SLICE_ROWS = 5000
# Of the whole time: what it takes to read a file and copy it to the database, when all of its rows are new.
READING_SHARE = 0.2

Progress = Callable[[int, int], None]


def _silent(done: int, total: int) -> None:
    pass


class Importing:
    """The one way in for many rows: files of the command line, and the demo office."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(
        self,
        caller: Caller,
        source: Path,
        *,
        kind: str | None,
        dry_run: bool,
        skip_bad: bool,
        progress: Progress,
        lists_differences: bool = False,
        reading: ReadOptions = RECOGNISED,
    ) -> Report:
        """Writes what the file holds, or nothing when a row of it is bad and `skip_bad` is not set.

        `source` may be `-` for standard input, `kind` None when the file tells it. `lists_differences`: the report says
        what is added and changed. `progress` is called with the bytes done and the bytes in all.

        Raises Forbidden, InvalidInput when the file cannot be opened, Conflict, ReadOnly, Unavailable.
        """
        require(caller.viewer, Scope.ADMIN)
        with opened(source, reading) as file:
            return await self.take(
                caller,
                file,
                kind=kind,
                dry_run=dry_run,
                skip_bad=skip_bad,
                lists_differences=lists_differences,
                progress=progress,
            )

    async def take(
        self,
        caller: Caller,
        source: ImportFile,
        *,
        kind: str | None = None,
        dry_run: bool = False,
        skip_bad: bool = False,
        lists_differences: bool = False,
        progress: Progress = _silent,
    ) -> Report:
        """Imports a file that is open already, as run() does, and raises the same."""
        require(caller.viewer, Scope.ADMIN)
        one = _Import(source, _known(kind), skip_bad, progress, DIFFERENCES_MOST if lists_differences else 0)
        try:
            async with self._database.writing(caller) as transaction:
                await one.work(await Loading.begin(transaction.connection))
                if dry_run or one.refused:
                    raise _Undone
        except _Undone:
            return one.report(ImportOutcome.REFUSED if one.refused else ImportOutcome.DRY_RUN)
        return one.report(ImportOutcome.WRITTEN)


class _Undone(Exception):
    """No error: the one way out of a transaction that undoes it."""


def _known(kind: str | None) -> ImportKind | None:
    if kind is not None and kind not in set(ImportKind):
        raise InvalidInput(f"There is no kind {kind!r}; it is one of {', '.join(ImportKind)}.", field="kind")
    return ImportKind(kind) if kind is not None else None


class _Import:
    """One file on its way: what is read, what is wrong, what is written."""

    def __init__(
        self, source: ImportFile, kind: ImportKind | None, skip_bad: bool, progress: Progress, differences_most: int
    ) -> None:
        self._source = source
        self._kind = kind
        self._skip_bad = skip_bad
        self._progress = progress
        self._differences_most = differences_most
        self._differences: list[Difference] = []
        self._tallies: dict[ImportKind, ImportTally] = {}
        self._rows: dict[ImportKind, int] = {}  # how far the indexes go
        self._problems: list[Problem] = []
        self._problem_count = 0
        self._unreadable = False

    @property
    def refused(self) -> bool:
        return self._unreadable or (self._problem_count > 0 and not self._skip_bad)

    def report(self, outcome: ImportOutcome) -> Report:
        problems = sorted(self._problems, key=lambda problem: (problem.line, problem.index or 0))
        kinds = {kind: self._tallies[kind] for kind in ImportKind if kind in self._tallies}
        return Report(
            outcome,
            kinds,
            problems[:PROBLEMS_MOST],
            self._problem_count,
            self._unreadable,
            tuple(self._differences),
            sum(tally.added + tally.changed for tally in kinds.values()) if self._differences_most else 0,
            self._source.read_as,
        )

    async def work(self, loading: Loading) -> None:
        try:
            await self._stage(loading)
        except Unreadable as unreadable:
            self._unreadable = True
            self._note(unreadable.line, None, None, unreadable.faults)
            return
        before = 0
        for kind in ImportKind:
            if kind in self._rows:
                await self._check(loading, kind)
                await self._write(loading, kind, before)
                before += self._rows[kind]
        self._progress(self._source.size, self._source.size)

    # --- reading -----------------------------------------------------------------------------------------------------

    async def _stage(self, loading: Loading) -> None:
        for batch in _batches(self._source.rows(self._kind)):
            for kind, rows in groupby(batch, key=lambda row: row.kind):
                await loading.stage(kind, list(self._good(rows)))
            self._progress(int(self._source.file.tell() * READING_SHARE), self._source.size)

    def _good(self, rows: Iterable[Row | BadRow]) -> Iterator[Row]:
        for row in rows:
            self._rows[row.kind] = row.index + 1
            if isinstance(row, Row):
                yield row
                continue
            self._count(row.kind, bad=1)
            if len(self._problems) < PROBLEMS_MOST:
                self._note(row.line, row.kind, row.index, row.faults)
            else:
                self._problem_count += len(row.faults)

    # --- writing -----------------------------------------------------------------------------------------------------

    async def _check(self, loading: Loading, kind: ImportKind) -> None:
        checked = await loading.check(kind, PROBLEMS_MOST)
        self._count(kind, bad=checked.bad)
        for finding in checked.findings:
            self._note(finding.line, kind, finding.index, (worded(kind, finding),))
        self._problem_count += checked.finding_count - len(checked.findings)

    async def _write(self, loading: Loading, kind: ImportKind, before: int) -> None:
        """Slice by slice, so that the progress is seen. Of a file that is refused already only what other rows refer
        to is written, so that no more than the truth is said about those; in the end it is all undone."""
        if kind is ImportKind.WORKSTATIONS and self.refused:
            return
        self._count(kind, unchanged=await loading.compare(kind))
        if (left := self._differences_most - len(self._differences)) > 0:
            self._differences += map(self._in_words, await loading.differences(kind, left))
        for first in range(0, self._rows[kind], SLICE_ROWS):
            last = min(first + SLICE_ROWS, self._rows[kind]) - 1
            added, changed = await loading.write(kind, first, last)
            self._count(kind, added=added, changed=changed)
            share = (before + last + 1) / sum(self._rows.values())
            self._progress(int(self._source.size * (READING_SHARE + (1 - READING_SHARE) * share)), self._source.size)

    def _in_words(self, one: Difference) -> Difference:
        """Returns it with the columns as the file calls them."""
        return replace(one, changes={self._word(one.kind, name): pair for name, pair in one.changes.items()})

    def _word(self, kind: ImportKind | None, column: str) -> str:
        return self._source.words.get(kind, {}).get(column, column) if kind is not None else column

    # --- counting ----------------------------------------------------------------------------------------------------

    def _count(self, kind: ImportKind, added: int = 0, changed: int = 0, unchanged: int = 0, bad: int = 0) -> None:
        t = self._tallies.get(kind, ImportTally())
        self._tallies[kind] = replace(
            t,
            added=t.added + added,
            changed=t.changed + changed,
            unchanged=t.unchanged + unchanged,
            bad=t.bad + bad,
        )

    def _note(self, line: int, kind: ImportKind | None, index: int | None, faults: tuple[Fault, ...]) -> None:
        self._problem_count += len(faults)
        place = index if self._source.form != "csv" else None  # in a CSV the line says it
        for column, reason in faults:
            called = self._word(kind, column) if column is not None else None
            self._problems.append(Problem(self._source.name, line, called, reason, kind, place))


def _batches(rows: Iterator[Row | BadRow]) -> Iterator[list[Row | BadRow]]:
    batch: list[Row | BadRow] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH_ROWS:
            yield batch
            batch = []
    yield batch
