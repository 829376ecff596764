"""Statements about notifications."""

from collections.abc import Collection
from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select

from graphql_app.domain.notification import Audience, Draft, Notification
from graphql_app.domain.paging import Page, Window
from graphql_app.store.postgres.session import Reader, Session
from graphql_app.store.schema import rows
from graphql_app.store.schema.tables import notifications

_C = notifications.c


def _told(audience: Audience) -> list[ColumnElement[bool]]:
    """The audience in SQL; Audience.is_told says the same of one notification."""
    conditions = [or_(_C.expires_at.is_(None), _C.expires_at > func.now())]
    for name, values in audience.accepted():
        given = sorted(value for value in values if value is not None)  # type: ignore[type-var]  # one type a target
        conditions.append(or_(_C[name].is_(None), _C[name].in_(given)) if given else _C[name].is_(None))
    return conditions


def _found(found: Collection[Any]) -> list[Notification]:
    return [rows.notification(row) for row in found]


async def insert(connection: Session, draft: Draft) -> Notification:
    row = await connection.row(notifications.insert().values(asdict(draft)).returning(notifications))
    assert row is not None
    return rows.notification(row)


async def told_to(reader: Reader, audience: Audience, after: int = 0, most: int | None = None) -> list[Notification]:
    """Those that this audience is told, the oldest first; at most so many after an id, or all."""
    statement = select(notifications).where(*_told(audience), _C.id > max(after, 0)).order_by(_C.id).limit(most)
    return _found(await reader.fetch(statement))


async def by_id(reader: Reader, audience: Audience, ids: Collection[int]) -> dict[int, Notification]:
    """Those of them that this audience is told."""
    statement = select(notifications).where(_C.id.in_(list(ids)), *_told(audience))
    return {one.id: one for one in _found(await reader.fetch(statement))}


async def published(reader: Reader, notification_id: int) -> Notification | None:
    """One of them, whomever it is for."""
    row = await reader.row(select(notifications).where(_C.id == notification_id))
    return rows.notification(row) if row is not None else None


async def page(reader: Reader, audience: Audience, window: Window) -> Page[Notification]:
    """Those that this audience is told, the newest first; the key is (id,)."""
    statement = select(notifications).where(*_told(audience))
    if window.after is not None:
        statement = statement.where(_C.id < window.after[0])
    if window.before is not None:
        statement = statement.where(_C.id > window.before[0])
    order: Any = _C.id.asc() if window.backward else _C.id.desc()
    found = _found(await reader.fetch(statement.order_by(order).limit(window.size + 1)))
    more, found = len(found) > window.size, found[: window.size]
    if window.backward:
        return Page(found[::-1], has_next=window.before is not None, has_previous=more)
    return Page(found, has_next=more, has_previous=window.after is not None)
