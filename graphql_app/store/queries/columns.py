"""What is fetched of a workstation: the columns of the fields that are asked for, and null for the rest."""

from collections.abc import Collection
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Float, Text, cast, null

from graphql_app.domain.workstation import Workstation
from graphql_app.store import rows
from graphql_app.store.tables import workstations

_C = workstations.c
_LABELS = ("floor_name", "department", "employee", "employee_id")
FIELDS = frozenset(Workstation.__dataclass_fields__)
# What every answer needs, whatever was selected.
_ALWAYS = ("id", "building", "floor_number", "status")
# As the domain holds them: the server writes a float much faster than Python makes one of a Decimal.
FLOATS = ("x_position", "y_position", "width", "height")
# Statements differ in what they select, in which filters are set and in their order; their values are parameters.
SHAPES_KEPT = 500


@lru_cache(SHAPES_KEPT)
def names_of(fields: frozenset[str]) -> frozenset[str]:
    """The columns to fetch. Passes over what is no field of Workstation: `__typename`, or a field of another type."""
    return frozenset((*_ALWAYS, *("labels" if field in _LABELS else field for field in fields & FIELDS)))


def columns(names: Collection[str]) -> list[ColumnElement[Any]]:
    """What rows.selected reads: the others are null."""
    return [_column(name).label(name) if name in names else null().label(name) for name in rows.SELECTED]


def _column(name: str) -> ColumnElement[Any]:
    if name in FLOATS:
        return cast(_C[name], Float)
    return cast(_C[name], Text) if name == "labels" else _C[name]


EVERY = columns(names_of(FIELDS))
