"""Writing a workstation: inserted, updated, deleted."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Integer, String, Uuid, any_, bindparam, or_, select

from graphql_app.domain.access import Viewer
from graphql_app.domain.arranging import Guarded
from graphql_app.domain.workstation import Workstation
from graphql_app.store import rows
from graphql_app.store.database import Database, Session, author, transaction_id
from graphql_app.store.queries.columns import EVERY, FLOATS, SHAPES_KEPT
from graphql_app.store.queries.conditions import THIS
from graphql_app.store.statements import Prepared, prepared
from graphql_app.store.tables import employees, workstations

_C = workstations.c


def _set(fields: Iterable[str]) -> dict[str, ColumnElement[Any]]:
    """The columns of these fields, each with its parameter; an employee is named by their public key."""
    columns: dict[str, ColumnElement[Any]] = {}
    for field in fields:
        if field == "employee_key":
            key = bindparam("new_employee_key", type_=Uuid)
            columns["employee_id"] = select(employees.c.id).where(employees.c.public_key == key).scalar_subquery()
        else:
            columns[field] = bindparam(f"new_{field}", type_=_C[field].type)
    return columns


def _given(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of _set."""
    return {
        f"new_{field}": Decimal(str(value)) if field in FLOATS and value is not None else value
        for field, value in changes.items()
    }


@lru_cache(SHAPES_KEPT)
def _insert(fields: tuple[str, ...]) -> Prepared:
    return prepared(workstations.insert().values(_set(fields)).returning(*EVERY))


async def insert_workstation(connection: Session, values: Mapping[str, Any]) -> Workstation:
    row = await connection.row(_insert(tuple(values)), _given(values))
    assert row is not None
    return rows.selected(row)


@lru_cache(SHAPES_KEPT)
def _update(fields: tuple[str, ...]) -> Prepared:
    return prepared(workstations.update().where(THIS).values(_set(fields)).returning(*EVERY))


async def update_workstation(connection: Session, workstation_id: int, changes: Mapping[str, Any]) -> Workstation:
    """One that is locked."""
    row = await connection.row(_update(tuple(changes)), {**_given(changes), "row_id": workstation_id})
    assert row is not None
    return rows.selected(row)


_EXPECTED = bindparam("expected_version", type_=Integer)
_GUARDS = (
    _C.status == any_(bindparam("statuses", type_=ARRAY(String))),
    or_(_EXPECTED.is_(None), _C.version == _EXPECTED),
)


@lru_cache(SHAPES_KEPT)
def _guarded_update(fields: tuple[str, ...]) -> Prepared:
    statement = workstations.update().where(THIS, *_GUARDS, author.c.actor.is_not(None)).values(_set(fields))
    return prepared(statement.returning(*EVERY, transaction_id))


async def update_guarded(
    database: Database, viewer: Viewer, workstation_id: int, guarded: Guarded, expected_version: int | None
) -> tuple[Workstation, int] | None:
    """The workstation as it was written, and the transaction's id: read, decided and committed in one round trip.

    None, and nothing is done, when there is no such workstation, or its status or version is another.
    """
    values = {
        **_given(guarded.changes),
        "row_id": workstation_id,
        "statuses": list(guarded.statuses),
        "expected_version": expected_version,
    }
    found = await database.write(viewer, _guarded_update(tuple(guarded.changes)), values)
    if not found:
        return None
    *columns, transaction = found[0]
    return rows.selected(columns), transaction


_DELETE = prepared(workstations.delete().where(THIS))


async def delete_workstation(connection: Session, workstation_id: int) -> None:
    await connection.execute(_DELETE, {"row_id": workstation_id})
