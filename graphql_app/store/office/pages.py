"""A page of workstations: its order, and what lies beyond a cursor."""

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import TypeVar

from asyncpg import Record
from sqlalchemy import Integer, bindparam, select, union_all

from graphql_app.domain.filters import WorkstationFilter
from graphql_app.domain.paging import Order, Page, Window, paged
from graphql_app.store.office.columns import FIELDS, columns, names_of, wide
from graphql_app.store.office.conditions import CONDITIONS, asked_of
from graphql_app.store.office.counts import count_workstations, counting
from graphql_app.store.office.keyset import Stretch, complete, stretch
from graphql_app.store.office.searching import is_search, searched
from graphql_app.store.postgres.session import Reader
from graphql_app.store.postgres.statements import SHAPES_KEPT, Prepared, prepared
from graphql_app.store.schema import rows

T = TypeVar("T")
_MOST = bindparam("most", type_=Integer)


@lru_cache(SHAPES_KEPT)
def _page(names: frozenset[str], conditions: tuple[str, ...], part: Stretch, is_counted: bool) -> Prepared:
    matching = [CONDITIONS[name] for name in conditions]
    total = [counting(conditions).label("total")] if is_counted else []
    ranges = part.ranges()
    if len(ranges) == 1:
        statement = select(*wide(columns(names), *total)).where(*matching, *ranges[0]).order_by(*part.ordering())
        return prepared(statement.limit(_MOST))
    keys = [column.label(f"by_{at}") for at, column in enumerate(part.columns())]
    shown = [*columns(names), *keys]
    each = [select(*shown).where(*matching, *one).order_by(*part.ordering()).limit(_MOST) for one in ranges]
    found = union_all(*each).subquery("found").c
    statement = select(*wide([found[name] for name in rows.SELECTED], *total))
    return prepared(statement.order_by(*part.directed(found[key.name] for key in keys)).limit(_MOST))


async def page_of_workstations(
    reader: Reader,
    matching: WorkstationFilter,
    orders: Sequence[Order],
    window: Window,
    fields: Collection[str] = FIELDS,
    *,
    is_counted: bool = False,
) -> Page[Record]:
    """One page of rows: they begin as rows.SELECTED. Asks for one more than wanted, to know whether there is a next.

    Raises TooMany for a search that would look at too many.
    """
    ordered = complete(orders)
    names = names_of(frozenset((*fields, *(order.field.value for order in ordered))))
    asked = asked_of(matching)
    part, bounds = stretch(ordered, window)
    values = {**asked, **bounds, "most": window.size + 1}
    if is_search(asked):
        found, total = await searched(reader, names, tuple(asked), part, values, is_counted=is_counted)
        total = await count_workstations(reader, matching) if is_counted and total is None else total
        return paged(found, window, total if is_counted else None)
    found = await reader.fetch(_page(names, tuple(asked), part, is_counted), values)
    return paged(found, window, await _total(reader, matching, window, found) if is_counted else None)


async def _total(reader: Reader, matching: WorkstationFilter, window: Window, found: list[Record]) -> int:
    """Every row carries it. Where there is none, nothing matches at all, or nothing beyond a cursor."""
    if found:
        return int(found[0][len(rows.SELECTED)])
    return 0 if window.after is None and window.before is None else await count_workstations(reader, matching)
