"""Statements about the office: filters in, domain objects out. One statement each."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeVar
from uuid import UUID

from asyncpg import Record
from sqlalchemy import (
    ARRAY,
    BindParameter,
    ColumnElement,
    Float,
    Integer,
    String,
    Text,
    Uuid,
    and_,
    any_,
    bindparam,
    cast,
    exists,
    func,
    literal_column,
    null,
    or_,
    select,
    tuple_,
)

from graphql_app.domain.access import Viewer
from graphql_app.domain.arranging import Guarded
from graphql_app.domain.filters import WorkstationFilter
from graphql_app.domain.paging import Order, OrderField, Page, Window
from graphql_app.domain.workstation import Counts, Department, Employee, Floor, Place, Status, Workstation
from graphql_app.store import rows
from graphql_app.store.database import Database, Reader, Session, author, transaction_id
from graphql_app.store.statements import Prepared, prepared
from graphql_app.store.tables import buildings, departments, employees, floors, workstations

T = TypeVar("T")
_C = workstations.c
_LABELS = ("floor_name", "department", "employee", "employee_id")
FIELDS = frozenset(Workstation.__dataclass_fields__)
# What every answer needs, whatever was selected.
_ALWAYS = ("id", "building", "floor_number", "status")
# As the domain holds them: the server writes a float much faster than Python makes one of a Decimal.
_FLOATS = ("x_position", "y_position", "width", "height")
# Statements differ in what they select, in which filters are set and in their order; their values are parameters.
SHAPES_KEPT = 500


@lru_cache(SHAPES_KEPT)
def _names(fields: frozenset[str]) -> frozenset[str]:
    """The columns to fetch. Passes over what is no field of Workstation: `__typename`, or a field of another type."""
    return frozenset((*_ALWAYS, *("labels" if field in _LABELS else field for field in fields & FIELDS)))


def _columns(names: Collection[str]) -> list[ColumnElement[Any]]:
    """What rows.selected reads: the others are null."""
    return [_column(name).label(name) if name in names else null().label(name) for name in rows.SELECTED]


def _column(name: str) -> ColumnElement[Any]:
    if name in _FLOATS:
        return cast(_C[name], Float)
    return cast(_C[name], Text) if name == "labels" else _C[name]


_EVERY = _columns(_names(FIELDS))


def _folded(column: str) -> ColumnElement[str]:
    """Exactly the expression of the trigram index; folds ASCII only, as WorkstationFilter.matches does."""
    return literal_column(f'lower(workstations.{column} COLLATE "C")')


def _like(part: str) -> str:
    escaped = part.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{''.join(c.lower() if c.isascii() else c for c in escaped)}%"


def _employee_where(column: ColumnElement[Any], value: BindParameter[Any]) -> ColumnElement[bool]:
    return _C.employee_id == select(employees.c.id).where(column == value).scalar_subquery()


# Each field of the filter as a condition on the parameter of its name.
_CONDITIONS: Mapping[str, ColumnElement[bool]] = {
    "ids": _C.id == any_(bindparam("ids", type_=ARRAY(Integer))),
    "building": _C.building == bindparam("building", type_=String),
    "floor_number": _C.floor_number == bindparam("floor_number", type_=Integer),
    "department_ids": _C.department_id == any_(bindparam("department_ids", type_=ARRAY(Integer))),
    "statuses": _C.status == any_(bindparam("statuses", type_=ARRAY(String))),
    "employee_key": _employee_where(employees.c.public_key, bindparam("employee_key", type_=Uuid)),
    "employee_number": _employee_where(employees.c.employee_number, bindparam("employee_number", type_=String)),
    "name_contains": _folded("name").like(bindparam("name_contains", type_=String)),
    "equipment_contains": _folded("equipment").like(bindparam("equipment_contains", type_=String)),
    "x_min": cast(_C.x_position, Float) >= bindparam("x_min", type_=Float),
    "x_max": cast(_C.x_position, Float) <= bindparam("x_max", type_=Float),
    "y_min": cast(_C.y_position, Float) >= bindparam("y_min", type_=Float),
    "y_max": cast(_C.y_position, Float) <= bindparam("y_max", type_=Float),
}
# Those that are written as something else.
_WRITTEN: Mapping[str, Callable[[Any], Any]] = {
    "ids": list,
    "department_ids": list,
    "statuses": list,
    "name_contains": _like,
    "equipment_contains": _like,
}


def _asked(matching: WorkstationFilter) -> dict[str, Any]:
    """The filter as parameters, in the order of _CONDITIONS: its keys are the conditions that hold.

    WorkstationFilter.matches says the same of one workstation.
    """
    asked = ((name, getattr(matching, name)) for name in _CONDITIONS)
    return {name: _WRITTEN[name](value) if name in _WRITTEN else value for name, value in asked if value is not None}


async def _workstations(reader: Reader, statement: Prepared, values: Mapping[str, Any]) -> list[Workstation]:
    return [rows.selected(row) for row in await reader.fetch(statement, values)]


@lru_cache(SHAPES_KEPT)
def _matching(names: frozenset[str], conditions: tuple[str, ...]) -> Prepared:
    return prepared(select(*_columns(names)).where(*(_CONDITIONS[name] for name in conditions)).order_by(_C.id))


async def matching_workstations(
    reader: Reader, matching: WorkstationFilter, fields: Collection[str] = FIELDS
) -> list[Workstation]:
    """All that match, by id."""
    asked = _asked(matching)
    return await _workstations(reader, _matching(_names(frozenset(fields)), tuple(asked)), asked)


_THIS = _C.id == bindparam("row_id", type_=Integer)

# What is asked for alone is compared by itself: PostgreSQL takes an array for ten values, and plans anew each time for
# what turns out to be one, which costs more than the rest of the statement.

_PLACES = (
    func.unnest(bindparam("buildings", type_=ARRAY(String)), bindparam("numbers", type_=ARRAY(Integer)))
    .table_valued("building", "number", name="places")
    .render_derived()
)


def _there(building: ColumnElement[Any], number: ColumnElement[Any], is_one: bool) -> ColumnElement[bool]:
    if is_one:
        return and_(
            building == bindparam("its_building", type_=String), number == bindparam("its_number", type_=Integer)
        )
    return tuple_(building, number).in_(select(_PLACES.c.building, _PLACES.c.number))


def _places(places: Collection[Place]) -> dict[str, Any]:
    """The parameters of _there."""
    if len(places) == 1:
        (place,) = places
        return {"its_building": place.building, "its_number": place.number}
    return {"buildings": [place.building for place in places], "numbers": [place.number for place in places]}


@lru_cache(SHAPES_KEPT)
def _by_id(names: frozenset[str], is_one: bool) -> Prepared:
    return prepared(select(*_columns(names)).where(_THIS if is_one else _CONDITIONS["ids"]))


async def workstations_by_id(
    reader: Reader, ids: Iterable[int], fields: Collection[str] = FIELDS
) -> dict[int, Workstation]:
    wanted = list(ids)
    statement = _by_id(_names(frozenset(fields)), len(wanted) == 1)
    values = {"row_id": wanted[0]} if len(wanted) == 1 else {"ids": wanted}
    return {found.id: found for found in await _workstations(reader, statement, values)}


@lru_cache(SHAPES_KEPT)
def _by_place(names: frozenset[str], is_one: bool) -> Prepared:
    return prepared(select(*_columns(names)).where(_there(_C.building, _C.floor_number, is_one)).order_by(_C.id))


async def workstations_by_place(
    reader: Reader, places: Collection[Place], fields: Collection[str] = FIELDS
) -> dict[Place, list[Workstation]]:
    """The workstations of each floor, by id."""
    statement = _by_place(_names(frozenset(fields)), len(places) == 1)
    found = await _workstations(reader, statement, _places(places))
    if len(places) == 1:
        return dict.fromkeys(places, found)
    grouped: dict[Place, list[Workstation]] = {place: [] for place in places}
    for workstation in found:
        assert workstation.place is not None
        grouped[workstation.place].append(workstation)
    return grouped


@lru_cache(SHAPES_KEPT)
def _whole_floors(names: frozenset[str], is_one: bool) -> Prepared:
    stands_there = (_C.building == floors.c.building) & (_C.floor_number == floors.c.number)
    columns = select(*_columns(names), *floors.c).select_from(floors.outerjoin(workstations, stands_there))
    statement = columns.where(_there(floors.c.building, floors.c.number, is_one)).order_by(floors.c.id, _C.id)
    return prepared(statement)


async def whole_floors(
    reader: Reader, places: Collection[Place], fields: Collection[str] = FIELDS
) -> dict[Place, tuple[Floor, list[Record]]]:
    """Each floor that there is, and the rows of its workstations by id: they begin as rows.SELECTED."""
    found: dict[Place, tuple[Floor, list[Record]]] = {}
    width = len(rows.SELECTED)
    statement = _whole_floors(_names(frozenset(fields)), len(places) == 1)
    for _, group in groupby(await reader.fetch(statement, _places(places)), itemgetter(width)):
        members = list(group)
        its = Floor(*members[0][width:])
        # One without workstations is a row of nulls.
        found[its.place] = its, members if members[0][0] is not None else []
    return found


_LOCKED = prepared(select(*_EVERY).where(_THIS).with_for_update(key_share=True))


async def locked_workstation(connection: Session, workstation_id: int) -> Workstation | None:
    """The workstation, which nobody else can change until this transaction ends."""
    found = await connection.row(_LOCKED, {"row_id": workstation_id})
    return rows.selected(found) if found else None


# --- pages -----------------------------------------------------------------------------------------------------------

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
) -> Prepared:
    limits = [_CONDITIONS[name] for name in conditions] + [_beyond(side, orders, nulls) for side in sides]
    ordering = [
        _C[order.field.value].desc() if order.descending != backward else _C[order.field.value].asc()
        for order in orders
    ]
    statement = select(*_columns(names)).where(*limits).order_by(*ordering)
    return prepared(statement.limit(bindparam("most", type_=Integer)))


async def page_of_workstations(
    reader: Reader,
    matching: WorkstationFilter,
    orders: Sequence[Order],
    window: Window,
    fields: Collection[str] = FIELDS,
) -> Page[Workstation]:
    """One page. Asks for one row more than wanted, to know whether there is a next one."""
    ordered = complete(orders)
    names = _names(frozenset((*fields, *(order.field.value for order in ordered))))
    asked = _asked(matching)
    keys = {side: key for side, key in (("after", window.after), ("before", window.before)) if key is not None}
    bounds = {name: value for side, key in keys.items() for name, value in _bounds(side, ordered, key).items()}
    nulls = frozenset(name for name, value in bounds.items() if value is None)
    statement = _page(names, tuple(asked), ordered, tuple(keys), nulls, window.backward)
    found = await _workstations(reader, statement, {**asked, **bounds, "most": window.size + 1})
    return _paged(found, window)


def _paged(found: list[T], window: Window) -> Page[T]:
    """The page of what was fetched: one row more than wanted, backward when the window is."""
    more, found = len(found) > window.size, found[: window.size]
    if window.backward:
        return Page(found[::-1], has_next=window.before is not None, has_previous=more)
    return Page(found, has_next=more, has_previous=window.after is not None)


# --- figures ---------------------------------------------------------------------------------------------------------

_STATUS_COUNTS = [func.count().filter(_C.status == status.value).label(status.value) for status in Status]
GROUPS: Mapping[str, ColumnElement[Any]] = {
    "building": _C.building,
    "floor": literal_column("workstations.building || ' / ' || workstations.floor_number"),
    "department": literal_column("workstations.labels #>> '{department,name}'"),
}


@lru_cache(SHAPES_KEPT)
def _count(conditions: tuple[str, ...]) -> Prepared:
    return prepared(select(func.count()).select_from(workstations).where(*(_CONDITIONS[name] for name in conditions)))


async def count_workstations(reader: Reader, matching: WorkstationFilter) -> int:
    asked = _asked(matching)
    return int(await reader.scalar(_count(tuple(asked)), asked))


@lru_cache(SHAPES_KEPT)
def _counts_of(conditions: tuple[str, ...], group: str | None) -> Prepared:
    key = GROUPS[group] if group else literal_column("NULL::text")
    statement = select(key.label("key"), *_STATUS_COUNTS).where(*(_CONDITIONS[name] for name in conditions))
    if group:
        statement = statement.group_by(literal_column("1")).order_by(literal_column("1"))
    return prepared(statement)


async def workstation_counts(reader: Reader, matching: WorkstationFilter, group: str | None) -> list[Counts]:
    """How many are in each status, in all or by group. The group of those without one has the key None."""
    asked = _asked(matching)
    return [_counts(row["key"], row) for row in await reader.fetch(_counts_of(tuple(asked), group), asked)]


@lru_cache(2)
def _counts_by_place(is_one: bool) -> Prepared:
    statement = select(_C.building, _C.floor_number, *_STATUS_COUNTS).group_by(_C.building, _C.floor_number)
    return prepared(statement.where(_there(_C.building, _C.floor_number, is_one)))


async def counts_by_place(reader: Reader, places: Collection[Place]) -> dict[Place, Counts]:
    result = await reader.fetch(_counts_by_place(len(places) == 1), _places(places))
    found = {Place(row["building"], row["floor_number"]): _counts(None, row) for row in result}
    return {place: found.get(place, Counts(None, dict.fromkeys(Status, 0))) for place in places}


def _counts(key: str | None, row: Record) -> Counts:
    return Counts(key, {status: row[status.value] for status in Status})


# --- places and people -----------------------------------------------------------------------------------------------

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
_DEPARTMENTS = prepared(select(departments).order_by(departments.c.name))
_DEPARTMENTS_BY_ID = prepared(
    select(departments).where(departments.c.id == any_(bindparam("ids", type_=ARRAY(Integer))))
)


@lru_cache(2)
def _floors_by_place(is_one: bool) -> Prepared:
    return prepared(select(floors).where(_there(floors.c.building, floors.c.number, is_one)))


async def all_floors(reader: Reader, building: str | None = None) -> list[Floor]:
    statement = _FLOORS if building is None else _FLOORS_OF
    return [Floor(**row) for row in await reader.fetch(statement, {"building": building})]


async def floors_by_place(reader: Reader, places: Collection[Place]) -> dict[Place, Floor]:
    found = (Floor(**row) for row in await reader.fetch(_floors_by_place(len(places) == 1), _places(places)))
    return {floor.place: floor for floor in found}


async def building_exists(reader: Reader, name: str) -> bool:
    return bool(await reader.scalar(_BUILDING, {"building": name}))


async def floor_exists(reader: Reader, building: str | None, number: int) -> bool:
    """Of that building, or of any."""
    return bool(await reader.scalar(_FLOOR, {"building": building, "number": number}))


async def floors_by_id(reader: Reader, ids: Collection[int]) -> dict[int, Floor]:
    return {row["id"]: Floor(**row) for row in await reader.fetch(_FLOORS_BY_ID, {"ids": list(ids)})}


async def all_departments(reader: Reader) -> list[Department]:
    return [Department(**row) for row in await reader.fetch(_DEPARTMENTS)]


async def departments_by_id(reader: Reader, ids: Collection[int]) -> dict[int, Department]:
    return {row["id"]: Department(**row) for row in await reader.fetch(_DEPARTMENTS_BY_ID, {"ids": list(ids)})}


_E = employees.c
_EMPLOYEE = select(employees, departments.c.name.label("department_name")).outerjoin_from(
    employees, departments, _E.department_id == departments.c.id
)
_EMPLOYEES_BY_KEY = prepared(_EMPLOYEE.where(_E.public_key == any_(bindparam("keys", type_=ARRAY(Uuid)))))
_EMPLOYEE_BY_NUMBER = prepared(_EMPLOYEE.where(_E.employee_number == bindparam("number", type_=String)))


def _employee(row: Record) -> Employee:
    known = row["department_id"] is not None
    return Employee(
        row["public_key"],
        row["name"],
        Department(row["department_id"], row["department_name"]) if known else None,
        row["employee_number"],
    )


_PERSON_ORDER = (_E.name, _E.public_key)
_PERSON_CONDITIONS: Mapping[str, ColumnElement[bool]] = {
    "department_id": _E.department_id == bindparam("department_id", type_=Integer),
    "name_contains": literal_column('lower(employees.name COLLATE "C")', String).like(
        bindparam("name_contains", type_=String)
    ),
    "after": tuple_(*_PERSON_ORDER) > tuple_(bindparam("after_name", type_=String), bindparam("after_key", type_=Uuid)),
    "before": tuple_(*_PERSON_ORDER)
    < tuple_(bindparam("before_name", type_=String), bindparam("before_key", type_=Uuid)),
}


@lru_cache(SHAPES_KEPT)
def _page_of_employees(conditions: tuple[str, ...], backward: bool) -> Prepared:
    ordering = [column.desc() for column in _PERSON_ORDER] if backward else list(_PERSON_ORDER)
    statement = _EMPLOYEE.where(*(_PERSON_CONDITIONS[name] for name in conditions)).order_by(*ordering)
    return prepared(statement.limit(bindparam("most", type_=Integer)))


async def page_of_employees(
    reader: Reader, window: Window, department_id: int | None, name_contains: str | None
) -> Page[Employee]:
    """Employees by name; the key is (name, public key)."""
    part = None if name_contains is None else _like(name_contains)
    given: dict[str, Any] = {
        "department_id": department_id,
        "name_contains": part,
        "after": window.after,
        "before": window.before,
    }
    asked = {name: value for name, value in given.items() if value is not None}
    for side in ("after", "before"):
        if side in asked:
            asked[f"{side}_name"], asked[f"{side}_key"] = asked[side][0], UUID(asked[side][1])
    conditions = tuple(name for name in _PERSON_CONDITIONS if name in asked)
    statement = _page_of_employees(conditions, window.backward)
    found = await reader.fetch(statement, {**asked, "most": window.size + 1})
    return _paged([_employee(row) for row in found], window)


async def employees_by_key(reader: Reader, keys: Collection[UUID]) -> dict[UUID, Employee]:
    found = await reader.fetch(_EMPLOYEES_BY_KEY, {"keys": list(keys)})
    return {row["public_key"]: _employee(row) for row in found}


async def employee_by_number(reader: Reader, number: str) -> Employee | None:
    row = await reader.row(_EMPLOYEE_BY_NUMBER, {"number": number})
    return _employee(row) if row is not None else None


# --- writing ---------------------------------------------------------------------------------------------------------


def _set(fields: Iterable[str]) -> dict[str, ColumnElement[Any]]:
    """The columns of these fields, each with its parameter; an employee is named by their public key."""
    columns: dict[str, ColumnElement[Any]] = {}
    for field in fields:
        if field == "employee_key":
            key = bindparam("new_employee_key", type_=Uuid)
            columns["employee_id"] = select(employees.c.id).where(employees.c.public_key == key).scalar_subquery()
        else:
            columns[field] = bindparam(f"new_{field}", type_=_C[field].type)
    return columns


def _given(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of _set."""
    return {
        f"new_{field}": Decimal(str(value)) if field in _FLOATS and value is not None else value
        for field, value in changes.items()
    }


@lru_cache(SHAPES_KEPT)
def _insert(fields: tuple[str, ...]) -> Prepared:
    return prepared(workstations.insert().values(_set(fields)).returning(*_EVERY))


async def insert_workstation(connection: Session, values: Mapping[str, Any]) -> Workstation:
    row = await connection.row(_insert(tuple(values)), _given(values))
    assert row is not None
    return rows.selected(row)


@lru_cache(SHAPES_KEPT)
def _update(fields: tuple[str, ...]) -> Prepared:
    return prepared(workstations.update().where(_THIS).values(_set(fields)).returning(*_EVERY))


async def update_workstation(connection: Session, workstation_id: int, changes: Mapping[str, Any]) -> Workstation:
    """One that is locked."""
    row = await connection.row(_update(tuple(changes)), {**_given(changes), "row_id": workstation_id})
    assert row is not None
    return rows.selected(row)


_EXPECTED = bindparam("expected_version", type_=Integer)
_GUARDS = (
    _C.status == any_(bindparam("statuses", type_=ARRAY(String))),
    or_(_EXPECTED.is_(None), _C.version == _EXPECTED),
)


@lru_cache(SHAPES_KEPT)
def _guarded_update(fields: tuple[str, ...]) -> Prepared:
    statement = workstations.update().where(_THIS, *_GUARDS, author.c.actor.is_not(None)).values(_set(fields))
    return prepared(statement.returning(*_EVERY, transaction_id))


async def update_guarded(
    database: Database, viewer: Viewer, workstation_id: int, guarded: Guarded, expected_version: int | None
) -> tuple[Workstation, int] | None:
    """The workstation as it was written, and the transaction's id: read, decided and committed in one round trip.

    None, and nothing is done, when there is no such workstation, or its status or version is another.
    """
    values = {
        **_given(guarded.changes),
        "row_id": workstation_id,
        "statuses": list(guarded.statuses),
        "expected_version": expected_version,
    }
    found = await database.write(viewer, _guarded_update(tuple(guarded.changes)), values)
    if not found:
        return None
    *columns, transaction = found[0]
    return rows.selected(columns), transaction


_DELETE = prepared(workstations.delete().where(_THIS))


async def delete_workstation(connection: Session, workstation_id: int) -> None:
    await connection.execute(_DELETE, {"row_id": workstation_id})
