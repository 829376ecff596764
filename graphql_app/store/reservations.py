"""Statements about bookings."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    DateTime,
    Integer,
    Uuid,
    any_,
    bindparam,
    func,
    literal_column,
    select,
    text,
    tuple_,
    update,
)

from graphql_app.domain.paging import Page, Window, paged
from graphql_app.domain.reservation import Bookings, Reservation
from graphql_app.store.postgres.session import Reader, Session
from graphql_app.store.postgres.statements import prepared
from graphql_app.store.schema import rows
from graphql_app.store.schema.tables import buildings, employees, floors, reservations, workstations
from graphql_app.store.schema.tables.reservations import BLOCKING

_C = reservations.c
_MOMENT = DateTime(timezone=True)
_IS_BLOCKING: ColumnElement[bool] = literal_column(BLOCKING)
LONGEST = timedelta(days=31)  # of a booking: none that began earlier can last until now
MINE_DAYS = 7  # for so long one is shown what of one's own is over


@dataclass(frozen=True, slots=True)
class LockedDesk:
    """A desk that nobody else books or changes until this transaction ends, and the moment at which it was had."""

    id: int
    status: str
    floor_id: int | None
    time_zone: str | None
    now: datetime


_LOCK = prepared(
    select(workstations.c.id)
    .where(workstations.c.id == any_(bindparam("ids", type_=ARRAY(Integer))))
    .order_by(workstations.c.id)
    .with_for_update(key_share=True)
)
_NOW = func.booking_now_v1(type_=_MOMENT)
_DESKS = prepared(
    select(
        workstations.c.id,
        workstations.c.status,
        floors.c.id.label("floor_id"),
        buildings.c.time_zone,
        _NOW.label("now"),
    )
    .outerjoin_from(
        workstations,
        floors,
        (floors.c.building == workstations.c.building) & (floors.c.number == workstations.c.floor_number),
    )
    .outerjoin(buildings, buildings.c.name == workstations.c.building)
    .where(workstations.c.id == any_(bindparam("ids", type_=ARRAY(Integer))))
)
_SETTLE = prepared(text("SELECT reservations_settle_v1(CAST(:ids AS integer[]), CAST(:moment AS timestamptz))"))


async def locked_desks(connection: Session, ids: Collection[int]) -> Mapping[int, LockedDesk]:
    """Locks the desks in the order of their ids, and then settles what is due on them. The clock is read once they are
    had: who waited would go by the time at which they began."""
    await connection.fetch(_LOCK, {"ids": list(ids)})
    desks = {row["id"]: LockedDesk(*row) for row in await connection.fetch(_DESKS, {"ids": list(ids)})}
    if desks:
        now = max(desk.now for desk in desks.values())
        await connection.fetch(_SETTLE, {"ids": list(desks), "moment": now})
    return desks


# The clock is asked in a statement of its own: of a function that may answer otherwise for each row, no index knows.
_DUE = prepared(
    text(
        "SELECT w.id FROM workstations w WHERE w.id IN"
        " (SELECT r.workstation_id FROM reservations r WHERE r.next_at <= (SELECT booking_now_v1())"
        " ORDER BY r.next_at LIMIT CAST(:most AS integer))"
        " ORDER BY w.id FOR NO KEY UPDATE SKIP LOCKED"
    )
)
_SETTLE_NOW = prepared(text("SELECT reservations_settle_v1(CAST(:ids AS integer[]), booking_now_v1())"))


_IS_DUE = prepared(text("SELECT EXISTS (SELECT FROM reservations WHERE next_at <= (SELECT booking_now_v1()))"))


async def is_any_due(reader: Reader) -> bool:
    """Returns whether settle() has anything to do, without a transaction that has to be written."""
    return bool(await reader.scalar(_IS_DUE))


async def settle(connection: Session, most: int) -> int:
    """Does what is due, of desks that nobody is at. Returns how many bookings that were."""
    desks = [row[0] for row in await connection.fetch(_DUE, {"most": most})]
    return int(await connection.scalar(_SETTLE_NOW, {"ids": desks})) if desks else 0


# --- people ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Holder:
    """An employee as bookings refer to them."""

    id: int
    department_id: int | None


_PERSON = prepared(
    select(employees.c.id, employees.c.department_id).where(employees.c.public_key == bindparam("key", type_=Uuid))
)


async def holder(reader: Reader, key: UUID) -> Holder | None:
    """Returns the employee of the key."""
    row = await reader.row(_PERSON, {"key": key})
    return None if row is None else Holder(*row)


# --- one -------------------------------------------------------------------------------------------------------------

_BY_ID = prepared(select(reservations).where(_C.id == any_(bindparam("ids", type_=ARRAY(BigInteger)))))
_OVERLAP = prepared(
    select(reservations)
    .where(
        _C.workstation_id == bindparam("workstation_id", type_=Integer),
        _IS_BLOCKING,
        _C.id != bindparam("besides", type_=BigInteger),
        _C.starts_at < bindparam("ends_at", type_=_MOMENT),
        _C.ends_at > bindparam("starts_at", type_=_MOMENT),
    )
    .order_by(_C.starts_at)
    .limit(1)
)


async def by_id(reader: Reader, ids: Collection[int]) -> dict[int, Reservation]:
    return {row["id"]: rows.reservation(row) for row in await reader.fetch(_BY_ID, {"ids": list(ids)})}


async def in_the_way(
    connection: Session, workstation_id: int, starts_at: datetime, ends_at: datetime, besides: int = 0
) -> Reservation | None:
    """Returns the first booking of the desk that blocks the time, but for the one of that id."""
    given = {"workstation_id": workstation_id, "starts_at": starts_at, "ends_at": ends_at, "besides": besides}
    row = await connection.row(_OVERLAP, given)
    return None if row is None else rows.reservation(row)


_KEEPING = prepared(
    select(reservations).where(
        _C.workstation_id == bindparam("workstation_id", type_=Integer),
        literal_column("state IN ('due', 'checked_in')"),
    )
)
_COUNT_BLOCKING = prepared(
    select(func.count())
    .select_from(reservations)
    .where(_C.workstation_id == bindparam("workstation_id", type_=Integer), _IS_BLOCKING)
)


async def keeping(connection: Session, workstation_id: int) -> Reservation | None:
    """Returns the booking that keeps the desk now."""
    row = await connection.row(_KEEPING, {"workstation_id": workstation_id})
    return None if row is None else rows.reservation(row)


async def count_blocking(connection: Session, workstation_id: int) -> int:
    """Returns how many bookings of the desk are not over."""
    return int(await connection.scalar(_COUNT_BLOCKING, {"workstation_id": workstation_id}))


async def insert(connection: Session, values: Mapping[str, Any]) -> Reservation:
    """Raises SlotTaken."""
    row = await connection.row(reservations.insert().values(values).returning(reservations))
    assert row is not None
    return rows.reservation(row)


async def change(connection: Session, reservation_id: int, values: Mapping[str, Any]) -> Reservation:
    """Writes one whose desk is locked. Raises SlotTaken."""
    statement = update(reservations).where(_C.id == reservation_id).values(values).returning(reservations)
    row = await connection.row(statement)
    assert row is not None
    return rows.reservation(row)


# --- several ---------------------------------------------------------------------------------------------------------


def _of(bookings: Bookings) -> list[ColumnElement[bool]]:
    named = {"floor_id": _C.floor_id, "workstation_id": _C.workstation_id, "holder_id": _C.holder_id}
    given = zip(named.values(), bookings.normalised(), strict=True)
    return [column == value for column, value in given if value is not None]


async def page(
    reader: Reader, bookings: Bookings, starts_at: datetime, ends_at: datetime, window: Window
) -> Page[Reservation]:
    """Returns those that reach into the time, the earliest first; the key is (starts_at as text, id)."""
    order = (_C.starts_at, _C.id)
    statement = select(reservations).where(
        *_of(bookings), _C.starts_at < ends_at, _C.starts_at > starts_at - LONGEST, _C.ends_at > starts_at
    )
    for key, is_after in ((window.after, True), (window.before, False)):
        if key is not None:
            edge = tuple_(datetime.fromisoformat(key[0]), key[1])
            statement = statement.where(tuple_(*order) > edge if is_after else tuple_(*order) < edge)
    ordering = [column.desc() if window.backward else column.asc() for column in order]
    found = await reader.fetch(statement.order_by(*ordering).limit(window.size + 1))
    return paged([rows.reservation(row) for row in found], window)


async def followed(
    reader: Reader, bookings: Bookings, *, is_own: bool, after: int = 0, most: int | None = None
) -> Sequence[Reservation]:
    """Returns those that a stream begins with, by id: what blocks, and of one's own what was over lately, too."""
    recent = _C.ends_at > func.now() - timedelta(days=MINE_DAYS)
    statement = select(reservations).where(*_of(bookings), _C.id > after, recent if is_own else _IS_BLOCKING)
    return [rows.reservation(row) for row in await reader.fetch(statement.order_by(_C.id).limit(most))]
