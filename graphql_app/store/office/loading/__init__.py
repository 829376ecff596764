"""Many rows at once: copied into temporary tables of the transaction, checked there, and written from there.

Nothing is fetched row by row, and a row that changes nothing is not touched: no trigger fires, no version grows, the
change log stays as it is.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from asyncpg import Record
from sqlalchemy import Table, delete, exists, func, insert, select, text
from sqlalchemy.schema import CreateTable

from graphql_app.domain.importing import COLUMNS, KEYS, Check, Difference, ImportFinding, ImportKind, Row
from graphql_app.store.office.loading.routes import AFTER, BEFORE, FINDINGS, LINE, NEW, ROW, Route
from graphql_app.store.postgres.session import Reader, Session
from graphql_app.store.schema.tables import workstations

# One import at a time, as two might wait for each other's rows. Any fixed number that no other program takes will do.
IMPORT_LOCK = 0x67726170686C696D

_ROUTES = {kind: Route(kind) for kind in ImportKind}
_TEMPORARY: tuple[Table, ...] = (FINDINGS, *(route.staged for route in _ROUTES.values()))


@dataclass(frozen=True, slots=True)
class Checked:
    """`bad` rows were dropped; `findings` are the first of `finding_count`."""

    bad: int
    findings: Sequence[ImportFinding]
    finding_count: int


class Loading:
    """One import within a transaction: stage all rows, then for each kind in order check, compare and write."""

    def __init__(self, connection: Session) -> None:
        self._connection = connection

    @classmethod
    async def begin(cls, connection: Session) -> Self:
        """Waits until no other import runs. The time limit of statements is lifted for this transaction."""
        await connection.execute(text("SET LOCAL statement_timeout = 0"))
        await connection.execute(select(func.pg_advisory_xact_lock(IMPORT_LOCK)))
        for table in _TEMPORARY:
            await connection.execute(CreateTable(table))
        return cls(connection)

    async def stage(self, kind: ImportKind, rows: Iterable[Row]) -> None:
        route = _ROUTES[kind]
        columns = [column.name for column in route.staged.c]
        records = map(route.record, rows)
        await self._connection.driver.copy_records_to_table(route.staged.name, records=records, columns=columns)

    async def check(self, kind: ImportKind, most: int) -> Checked:
        """Drops the rows that cannot be written, and tells of the first `most` things wrong with them."""
        route = _ROUTES[kind]
        await self._connection.execute(text(f"ANALYZE {route.staged.name}"))
        for found in route.checks():
            await self._connection.execute(insert(FINDINGS).from_select(FINDINGS.c.keys(), found))
        here = FINDINGS.c.kind == kind.value
        count = await self._connection.scalar(select(func.count()).select_from(FINDINGS).where(here)) or 0
        if not count:
            return Checked(0, (), 0)
        listed = select(FINDINGS).where(here).order_by(FINDINGS.c.index).limit(most)
        findings = [_finding(row) for row in await self._connection.fetch(listed)]
        wrong = route.staged.c[ROW].in_(select(FINDINGS.c.index).where(here))
        bad = await self._connection.execute(delete(route.staged).where(wrong))
        return Checked(bad, findings, count)

    async def compare(self, kind: ImportKind) -> int:
        """Drops the rows that would change nothing, and returns how many. What is left is locked."""
        route = _ROUTES[kind]
        unchanged = await self._connection.execute(route.drop_unchanged())
        for lock in route.locks():
            await self._connection.execute(select(func.count()).select_from(lock.subquery()))
        return unchanged

    async def differences(self, kind: ImportKind, most: int) -> list[Difference]:
        """The first `most` of what write() would do to the rows that compare() left."""
        route = _ROUTES[kind]
        found = await self._connection.fetch(route.differences().limit(most))
        return [_difference(kind, row) for row in found]

    async def write(self, kind: ImportKind, first: int, last: int) -> tuple[int, int]:
        """Adds and changes those of the rows first..last; returns how many of each."""
        route = _ROUTES[kind]
        rows = {"first": first, "last": last}
        added = await self._connection.execute(route.insert(), rows)
        if not route.changeable:
            return added, 0
        changed = await self._connection.execute(route.update(), rows)
        return added, changed


def _finding(row: Record) -> ImportFinding:
    return ImportFinding(row["index"], row["line"], row["column"], Check(row["check"]), row["detail"])


def _difference(kind: ImportKind, row: Record) -> Difference:
    names = [column.name for column in COLUMNS[kind] if not column.key]
    changes = {} if row[NEW] else {name: (row[BEFORE + name], row[AFTER + name]) for name in names}
    key = tuple(row[name] for name in KEYS[kind])
    return Difference(
        kind, row[LINE], key, row[NEW], {name: pair for name, pair in changes.items() if pair[0] != pair[1]}
    )


async def has_workstations(reader: Reader) -> bool:
    return bool(await reader.scalar(select(exists(select(workstations.c.id)))))
