"""The register of the office, written: one building, floor, department or employee at a time, by its kind."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import ARRAY, Column, Integer, Select, Table, any_, bindparam, func, or_, select

from graphql_app.domain.office import (
    BUILDING,
    DEPARTMENT,
    EMPLOYEE,
    FLOOR,
    Building,
    OfficeKind,
    Registered,
    VersionedDepartment,
    VersionedFloor,
)
from graphql_app.store.office import people
from graphql_app.store.postgres.session import Reader, Session
from graphql_app.store.postgres.statements import SHAPES_KEPT, Prepared, prepared
from graphql_app.store.schema.tables import accounts, buildings, departments, employees, floors, workstations

_W = workstations.c


def _count(of: Table, *conditions: Any) -> Select[Any]:
    return select(func.count()).select_from(of).where(*conditions)


@dataclass(frozen=True, slots=True)
class _Shelf:
    """`key` names a row outside of the database. `references`: how many rows keep one from being deleted, by what they
    are; notifications do not, they go with what they are about."""

    table: Table
    key: Column[Any]
    shown: Select[Any]
    read: Callable[[Any], Registered]
    references: Mapping[str, Select[Any]]


_SHELVES: Mapping[str, _Shelf] = {
    BUILDING.entity: _Shelf(
        buildings,
        buildings.c.id,
        select(buildings),
        lambda row: Building(**row),
        {"floors": _count(floors, floors.c.building == buildings.c.name)},
    ),
    FLOOR.entity: _Shelf(
        floors,
        floors.c.id,
        select(floors),
        lambda row: VersionedFloor(**row),
        {"workstations": _count(workstations, _W.building == floors.c.building, _W.floor_number == floors.c.number)},
    ),
    DEPARTMENT.entity: _Shelf(
        departments,
        departments.c.id,
        select(departments),
        lambda row: VersionedDepartment(**row),
        {
            "employees": _count(employees, employees.c.department_id == departments.c.id),
            "workstations": _count(workstations, _W.department_id == departments.c.id),
        },
    ),
    EMPLOYEE.entity: _Shelf(
        employees,
        employees.c.public_key,
        people.EMPLOYEE,
        people.employee_of,
        {
            "workstations": _count(workstations, _W.employee_id == employees.c.id),
            "accounts": _count(accounts, accounts.c.employee_key == employees.c.public_key),
        },
    ),
}


def _this(shelf: _Shelf) -> Any:
    return shelf.key == bindparam("row_key", type_=shelf.key.type)


def _set(shelf: _Shelf, fields: Iterable[str]) -> dict[str, Any]:
    return {field: bindparam(f"new_{field}", type_=shelf.table.c[field].type) for field in fields}


def _new(values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"new_{field}": value for field, value in values.items()}


@lru_cache(SHAPES_KEPT)
def _find(entity: str) -> Prepared:
    shelf = _SHELVES[entity]
    return prepared(shelf.shown.where(shelf.key == any_(bindparam("keys", type_=ARRAY(shelf.key.type)))))


@lru_cache(SHAPES_KEPT)
def _insert(entity: str, fields: tuple[str, ...]) -> Prepared:
    shelf = _SHELVES[entity]
    return prepared(shelf.table.insert().values(_set(shelf, fields)).returning(shelf.key))


@lru_cache(SHAPES_KEPT)
def _update(entity: str, fields: tuple[str, ...]) -> Prepared:
    shelf = _SHELVES[entity]
    expected = bindparam("expected_version", type_=Integer)
    is_expected = or_(expected.is_(None), shelf.table.c.version == expected)
    return prepared(shelf.table.update().where(_this(shelf), is_expected).values(_set(shelf, fields)))


@lru_cache(SHAPES_KEPT)
def _locked(entity: str) -> Prepared:
    shelf = _SHELVES[entity]
    return prepared(shelf.shown.where(_this(shelf)).with_for_update(of=shelf.table))


@lru_cache(SHAPES_KEPT)
def _references(entity: str) -> Prepared:
    shelf = _SHELVES[entity]
    counts = [count.correlate(shelf.table).scalar_subquery().label(name) for name, count in shelf.references.items()]
    return prepared(select(*counts).select_from(shelf.table).where(_this(shelf)))


@lru_cache(SHAPES_KEPT)
def _delete(entity: str) -> Prepared:
    shelf = _SHELVES[entity]
    return prepared(shelf.table.delete().where(_this(shelf)))


async def registered(reader: Reader, kind: OfficeKind, keys: Collection[Any]) -> dict[Any, Any]:
    """Those of the kind that there are, by their keys."""
    shelf = _SHELVES[kind.entity]
    found = await reader.fetch(_find(kind.entity), {"keys": list(keys)})
    return {row[shelf.key.name]: shelf.read(row) for row in found}


async def insert_registered(connection: Session, kind: OfficeKind, values: Mapping[str, Any]) -> Any:
    """Returns the key of what was inserted."""
    return await connection.scalar(_insert(kind.entity, tuple(values)), _new(values))


async def update_registered(
    connection: Session, kind: OfficeKind, key: Any, changes: Mapping[str, Any], expected: int | None
) -> bool:
    """Whether there was one with that key, and of that version if one is expected. It is locked only by this statement,
    after the lock that renames queue for: before it, two could wait for each other."""
    given = {**_new(changes), "row_key": key, "expected_version": expected}
    return await connection.execute(_update(kind.entity, tuple(changes)), given) == 1


async def locked_registered(connection: Session, kind: OfficeKind, key: Any) -> Any:
    """The one with that key, or None. Until the transaction ends nothing new can refer to it."""
    row = await connection.row(_locked(kind.entity), {"row_key": key})
    return None if row is None else _SHELVES[kind.entity].read(row)


async def references_to(connection: Session, kind: OfficeKind, key: Any) -> dict[str, int]:
    """How many rows keep it from being deleted, by what they are."""
    row = await connection.row(_references(kind.entity), {"row_key": key})
    return {} if row is None else dict(row)


async def delete_registered(connection: Session, kind: OfficeKind, key: Any) -> None:
    await connection.execute(_delete(kind.entity), {"row_key": key})
