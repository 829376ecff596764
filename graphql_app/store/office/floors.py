"""Buildings, and floors with the workstations that stand there or without."""

from collections.abc import Collection
from functools import lru_cache
from itertools import groupby
from operator import itemgetter

from asyncpg import Record
from sqlalchemy import ARRAY, Integer, String, any_, bindparam, column, exists, func, select, union_all

from graphql_app.domain.office import Building, VersionedFloor
from graphql_app.domain.workstation import Floor, Place
from graphql_app.store.office.columns import FIELDS, columns, names_of, wide
from graphql_app.store.office.conditions import parameters_of_places, there
from graphql_app.store.postgres.session import Reader
from graphql_app.store.postgres.statements import SHAPES_KEPT, Prepared, prepared
from graphql_app.store.schema import rows
from graphql_app.store.schema.tables import buildings, floors, workstations

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


_BUILDINGS = prepared(select(buildings).order_by(buildings.c.name))
_FLOORS_OF_EACH = prepared(
    select(floors)
    .where(floors.c.building == any_(bindparam("names", type_=ARRAY(String))))
    .order_by(floors.c.building, floors.c.number)
)
_PLAIN = (floors.c.id, floors.c.building, floors.c.number, floors.c.name)


@lru_cache(2)
def _floors_by_place(is_one: bool) -> Prepared:
    return prepared(select(*_PLAIN).where(there(floors.c.building, floors.c.number, is_one)))


async def all_buildings(reader: Reader) -> list[Building]:
    return [Building(**row) for row in await reader.fetch(_BUILDINGS)]


async def floors_of_buildings(reader: Reader, names: Collection[str]) -> dict[str, list[VersionedFloor]]:
    """The floors of each building, by number."""
    found: dict[str, list[VersionedFloor]] = {name: [] for name in names}
    for row in await reader.fetch(_FLOORS_OF_EACH, {"names": list(names)}):
        found[row["building"]].append(VersionedFloor(**row))
    return found


async def all_floors(reader: Reader, building: str | None = None) -> list[VersionedFloor]:
    statement = _FLOORS if building is None else _FLOORS_OF
    return [VersionedFloor(**row) for row in await reader.fetch(statement, {"building": building})]


async def floors_by_place(reader: Reader, places: Collection[Place]) -> dict[Place, Floor]:
    found = (
        Floor(**row) for row in await reader.fetch(_floors_by_place(len(places) == 1), parameters_of_places(places))
    )
    return {floor.place: floor for floor in found}


async def building_exists(reader: Reader, name: str) -> bool:
    return bool(await reader.scalar(_BUILDING, {"building": name}))


async def floor_exists(reader: Reader, building: str | None, number: int) -> bool:
    """Returns whether there is such a floor, in that building or in any."""
    return bool(await reader.scalar(_FLOOR, {"building": building, "number": number}))


async def floors_by_id(reader: Reader, ids: Collection[int]) -> dict[int, VersionedFloor]:
    return {row["id"]: VersionedFloor(**row) for row in await reader.fetch(_FLOORS_BY_ID, {"ids": list(ids)})}


_TIME_ZONES = prepared(
    select(floors.c.id, buildings.c.time_zone)
    .join_from(floors, buildings, buildings.c.name == floors.c.building)
    .where(floors.c.id == any_(bindparam("ids", type_=ARRAY(Integer))))
)


async def time_zones(reader: Reader, ids: Collection[int]) -> dict[int, str]:
    """Returns the time zones of the buildings of those floors that there are."""
    return {row["id"]: row["time_zone"] for row in await reader.fetch(_TIME_ZONES, {"ids": list(ids)})}


# A floor is a row as well, before those of its workstations: it has no workstation's id, and its own behind.
_PLACE = ("building", "floor_number")
_PLACE_OF = itemgetter(*(rows.PLACES[name] for name in _PLACE))
_AT_NAME, _AT_ID = rows.PLACES["name"], len(rows.SELECTED)


@lru_cache(SHAPES_KEPT)
def _whole_floors(names: frozenset[str], is_one: bool) -> Prepared:
    """The rows of the only floor need not all tell which it is."""
    of, on = workstations.c, floors.c
    told = names.difference(_PLACE) if is_one else names
    itself = columns((), name=on.name, building=on.building, floor_number=on.number)
    both = union_all(
        select(*wide(columns(told))).where(there(of.building, of.floor_number, is_one)),
        select(*wide(itself, on.id)).where(there(on.building, on.number, is_one)),
    )
    order = ("id",) if is_one else (*_PLACE, "id")
    return prepared(both.order_by(*(column(name).nulls_first() for name in order)))


async def whole_floors(
    reader: Reader, places: Collection[Place], fields: Collection[str] = FIELDS
) -> dict[Place, tuple[Floor, list[Record]]]:
    """Returns each floor that exists, and the rows of its workstations by id: they begin as rows.SELECTED, and may
    leave out where they stand."""
    statement = _whole_floors(names_of(frozenset(fields)), len(places) == 1)
    found = await reader.fetch(statement, parameters_of_places(places))
    groups = [list(group) for _, group in groupby(found, _PLACE_OF)] if len(places) > 1 else [found]
    return {floor.place: (floor, its) for floor, its in map(_whole_floor, filter(None, groups))}


def _whole_floor(its_rows: list[Record]) -> tuple[Floor, list[Record]]:
    itself, *its_workstations = its_rows
    building, number = _PLACE_OF(itself)
    return Floor(itself[_AT_ID], building, number, itself[_AT_NAME]), its_workstations
