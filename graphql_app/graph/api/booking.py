"""Booking in the schema: when, and what can be done about a booking."""

from collections.abc import Awaitable, Callable
from datetime import date, datetime, time
from typing import Annotated, Any

import strawberry
from strawberry import argument

from graphql_app.domain import identifiers, when
from graphql_app.domain import reservation as domain
from graphql_app.graph.api import refusals
from graphql_app.graph.api.context import AppInfo
from graphql_app.graph.api.mutations import idempotency, mutation_result
from graphql_app.graph.api.refusals import Conflict, Forbidden, InvalidInput, NotFound, ReadOnly, SlotTaken, union
from graphql_app.graph.api.reservations import Reservation
from graphql_app.services.booking.book import Booked, Wish


@strawberry.input(description="From one instant to another.")
class BetweenInput:
    start: datetime = strawberry.field(description="With an offset.")
    end: datetime = strawberry.field(description="With an offset; not included.")


@strawberry.input(description="By the clock of the building, whoever asks from wherever.")
class LocalInput:
    day: date = strawberry.field(name="date", description="The day on which it begins.")
    from_: time = strawberry.field(name="from", description="When it begins: `09:00`.")
    to: time = strawberry.field(description="When it ends; if that is not after `from`, on the next day.")


@strawberry.input(
    one_of=True,
    description="When: exactly one of these. A time that does not exist, as the clock is put forward, is refused as a"
    " start; of two equal hours the first is meant.",
)
class WhenInput:
    between: BetweenInput | None = strawberry.field(default=strawberry.UNSET, description="Two instants.")
    local: LocalInput | None = strawberry.field(default=strawberry.UNSET, description="Two times of the clock.")
    day: date | None = strawberry.field(default=strawberry.UNSET, description="A whole day, from midnight to midnight.")


def _when(given: WhenInput) -> when.When:
    if given.between:
        return when.Between(given.between.start, given.between.end)
    if given.local:
        return when.Local(given.local.day, given.local.from_, given.local.to)
    assert given.day, "it is one of them"
    return when.Day(given.day)


@strawberry.type(description="The booking as it is now.")
class ReservationChanged:
    reservation: Reservation = strawberry.field(description="As it is kept.")
    receipt: str = strawberry.field(
        description="Names the write: a request with it in the header X-Min-Cursor sees it."
    )


ReserveResult = Annotated[
    ReservationChanged | NotFound | InvalidInput | SlotTaken | Conflict | Forbidden | ReadOnly,
    union("ReserveWorkstationResult", "reserveWorkstation"),
]
ChangeResult = Annotated[
    ReservationChanged | NotFound | InvalidInput | SlotTaken | Conflict | Forbidden | ReadOnly,
    union("ChangeReservationResult", "changeReservation"),
]
CancelResult = Annotated[
    ReservationChanged | NotFound | InvalidInput | SlotTaken | Conflict | Forbidden | ReadOnly,
    union("CancelReservationResult", "cancelReservation"),
]
CheckInResult = Annotated[
    ReservationChanged | NotFound | InvalidInput | refusals.CheckInClosed | SlotTaken | Conflict | Forbidden | ReadOnly,
    union("CheckInResult", "checkIn"),
]
CheckOutResult = Annotated[
    ReservationChanged | NotFound | InvalidInput | SlotTaken | Conflict | Forbidden | ReadOnly,
    union("CheckOutResult", "checkOut"),
]

Booking = Annotated[strawberry.ID, argument(description="The booking's global ID.")]
Desk = Annotated[strawberry.ID, argument(description="The desk's global ID.")]
ExpectedVersion = Annotated[
    int | None, argument(description="The version that you saw; when it is another by now, nothing is done.")
]


@strawberry.type(description="What can be done about bookings.")
class ReservationMutations:
    @strawberry.mutation(
        graphql_type=ReserveResult,
        description="Books a desk, for yourself or, with `reservations:manage`, for somebody else. Needs"
        " `reservations:write`.",
    )
    async def reserve_workstation(
        self,
        info: AppInfo,
        id: Desk,
        when: Annotated[WhenInput, argument(description="From when to when.")],
        for_: Annotated[
            strawberry.ID | None, argument(name="for", description="The employee; yourself, when it is left out.")
        ] = None,
        visibility: Annotated[
            domain.Visibility | None, argument(description="Who is shown whose it is; as configured, when left out.")
        ] = None,
        note: Annotated[str | None, argument(description="At most 500 characters.")] = None,
    ) -> Any:
        book, caller, key = info.context.services.book, info.context.caller, idempotency(info)

        def reserve() -> Awaitable[Booked]:
            holder = None if for_ is None else identifiers.public_key(for_, "Employee", "for")
            row = identifiers.row(id, "Workstation")
            return book.reserve(caller, Wish(row, _when(when), holder, visibility, note), key)

        return await _result(info, reserve)

    @strawberry.mutation(
        graphql_type=ChangeResult,
        description="Moves a booking to another time or desk: the answer is the booking that takes its place. Of one"
        " that has begun, only the end can change.",
    )
    async def change_reservation(
        self,
        info: AppInfo,
        id: Booking,
        when: Annotated[WhenInput | None, argument(description="From when to when; as it was, when left out.")] = None,
        workstation_id: Annotated[
            strawberry.ID | None, argument(description="Another desk; the same, when left out.")
        ] = None,
        expected_version: ExpectedVersion = None,
    ) -> Any:
        book, caller, key = info.context.services.book, info.context.caller, idempotency(info)

        def change() -> Awaitable[Booked]:
            desk = None if workstation_id is None else identifiers.row(workstation_id, "Workstation", "workstationId")
            meant = None if when is None else _when(when)
            return book.change(caller, info.context.services.look.row(id), meant, desk, expected_version, key)

        return await _result(info, change)

    @strawberry.mutation(graphql_type=CancelResult, description="Cancels a booking that nobody has checked in to.")
    async def cancel_reservation(self, info: AppInfo, id: Booking, expected_version: ExpectedVersion = None) -> Any:
        look, book, caller = info.context.services.look, info.context.services.book, info.context.caller
        key = idempotency(info)
        return await _result(info, lambda: book.cancel(caller, look.row(id), expected_version, key))

    @strawberry.mutation(
        graphql_type=CheckInResult, description="Takes the desk. Before its start, the booking begins now."
    )
    async def check_in(self, info: AppInfo, id: Booking) -> Any:
        look, book, caller = info.context.services.look, info.context.services.book, info.context.caller
        key = idempotency(info)
        return await _result(info, lambda: book.check_in(caller, look.row(id), key))

    @strawberry.mutation(graphql_type=CheckOutResult, description="Gives the desk up before the end.")
    async def check_out(self, info: AppInfo, id: Booking) -> Any:
        look, book, caller = info.context.services.look, info.context.services.book, info.context.caller
        key = idempotency(info)
        return await _result(info, lambda: book.check_out(caller, look.row(id), key))


async def _result(info: AppInfo, do: Callable[[], Awaitable[Booked]]) -> object:
    async def done() -> Booked:
        return await do()

    return await mutation_result(info, done, _changed)


def _changed(done: Booked) -> ReservationChanged:
    return ReservationChanged(reservation=done.reservation, receipt=done.receipt)  # type: ignore[arg-type]  # resolved from the domain's
