"""The rows of a kind as an export holds them, a part at a time, from the state that one snapshot sees."""

from collections.abc import AsyncIterator, Mapping, Sequence

import asyncpg
from sqlalchemy import ColumnElement, FromClause, Select, func, select

from graphql_app.domain.importing import KEYS, ImportKind
from graphql_app.store.postgres.session import Session
from graphql_app.store.schema.tables import buildings, departments, employees, floors, workstations

PART_ROWS = 1000

_SOURCES: Mapping[ImportKind, FromClause] = {
    ImportKind.BUILDINGS: buildings,
    ImportKind.FLOORS: floors,
    ImportKind.DEPARTMENTS: departments,
    ImportKind.EMPLOYEES: employees.outerjoin(departments),
    ImportKind.WORKSTATIONS: workstations.outerjoin(
        departments, departments.c.id == workstations.c.department_id
    ).outerjoin(employees, employees.c.id == workstations.c.employee_id),
}
_TABLES = {
    ImportKind.BUILDINGS: buildings,
    ImportKind.FLOORS: floors,
    ImportKind.DEPARTMENTS: departments,
    ImportKind.EMPLOYEES: employees,
    ImportKind.WORKSTATIONS: workstations,
}
# What a file names by its key, and the table by its row.
_NAMED: Mapping[str, ColumnElement[str]] = {
    "department": departments.c.name,
    "employee_number": employees.c.employee_number,
}


def exported(kind: ImportKind, names: Sequence[str]) -> Select[tuple[object, ...]]:
    """The rows with these columns. They are ordered by what tells them apart, or, where that is hidden, by all that is
    shown: the order of the table would tell who came first."""
    table = _TABLES[kind]
    shown = {name: table.c[name] if name in table.c else _NAMED[name] for name in names}
    order = KEYS[kind] if set(KEYS[kind]) <= set(names) else tuple(names)
    statement = select(*(column.label(name) for name, column in shown.items())).select_from(_SOURCES[kind])
    if kind is ImportKind.WORKSTATIONS:
        statement = statement.where(workstations.c.building.is_not(None))
    return statement.order_by(*(shown[name] for name in order))


def exported_rows(snapshot: Session, kind: ImportKind, names: Sequence[str]) -> AsyncIterator[list[asyncpg.Record]]:
    """The parts, none of them empty."""
    return snapshot.parts(exported(kind, names), PART_ROWS)


async def placeless(snapshot: Session) -> int:
    """How many workstations stand on no floor: a file tells workstations apart by theirs."""
    count = select(func.count()).select_from(workstations).where(workstations.c.building.is_(None))
    return int(await snapshot.scalar(count))
