"""Bookings in the schema: what they are like, those that one may know of, and following them."""

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Annotated, Any

import strawberry
from strawberry import Parent, argument

from graphql_app.domain import identifiers
from graphql_app.domain import reservation as domain
from graphql_app.domain import workstation as office
from graphql_app.domain.change import Batch
from graphql_app.domain.errors import InvalidInput as InvalidInputError
from graphql_app.domain.identifiers import global_id
from graphql_app.domain.workstation import named_place
from graphql_app.graph.api import enums
from graphql_app.graph.api.context import AppInfo
from graphql_app.graph.api.feeds import Feed
from graphql_app.graph.api.paging import After, Before, First, Last, PageInfo
from graphql_app.graph.api.selection import selected
from graphql_app.graph.api.sources import SubscriptionSource
from graphql_app.graph.api.types import Cursor, Employee, Floor, Node, Workstation
from graphql_app.services.booking.look import BookingFilter, FollowedBookings
from graphql_app.services.following.streams import Changes
from graphql_app.services.listing import Listing, Paging

enums.publish(
    domain.ReservationState,
    {
        domain.ReservationState.HELD: "Kept for a moment, until it is booked or given up.",
        domain.ReservationState.CONFIRMED: "Booked, for later.",
        domain.ReservationState.DUE: "Its time has begun, and nobody has checked in yet.",
        domain.ReservationState.CHECKED_IN: "Somebody is there.",
        domain.ReservationState.COMPLETED: "Over.",
        domain.ReservationState.RELEASED: "Given up, as nobody checked in.",
        domain.ReservationState.CANCELLED: "Cancelled.",
        domain.ReservationState.EXPIRED: "It was kept for a moment, and not booked.",
        domain.ReservationState.REPLACED: "Moved: another booking took its place.",
    },
    name="ReservationState",
    description="Where a booking stands. It never goes back.",
)
enums.publish(
    domain.Visibility,
    {
        domain.Visibility.EVERYONE: "Whoever may see bookings.",
        domain.Visibility.DEPARTMENT: "The department that the holder belonged to when it was made.",
        domain.Visibility.NOBODY: "Nobody but who may see all bookings.",
    },
    name="ReservationVisibility",
    description="Who is shown whose booking it is, besides the holder.",
)
enums.publish(
    domain.Ending,
    {
        domain.Ending.CHECKED_OUT: "Its holder checked out.",
        domain.Ending.END: "Its time was over.",
        domain.Ending.NO_SHOW: "Nobody checked in.",
        domain.Ending.BY_HOLDER: "Its holder cancelled it.",
        domain.Ending.BY_STAFF: "Somebody else cancelled it.",
        domain.Ending.MOVED: "It was moved to another time or desk.",
        domain.Ending.LEFT: "Its holder left.",
        domain.Ending.DESK_REMOVED: "The desk was taken away.",
        domain.Ending.HOLD_OVER: "It was kept for a moment, and not booked.",
    },
    name="ReservationEnding",
    description="Why a booking is over.",
)


@strawberry.type(
    description="A booking of a desk. Whose it is, is shown by the rule of each: to its holder, to those with"
    " `reservations:read`, and to whom `visibility` says; to all others it is null."
)
class Reservation(Node):
    desk_name: str = strawberry.field(description="Name of the desk when it was booked; it stays when the desk goes.")
    state: domain.ReservationState = strawberry.field(description="Where it stands.")
    starts_at: datetime = strawberry.field(description="From when on it keeps the desk from others.")
    ends_at: datetime = strawberry.field(description="Until when; the desk is free at this very moment.")
    local_start: str = strawberry.field(
        description="What was meant, by the clock of the building: `2026-12-01T09:00`.",
        resolver=lambda root: _clock(root.local_start),
    )
    local_end: str = strawberry.field(
        description="What was meant, by the clock of the building.", resolver=lambda root: _clock(root.local_end)
    )
    time_zone: str = strawberry.field(description="Name of the building's time zone: `Asia/Shanghai`.")
    note: str | None = strawberry.field(description="What was written to it. Shown as `holder`.")
    booked_by: str | None = strawberry.field(description="Who made it, as the audit log has them. Shown as `holder`.")
    check_in_from: datetime | None = strawberry.field(description="From when on one can check in.")
    check_in_by: datetime | None = strawberry.field(
        description="When the desk is given up unless somebody has checked in; null where nobody has to."
    )
    checked_in_at: datetime | None = strawberry.field(description="When somebody checked in.")
    ended_at: datetime | None = strawberry.field(description="When it was over.")
    ended_why: domain.Ending | None = strawberry.field(description="Why it was over.")
    visibility: domain.Visibility = strawberry.field(description="Who is shown whose it is.")
    version: int | None = strawberry.field(description="Grows with every change. Shown to whoever may change it.")

    @strawberry.field(description="Opaque and global: unique over all types.")
    @staticmethod
    def id(root: Parent[domain.Reservation], info: AppInfo) -> strawberry.ID:
        return _id_of(info, root.id)

    @strawberry.field(graphql_type=Workstation | None, description="The desk; null once it is gone.")
    @staticmethod
    async def workstation(root: Parent[domain.Reservation], info: AppInfo) -> office.Workstation | None:
        if root.workstation_id is None:
            return None
        browse = info.context.services.browse
        return await browse.workstation(info.context.caller, root.workstation_id, selected(info))

    @strawberry.field(graphql_type=Floor | None, description="The floor that the desk stands on.")
    @staticmethod
    async def floor(root: Parent[domain.Reservation], info: AppInfo) -> office.Floor | None:
        if root.floor_id is None:
            return None
        context = info.context
        found: office.Floor | None = await context.load(
            "floor by id", root.floor_id, lambda ids: context.services.browse.floors_by_id(context.caller, ids)
        )
        return found

    @strawberry.field(graphql_type=Employee | None, description="Whose it is; null where you are not to know.")
    @staticmethod
    async def holder(root: Parent[domain.Reservation], info: AppInfo) -> office.Employee | None:
        if root.holder_id is None:
            return None
        context = info.context
        found: office.Employee | None = await context.load(
            "holder", root.holder_id, lambda ids: context.services.browse.holders(context.caller, ids)
        )
        return found

    @classmethod
    def is_type_of(cls, value: object, _: object) -> bool:
        return isinstance(value, domain.Reservation)


def _clock(moment: datetime) -> str:
    return moment.isoformat(timespec="minutes")


def _id_of(info: AppInfo, reservation_id: int) -> strawberry.ID:
    return strawberry.ID(global_id("Reservation", info.context.services.look.key(reservation_id)))


# --- asking ----------------------------------------------------------------------------------------------------------


@strawberry.input(description="Which bookings are meant: yours, those of a floor, or those of a desk.")
class ReservationFilter:
    mine: bool = strawberry.field(default=False, description="Yours, those that are over too.")
    building: str | None = strawberry.field(default=None, description="With `floor`: those of a floor.")
    floor: int | None = strawberry.field(default=None, description="Number of the floor.")
    workstation_id: strawberry.ID | None = strawberry.field(default=None, description="Those of a desk.")


def _meant(given: ReservationFilter, start: datetime | None = None, end: datetime | None = None) -> BookingFilter:
    """Raises InvalidInput."""
    if (given.building is None) != (given.floor is None):
        raise InvalidInputError("`building` and `floor` go together.", field="building")
    place = None
    if given.building is not None and given.floor is not None:
        place = named_place(given.building, given.floor)
    desk = given.workstation_id
    row = None if desk is None else identifiers.row(desk, "Workstation", "workstationId")
    return BookingFilter(place, row, given.mine, start, end)


@strawberry.type(description="A booking and its place in the list.")
class ReservationEdge:
    cursor: str = strawberry.field(description="Give it as `after` or `before`.")
    node: Reservation = strawberry.field(description="The booking.")


@strawberry.type(description="A page of bookings.")
class ReservationConnection:
    edges: list[ReservationEdge] = strawberry.field(description="The bookings with their cursors.")
    nodes: list[Reservation] = strawberry.field(description="The bookings alone.")
    page_info: PageInfo = strawberry.field(description="Where this page stands.")


Which = Annotated[ReservationFilter, argument(description="Which bookings are meant.")]


@strawberry.type(description="What can be asked about bookings.")
class ReservationQueries:
    @strawberry.field(
        graphql_type=ReservationConnection,
        description="A page of bookings that reach into a time of at most 31 days, the earliest first. Needs"
        " `reservations:write` or `reservations:read`.",
    )
    async def reservations(
        self,
        info: AppInfo,
        filter: Which,
        from_: Annotated[
            datetime | None, argument(name="from", description="From when on; now, when it is left out.")
        ] = None,
        until: Annotated[datetime | None, argument(description="Until when; 31 days later, when left out.")] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Listing[domain.Reservation]:
        paging = Paging(first, after, last, before)
        return await info.context.services.look.reservations(info.context.caller, _meant(filter, from_, until), paging)


# --- following -------------------------------------------------------------------------------------------------------


@strawberry.type(description="All that is new since the payload before, of the bookings that are followed.")
class ReservationFeed(Feed):
    @strawberry.field(graphql_type=list[Reservation], description="Those that are new or changed.")
    def reservations(self) -> Sequence[domain.Reservation]:
        return self.batch.states

    @strawberry.field(description="Those that keep the desk no longer: over, cancelled, or moved.")
    def removed(self, info: AppInfo) -> list[strawberry.ID]:
        return [_id_of(info, key) for key in self.batch.removed]


def _feed_of(stream: Changes[domain.Reservation], batch: Batch[domain.Reservation]) -> ReservationFeed:
    return ReservationFeed(batch=batch, cursor=Cursor(stream.cursor(batch)))


def _source(followed: FollowedBookings) -> Any:
    return SubscriptionSource(followed.stream, followed.start, _feed_of, followed.membership)


Resume = Annotated[Cursor | None, argument(description="Resume after this cursor.")]
WithSnapshot = Annotated[bool, argument(description="Without a cursor: start with those that there are.")]


@strawberry.type(description="What can be followed of bookings.")
class ReservationSubscriptions:
    @strawberry.subscription(
        description="The bookings of a floor or a desk that keep it from others: those that there are, then every later"
        " change. `cursor` resumes it on any connection, with nothing lost and nothing twice. Whose they are, it shows"
        " as to anybody of your department; your own are in `myReservations`. It ends with the error CONFLICT when you"
        " come to belong to another department: subscribe again."
    )
    async def reservation_changes(
        self, info: AppInfo, filter: Which, after: Resume = None, snapshot: WithSnapshot = True
    ) -> AsyncGenerator[ReservationFeed, None]:
        look, asked = info.context.services.look, _meant(filter)
        followed = await look.follow(info.context.caller, asked, info.context.last_event_id or after, snapshot=snapshot)
        return _source(followed)  # type: ignore[no-any-return]

    @strawberry.subscription(
        description="Your own bookings: those of the last seven days and later, then every change of them, to the end."
    )
    async def my_reservations(
        self, info: AppInfo, after: Resume = None, snapshot: WithSnapshot = True
    ) -> AsyncGenerator[ReservationFeed, None]:
        look, asked = info.context.services.look, BookingFilter(is_own=True)
        followed = await look.follow(info.context.caller, asked, info.context.last_event_id or after, snapshot=snapshot)
        return _source(followed)  # type: ignore[no-any-return]
