"""How many workstations are in each status: in all, by group, by floor."""

from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

from asyncpg import Record
from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Integer,
    ScalarSelect,
    String,
    any_,
    bindparam,
    cast,
    func,
    literal_column,
    select,
)

from graphql_app.domain.filters import WorkstationFilter
from graphql_app.domain.workstation import Counts, Place, Status
from graphql_app.store.log.cells import CELLS
from graphql_app.store.office.conditions import CONDITIONS, asked_of, parameters_of_places, there
from graphql_app.store.office.searching import among_found, found_by
from graphql_app.store.postgres.session import Reader
from graphql_app.store.postgres.statements import SHAPES_KEPT, Prepared, prepared
from graphql_app.store.schema.tables import workstations

_C = workstations.c
_CELL = CELLS.c
# The conditions that are answered from the cells. Within a building its workstations are counted themselves: there are
# no more cells than these, and to look at a part of the cells costs more.
_OF_CELLS: Mapping[str, ColumnElement[bool]] = {
    "floor_number": _CELL.floor_number == bindparam("floor_number", type_=Integer),
    "department_ids": _CELL.department_id == any_(bindparam("department_ids", type_=ARRAY(Integer))),
    "statuses": _CELL.status == any_(bindparam("statuses", type_=ARRAY(String))),
    "status": _CELL.status == bindparam("status", type_=String),
}
GROUPS: Mapping[str, ColumnElement[Any]] = {
    "building": _C.building,
    "floor": literal_column("workstations.building || ' / ' || workstations.floor_number"),
    "department": literal_column("workstations.labels #>> '{department,name}'"),
}
_GROUPS_OF_CELLS: Mapping[str, ColumnElement[Any]] = {
    "building": _CELL.building,
    "floor": literal_column("cells.building || ' / ' || cells.floor_number"),
    "department": _CELL.department,
}


def _are_cells(conditions: Collection[str]) -> bool:
    return _OF_CELLS.keys() >= set(conditions)


def counting(conditions: Collection[str]) -> ScalarSelect[int]:
    """Returns an expression that counts what matches, to be selected by itself or beside something else."""
    if _are_cells(conditions):
        number = cast(func.coalesce(func.sum(_CELL.workstations), 0), BigInteger)
        statement = select(number).where(*(_OF_CELLS[name] for name in conditions))
    else:
        statement = select(func.count()).select_from(workstations).where(*(CONDITIONS[name] for name in conditions))
    return statement.correlate(None).scalar_subquery()


@lru_cache(SHAPES_KEPT)
def _count(conditions: tuple[str, ...], found_by: str | None) -> Prepared:
    if found_by is None:
        return prepared(select(counting(conditions)))
    statement = select(func.count(_C.id)).where(*(CONDITIONS[name] for name in conditions))
    return prepared(among_found(statement, found_by))


async def count_workstations(reader: Reader, matching: WorkstationFilter) -> int:
    """Raises TooMany for a search that would look at too many."""
    asked = asked_of(matching)
    return int(await reader.scalar(_count(tuple(asked), await found_by(reader, asked)), asked))


_STATUS_COUNTS = [func.count().filter(_C.status == status.value).label(status.value) for status in Status]
_STATUS_CELLS = [
    cast(func.coalesce(func.sum(_CELL.workstations).filter(_CELL.status == status.value), 0), BigInteger).label(
        status.value
    )
    for status in Status
]


@lru_cache(SHAPES_KEPT)
def _counts_of(conditions: tuple[str, ...], group: str | None, found_by: str | None) -> Prepared:
    if are_cells := _are_cells(conditions):
        known, groups, counts = _OF_CELLS, _GROUPS_OF_CELLS, _STATUS_CELLS
    else:
        known, groups, counts = CONDITIONS, GROUPS, _STATUS_COUNTS
    key = groups[group] if group else literal_column("NULL::text")
    statement = select(key.label("key"), *counts).where(*(known[name] for name in conditions))
    if group:
        statement = statement.group_by(literal_column("1")).order_by(literal_column("1"))
        if are_cells:  # of which some may be empty
            statement = statement.having(func.sum(_CELL.workstations) > 0)
    return prepared(among_found(statement, found_by))


async def workstation_counts(reader: Reader, matching: WorkstationFilter, group: str | None) -> list[Counts]:
    """How many are in each status, in all or by group. The group of those without one has the key None.

    Raises TooMany for a search that would look at too many.
    """
    asked = asked_of(matching)
    statement = _counts_of(tuple(asked), group, await found_by(reader, asked))
    return [_counts(row["key"], row) for row in await reader.fetch(statement, asked)]


@lru_cache(2)
def _counts_by_place(is_one: bool) -> Prepared:
    columns, counts = (_C, _STATUS_COUNTS) if is_one else (_CELL, _STATUS_CELLS)
    place = (columns.building, columns.floor_number)
    return prepared(select(*place, *counts).where(there(*place, is_one)).group_by(*place))


async def counts_by_place(reader: Reader, places: Collection[Place]) -> dict[Place, Counts]:
    result = await reader.fetch(_counts_by_place(len(places) == 1), parameters_of_places(places))
    found = {Place(row["building"], row["floor_number"]): _counts(None, row) for row in result}
    return {place: found.get(place, Counts(None, dict.fromkeys(Status, 0))) for place in places}


def _counts(key: str | None, row: Record) -> Counts:
    return Counts(key, {status: row[status.value] for status in Status})
