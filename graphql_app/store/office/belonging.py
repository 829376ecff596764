"""What belongs to whom, for many at once in one statement: a page of each department's people or desks, and seats."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Integer,
    Select,
    Uuid,
    any_,
    bindparam,
    func,
    select,
    true,
    tuple_,
)
from sqlalchemy.dialects.postgresql import distinct_on

from graphql_app.domain.paging import Page, Window, paged
from graphql_app.domain.workstation import Employee, Workstation
from graphql_app.store.office.columns import FIELDS, columns, names_of
from graphql_app.store.office.people import EMPLOYEE, employee_of
from graphql_app.store.postgres.session import Reader
from graphql_app.store.postgres.statements import SHAPES_KEPT, Prepared, prepared
from graphql_app.store.schema import rows
from graphql_app.store.schema.tables import employees, workstations

T = TypeVar("T")
_E, _W = employees.c, workstations.c
# Whose pages are asked for: a row each.
_OWNERS = select(func.unnest(bindparam("ids", type_=ARRAY(Integer))).label("owner")).subquery("owners")
_SIDES = ("after", "before")


def _page_of_each(
    shown: Select[Any], owner: ColumnElement[Any], key: tuple[Any, ...], window: tuple[str, ...], backward: bool
) -> Prepared:
    """The same page of every owner's list: at most so many rows of each, in order, with the owner behind."""
    bounds = {"after": tuple_(*key).__gt__, "before": tuple_(*key).__lt__}
    limits = [bounds[side](tuple_(*_key_parameters(side, key))) for side in window]
    inside = shown.where(owner == _OWNERS.c.owner, *limits).order_by(*_ordered(key, backward))
    page = inside.limit(bindparam("most", type_=Integer)).lateral("page")
    found = select(page, _OWNERS.c.owner).select_from(_OWNERS.join(page, true()))
    return prepared(found.order_by(_OWNERS.c.owner, *_ordered([page.c[column.name] for column in key], backward)))


def _ordered(key: Iterable[Any], backward: bool) -> list[Any]:
    return [column.desc() if backward else column for column in key]


def _key_parameters(side: str, key: tuple[Any, ...]) -> list[ColumnElement[Any]]:
    return [bindparam(f"{side}_{at}", type_=column.type) for at, column in enumerate(key)]


def _bounds(window: Window) -> dict[str, Any]:
    """The values of _key_parameters."""
    given = {side: getattr(window, side) for side in _SIDES}
    return {f"{side}_{at}": value for side, key in given.items() if key for at, value in enumerate(key)}


def _sides(window: Window) -> tuple[str, ...]:
    return tuple(side for side in _SIDES if getattr(window, side) is not None)


def _pages(found: Iterable[tuple[int, T]], ids: Collection[int], window: Window) -> dict[int, Page[T]]:
    by_owner: dict[int, list[T]] = {key: [] for key in ids}
    for owner, one in found:
        by_owner[owner].append(one)
    return {key: paged(each, window) for key, each in by_owner.items()}


def _person(key: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
    """A cursor carries a public key as text."""
    return key and (key[0], UUID(key[1]))


@lru_cache(SHAPES_KEPT)
def _employees(window: tuple[str, ...], backward: bool) -> Prepared:
    return _page_of_each(EMPLOYEE, _E.department_id, (_E.name, _E.public_key), window, backward)


async def employees_of_departments(reader: Reader, ids: Collection[int], window: Window) -> dict[int, Page[Employee]]:
    """The same page of the employees of each department, by name; the key is (name, public key)."""
    typed = replace(window, after=_person(window.after), before=_person(window.before))
    values = {**_bounds(typed), "ids": list(ids), "most": window.size + 1}
    found = await reader.fetch(_employees(_sides(window), window.backward), values)
    return _pages(((row["owner"], employee_of(row)) for row in found), ids, window)


@lru_cache(SHAPES_KEPT)
def _workstations(names: frozenset[str], window: tuple[str, ...], backward: bool) -> Prepared:
    return _page_of_each(select(*columns(names)), _W.department_id, (_W.id,), window, backward)


async def workstations_of_departments(
    reader: Reader, ids: Collection[int], window: Window, fields: Collection[str] = FIELDS
) -> dict[int, Page[Workstation]]:
    """The same page of the workstations of each department, by id, which is the key."""
    statement = _workstations(names_of(frozenset(fields)), _sides(window), window.backward)
    found = await reader.fetch(statement, {**_bounds(window), "ids": list(ids), "most": window.size + 1})
    return _pages(((row["owner"], rows.selected(row[: len(rows.SELECTED)])) for row in found), ids, window)


_COUNTS = prepared(
    select(_W.department_id, func.count())
    .where(_W.department_id == any_(bindparam("ids", type_=ARRAY(Integer))))
    .group_by(_W.department_id)
)


async def workstation_totals(reader: Reader, ids: Collection[int]) -> dict[int, int]:
    """How many workstations each department has."""
    counted = await reader.fetch(_COUNTS, {"ids": list(ids)})
    return {**dict.fromkeys(ids, 0), **{row[0]: row[1] for row in counted}}


@lru_cache(SHAPES_KEPT)
def _seats(names: frozenset[str]) -> Prepared:
    key = _E.public_key.label("owner")
    found = select(*columns(names), key).ext(distinct_on(_E.public_key)).join_from(workstations, employees)
    keys = bindparam("keys", type_=ARRAY(Uuid))
    return prepared(found.where(_E.public_key == any_(keys)).order_by(_E.public_key, _W.id))


async def seats(reader: Reader, keys: Collection[UUID], fields: Collection[str] = FIELDS) -> Mapping[UUID, Workstation]:
    """Where each of the employees sits who does; the workstation of the lowest id, where there are several."""
    found = await reader.fetch(_seats(names_of(frozenset(fields))), {"keys": list(keys)})
    return {row["owner"]: rows.selected(row[: len(rows.SELECTED)]) for row in found}
