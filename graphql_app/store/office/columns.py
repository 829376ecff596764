"""What is fetched of a workstation: the columns of the fields that are asked for, and null for the rest."""

from collections.abc import Collection
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Float, LargeBinary, cast, func, literal_column, null

from graphql_app.domain.workstation import Workstation
from graphql_app.store.postgres.statements import SHAPES_KEPT
from graphql_app.store.schema import rows
from graphql_app.store.schema.tables import workstations

_C = workstations.c
_LABELS = ("floor_name", "department", "employee", "employee_id")
FIELDS = frozenset(Workstation.__dataclass_fields__)
# What every answer needs, whatever was selected.
_ALWAYS = ("id", "building", "floor_number", "status")
# As the domain holds them: the server writes a float much faster than Python makes one of a Decimal.
FLOATS = ("x_position", "y_position", "width", "height")
_NAN: ColumnElement[Any] = literal_column("'NaN'::numeric")  # numeric columns take it, and no answer can show it
_MOMENTS = ("created_at", "updated_at")
# Statements differ in what they select, in which filters are set and in their order; their values are parameters.


@lru_cache(SHAPES_KEPT)
def names_of(fields: frozenset[str]) -> frozenset[str]:
    """Returns the columns to fetch. Passes over what is no field of Workstation: `__typename`, or a field of another
    type."""
    return frozenset((*_ALWAYS, *("labels" if field in _LABELS else field for field in fields & FIELDS)))


def columns(names: Collection[str], **instead: ColumnElement[Any]) -> list[ColumnElement[Any]]:
    """Returns the columns that rows.selected reads; those not asked for are null. `instead` are columns of another
    table that hold the same."""
    every = {name: _column(name) if name in names else null() for name in rows.SELECTED} | instead
    return [column.label(name) for name, column in every.items()]


def wide(of_workstation: list[ColumnElement[Any]], *behind: ColumnElement[Any]) -> list[ColumnElement[Any]]:
    """With what each row tells of the whole besides."""
    return [*of_workstation, *behind, *(null() for _ in range(len(behind), rows.BEHIND))]


def _column(name: str) -> ColumnElement[Any]:
    if name in FLOATS:
        return cast(func.nullif(_C[name], _NAN), Float)
    if name in _MOMENTS:
        return func.timestamptz_send(_C[name], type_=LargeBinary)
    return func.jsonb_send(_C[name], type_=LargeBinary) if name == "labels" else _C[name]


EVERY = columns(names_of(FIELDS))
