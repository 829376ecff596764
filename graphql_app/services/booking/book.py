"""Booking a desk: reserve, change, cancel, check in, check out. Each is one transaction.

The desk is locked before anything of it is looked at, and what is due on it is settled first: with the job that makes
due bookings visible stopped, nothing here becomes wrong.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from graphql_app.domain import reservation as rules
from graphql_app.domain.access import Scope, redact_reservation, require
from graphql_app.domain.arranging import Idempotency
from graphql_app.domain.caller import Caller
from graphql_app.domain.errors import Conflict, InvalidInput, NotFound, SlotTaken, VersionConflict
from graphql_app.domain.reservation import BLOCKING, CheckInRule, Ending, Reservation, ReservationState, Visibility
from graphql_app.domain.when import LONGEST, Between, Span, When, span_of, zone_of
from graphql_app.domain.workstation import Status
from graphql_app.services.booking.onlooking import onlooker
from graphql_app.services.consistency import ConsistencyTokens
from graphql_app.store import reservations
from graphql_app.store.postgres.database import Database
from graphql_app.store.postgres.retry import retry_on_contention
from graphql_app.store.postgres.transaction import Transaction
from graphql_app.store.reservations import Holder, LockedDesk

LOCK_MILLISECONDS = 2000  # rivals for one desk queue for it: each of them holds it for a few milliseconds
STEP = timedelta(minutes=15)  # a booking may begin in the quarter of an hour that has begun


@dataclass(frozen=True, slots=True)
class Booked:
    """The booking as its author may see it, and the consistency token of its transaction (`receipt`)."""

    reservation: Reservation
    receipt: str


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to book. `holder_key` is the employee, None for oneself."""

    workstation_id: int
    when: When
    holder_key: UUID | None = None
    visibility: Visibility | None = None
    note: str | None = None


class Book:
    """Use cases of those who book. `key` makes a repeated request do nothing twice and answer the same."""

    def __init__(
        self, database: Database, tokens: ConsistencyTokens, check_in: CheckInRule, visibility: Visibility
    ) -> None:
        self._database = database
        self._tokens = tokens
        self._check_in = check_in
        self._visibility = visibility

    @retry_on_contention
    async def reserve(self, caller: Caller, wish: Wish, key: Idempotency | None = None) -> Booked:
        """Raises Forbidden, NotFound, InvalidInput, SlotTaken, Conflict, ReadOnly."""
        require(caller.viewer, Scope.RESERVE)
        note = rules.checked_note(wish.note)
        async with self._writing(caller, key) as transaction:
            if transaction.replayed is not None:
                return await self._as_before(caller, transaction)
            holder = await self._holder(transaction, caller, wish.holder_key)
            desk = await self._locked(transaction, wish.workstation_id)
            span = self._span(wish.when, desk)
            rules.require_ahead(span.starts_at, span.ends_at, desk.now, STEP)
            values = {
                "holder_id": holder.id,
                "department_id": holder.department_id,
                "booked_by": caller.viewer.subject,
                "visibility": (wish.visibility or self._visibility).value,
                "note": note,
            }
            made = await self._insert(transaction, desk, span, values)
            await transaction.remember(caller, f"{made.id} {transaction.id}")
        return self._booked(caller, holder, made, transaction)

    @retry_on_contention
    async def change(
        self,
        caller: Caller,
        reservation_id: int,
        when: When | None = None,
        workstation_id: int | None = None,
        expected_version: int | None = None,
        key: Idempotency | None = None,
    ) -> Booked:
        """Moves a booking that has not begun to another time or desk: it is another one then, and this one is
        REPLACED. Of one that has begun only the end can change.

        Raises Forbidden, NotFound, InvalidInput, SlotTaken, VersionConflict, Conflict, ReadOnly.
        """
        require(caller.viewer, Scope.RESERVE)
        async with self._writing(caller, key) as transaction:
            if transaction.replayed is not None:
                return await self._as_before(caller, transaction)
            person, current, desk = await self._own(transaction, caller, reservation_id, workstation_id)
            _require_version(current, expected_version)
            moment = Between(current.starts_at, current.ends_at)
            span = self._span(when or moment, desk)
            if current.state is ReservationState.CONFIRMED:
                made = await self._moved(transaction, current, desk, span)
            else:
                made = await self._prolonged(transaction, current, desk, span)
            await transaction.remember(caller, f"{made.id} {transaction.id}")
        return self._booked(caller, person, made, transaction)

    @retry_on_contention
    async def cancel(
        self, caller: Caller, reservation_id: int, expected_version: int | None = None, key: Idempotency | None = None
    ) -> Booked:
        """Raises Forbidden, NotFound, VersionConflict, Conflict, ReadOnly."""

        def cancelled(current: Reservation, person: Holder | None, now: datetime) -> Mapping[str, Any]:
            rules.require_may_become(current, ReservationState.CANCELLED)
            is_own = person is not None and person.id == current.holder_id
            return _over(ReservationState.CANCELLED, now, Ending.BY_HOLDER if is_own else Ending.BY_STAFF)

        return await self._become(caller, reservation_id, cancelled, expected_version, key)

    @retry_on_contention
    async def check_in(self, caller: Caller, reservation_id: int, key: Idempotency | None = None) -> Booked:
        """Takes the desk. Early, the booking begins now.

        Raises Forbidden, NotFound, CheckInClosed, SlotTaken, Conflict, ReadOnly.
        """

        def checked_in(current: Reservation, _: Holder | None, now: datetime) -> Mapping[str, Any]:
            rules.require_may_become(current, ReservationState.CHECKED_IN)
            rules.require_check_in_open(current, now)
            begins = {"starts_at": max(now, current.ends_at - LONGEST)} if now < current.starts_at else {}
            return {"state": ReservationState.CHECKED_IN.value, "checked_in_at": now, **begins}

        return await self._become(caller, reservation_id, checked_in, None, key)

    @retry_on_contention
    async def check_out(self, caller: Caller, reservation_id: int, key: Idempotency | None = None) -> Booked:
        """Gives the desk up before the end. Raises Forbidden, NotFound, Conflict, ReadOnly."""

        def checked_out(current: Reservation, _: Holder | None, now: datetime) -> Mapping[str, Any]:
            if current.state is not ReservationState.CHECKED_IN:
                raise Conflict("Nobody has checked in to this booking; cancel it instead.")
            return {**_over(ReservationState.COMPLETED, now, Ending.CHECKED_OUT), "ends_at": now}

        return await self._become(caller, reservation_id, checked_out, None, key)

    # --- how -----------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _writing(self, caller: Caller, key: Idempotency | None) -> AsyncIterator[Transaction]:
        async with self._database.writing(caller, key, lock_milliseconds=LOCK_MILLISECONDS) as transaction:
            yield transaction

    async def _become(
        self, caller: Caller, reservation_id: int, rule: Any, expected: int | None, key: Idempotency | None
    ) -> Booked:
        require(caller.viewer, Scope.RESERVE)
        async with self._writing(caller, key) as transaction:
            if transaction.replayed is not None:
                return await self._as_before(caller, transaction)
            person, current, desk = await self._own(transaction, caller, reservation_id)
            _require_version(current, expected)
            values = rule(current, person, desk.now)
            saved = await reservations.change(transaction.connection, current.id, values)
            await transaction.remember(caller, f"{saved.id} {transaction.id}")
        return self._booked(caller, person, saved, transaction)

    async def _own(
        self, transaction: Transaction, caller: Caller, reservation_id: int, workstation_id: int | None = None
    ) -> tuple[Holder | None, Reservation, LockedDesk]:
        """Returns a booking that the caller may change, as it is once its desk is locked: that desk, or the one that it
        is to move to. Raises NotFound, Conflict."""
        connection = transaction.connection
        person = await self._person(transaction, caller)
        seen = (await reservations.by_id(connection, [reservation_id])).get(reservation_id)
        may_manage = caller.view.has(Scope.MANAGE_RESERVATIONS)
        # Of another's one is told no more than of none.
        if seen is None or not (may_manage or (person is not None and person.id == seen.holder_id)):
            raise NotFound("There is no such booking of yours.")
        wanted = workstation_id if workstation_id is not None else seen.workstation_id
        ids = {one for one in (seen.workstation_id, wanted) if one is not None}
        desks = await reservations.locked_desks(connection, ids)
        current = (await reservations.by_id(connection, [reservation_id])).get(reservation_id)
        if current is None:
            raise NotFound("There is no such booking of yours.")
        if current.state not in BLOCKING:
            raise Conflict(f"This booking is over: it is {current.state.upper()}.")
        if wanted is None or wanted not in desks:
            raise NotFound("There is no such workstation; it may have been deleted.")
        return person, current, desks[wanted]

    async def _moved(self, transaction: Transaction, current: Reservation, desk: LockedDesk, span: Span) -> Reservation:
        rules.require_ahead(span.starts_at, span.ends_at, desk.now, STEP)
        over = _over(ReservationState.REPLACED, desk.now, Ending.MOVED)
        await reservations.change(transaction.connection, current.id, over)
        values = {
            "holder_id": current.holder_id,
            "department_id": current.department_id,
            "booked_by": current.booked_by,
            "visibility": current.visibility.value,
            "note": current.note,
        }
        return await self._insert(transaction, desk, span, values)

    async def _prolonged(
        self, transaction: Transaction, current: Reservation, desk: LockedDesk, span: Span
    ) -> Reservation:
        # Checked in early, it begins when it did or when it was meant to.
        is_its_start = span.starts_at == current.starts_at or span.local_start == current.local_start
        if desk.id != current.workstation_id or not is_its_start:
            raise Conflict("This booking has begun: only its end can change.")
        if span.ends_at <= desk.now:
            raise InvalidInput("The end is in the past; check out instead.", field="when")
        await self._require_free(transaction, desk, span, besides=current.id)
        values: dict[str, Any] = {"ends_at": span.ends_at, "local_end": span.local_end}
        if current.check_in_by is not None:
            values["check_in_by"] = min(current.check_in_by, span.ends_at)
        return await reservations.change(transaction.connection, current.id, values)

    async def _insert(
        self, transaction: Transaction, desk: LockedDesk, span: Span, values: Mapping[str, Any]
    ) -> Reservation:
        if desk.status == Status.MAINTENANCE and span.starts_at <= desk.now:
            raise Conflict("This desk is in maintenance now; choose another desk or a later time.")
        await self._require_free(transaction, desk, span)
        opens, closes = self._check_in.window(span.starts_at, span.ends_at, desk.now)
        state = ReservationState.DUE if span.starts_at <= desk.now else ReservationState.CONFIRMED
        return await reservations.insert(
            transaction.connection,
            {
                **values,
                "workstation_id": desk.id,
                "state": state.value,
                "starts_at": span.starts_at,
                "ends_at": span.ends_at,
                "local_start": span.local_start,
                "local_end": span.local_end,
                "time_zone": span.zone,
                "check_in_from": opens,
                "check_in_by": closes,
            },
        )

    async def _require_free(self, transaction: Transaction, desk: LockedDesk, span: Span, besides: int = 0) -> None:
        other = await reservations.in_the_way(transaction.connection, desk.id, span.starts_at, span.ends_at, besides)
        if other is not None:
            raise SlotTaken(
                "Somebody else has this desk at that time; choose another desk or time.",
                takenFrom=other.starts_at.isoformat(),
                takenUntil=other.ends_at.isoformat(),
            )

    def _span(self, when: When, desk: LockedDesk) -> Span:
        if desk.time_zone is None:
            raise Conflict("This desk stands on no floor; nobody can book it.")
        return span_of(when, zone_of(desk.time_zone))

    async def _locked(self, transaction: Transaction, workstation_id: int) -> LockedDesk:
        desks = await reservations.locked_desks(transaction.connection, [workstation_id])
        if workstation_id not in desks:
            raise NotFound("There is no such workstation; it may have been deleted.")
        return desks[workstation_id]

    async def _person(self, transaction: Transaction, caller: Caller) -> Holder | None:
        key = caller.viewer.employee_key
        return None if key is None else await reservations.holder(transaction.connection, key)

    async def _holder(self, transaction: Transaction, caller: Caller, key: UUID | None) -> Holder:
        """Returns for whom the desk is booked. Raises Forbidden for somebody else, InvalidInput for nobody."""
        own = caller.viewer.employee_key
        if key is not None and key != own:
            require(caller.viewer, Scope.MANAGE_RESERVATIONS)
        wanted = key or own
        if wanted is None:
            raise InvalidInput("Your token names no employee: say for whom (`for`).", field="for")
        found = await reservations.holder(transaction.connection, wanted)
        if found is None:
            raise InvalidInput("There is no such employee.", field="for")
        return found

    def _booked(self, caller: Caller, person: Holder | None, saved: Reservation, transaction: Transaction) -> Booked:
        shown = redact_reservation(onlooker(caller, person), saved)
        return Booked(shown, self._tokens.issue(transaction.id))

    async def _as_before(self, caller: Caller, transaction: Transaction) -> Booked:
        """Returns the answer to a repeated request: the booking of the first one, as it is now."""
        assert transaction.replayed is not None
        reservation_id, transaction_id = map(int, transaction.replayed.split())
        found = (await reservations.by_id(transaction.connection, [reservation_id])).get(reservation_id)
        if found is None:
            raise Conflict("The booking of this idempotency key is no longer kept; make a new key.")
        person = await self._person(transaction, caller)
        return Booked(redact_reservation(onlooker(caller, person), found), self._tokens.issue(transaction_id))


def _over(state: ReservationState, now: datetime, why: Ending) -> dict[str, Any]:
    return {"state": state.value, "ended_at": now, "ended_why": why.value}


def _require_version(current: Reservation, expected: int | None) -> None:
    if expected is not None and current.version != expected:
        raise VersionConflict("Somebody else changed this booking meanwhile; read it again.", expectedVersion=expected)
