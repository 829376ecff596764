"""Searches that no index answers by itself: for part of a text or a range of coordinates, all over a large office. Each
looks at a bounded number of workstations, or says what else it must be told.

Left to itself, PostgreSQL walks the whole table in the order of the page where nothing matches: whatever it expects of
a value that it plans without.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import Any

from asyncpg import Record
from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    null,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.sql.util import ClauseAdapter

from graphql_app.domain.errors import TooMany
from graphql_app.store.log.cells import CELLS
from graphql_app.store.office.columns import columns
from graphql_app.store.office.conditions import CONDITIONS
from graphql_app.store.office.keyset import Stretch
from graphql_app.store.postgres.session import Reader
from graphql_app.store.postgres.statements import SHAPES_KEPT, Prepared, prepared
from graphql_app.store.schema import rows
from graphql_app.store.schema.tables import workstations

LOOKED_AT_MOST = 10_000  # workstations at a time; in an office of no more, anything may be looked for

# What may be looked for, each by what one index has.
_SOUGHT = {
    "name_contains": ("name_contains",),
    "equipment_contains": ("equipment_contains",),
    "x": ("x_min", "x_max"),
    "y": ("y_min", "y_max"),
}
_NAMES = frozenset(name for names in _SOUGHT.values() for name in names)
# Within these there are few anyhow.
_NARROW = frozenset({"ids", "building", "employee_key", "employee_number"})
# What a text must have for the index of trigrams: so many letters or digits in a row.
_INDEXED = re.compile(r"[^\W_]{3}")

# Part of the text: what is a parameter, PostgreSQL plans for as if it were a tenth of the table.
_LOOKED_AT: ColumnElement[int] = literal_column(str(LOOKED_AT_MOST))
_TOO_MANY: ColumnElement[int] = literal_column(str(LOOKED_AT_MOST + 1))

_SIZE = select(func.sum(CELLS.c.workstations)).scalar_subquery()
_IS_LARGE = _LOOKED_AT < _SIZE
_SIZE_ALONE = prepared(select(_SIZE))


def is_search(asked: Collection[str]) -> bool:
    """Returns whether these conditions need a bounded search."""
    names = set(asked)
    return bool(names & _NAMES) and not names & _NARROW


async def searched(
    reader: Reader,
    names: frozenset[str],
    conditions: tuple[str, ...],
    part: Stretch,
    values: Mapping[str, Any],
    *,
    is_counted: bool,
) -> tuple[list[Record], int | None]:
    """The rows of a page, of those that come first in its order, or else of those that an index finds; and how many
    match, where that was counted on the way. Raises TooMany where these are too many as well."""
    told = await reader.fetch(_among_first(names, conditions, part, is_counted), values)
    total = told[0][len(rows.SELECTED)]
    found = [row for row in told if row[0] is not None]
    is_large = total is None
    if not is_large or (len(found) == values["most"] and len(part.ranges()) == 1):
        return found, total
    group = await _finding(reader, conditions, values)
    return await reader.fetch(_among_found(names, conditions, part, group), values), None


async def found_by(reader: Reader, asked: Mapping[str, Any]) -> str | None:
    """By what all that match are found first, if it is a search: for among_found. Raises TooMany likewise."""
    if not is_search(asked) or await _size(reader) <= LOOKED_AT_MOST:
        return None
    return await _finding(reader, tuple(asked), asked)


def among_found(statement: Select[Any], group: str | None) -> Select[Any]:
    """Restricts a statement on workstations to those that are found by it."""
    if group is None:
        return statement
    found = _of_group(group).limit(_TOO_MANY).subquery("workstations")  # by the name that some conditions write out
    return ClauseAdapter(found).traverse(statement)


async def _size(reader: Reader) -> int:
    return int(await reader.scalar(_SIZE_ALONE) or 0)


async def _finding(reader: Reader, conditions: Collection[str], values: Mapping[str, Any]) -> str:
    """What is sought that few have. Raises TooMany."""
    for group in _indexed(conditions, values):
        if await reader.scalar(_number_of(group), values) <= LOOKED_AT_MOST:
            return group
    raise TooMany(
        f"More than {LOOKED_AT_MOST} workstations would have to be looked at one by one: ask for a `building`, for at "
        "least three letters or digits in a row, or for a smaller range of one coordinate.",
        measure="workstations looked at",
        limit=LOOKED_AT_MOST,
        asked=await _size(reader),
    )


def _indexed(conditions: Collection[str], values: Mapping[str, Any]) -> Iterator[str]:
    for group, names in _SOUGHT.items():
        if names[0] in conditions and (len(names) > 1 or _INDEXED.search(values[names[0]])):
            yield group


def _of_group(group: str) -> Select[Any]:
    return select(workstations).where(*(CONDITIONS[name] for name in _SOUGHT[group]))


@lru_cache(SHAPES_KEPT)
def _number_of(group: str) -> Prepared:
    found = _of_group(group).with_only_columns(workstations.c.id).limit(_TOO_MANY).subquery()
    return prepared(select(func.count()).select_from(found))


@lru_cache(SHAPES_KEPT)
def _among_first(names: frozenset[str], conditions: tuple[str, ...], part: Stretch, is_counted: bool) -> Prepared:
    """At least one row, without a workstation where none is found. Behind each is how many match in all (0, where that
    is not asked), and null in a large office, where more may be found elsewhere."""
    each = [select(workstations).where(*one).order_by(*part.ordering()).limit(_LOOKED_AT) for one in part.ranges()]
    first = (each[0] if len(each) == 1 else union_all(*each)).subquery("workstations")
    keys = [column.label(f"by_{at}") for at, column in enumerate(part.columns())]
    page = ClauseAdapter(first).traverse(_page(names, conditions, part, *keys)).subquery("page")
    count = select(func.count(workstations.c.id)).where(*(CONDITIONS[name] for name in conditions)).scalar_subquery()
    total = case((_IS_LARGE, null()), else_=count if is_counted else literal_column("0"))
    office = select(total.label("total")).subquery("office")
    statement = select(*(page.c[name] for name in rows.SELECTED), office.c.total)
    statement = statement.select_from(office.outerjoin(page, true()))
    return prepared(statement.order_by(*part.directed(page.c[key.name] for key in keys)))


@lru_cache(SHAPES_KEPT)
def _among_found(names: frozenset[str], conditions: tuple[str, ...], part: Stretch, group: str) -> Prepared:
    return prepared(among_found(_page(names, conditions, part, null()), group))


def _page(
    names: frozenset[str], conditions: tuple[str, ...], part: Stretch, *behind: ColumnElement[Any]
) -> Select[Any]:
    within = or_(*(and_(true(), *one) for one in part.ranges()))
    statement = select(*columns(names), *behind).where(*(CONDITIONS[name] for name in conditions), within)
    return statement.order_by(*part.ordering()).limit(bindparam("most", type_=Integer))
