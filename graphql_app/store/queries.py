"""Statements about the office: filters in, domain objects out. One statement each."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Float, RowMapping, Select, and_, cast, func, literal_column, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from graphql_app.domain.filters import WorkstationFilter
from graphql_app.domain.paging import Order, OrderField, Page, Window
from graphql_app.domain.workstation import Counts, Department, Employee, Floor, Place, Status, Workstation
from graphql_app.store import rows
from graphql_app.store.tables import departments, employees, floors, workstations

_C = workstations.c
_LABELS = ("floor_name", "department", "employee", "employee_id")
FIELDS = frozenset(Workstation.__dataclass_fields__)
# What every answer needs, whatever was selected.
_ALWAYS = ("id", "building", "floor_number", "status")


def _columns(fields: Collection[str]) -> list[ColumnElement[Any]]:
    """Passes over what is no field of Workstation: `__typename`, or a field of another type in the same selection."""
    names = dict.fromkeys(_ALWAYS)
    for field in fields:
        if field in FIELDS:
            names["labels" if field in _LABELS else field] = None
    return [_C[name] for name in names]


def _folded(column: str) -> ColumnElement[str]:
    """Exactly the expression of the trigram index; folds ASCII only, as WorkstationFilter.matches does."""
    return literal_column(f'lower(workstations.{column} COLLATE "C")')


def _like(part: str) -> str:
    escaped = part.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{''.join(c.lower() if c.isascii() else c for c in escaped)}%"


def _employee_where(column: ColumnElement[Any], value: Any) -> ColumnElement[bool]:
    return _C.employee_id == select(employees.c.id).where(column == value).scalar_subquery()


_CONDITIONS: Mapping[str, Callable[[Any], ColumnElement[bool]]] = {
    "ids": _C.id.in_,
    "building": lambda value: _C.building == value,
    "floor_number": lambda value: _C.floor_number == value,
    "department_ids": _C.department_id.in_,
    "statuses": lambda value: _C.status.in_(sorted(value)),
    "employee_key": lambda value: _employee_where(employees.c.public_key, value),
    "employee_number": lambda value: _employee_where(employees.c.employee_number, value),
    "name_contains": lambda value: _folded("name").like(_like(value)),
    "equipment_contains": lambda value: _folded("equipment").like(_like(value)),
    "x_min": lambda value: cast(_C.x_position, Float) >= value,
    "x_max": lambda value: cast(_C.x_position, Float) <= value,
    "y_min": lambda value: cast(_C.y_position, Float) >= value,
    "y_max": lambda value: cast(_C.y_position, Float) <= value,
}


def where(matching: WorkstationFilter) -> list[ColumnElement[bool]]:
    """The filter in SQL; WorkstationFilter.matches says the same of one workstation."""
    asked = ((name, getattr(matching, name)) for name in _CONDITIONS)
    return [_CONDITIONS[name](value) for name, value in asked if value is not None]


async def _workstations(connection: AsyncConnection, statement: Select[Any]) -> list[Workstation]:
    result = await connection.execute(statement)
    return [rows.workstation(row) for row in result.mappings()]


async def matching_workstations(
    connection: AsyncConnection, matching: WorkstationFilter, fields: Collection[str] = FIELDS
) -> list[Workstation]:
    """All that match, by id."""
    return await _workstations(connection, select(*_columns(fields)).where(*where(matching)).order_by(_C.id))


async def workstations_by_id(
    connection: AsyncConnection, ids: Iterable[int], fields: Collection[str] = FIELDS
) -> dict[int, Workstation]:
    found = await _workstations(connection, select(*_columns(fields)).where(_C.id.in_(list(ids))))
    return {workstation.id: workstation for workstation in found}


async def workstations_by_place(
    connection: AsyncConnection, places: Collection[Place], fields: Collection[str] = FIELDS
) -> dict[Place, list[Workstation]]:
    """The workstations of each floor, by id."""
    wanted = [(place.building, place.number) for place in places]
    statement = select(*_columns(fields)).where(tuple_(_C.building, _C.floor_number).in_(wanted)).order_by(_C.id)
    grouped: dict[Place, list[Workstation]] = {place: [] for place in places}
    for workstation in await _workstations(connection, statement):
        assert workstation.place is not None
        grouped[workstation.place].append(workstation)
    return grouped


async def locked_workstation(connection: AsyncConnection, workstation_id: int) -> Workstation | None:
    """The workstation, which nobody else can change until this transaction ends."""
    statement = select(workstations).where(_C.id == workstation_id).with_for_update(key_share=True)
    found = await _workstations(connection, statement)
    return found[0] if found else None


# --- pages -----------------------------------------------------------------------------------------------------------

_ENCODED = {OrderField.CREATED_AT, OrderField.UPDATED_AT}
_DECIMAL = {OrderField.X_POSITION, OrderField.Y_POSITION}


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
    if order.field in _ENCODED:
        return datetime.fromisoformat(value)
    return Decimal(str(value)) if order.field in _DECIMAL else value


def _beyond(orders: Sequence[Order], key: Sequence[Any], *, backward: bool) -> ColumnElement[bool]:
    """The rows after the key (or before it). PostgreSQL puts nulls last when ascending and first when descending."""
    alternatives: list[ColumnElement[bool]] = []
    equal: list[ColumnElement[bool]] = []
    for order, encoded in zip(orders, key, strict=True):
        column, value = _C[order.field.value], _bound(order, encoded)
        if order.descending != backward:
            further = column.is_not(None) if value is None else column < value
        else:
            further = column.is_(None) & column.is_not(None) if value is None else or_(column > value, column.is_(None))
            if value is not None and not column.nullable:
                further = column > value
        alternatives.append(and_(*equal, further))
        equal.append(column.is_(None) if value is None else column == value)
    return or_(*alternatives)


async def page_of_workstations(
    connection: AsyncConnection,
    matching: WorkstationFilter,
    orders: Sequence[Order],
    window: Window,
    fields: Collection[str] = FIELDS,
) -> Page[Workstation]:
    """One page. Asks for one row more than wanted, to know whether there is a next one."""
    orders = complete(orders)
    needed = {*fields, *(order.field.value for order in orders)}
    conditions = where(matching)
    if window.after is not None:
        conditions.append(_beyond(orders, window.after, backward=False))
    if window.before is not None:
        conditions.append(_beyond(orders, window.before, backward=True))
    ordering = [
        _C[order.field.value].desc() if order.descending != window.backward else _C[order.field.value].asc()
        for order in orders
    ]
    statement = select(*_columns(needed)).where(*conditions).order_by(*ordering).limit(window.size + 1)
    found = await _workstations(connection, statement)
    more = len(found) > window.size
    found = found[: window.size]
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


async def count_workstations(connection: AsyncConnection, matching: WorkstationFilter) -> int:
    statement = select(func.count()).select_from(workstations).where(*where(matching))
    return int(await connection.scalar(statement) or 0)


async def workstation_counts(
    connection: AsyncConnection, matching: WorkstationFilter, group: str | None
) -> list[Counts]:
    """How many are in each status, in all or by group. The group of those without one has the key None."""
    key = GROUPS[group] if group else literal_column("NULL::text")
    statement = select(key.label("key"), *_STATUS_COUNTS).where(*where(matching))
    if group:
        statement = statement.group_by(literal_column("1")).order_by(literal_column("1"))
    result = await connection.execute(statement)
    return [_counts(row["key"], row) for row in result.mappings()]


async def counts_by_place(connection: AsyncConnection, places: Collection[Place]) -> dict[Place, Counts]:
    wanted = [(place.building, place.number) for place in places]
    statement = (
        select(_C.building, _C.floor_number, *_STATUS_COUNTS)
        .where(tuple_(_C.building, _C.floor_number).in_(wanted))
        .group_by(_C.building, _C.floor_number)
    )
    result = await connection.execute(statement)
    found = {Place(row["building"], row["floor_number"]): _counts(None, row) for row in result.mappings()}
    return {place: found.get(place, Counts(None, dict.fromkeys(Status, 0))) for place in places}


def _counts(key: str | None, row: RowMapping) -> Counts:
    return Counts(key, {status: row[status.value] for status in Status})


# --- places and people -----------------------------------------------------------------------------------------------


async def all_floors(connection: AsyncConnection, building: str | None = None) -> list[Floor]:
    statement = select(floors).order_by(floors.c.building, floors.c.number)
    if building is not None:
        statement = statement.where(floors.c.building == building)
    return [Floor(**row) for row in (await connection.execute(statement)).mappings()]


async def floors_by_place(connection: AsyncConnection, places: Collection[Place]) -> dict[Place, Floor]:
    wanted = [(place.building, place.number) for place in places]
    statement = select(floors).where(tuple_(floors.c.building, floors.c.number).in_(wanted))
    found = (Floor(**row) for row in (await connection.execute(statement)).mappings())
    return {floor.place: floor for floor in found}


async def floors_by_id(connection: AsyncConnection, ids: Collection[int]) -> dict[int, Floor]:
    statement = select(floors).where(floors.c.id.in_(list(ids)))
    return {row["id"]: Floor(**row) for row in (await connection.execute(statement)).mappings()}


async def all_departments(connection: AsyncConnection) -> list[Department]:
    result = await connection.execute(select(departments).order_by(departments.c.name))
    return [Department(**row) for row in result.mappings()]


async def departments_by_id(connection: AsyncConnection, ids: Collection[int]) -> dict[int, Department]:
    result = await connection.execute(select(departments).where(departments.c.id.in_(list(ids))))
    return {row["id"]: Department(**row) for row in result.mappings()}


_EMPLOYEE = select(employees, departments.c.name.label("department_name")).outerjoin_from(
    employees, departments, employees.c.department_id == departments.c.id
)


def _employee(row: RowMapping) -> Employee:
    known = row["department_id"] is not None
    return Employee(
        row["public_key"],
        row["name"],
        Department(row["department_id"], row["department_name"]) if known else None,
        row["employee_number"],
    )


async def page_of_employees(
    connection: AsyncConnection, window: Window, department_id: int | None, name_contains: str | None
) -> Page[Employee]:
    """Employees by name; the key is (name, public key)."""
    statement = _EMPLOYEE
    if department_id is not None:
        statement = statement.where(employees.c.department_id == department_id)
    if name_contains is not None:
        folded: ColumnElement[str] = literal_column('lower(employees.name COLLATE "C")')
        statement = statement.where(folded.like(_like(name_contains)))
    order = tuple_(employees.c.name, employees.c.public_key)
    for key, after in ((window.after, True), (window.before, False)):
        if key is not None:
            bound = tuple_(key[0], UUID(key[1]))
            statement = statement.where(order > bound if after else order < bound)
    columns = (employees.c.name, employees.c.public_key)
    ordering = [column.desc() for column in columns] if window.backward else list(columns)
    result = await connection.execute(statement.order_by(*ordering).limit(window.size + 1))
    found = [_employee(row) for row in result.mappings()]
    more, found = len(found) > window.size, found[: window.size]
    if window.backward:
        return Page(found[::-1], has_next=window.before is not None, has_previous=more)
    return Page(found, has_next=more, has_previous=window.after is not None)


async def employees_by_key(connection: AsyncConnection, keys: Collection[UUID]) -> dict[UUID, Employee]:
    result = await connection.execute(_EMPLOYEE.where(employees.c.public_key.in_(list(keys))))
    return {row["public_key"]: _employee(row) for row in result.mappings()}


async def employee_by_number(connection: AsyncConnection, number: str) -> Employee | None:
    result = await connection.execute(_EMPLOYEE.where(employees.c.employee_number == number))
    row = result.mappings().one_or_none()
    return _employee(row) if row is not None else None


# --- writing ---------------------------------------------------------------------------------------------------------


def _values(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Domain fields as columns; an employee is named by its public key."""
    values = dict(changes)
    if "employee_key" in values:
        key = values.pop("employee_key")
        values["employee_id"] = (
            None if key is None else select(employees.c.id).where(employees.c.public_key == key).scalar_subquery()
        )
    for name in ("x_position", "y_position", "width", "height"):
        if values.get(name) is not None:
            values[name] = Decimal(str(values[name]))
    return values


async def insert_workstation(connection: AsyncConnection, values: Mapping[str, Any]) -> Workstation:
    statement = workstations.insert().values(_values(values)).returning(workstations)
    return rows.workstation((await connection.execute(statement)).mappings().one())


async def update_workstation(
    connection: AsyncConnection, workstation_id: int, changes: Mapping[str, Any]
) -> Workstation:
    statement = workstations.update().where(_C.id == workstation_id).values(_values(changes)).returning(workstations)
    return rows.workstation((await connection.execute(statement)).mappings().one())


async def delete_workstation(connection: AsyncConnection, workstation_id: int) -> None:
    await connection.execute(workstations.delete().where(_C.id == workstation_id))
