"""The audit log: what the change log keeps, and beneath it what it has kept.

The row that a trigger writes beside a change is its entry in the audit log: in the same transaction. When housekeeping
takes it out of the change log it goes to audit_log. A page is put together from ranges of indexes, each read only as
far as the page goes: of both tables, and unless one workstation is asked for, of each action.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from itertools import product
from typing import Any

from asyncpg import Record
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    DateTime,
    Integer,
    Select,
    Table,
    Text,
    any_,
    bindparam,
    cast,
    literal_column,
    or_,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY

from graphql_app.domain.access import View, hidden
from graphql_app.domain.audit import Action, AuditFilter, Entry, Transport
from graphql_app.domain.paging import Page, Window, paged
from graphql_app.observe import EntryUnreadable, note
from graphql_app.store.postgres.session import Reader
from graphql_app.store.postgres.statements import SHAPES_KEPT, Prepared, prepared
from graphql_app.store.schema.entities import WORKSTATION
from graphql_app.store.schema.tables import HAPPENED, audit_log, change_log

_SHARED = ("seq", "logged_at", "actor", "transport", "address", "request_id", "before", "after")
# The workstation of an entry, and which rows are entries, in each table: as the indexes have it.
_TABLES: Mapping[Table, tuple[ColumnElement[Any], ColumnElement[bool]]] = {
    audit_log: (audit_log.c.workstation_id, true()),
    change_log: (cast(change_log.c.entity_id, Integer), literal_column(f"entity = '{WORKSTATION.name}'")),
}
_CONDITIONS = ("workstation_id", "actor", "since", "until")

# Where in an image a field is, if it is no column of its own.
_NUMBER = ["labels", "employee", "number"]
_IN_LABELS: Mapping[str, list[str]] = {"employee_id": _NUMBER, "employee_number": _NUMBER}
_TRANSPORTS: Mapping[str | None, Transport] = {one.value: one for one in Transport}
# These change with whatever else does.
_STAMPS = frozenset({"version", "updated_at"})


def _without(image: ColumnElement[Any], fields: Collection[str]) -> ColumnElement[Any]:
    for field in sorted(fields):
        path = cast(_IN_LABELS.get(field, [field]), ARRAY(Text))
        image = image.op("#-")(path)
    return image


def _noticed(table: Table, fields: frozenset[str]) -> ColumnElement[bool]:
    """Returns the condition that leaves out changes of nothing but hidden fields."""
    before, after = table.c.before, table.c.after
    if not fields - _STAMPS:
        return true()
    fields |= _STAMPS
    return or_(before.is_(None), after.is_(None), _without(before, fields).is_distinct_from(_without(after, fields)))


def _asked(table: Table, name: str) -> ColumnElement[bool]:
    column = table.c
    match name:
        case "workstation_id":
            return _TABLES[table][0] == bindparam(name, type_=Integer)
        case "actor":
            return column.actor == bindparam(name, type_=Text)
        case "since":
            return column.logged_at >= bindparam(name, type_=DateTime(timezone=True))
        case "until":
            return column.logged_at < bindparam(name, type_=DateTime(timezone=True))
    key = tuple_(bindparam(f"{name}_at", type_=DateTime(timezone=True)), bindparam(f"{name}_seq", type_=BigInteger))
    place = tuple_(column.logged_at, column.seq)
    return place < key if name == "after" else place > key


def _entries(table: Table, fields: frozenset[str], *conditions: ColumnElement[bool]) -> Select[Any]:
    workstation_id, is_entry = _TABLES[table]
    columns = (workstation_id.label("workstation_id"), *(table.c[name] for name in _SHARED))
    return select(*columns).where(is_entry, *conditions, _noticed(table, fields))


@lru_cache(SHAPES_KEPT)
def _page(asked: tuple[str, ...], actions: tuple[Action, ...], fields: frozenset[str], backward: bool) -> Prepared:
    happened: list[ColumnElement[bool]] = [literal_column(f"({HAPPENED[action]})") for action in actions]
    # Few are of one workstation: they are one range, in which all actions are looked through.
    ranges = [or_(*happened)] if "workstation_id" in asked else happened
    most = bindparam("most", type_=Integer)
    each = []
    for table, action in product(_TABLES, ranges):
        order = [column.asc() if backward else column.desc() for column in (table.c.logged_at, table.c.seq)]
        conditions = [_asked(table, name) for name in asked]
        each.append(_entries(table, fields, action, *conditions).order_by(*order).limit(most))
    found = union_all(*each).subquery("found")
    order = [column.asc() if backward else column.desc() for column in (found.c.logged_at, found.c.seq)]
    return prepared(select(found).order_by(*order).limit(most))


@lru_cache(SHAPES_KEPT)
def _by_id(fields: frozenset[str]) -> Prepared:
    ids = bindparam("ids", type_=ARRAY(BigInteger))
    return prepared(union_all(*(_entries(table, fields, table.c.seq == any_(ids)) for table in _TABLES)))


def _hidden(view: View) -> frozenset[str]:
    return frozenset(hidden(view, "Workstation") | hidden(view, "Employee"))


def _read(fetched: Iterable[Record]) -> list[Entry]:
    return [entry for entry in map(_entry_of, fetched) if entry is not None]


def _entry_of(row: Record) -> Entry | None:
    """Returns the entry; None, and noted, where nobody can read it: the others are shown."""
    try:
        return _entry(row)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        note(EntryUnreadable("audit_log", WORKSTATION.name, str(row["workstation_id"]), type(error).__name__))
        return None


def _entry(row: Record) -> Entry:
    before, after = row["before"], row["after"]
    return Entry(
        seq=row["seq"],
        workstation_id=row["workstation_id"],
        at=row["logged_at"],
        actor=row["actor"],
        transport=_TRANSPORTS.get(row["transport"]),
        address=row["address"],
        request_id=row["request_id"],
        before=None if before is None else WORKSTATION.decode(before),
        after=None if after is None else WORKSTATION.decode(after),
    )


async def page(reader: Reader, view: View, matching: AuditFilter, window: Window) -> Page[Entry]:
    """Returns the entries that match, the newest first, not redacted; the key is (at as text, seq)."""
    values = {name: value for name in _CONDITIONS if (value := getattr(matching, name)) is not None}
    asked = [*values]
    for side, key in (("after", window.after), ("before", window.before)):
        if key is not None:
            asked.append(side)
            values[f"{side}_at"], values[f"{side}_seq"] = datetime.fromisoformat(key[0]), key[1]
    actions = tuple(action for action in Action if matching.actions is None or action in matching.actions)
    if not actions:
        return paged([], window)
    statement = _page(tuple(asked), actions, _hidden(view), window.backward)
    found = paged(await reader.fetch(statement, {**values, "most": window.size + 1}), window)
    return Page(_read(found.rows), found.has_next, found.has_previous)


async def by_seq(reader: Reader, view: View, numbers: Collection[int]) -> dict[int, Entry]:
    """Returns those of the entries that the view may know of, not redacted."""
    found = await reader.fetch(_by_id(_hidden(view)), {"ids": list(numbers)})
    return {entry.seq: entry for entry in _read(found)}
