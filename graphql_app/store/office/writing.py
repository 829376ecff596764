"""Writing a workstation: inserted, updated, deleted."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Integer, String, Uuid, any_, bindparam, or_, select

from graphql_app.domain.arranging import ConditionalUpdate
from graphql_app.domain.caller import Caller
from graphql_app.domain.errors import about
from graphql_app.domain.workstation import Status, Workstation
from graphql_app.store.office.columns import EVERY, FLOATS
from graphql_app.store.office.conditions import THIS
from graphql_app.store.postgres.authorship import hasty_author, transaction_id
from graphql_app.store.postgres.database import Database
from graphql_app.store.postgres.failures import constraints_translated
from graphql_app.store.postgres.session import Session
from graphql_app.store.postgres.statements import SHAPES_KEPT, Prepared, prepared
from graphql_app.store.schema import rows
from graphql_app.store.schema.tables import employees, workstations

_C = workstations.c


def _set(fields: Iterable[str]) -> dict[str, ColumnElement[Any]]:
    """Returns the columns of these fields, each with its parameter; an employee is named by their public key."""
    columns: dict[str, ColumnElement[Any]] = {}
    for field in fields:
        if field == "employee_key":
            key = bindparam("new_employee_key", type_=Uuid)
            columns["employee_id"] = select(employees.c.id).where(employees.c.public_key == key).scalar_subquery()
        else:
            columns[field] = bindparam(f"new_{field}", type_=_C[field].type)
    return columns


def _given(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the parameters of _set."""
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


async def insert_workstations(connection: Session, each: Sequence[Mapping[str, Any]]) -> list[Workstation]:
    """One by one, so that a Refusal says which of them it is about."""
    inserted = []
    for index, values in enumerate(each):
        with about(index), constraints_translated():
            inserted.append(await insert_workstation(connection, values))
    return inserted


@lru_cache(SHAPES_KEPT)
def _update_several(fields: tuple[str, ...]) -> Prepared:
    these = _C.id == any_(bindparam("ids", type_=ARRAY(Integer)))
    return prepared(workstations.update().where(these).values(_set(fields)).returning(*EVERY))


async def update_workstations(
    connection: Session, ids: Sequence[int], changes: Mapping[str, Any]
) -> dict[int, Workstation]:
    """The same changes to several that are locked."""
    found = await connection.fetch(_update_several(tuple(changes)), {**_given(changes), "ids": list(ids)})
    return {one.id: one for one in map(rows.selected, found)}


@lru_cache(SHAPES_KEPT)
def _update(fields: tuple[str, ...]) -> Prepared:
    return prepared(workstations.update().where(THIS).values(_set(fields)).returning(*EVERY))


async def update_workstation(connection: Session, workstation_id: int, changes: Mapping[str, Any]) -> Workstation:
    """Updates a workstation that is locked."""
    row = await connection.row(_update(tuple(changes)), {**_given(changes), "row_id": workstation_id})
    assert row is not None
    return rows.selected(row)


_EXPECTED = bindparam("expected_version", type_=Integer)
_GUARDS = (
    _C.status == any_(bindparam("statuses", type_=ARRAY(String))),
    or_(_EXPECTED.is_(None), _C.version == _EXPECTED),
)

# What a booking keeps is not freed without a word: who asks is told of the booking.
_IS_NOT_FREED = or_(
    bindparam("new_status", type_=_C.status.type) != Status.AVAILABLE.value, _C.booking_status.is_(None)
)

_PLACE = bindparam("place", type_=Integer).label("place")


@lru_cache(SHAPES_KEPT)
def _guarded_update(fields: tuple[str, ...]) -> Prepared:
    guards = (*_GUARDS, _IS_NOT_FREED) if "status" in fields else _GUARDS
    statement = workstations.update().where(THIS, *guards, hasty_author.c.actor.is_not(None)).values(_set(fields))
    return prepared(statement.returning(*EVERY, transaction_id, _PLACE))


@dataclass(frozen=True, slots=True)
class Update:
    """A conditional update: written only if the workstation has one of the statuses, and the version."""

    caller: Caller
    workstation_id: int
    guarded: ConditionalUpdate
    expected_version: int | None

    @property
    def fields(self) -> tuple[str, ...]:
        return tuple(self.guarded.changes)


async def update_guarded(database: Database, updates: Sequence[Update]) -> list[tuple[Workstation, int] | None]:
    """For each the workstation as it was written, and the transaction's id: read, decided and committed in one round
    trip, and one transaction for all. All must be of the same fields.

    None, and nothing is done, where there is no such workstation, or its status or version is another. Raises
    Contention when another transaction holds one of them for long.
    """
    # In the order of their ids, so that no two transactions wait for each other's rows in a circle.
    order = sorted(range(len(updates)), key=lambda place: updates[place].workstation_id)
    each = [(updates[place].caller, _guarded_values(updates[place], place)) for place in order]
    written: list[tuple[Workstation, int] | None] = [None] * len(updates)
    for *columns, transaction, place in await database.write_each(_guarded_update(updates[0].fields), each):
        written[place] = rows.selected(columns), transaction
    return written


def _guarded_values(update: Update, place: int) -> dict[str, Any]:
    return {
        **_given(update.guarded.changes),
        "row_id": update.workstation_id,
        "statuses": list(update.guarded.statuses),
        "expected_version": update.expected_version,
        "place": place,
    }


_DELETE = prepared(workstations.delete().where(THIS))


async def delete_workstation(connection: Session, workstation_id: int) -> None:
    await connection.execute(_DELETE, {"row_id": workstation_id})
