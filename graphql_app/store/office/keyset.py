"""Keyset pagination: what lies beyond a cursor, as conditions that an index in the order can begin with, so that a deep
page costs what the first one costs."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import product
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Float, and_, bindparam, cast, false, or_, tuple_

from graphql_app.domain.paging import Order, OrderField, Window
from graphql_app.domain.workstation import Workstation
from graphql_app.store.schema.tables import workstations

_C = workstations.c
_TIMES = {OrderField.CREATED_AT, OrderField.UPDATED_AT}
# Positions as the filters compare them: one index serves both.
_FLOATS = {OrderField.X_POSITION, OrderField.Y_POSITION}
COLUMNS: Mapping[OrderField, ColumnElement[Any]] = {
    field: cast(_C[field.value], Float) if field in _FLOATS else _C[field.value] for field in OrderField
}


def complete(orders: Sequence[Order]) -> tuple[Order, ...]:
    """Returns the orders, each field once, made unambiguous by the id at the end, in the direction of the last: an
    index has both in one direction."""
    kept: dict[OrderField, Order] = {}
    for order in orders:
        kept.setdefault(order.field, order)
    last = next(reversed(kept.values()), None)
    kept.setdefault(OrderField.ID, Order(OrderField.ID, last is not None and last.descending))
    return tuple(kept.values())


def key_of(workstation: Workstation, orders: Sequence[Order]) -> list[Any]:
    """Returns the values that place a workstation in the order, as JSON."""
    values = (getattr(workstation, order.field.value) for order in complete(orders))
    return [value.isoformat() if isinstance(value, datetime) else value for value in values]


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of an ordered list, but for the values of its cursors. `sides` has "after", "before", both or none, and
    `nulls` names the parameters that are null: these are part of the text."""

    orders: tuple[Order, ...]
    sides: tuple[str, ...]
    nulls: frozenset[str]
    backward: bool

    def ranges(self) -> list[tuple[ColumnElement[bool], ...]]:
        """Which have no row in common, and each is one range of an index in the order."""
        return list(product(*(beyond(side, self.orders, self.nulls) for side in self.sides)))

    def directed(self, columns: Iterable[ColumnElement[Any]]) -> list[ColumnElement[Any]]:
        """The columns of the orders as ORDER BY has them."""
        ways = (order.descending != self.backward for order in self.orders)
        return [column.desc() if is_down else column.asc() for column, is_down in zip(columns, ways, strict=True)]

    def columns(self) -> list[ColumnElement[Any]]:
        """Those of the orders."""
        return [_column(order) for order in self.orders]

    def ordering(self) -> list[ColumnElement[Any]]:
        return self.directed(self.columns())


def stretch(orders: tuple[Order, ...], window: Window) -> tuple[Stretch, dict[str, Any]]:
    """Returns the part of the list that a window shows, and its parameters."""
    keys = {side: key for side, key in (("after", window.after), ("before", window.before)) if key is not None}
    values = {
        _named(side, order): _bound(order, value)
        for side, key in keys.items()
        for order, value in zip(orders, key, strict=True)
    }
    nulls = frozenset(name for name, value in values.items() if value is None)
    return Stretch(orders, tuple(keys), nulls, window.backward), values


def beyond(side: str, orders: Sequence[Order], nulls: Collection[str]) -> list[ColumnElement[bool]]:
    """Returns the rows after the key (or before it), in parts that have no row in common, each a range of an index.

    PostgreSQL puts nulls last when ascending and first when descending.
    """
    first, *others = orders
    column, is_upwards = COLUMNS[first.field], _is_upwards(side, first)
    if _named(side, first) in nulls:
        among_nulls = and_(column.is_(None), or_(*_one_by_one(side, others, nulls)))
        return [among_nulls] if is_upwards else [among_nulls, column.is_not(None)]
    known = _among_known(side, orders, nulls)
    return [known, column.is_(None)] if is_upwards and _is_nullable(first) else [known]


def _among_known(side: str, orders: Sequence[Order], nulls: Collection[str]) -> ColumnElement[bool]:
    """Of those whose first is not null, when the key's is not either."""
    first, *others = orders
    is_upwards = _is_upwards(side, first)
    if all(_is_upwards(side, order) == is_upwards and not _is_nullable(order) for order in others):
        row, key = (tuple_(*map(of, orders)) for of in (_column, partial(_value, side)))
        return row > key if is_upwards else row < key
    column, value = _column(first), _value(side, first)
    # The first says no more than the others, but an index can begin with it.
    return and_(column >= value if is_upwards else column <= value, or_(*_one_by_one(side, orders, nulls)))


def _one_by_one(side: str, orders: Sequence[Order], nulls: Collection[str]) -> Iterator[ColumnElement[bool]]:
    """For each of the orders: equal in those before it, and beyond in it."""
    equal: list[ColumnElement[bool]] = []
    for order in orders:
        column, value, is_null = _column(order), _value(side, order), _named(side, order) in nulls
        if not _is_upwards(side, order):
            further = column.is_not(None) if is_null else column < value
        elif is_null:
            further = false()
        else:
            further = or_(column > value, column.is_(None)) if _is_nullable(order) else column > value
        yield and_(*equal, further)
        equal.append(column.is_(None) if is_null else column == value)


def _is_upwards(side: str, order: Order) -> bool:
    return order.descending == (side == "before")


def _is_nullable(order: Order) -> bool:
    return bool(_C[order.field.value].nullable)


def _column(order: Order) -> ColumnElement[Any]:
    return COLUMNS[order.field]


def _named(side: str, order: Order) -> str:
    return f"{side}_{order.field.value}"


def _value(side: str, order: Order) -> BindParameter[Any]:
    return bindparam(_named(side, order), type_=_column(order).type)


def _bound(order: Order, value: Any) -> Any:
    if value is None:
        return None
    if order.field in _TIMES:
        return datetime.fromisoformat(value)
    return float(value) if order.field in _FLOATS else value
