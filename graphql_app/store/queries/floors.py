"""Floors, with the workstations that stand there or without."""

from collections.abc import Collection
from functools import lru_cache
from itertools import groupby
from operator import itemgetter

from asyncpg import Record
from sqlalchemy import ARRAY, Integer, String, any_, bindparam, exists, func, select

from graphql_app.domain.workstation import Floor, Place
from graphql_app.store import rows
from graphql_app.store.queries.columns import FIELDS, SHAPES_KEPT, columns, names_of, wide
from graphql_app.store.queries.conditions import parameters_of_places, there
from graphql_app.store.session import Reader
from graphql_app.store.statements import Prepared, prepared
from graphql_app.store.tables import buildings, floors, workstations

_FLOORS = prepared(select(floors).order_by(floors.c.building, floors.c.number))
_FLOORS_OF = prepared(
    select(floors).where(floors.c.building == bindparam("building", type_=String)).order_by(floors.c.number)
)
_FLOORS_BY_ID = prepared(select(floors).where(floors.c.id == any_(bindparam("ids", type_=ARRAY(Integer)))))
_BUILDING = prepared(select(exists().where(buildings.c.name == bindparam("building", type_=String))))
_FLOOR = prepared(
    select(
        exists().where(
            func.coalesce(bindparam("building", type_=String), floors.c.building) == floors.c.building,
            floors.c.number == bindparam("number", type_=Integer),
        )
    )
)


@lru_cache(2)
def _floors_by_place(is_one: bool) -> Prepared:
    return prepared(select(floors).where(there(floors.c.building, floors.c.number, is_one)))


async def all_floors(reader: Reader, building: str | None = None) -> list[Floor]:
    statement = _FLOORS if building is None else _FLOORS_OF
    return [Floor(**row) for row in await reader.fetch(statement, {"building": building})]


async def floors_by_place(reader: Reader, places: Collection[Place]) -> dict[Place, Floor]:
    found = (
        Floor(**row) for row in await reader.fetch(_floors_by_place(len(places) == 1), parameters_of_places(places))
    )
    return {floor.place: floor for floor in found}


async def building_exists(reader: Reader, name: str) -> bool:
    return bool(await reader.scalar(_BUILDING, {"building": name}))


async def floor_exists(reader: Reader, building: str | None, number: int) -> bool:
    """Of that building, or of any."""
    return bool(await reader.scalar(_FLOOR, {"building": building, "number": number}))


async def floors_by_id(reader: Reader, ids: Collection[int]) -> dict[int, Floor]:
    return {row["id"]: Floor(**row) for row in await reader.fetch(_FLOORS_BY_ID, {"ids": list(ids)})}


# Where the floor's own columns are in a row of whole_floors().
_AT_BUILDING, _AT_NUMBER = rows.PLACES["building"], rows.PLACES["floor_number"]
_AT_ID, _AT_NAME = len(rows.SELECTED), len(rows.SELECTED) + 1


@lru_cache(SHAPES_KEPT)
def _whole_floors(names: frozenset[str], is_one: bool) -> Prepared:
    stands_there = (workstations.c.building == floors.c.building) & (workstations.c.floor_number == floors.c.number)
    its = columns(names, building=floors.c.building, floor_number=floors.c.number)
    both = select(*wide(its, floors.c.id.label("floor_id"), floors.c.name.label("of_floor"))).select_from(
        floors.outerjoin(workstations, stands_there)
    )
    statement = both.where(there(floors.c.building, floors.c.number, is_one)).order_by(floors.c.id, workstations.c.id)
    return prepared(statement)


async def whole_floors(
    reader: Reader, places: Collection[Place], fields: Collection[str] = FIELDS
) -> dict[Place, tuple[Floor, list[Record]]]:
    """Each floor that there is, and the rows of its workstations by id: they begin as rows.SELECTED."""
    statement = _whole_floors(names_of(frozenset(fields)), len(places) == 1)
    found = await reader.fetch(statement, parameters_of_places(places))
    groups = [list(group) for _, group in groupby(found, itemgetter(_AT_ID))] if len(places) > 1 else [found]
    return {floor.place: (floor, its) for floor, its in map(_whole_floor, filter(None, groups))}


def _whole_floor(its_rows: list[Record]) -> tuple[Floor, list[Record]]:
    """One without workstations is a row of nulls."""
    first = its_rows[0]
    floor = Floor(first[_AT_ID], first[_AT_BUILDING], first[_AT_NUMBER], first[_AT_NAME])
    return floor, its_rows if first[0] is not None else []
