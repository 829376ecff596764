"""Workstations that match, by id, or by the floor they stand on."""

from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from typing import Any

from asyncpg import Record
from sqlalchemy import BigInteger, Integer, bindparam, select

from graphql_app.domain.errors import TooMany
from graphql_app.domain.filters import WorkstationFilter
from graphql_app.domain.workstation import Place, Workstation
from graphql_app.store.office.columns import EVERY, FIELDS, columns, names_of
from graphql_app.store.office.conditions import CONDITIONS, THIS, asked_of, parameters_of_places, there
from graphql_app.store.postgres.session import Reader, Session
from graphql_app.store.postgres.statements import SHAPES_KEPT, Prepared, prepared
from graphql_app.store.schema import rows
from graphql_app.store.schema.tables import workstations

SEVERAL_MOST = 50_000  # a workstation is two values at least, and an answer has 100,000

_C = workstations.c


async def fetched(reader: Reader, statement: Prepared, values: Mapping[str, Any]) -> list[Workstation]:
    return [rows.selected(row) for row in await reader.fetch(statement, values)]


BEFORE_ALL = -(2**31) - 1  # an id


@lru_cache(SHAPES_KEPT)
def _matching(names: frozenset[str], conditions: tuple[str, ...]) -> Prepared:
    further = _C.id > bindparam("after", type_=BigInteger)
    statement = select(*columns(names)).where(*(CONDITIONS[name] for name in conditions), further).order_by(_C.id)
    return prepared(statement.limit(bindparam("most", type_=Integer)))


async def matching_workstations(
    reader: Reader,
    matching: WorkstationFilter,
    fields: Collection[str] = FIELDS,
    *,
    after: int = BEFORE_ALL,
    most: int | None = None,
) -> list[Record]:
    """Returns those that match, by id, as rows.SELECTED; at most so many after an id, or all."""
    asked = asked_of(matching)
    statement = _matching(names_of(frozenset(fields)), tuple(asked))
    return await reader.fetch(statement, {**asked, "after": after, "most": most})


@lru_cache(SHAPES_KEPT)
def _by_id(names: frozenset[str], is_one: bool) -> Prepared:
    return prepared(select(*columns(names)).where(THIS if is_one else CONDITIONS["ids"]))


async def workstations_by_id(
    reader: Reader, ids: Iterable[int], fields: Collection[str] = FIELDS
) -> dict[int, Workstation]:
    wanted = list(ids)
    statement = _by_id(names_of(frozenset(fields)), len(wanted) == 1)
    values = {"row_id": wanted[0]} if len(wanted) == 1 else {"ids": wanted}
    return {found.id: found for found in await fetched(reader, statement, values)}


@lru_cache(SHAPES_KEPT)
def _by_place(names: frozenset[str], is_one: bool) -> Prepared:
    found = select(*columns(names)).where(there(_C.building, _C.floor_number, is_one)).order_by(_C.id)
    return prepared(found if is_one else found.limit(SEVERAL_MOST + 1))


async def workstations_by_place(
    reader: Reader, places: Collection[Place], fields: Collection[str] = FIELDS
) -> dict[Place, list[Workstation]]:
    """Returns the workstations of each floor, by id. Raises TooMany for several floors with more than any answer
    has."""
    statement = _by_place(names_of(frozenset(fields)), len(places) == 1)
    found = await fetched(reader, statement, parameters_of_places(places))
    if len(places) == 1:
        return dict.fromkeys(places, found)
    if len(found) > SEVERAL_MOST:
        raise TooMany(
            f"More than {SEVERAL_MOST:,} workstations stand on these floors; ask for fewer floors at once.",
            measure="workstations of several floors",
            limit=SEVERAL_MOST,
            asked=len(found),
        )
    grouped: dict[Place, list[Workstation]] = {place: [] for place in places}
    for workstation in found:
        assert workstation.place is not None
        grouped[workstation.place].append(workstation)
    return grouped


_LOCKED = prepared(select(*EVERY).where(THIS).with_for_update(key_share=True))


async def locked_workstation(connection: Session, workstation_id: int) -> Workstation | None:
    """Returns the workstation, locked until this transaction ends."""
    found = await connection.row(_LOCKED, {"row_id": workstation_id})
    return rows.selected(found) if found else None


_SEVERAL_LOCKED = prepared(select(*EVERY).where(CONDITIONS["ids"]).order_by(_C.id).with_for_update(key_share=True))


async def locked_workstations(connection: Session, ids: Collection[int]) -> dict[int, Workstation]:
    """Those that there are, locked in the order of their ids, as everybody does who locks several."""
    return {one.id: one for one in await fetched(connection, _SEVERAL_LOCKED, {"ids": list(ids)})}
