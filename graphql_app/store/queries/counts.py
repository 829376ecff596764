"""How many workstations are in each status: in all, by group, by floor."""

from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

from asyncpg import Record
from sqlalchemy import ColumnElement, func, literal_column, select

from graphql_app.domain.filters import WorkstationFilter
from graphql_app.domain.workstation import Counts, Place, Status
from graphql_app.store.queries.columns import SHAPES_KEPT
from graphql_app.store.queries.conditions import CONDITIONS, asked_of, parameters_of_places, there
from graphql_app.store.session import Reader
from graphql_app.store.statements import Prepared, prepared
from graphql_app.store.tables import workstations

_C = workstations.c
_STATUS_COUNTS = [func.count().filter(_C.status == status.value).label(status.value) for status in Status]
GROUPS: Mapping[str, ColumnElement[Any]] = {
    "building": _C.building,
    "floor": literal_column("workstations.building || ' / ' || workstations.floor_number"),
    "department": literal_column("workstations.labels #>> '{department,name}'"),
}


@lru_cache(SHAPES_KEPT)
def _count(conditions: tuple[str, ...]) -> Prepared:
    return prepared(select(func.count()).select_from(workstations).where(*(CONDITIONS[name] for name in conditions)))


async def count_workstations(reader: Reader, matching: WorkstationFilter) -> int:
    asked = asked_of(matching)
    return int(await reader.scalar(_count(tuple(asked)), asked))


@lru_cache(SHAPES_KEPT)
def _counts_of(conditions: tuple[str, ...], group: str | None) -> Prepared:
    key = GROUPS[group] if group else literal_column("NULL::text")
    statement = select(key.label("key"), *_STATUS_COUNTS).where(*(CONDITIONS[name] for name in conditions))
    if group:
        statement = statement.group_by(literal_column("1")).order_by(literal_column("1"))
    return prepared(statement)


async def workstation_counts(reader: Reader, matching: WorkstationFilter, group: str | None) -> list[Counts]:
    """How many are in each status, in all or by group. The group of those without one has the key None."""
    asked = asked_of(matching)
    return [_counts(row["key"], row) for row in await reader.fetch(_counts_of(tuple(asked), group), asked)]


@lru_cache(2)
def _counts_by_place(is_one: bool) -> Prepared:
    statement = select(_C.building, _C.floor_number, *_STATUS_COUNTS).group_by(_C.building, _C.floor_number)
    return prepared(statement.where(there(_C.building, _C.floor_number, is_one)))


async def counts_by_place(reader: Reader, places: Collection[Place]) -> dict[Place, Counts]:
    result = await reader.fetch(_counts_by_place(len(places) == 1), parameters_of_places(places))
    found = {Place(row["building"], row["floor_number"]): _counts(None, row) for row in result}
    return {place: found.get(place, Counts(None, dict.fromkeys(Status, 0))) for place in places}


def _counts(key: str | None, row: Record) -> Counts:
    return Counts(key, {status: row[status.value] for status in Status})
