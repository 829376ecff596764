"""Looking at bookings: a page of them, one of them, and every change."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from graphql_app.domain import identifiers
from graphql_app.domain.access import redact_reservation, require_bookings
from graphql_app.domain.caller import Caller
from graphql_app.domain.errors import InvalidInput, NotFound
from graphql_app.domain.reservation import Bookings, Reservation
from graphql_app.domain.seal import BrokenSeal, Numbers
from graphql_app.domain.topics import Reservations
from graphql_app.domain.values import MOMENT_FIRST, MOMENT_LAST, moment_problem
from graphql_app.domain.workstation import Place
from graphql_app.services.booking.onlooking import onlooker
from graphql_app.services.cursors import FeedCursors, PageCursors
from graphql_app.services.following.history import History, Start
from graphql_app.services.following.membership_guard import MembershipGuard
from graphql_app.services.following.streams import Changes, StreamLimits
from graphql_app.services.listing import Listing, Paging
from graphql_app.store import office as queries
from graphql_app.store import reservations
from graphql_app.store.postgres.database import Database
from graphql_app.store.reservations import Holder

WINDOW_MOST = timedelta(days=31)


@dataclass(frozen=True, slots=True)
class BookingFilter:
    """Which bookings are asked for: one's own, those of a floor or those of a desk."""

    place: Place | None = None
    workstation_id: int | None = None
    is_own: bool = False
    starts_at: datetime | None = None  # now, when it is left out
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class FollowedBookings:
    """A stream, where to start in it, and the membership that it rests upon, if there is one."""

    stream: Changes[Reservation]
    start: Start
    membership: MembershipGuard | None


class Look:
    """Use cases of those who may know of bookings. Whose one is, is decided for each, in domain/access."""

    def __init__(
        self,
        database: Database,
        history: History,
        cursors: PageCursors,
        feed_cursors: FeedCursors,
        limits: StreamLimits,
        *,
        secret: str,
        page_most: int,
    ) -> None:
        self._database = database
        self._history = history
        self._cursors = cursors
        self._feed_cursors = feed_cursors
        self._limits = limits
        self._page_most = page_most
        # Row numbers would count bookings for outsiders.
        self._keys = Numbers(secret, "reservation")

    async def reservations(self, caller: Caller, asked: BookingFilter, paging: Paging) -> Listing[Reservation]:
        """Returns a page of those that reach into the time, the earliest first.

        Raises Forbidden, NotFound for a floor that does not exist, InvalidInput, TooMany, UnknownCursor.
        """
        require_bookings(caller.viewer)
        person = await self._person(caller)
        bookings = await self._meant(caller, person, asked)
        starts_at, ends_at = _window(asked, datetime.now(UTC))
        looker = onlooker(caller, person)
        listing = ["reservations", bookings.normalised(), asked.starts_at and starts_at.isoformat()]
        window = paging.window(self._cursors, listing, most=self._page_most)
        page = await reservations.page(self._database, bookings, starts_at, ends_at, window)

        def seal(reservation: Reservation) -> str:
            return self._cursors.encode([reservation.starts_at.isoformat(), reservation.id], listing)

        shown = [redact_reservation(looker, one) for one in page.rows]
        return Listing(shown, seal, has_next=page.has_next, has_previous=page.has_previous)

    async def by_id(self, caller: Caller, ids: Collection[int]) -> Mapping[int, Reservation]:
        """Returns those of them that there are. Raises Forbidden."""
        require_bookings(caller.viewer)
        looker = onlooker(caller, await self._person(caller))
        found = await reservations.by_id(self._database, ids)
        return {key: redact_reservation(looker, one) for key, one in found.items()}

    async def follow(
        self, caller: Caller, asked: BookingFilter, after: str | None, *, snapshot: bool
    ) -> FollowedBookings:
        """Opens a stream, shared by all who are shown the same, and says where to start in it.

        Raises Forbidden, NotFound for a floor that does not exist, InvalidInput, UnknownCursor, Unavailable.
        """
        require_bookings(caller.viewer)
        head = await self._history.reached(0)
        person = await self._person(caller)
        bookings = await self._meant(caller, person, asked)
        # Who follows a floor is anybody of their department there, so that one stream serves all of it.
        looker = onlooker(caller, person)
        shared = looker if asked.is_own else looker._replace(employee_id=None)
        stream = Changes(self._history, self._feed_cursors, Reservations(bookings, shared), self._limits)
        key = caller.viewer.employee_key
        membership = None if key is None else MembershipGuard(self._history.hub, key, head.revision)
        return FollowedBookings(stream, await stream.start(after, snapshot=snapshot), membership)

    def key(self, reservation_id: int) -> str:
        """Returns the public key of a booking."""
        return self._keys.close(reservation_id)

    def row(self, identifier: str, field: str = "id") -> int:
        """Returns the row behind the global ID of a booking. Raises InvalidInput for an invalid one."""
        type_name, key = identifiers.parse(identifier)
        try:
            if type_name == "Reservation":
                return self._keys.open(key)
        except BrokenSeal:
            pass
        raise identifiers.unknown(identifier, field, "Reservation")

    async def _person(self, caller: Caller) -> Holder | None:
        key: UUID | None = caller.viewer.employee_key
        return None if key is None else await reservations.holder(self._database, key)

    async def _meant(self, caller: Caller, person: Holder | None, asked: BookingFilter) -> Bookings:
        if asked.is_own:
            if person is None:
                raise InvalidInput("Your token names no employee, so that no booking can be yours.", field="mine")
            return Bookings(holder_id=person.id, workstation_id=asked.workstation_id)
        if asked.workstation_id is not None:
            return Bookings(workstation_id=asked.workstation_id)
        if asked.place is None:
            raise InvalidInput("Say which: `building` and `floor`, `workstationId`, or `mine`.", field="filter")
        floor = (await queries.floors_by_place(self._database, [asked.place])).get(asked.place)
        if floor is None:
            raise NotFound("There is no such floor; `building` and `floor` go together.")
        return Bookings(floor_id=floor.id)


def _window(asked: BookingFilter, now: datetime) -> tuple[datetime, datetime]:
    """Raises InvalidInput."""
    for name, moment in (("from", asked.starts_at), ("until", asked.ends_at)):
        if moment is not None and (problem := moment_problem(moment)) is not None:
            raise InvalidInput(f"`{name}` {problem}.", field=name)
    starts_at = asked.starts_at or now
    if not MOMENT_FIRST + WINDOW_MOST <= starts_at <= MOMENT_LAST - WINDOW_MOST:
        raise InvalidInput("`from` is beyond all that can be booked.", field="from")
    ends_at = asked.ends_at or starts_at + WINDOW_MOST
    if not starts_at < ends_at <= starts_at + WINDOW_MOST:
        raise InvalidInput(f"`until` is after `from`, by at most {WINDOW_MOST.days} days.", field="until")
    return starts_at, ends_at
