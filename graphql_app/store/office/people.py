"""Departments and employees."""

from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any
from uuid import UUID

from asyncpg import Record
from sqlalchemy import ARRAY, ColumnElement, Integer, String, Uuid, any_, bindparam, literal_column, select, tuple_

from graphql_app.domain.office import VersionedDepartment, VersionedEmployee
from graphql_app.domain.paging import Page, Window, paged
from graphql_app.domain.workstation import Department, Employee
from graphql_app.store.office.conditions import like
from graphql_app.store.postgres.session import Reader
from graphql_app.store.postgres.statements import SHAPES_KEPT, Prepared, prepared
from graphql_app.store.schema.tables import departments, employees

_DEPARTMENTS = prepared(select(departments).order_by(departments.c.name))
_DEPARTMENTS_BY_ID = prepared(
    select(departments).where(departments.c.id == any_(bindparam("ids", type_=ARRAY(Integer))))
)


async def all_departments(reader: Reader) -> list[VersionedDepartment]:
    return [VersionedDepartment(**row) for row in await reader.fetch(_DEPARTMENTS)]


async def departments_by_id(reader: Reader, ids: Collection[int]) -> dict[int, VersionedDepartment]:
    return {row["id"]: VersionedDepartment(**row) for row in await reader.fetch(_DEPARTMENTS_BY_ID, {"ids": list(ids)})}


_E = employees.c
EMPLOYEE = select(employees, departments.c.name.label("department_name")).outerjoin_from(
    employees, departments, _E.department_id == departments.c.id
)
_EMPLOYEES_BY_KEY = prepared(EMPLOYEE.where(_E.public_key == any_(bindparam("keys", type_=ARRAY(Uuid)))))
_EMPLOYEES_BY_ROW = prepared(EMPLOYEE.where(_E.id == any_(bindparam("ids", type_=ARRAY(Integer)))))
_EMPLOYEE_BY_NUMBER = prepared(EMPLOYEE.where(_E.employee_number == bindparam("number", type_=String)))


def employee_of(row: Record) -> VersionedEmployee:
    """From a row of EMPLOYEE."""
    known = row["department_id"] is not None
    return VersionedEmployee(
        row["public_key"],
        row["name"],
        Department(row["department_id"], row["department_name"]) if known else None,
        row["employee_number"],
        row["version"],
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
    statement = EMPLOYEE.where(*(_PERSON_CONDITIONS[name] for name in conditions)).order_by(*ordering)
    return prepared(statement.limit(bindparam("most", type_=Integer)))


async def page_of_employees(
    reader: Reader, window: Window, department_id: int | None, name_contains: str | None
) -> Page[Employee]:
    """Employees by name; the key is (name, public key)."""
    part = None if name_contains is None else like(name_contains)
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
    return paged([employee_of(row) for row in found], window)


async def employees_by_key(reader: Reader, keys: Collection[UUID]) -> dict[UUID, VersionedEmployee]:
    found = await reader.fetch(_EMPLOYEES_BY_KEY, {"keys": list(keys)})
    return {row["public_key"]: employee_of(row) for row in found}


async def employees_by_row(reader: Reader, ids: Collection[int]) -> dict[int, Employee]:
    """Returns employees by the numbers of their rows, which are for this server alone."""
    found = await reader.fetch(_EMPLOYEES_BY_ROW, {"ids": list(ids)})
    return {row["id"]: employee_of(row) for row in found}


async def employee_by_number(reader: Reader, number: str) -> Employee | None:
    row = await reader.row(_EMPLOYEE_BY_NUMBER, {"number": number})
    return employee_of(row) if row is not None else None
