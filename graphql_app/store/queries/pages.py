"""A page of workstations: its order, and what lies beyond a cursor."""

from collections.abc import Collection, Sequence
from functools import lru_cache
from itertools import product
from typing import Any, TypeVar

from asyncpg import Record
from sqlalchemy import ColumnElement, Integer, bindparam, select, union_all

from graphql_app.domain.filters import WorkstationFilter
from graphql_app.domain.paging import Order, Page, Window
from graphql_app.store import rows
from graphql_app.store.queries.columns import FIELDS, SHAPES_KEPT, columns, names_of, wide
from graphql_app.store.queries.conditions import CONDITIONS, asked_of
from graphql_app.store.queries.counts import count_workstations, counting
from graphql_app.store.queries.keyset import COLUMNS, beyond, bounds, complete
from graphql_app.store.session import Reader
from graphql_app.store.statements import Prepared, prepared

T = TypeVar("T")
_MOST = bindparam("most", type_=Integer)


@lru_cache(SHAPES_KEPT)
def _page(
    names: frozenset[str],
    conditions: tuple[str, ...],
    orders: tuple[Order, ...],
    sides: tuple[str, ...],
    nulls: frozenset[str],
    backward: bool,
    is_counted: bool,
) -> Prepared:
    matching = [CONDITIONS[name] for name in conditions]
    total = [counting(conditions).label("total")] if is_counted else []
    ordering = [_directed(COLUMNS[order.field], order, backward) for order in orders]
    ranges = [[*matching, *parts] for parts in product(*(beyond(side, orders, nulls) for side in sides))]
    if len(ranges) == 1:
        statement = select(*wide(columns(names), *total)).where(*ranges[0]).order_by(*ordering).limit(_MOST)
        return prepared(statement)
    keys = [COLUMNS[order.field].label(f"by_{order.field.value}") for order in orders]
    each = [select(*columns(names), *keys).where(*part).order_by(*ordering).limit(_MOST) for part in ranges]
    found = union_all(*each).subquery("found").c
    shown = wide([found[name] for name in rows.SELECTED], *total)
    again = [_directed(found[f"by_{order.field.value}"], order, backward) for order in orders]
    return prepared(select(*shown).order_by(*again).limit(_MOST))


def _directed(column: ColumnElement[Any], order: Order, backward: bool) -> ColumnElement[Any]:
    return column.desc() if order.descending != backward else column.asc()


async def page_of_workstations(
    reader: Reader,
    matching: WorkstationFilter,
    orders: Sequence[Order],
    window: Window,
    fields: Collection[str] = FIELDS,
    *,
    is_counted: bool = False,
) -> Page[Record]:
    """One page of rows: they begin as rows.SELECTED. Asks for one more than wanted, to know whether there is a next."""
    ordered = complete(orders)
    names = names_of(frozenset((*fields, *(order.field.value for order in ordered))))
    asked = asked_of(matching)
    keys = {side: key for side, key in (("after", window.after), ("before", window.before)) if key is not None}
    bounded = {name: value for side, key in keys.items() for name, value in bounds(side, ordered, key).items()}
    nulls = frozenset(name for name, value in bounded.items() if value is None)
    statement = _page(names, tuple(asked), ordered, tuple(keys), nulls, window.backward, is_counted)
    found = await reader.fetch(statement, {**asked, **bounded, "most": window.size + 1})
    total = await _total(reader, matching, window, found) if is_counted else None
    return paged(found, window, total)


async def _total(reader: Reader, matching: WorkstationFilter, window: Window, found: list[Record]) -> int:
    """Every row carries it. Where there is none, nothing matches at all, or nothing beyond a cursor."""
    if found:
        return int(found[0][len(rows.SELECTED)])
    return 0 if window.after is None and window.before is None else await count_workstations(reader, matching)


def paged(found: list[T], window: Window, total: int | None = None) -> Page[T]:
    """The page of what was fetched: one row more than wanted, backward when the window is."""
    more, found = len(found) > window.size, found[: window.size]
    if window.backward:
        return Page(found[::-1], has_next=window.before is not None, has_previous=more, total=total)
    return Page(found, has_next=more, has_previous=window.after is not None, total=total)
