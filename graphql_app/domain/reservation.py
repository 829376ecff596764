"""A booking of a desk, the states that it goes through, and who may do what with it when."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from graphql_app.domain.errors import CheckInClosed, Conflict, InvalidInput
from graphql_app.domain.interest import Attribute, Interest
from graphql_app.domain.values import text_problem
from graphql_app.domain.when import MINUTE

RESERVATION = "reservation"  # what the change log calls it
NOTE_MOST = 500
AHEAD = timedelta(days=366)


class ReservationState(StrEnum):
    HELD = "held"
    CONFIRMED = "confirmed"
    DUE = "due"
    CHECKED_IN = "checked_in"
    COMPLETED = "completed"
    RELEASED = "released"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REPLACED = "replaced"


# Which state may follow which; the function `reservations_settle_v1` does what time does. States never go backwards.
MAY_FOLLOW: Mapping[ReservationState, frozenset[ReservationState]] = {
    ReservationState.HELD: frozenset(
        {ReservationState.CONFIRMED, ReservationState.DUE, ReservationState.EXPIRED, ReservationState.CANCELLED}
    ),
    ReservationState.CONFIRMED: frozenset(
        {
            ReservationState.DUE,
            ReservationState.CHECKED_IN,
            ReservationState.COMPLETED,
            ReservationState.RELEASED,
            ReservationState.CANCELLED,
            ReservationState.REPLACED,
        }
    ),
    ReservationState.DUE: frozenset(
        {ReservationState.CHECKED_IN, ReservationState.COMPLETED, ReservationState.RELEASED, ReservationState.CANCELLED}
    ),
    ReservationState.CHECKED_IN: frozenset({ReservationState.COMPLETED}),
    ReservationState.COMPLETED: frozenset(),
    ReservationState.RELEASED: frozenset(),
    ReservationState.CANCELLED: frozenset(),
    ReservationState.EXPIRED: frozenset(),
    ReservationState.REPLACED: frozenset(),
}
# The states that keep the desk from others.
BLOCKING = frozenset(state for state, following in MAY_FOLLOW.items() if following)


class Visibility(StrEnum):
    """Whom the name of the holder is shown to, besides who may see all bookings."""

    EVERYONE = "everyone"
    DEPARTMENT = "department"
    NOBODY = "nobody"


class Ending(StrEnum):
    """Why a booking is over."""

    CHECKED_OUT = "checked_out"
    END = "end"
    NO_SHOW = "no_show"
    BY_HOLDER = "by_holder"
    BY_STAFF = "by_staff"
    MOVED = "moved"
    LEFT = "left"
    DESK_REMOVED = "desk_removed"
    HOLD_OVER = "hold_over"


@dataclass(frozen=True, slots=True)
class Reservation:
    """One booking. Two are equal when they show the same: `version` takes no part, it changes with hidden fields too.

    `starts_at` and `ends_at` are what keeps the desk from others; `local_start`, `local_end` and `time_zone` what was
    meant. The desk and the floor are row numbers: their names are those of today. `check_in_by` is None where nobody
    has to check in.
    """

    id: int
    workstation_id: int | None  # None once the desk is gone
    floor_id: int | None
    desk_name: str
    holder_id: int | None  # guarded, as the next three
    booked_by: str | None
    note: str | None
    department_id: int | None
    state: ReservationState
    starts_at: datetime
    ends_at: datetime
    local_start: datetime
    local_end: datetime
    time_zone: str
    check_in_from: datetime | None
    check_in_by: datetime | None
    checked_in_at: datetime | None
    ended_at: datetime | None
    ended_why: Ending | None
    visibility: Visibility
    version: int | None = field(compare=False)  # guarded


@dataclass(frozen=True, slots=True)
class CheckInRule:
    """How long before the start one may check in, and how long after it a desk is given up. A `grace` of zero: nobody
    has to check in."""

    early: timedelta
    grace: timedelta

    def window(self, starts_at: datetime, ends_at: datetime, now: datetime) -> tuple[datetime, datetime | None]:
        """Returns from when, and by when, one checks in to what is booked now."""
        opens = starts_at - self.early
        if not self.grace:
            return opens, None
        return opens, min(max(starts_at, now) + max(self.grace, MINUTE), ends_at)


@dataclass(frozen=True, slots=True)
class Bookings:
    """Which bookings are meant: those of a floor, of a desk, or of a person."""

    floor_id: int | None = None
    workstation_id: int | None = None
    holder_id: int | None = None

    def interest(self) -> Interest:
        """The changes that who asks for these can notice."""
        wanted = ((_ATTRIBUTES[name], frozenset({value})) for name, value in self._given())
        return Interest(RESERVATION, tuple(wanted))

    def matches(self, reservation: Reservation) -> bool:
        return all(_ATTRIBUTES[name](reservation) == value for name, value in self._given())

    def normalised(self) -> list[int | None]:
        """Equal for those that mean the same."""
        return [self.floor_id, self.workstation_id, self.holder_id]

    def _given(self) -> list[tuple[str, int]]:
        named = zip(_ATTRIBUTES, self.normalised(), strict=True)
        return [(name, value) for name, value in named if value is not None]


# The most telling first.
_ATTRIBUTES: Mapping[str, Attribute] = {
    "floor_id": lambda one: one.floor_id,
    "workstation_id": lambda one: one.workstation_id,
    "holder_id": lambda one: one.holder_id,
}


def checked_note(note: str | None) -> str | None:
    """Returns the note. Raises InvalidInput."""
    problem = None if note is None else text_problem(note, NOTE_MOST)
    if problem is not None:
        raise InvalidInput(f"`note` {problem}.", field="note")
    return note or None


def require_ahead(starts_at: datetime, ends_at: datetime, now: datetime, step: timedelta) -> None:
    """Raises InvalidInput for what is over, began before the present step, or is too far ahead."""
    if ends_at <= now or starts_at <= now - step:
        raise InvalidInput("This is in the past; a booking begins now or later.", field="when")
    if starts_at > now + AHEAD:
        raise InvalidInput(f"A booking begins within {AHEAD.days} days.", field="when")


def require_may_become(reservation: Reservation, then: ReservationState) -> None:
    """Raises Conflict when the table of states does not allow it."""
    if then not in MAY_FOLLOW[reservation.state]:
        raise Conflict(f"A booking that is {reservation.state.upper()} cannot become {then.upper()}.")


def require_check_in_open(reservation: Reservation, now: datetime) -> None:
    """Raises CheckInClosed outside of the window."""
    opens, closes = reservation.check_in_from, reservation.check_in_by or reservation.ends_at
    if (opens is not None and now < opens) or now >= closes:
        raise CheckInClosed(
            "One cannot check in now; look at `opensAt` and `closedAt`.",
            opensAt=(opens or reservation.starts_at).isoformat(),
            closedAt=closes.isoformat(),
        )
