"""A page of workstations: its order, and what lies beyond a cursor."""

from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeVar

from asyncpg import Record
from sqlalchemy import ColumnElement, Integer, and_, bindparam, func, or_, select

from graphql_app.domain.filters import WorkstationFilter
from graphql_app.domain.paging import Order, OrderField, Page, Window
from graphql_app.domain.workstation import Workstation
from graphql_app.store import rows
from graphql_app.store.queries.columns import FIELDS, SHAPES_KEPT, columns, names_of, wide
from graphql_app.store.queries.conditions import CONDITIONS, asked_of
from graphql_app.store.queries.counts import count_workstations
from graphql_app.store.session import Reader
from graphql_app.store.statements import Prepared, prepared
from graphql_app.store.tables import workstations

T = TypeVar("T")
_C = workstations.c
_TIMES = {OrderField.CREATED_AT, OrderField.UPDATED_AT}
_DECIMALS = {OrderField.X_POSITION, OrderField.Y_POSITION}


def complete(orders: Sequence[Order]) -> tuple[Order, ...]:
    """The orders, each field once, made unambiguous by the id at the end."""
    kept: dict[OrderField, Order] = {}
    for order in (*orders, Order(OrderField.ID)):
        kept.setdefault(order.field, order)
    return tuple(kept.values())


def key_of(workstation: Workstation, orders: Sequence[Order]) -> list[Any]:
    """The values that place a workstation in the order, as JSON."""
    values = (getattr(workstation, order.field.value) for order in complete(orders))
    return [value.isoformat() if isinstance(value, datetime) else value for value in values]


def _bound(order: Order, value: Any) -> Any:
    if value is None:
        return None
    if order.field in _TIMES:
        return datetime.fromisoformat(value)
    return Decimal(str(value)) if order.field in _DECIMALS else value


def _bounds(side: str, orders: Sequence[Order], key: Sequence[Any] | None) -> dict[str, Any]:
    """The parameters of _beyond."""
    if key is None:
        return {}
    return {f"{side}_{order.field.value}": _bound(order, value) for order, value in zip(orders, key, strict=True)}


def _beyond(side: str, orders: Sequence[Order], nulls: frozenset[str]) -> ColumnElement[bool]:
    """The rows after the key (or before it). PostgreSQL puts nulls last when ascending and first when descending.

    `nulls` names the parameters that are null: these are part of the text.
    """
    alternatives: list[ColumnElement[bool]] = []
    equal: list[ColumnElement[bool]] = []
    for order in orders:
        column, name = _C[order.field.value], f"{side}_{order.field.value}"
        value, is_null = bindparam(name, type_=column.type), name in nulls
        if order.descending != (side == "before"):
            further = column.is_not(None) if is_null else column < value
        else:
            further = column.is_(None) & column.is_not(None) if is_null else or_(column > value, column.is_(None))
            if not is_null and not column.nullable:
                further = column > value
        alternatives.append(and_(*equal, further))
        equal.append(column.is_(None) if is_null else column == value)
    return or_(*alternatives)


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
    limits = [*matching, *(_beyond(side, orders, nulls) for side in sides)]
    ordering = [
        _C[order.field.value].desc() if order.descending != backward else _C[order.field.value].asc()
        for order in orders
    ]
    count = select(func.count()).select_from(workstations).where(*matching).correlate(None).scalar_subquery()
    total = [count.label("total")] if is_counted else []
    statement = select(*wide(columns(names), *total)).where(*limits).order_by(*ordering)
    return prepared(statement.limit(bindparam("most", type_=Integer)))


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
    bounds = {name: value for side, key in keys.items() for name, value in _bounds(side, ordered, key).items()}
    nulls = frozenset(name for name, value in bounds.items() if value is None)
    statement = _page(names, tuple(asked), ordered, tuple(keys), nulls, window.backward, is_counted)
    found = await reader.fetch(statement, {**asked, **bounds, "most": window.size + 1})
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
