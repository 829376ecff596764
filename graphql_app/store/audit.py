"""The audit log: what the change log keeps, and beneath it what it has kept.

The row that a trigger writes beside a change is its entry in the audit log: in the same transaction, and at no cost of
its own. When housekeeping takes it out of the change log it goes to audit_log, where it is found by indexes that
writers need not keep up.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from asyncpg import Record
from sqlalchemy import ColumnElement, Integer, Text, and_, case, cast, false, literal_column, or_, select, union_all
from sqlalchemy.dialects.postgresql import ARRAY

from graphql_app.domain.access import View, hidden
from graphql_app.domain.audit import Action, AuditFilter, Entry, Transport
from graphql_app.domain.paging import Page, Window
from graphql_app.observe import EntryUnreadable, note
from graphql_app.store import rows
from graphql_app.store.session import Reader
from graphql_app.store.tables import audit_log, change_log

_LOG, _KEPT = change_log.c, audit_log.c
_SHARED = ("seq", "logged_at", "actor", "transport", "address", "request_id", "before", "after")
# No condition in here: PostgreSQL would no longer see that both halves can be read in the order of their keys.
_OF_WORKSTATION = case((_LOG.entity == literal_column("'workstation'"), cast(_LOG.entity_id, Integer)))
_ENTRIES = union_all(
    select(_KEPT.workstation_id, *(_KEPT[name] for name in _SHARED)),
    select(_OF_WORKSTATION.label("workstation_id"), *(_LOG[name] for name in _SHARED)),
).subquery("entries")
_C = _ENTRIES.c
_ALL = select(_ENTRIES).where(_C.workstation_id.is_not(None))

_ACTIONS: Mapping[Action, ColumnElement[bool]] = {
    Action.CREATED: _C.before.is_(None),
    Action.CHANGED: and_(_C.before.is_not(None), _C.after.is_not(None)),
    Action.DELETED: _C.after.is_(None),
}

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


def _noticed(view: View) -> list[ColumnElement[bool]]:
    """A change of nothing but hidden fields has no entry for those who may not see them."""
    fields = hidden(view, "Workstation") | hidden(view, "Employee")
    if not fields - _STAMPS:
        return []
    fields |= _STAMPS
    return [
        or_(
            _C.before.is_(None),
            _C.after.is_(None),
            _without(_C.before, fields).is_distinct_from(_without(_C.after, fields)),
        )
    ]


def _asked(matching: AuditFilter) -> list[ColumnElement[bool]]:
    conditions = []
    if matching.workstation_id is not None:
        conditions.append(_C.workstation_id == matching.workstation_id)
    if matching.actor is not None:
        conditions.append(_C.actor == matching.actor)
    if matching.since is not None:
        conditions.append(_C.logged_at >= matching.since)
    if matching.until is not None:
        conditions.append(_C.logged_at < matching.until)
    if matching.actions is not None:
        conditions.append(or_(false(), *(_ACTIONS[action] for action in sorted(matching.actions))))
    return conditions


def _entries(fetched: Iterable[Record]) -> list[Entry]:
    return [entry for entry in map(_entry_of, fetched) if entry is not None]


def _entry_of(row: Record) -> Entry | None:
    """None, and noted, where nobody can read what it holds: the others are shown."""
    try:
        return _entry(row)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        note(EntryUnreadable("audit_log", "workstation", str(row["workstation_id"]), type(error).__name__))
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
        before=None if before is None else rows.workstation(before),
        after=None if after is None else rows.workstation(after),
    )


async def page(reader: Reader, view: View, matching: AuditFilter, window: Window) -> Page[Entry]:
    """The entries that match, the newest first; the key is (seq,). Not redacted."""
    statement = _ALL.where(*_asked(matching), *_noticed(view))
    if window.after is not None:
        statement = statement.where(_C.seq < window.after[0])
    if window.before is not None:
        statement = statement.where(_C.seq > window.before[0])
    order: Any = _C.seq.asc() if window.backward else _C.seq.desc()
    fetched = await reader.fetch(statement.order_by(order).limit(window.size + 1))
    more, found = len(fetched) > window.size, _entries(fetched[: window.size])
    if window.backward:
        return Page(found[::-1], has_next=window.before is not None, has_previous=more)
    return Page(found, has_next=more, has_previous=window.after is not None)


async def by_seq(reader: Reader, view: View, numbers: Collection[int]) -> dict[int, Entry]:
    """Those of them that the view may know of. Not redacted."""
    statement = _ALL.where(_C.seq.in_(list(numbers)), *_noticed(view))
    return {entry.seq: entry for entry in _entries(await reader.fetch(statement))}
