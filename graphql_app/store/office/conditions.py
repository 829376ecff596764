"""Which workstations: each condition as SQL on parameters, and the parameters."""

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

from sqlalchemy import (
    ARRAY,
    BindParameter,
    ColumnElement,
    Float,
    Integer,
    String,
    Uuid,
    and_,
    any_,
    bindparam,
    cast,
    func,
    literal_column,
    select,
    tuple_,
)

from graphql_app.domain.filters import WorkstationFilter
from graphql_app.domain.workstation import Place
from graphql_app.store.schema.tables import employees, workstations

_C = workstations.c


def _folded(column: str) -> ColumnElement[str]:
    """Returns exactly the expression of the trigram index; folds ASCII only, as WorkstationFilter.matches does."""
    return literal_column(f'lower(workstations.{column} COLLATE "C")')


def like(part: str) -> str:
    escaped = part.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{''.join(c.lower() if c.isascii() else c for c in escaped)}%"


def _employee_where(column: ColumnElement[Any], value: BindParameter[Any]) -> ColumnElement[bool]:
    return _C.employee_id == select(employees.c.id).where(column == value).scalar_subquery()


# Each field of the filter as a condition on the parameter of its name; of several statuses or the one.
CONDITIONS: Mapping[str, ColumnElement[bool]] = {
    "ids": _C.id == any_(bindparam("ids", type_=ARRAY(Integer))),
    "building": _C.building == bindparam("building", type_=String),
    "floor_number": _C.floor_number == bindparam("floor_number", type_=Integer),
    "department_ids": _C.department_id == any_(bindparam("department_ids", type_=ARRAY(Integer))),
    "statuses": _C.status == any_(bindparam("statuses", type_=ARRAY(String))),
    "status": _C.status == bindparam("status", type_=String),
    "employee_key": _employee_where(employees.c.public_key, bindparam("employee_key", type_=Uuid)),
    "employee_number": _employee_where(employees.c.employee_number, bindparam("employee_number", type_=String)),
    "name_contains": _folded("name").like(bindparam("name_contains", type_=String)),
    "equipment_contains": _folded("equipment").like(bindparam("equipment_contains", type_=String)),
    "x_min": cast(_C.x_position, Float) >= bindparam("x_min", type_=Float),
    "x_max": cast(_C.x_position, Float) <= bindparam("x_max", type_=Float),
    "y_min": cast(_C.y_position, Float) >= bindparam("y_min", type_=Float),
    "y_max": cast(_C.y_position, Float) <= bindparam("y_max", type_=Float),
}
_FILTERED = tuple(name for name in CONDITIONS if name != "status")
# Those that are written as something else.
_WRITTEN: Mapping[str, Callable[[Any], Any]] = {
    "ids": list,
    "department_ids": list,
    "statuses": list,
    "name_contains": like,
    "equipment_contains": like,
}


def asked_of(matching: WorkstationFilter) -> dict[str, Any]:
    """Returns the filter as parameters, in the order of CONDITIONS: its keys are the conditions that hold.

    WorkstationFilter.matches decides the same of one workstation.
    """
    asked = {name: value for name in _FILTERED if (value := getattr(matching, name)) is not None}
    if len(asked.get("statuses", ())) == 1:
        # PostgreSQL can follow an index in its order only past a value that is compared by itself.
        (asked["status"],) = asked.pop("statuses")
    for least, most in (("x_min", "x_max"), ("y_min", "y_max")):
        if least in asked or most in asked:
            # Of what has two ends PostgreSQL expects few, whatever they are.
            asked[least], asked[most] = asked.get(least, -math.inf), asked.get(most, math.inf)
    return {name: _WRITTEN[name](value) if name in _WRITTEN else value for name, value in asked.items()}


THIS = _C.id == bindparam("row_id", type_=Integer)

# What is asked for alone is compared by itself: PostgreSQL takes an array for ten values, and plans anew each time for
# what turns out to be one, which costs more than the rest of the statement.

_PLACES = (
    func.unnest(bindparam("buildings", type_=ARRAY(String)), bindparam("numbers", type_=ARRAY(Integer)))
    .table_valued("building", "number", name="places")
    .render_derived()
)


def there(building: ColumnElement[Any], number: ColumnElement[Any], is_one: bool) -> ColumnElement[bool]:
    if is_one:
        return and_(
            building == bindparam("its_building", type_=String), number == bindparam("its_number", type_=Integer)
        )
    return tuple_(building, number).in_(select(_PLACES.c.building, _PLACES.c.number))


def parameters_of_places(places: Collection[Place]) -> dict[str, Any]:
    """The parameters of there."""
    if len(places) == 1:
        (place,) = places
        return {"its_building": place.building, "its_number": place.number}
    return {"buildings": [place.building for place in places], "numbers": [place.number for place in places]}
