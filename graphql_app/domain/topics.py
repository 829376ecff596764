"""What can be followed: which entities are meant, and what is shown of one."""

from collections.abc import Hashable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Protocol, TypeVar

from graphql_app.domain import notification
from graphql_app.domain.access import Onlooker, View, hides, redact, redact_reservation
from graphql_app.domain.filters import WorkstationFilter
from graphql_app.domain.interest import Interest
from graphql_app.domain.notification import Audience, Notification
from graphql_app.domain.reservation import BLOCKING, RESERVATION, Bookings, Reservation
from graphql_app.domain.workstation import WORKSTATION, Place, Workstation

T = TypeVar("T")


class Topic(Hashable, Protocol[T]):
    """Hashable and small: followers of equal topics share one stream."""

    @property
    def entity(self) -> str: ...

    @property
    def view(self) -> View: ...

    @property
    def place(self) -> Place | None:
        """The one floor that it stays on, if it does."""

    @property
    def values(self) -> int:
        """How many values whoever follows it has listed."""

    def interest(self) -> Interest:
        """The changes that its followers can notice."""

    def shown(self, state: T) -> T | None:
        """What its followers see of this state: redacted, or nothing."""

    def notices(self, before: T | None, after: T | None) -> bool:
        """Whether its followers can tell that it happened. If not, nothing is done for it: not even time passes."""

    def normalised(self) -> Any:
        """What is asked, the view apart: equal for topics that mean the same, and JSON."""


@dataclass(frozen=True, slots=True)
class Workstations:
    """Those that a filter matches."""

    matching: WorkstationFilter
    view: View
    entity: ClassVar[str] = WORKSTATION

    @property
    def place(self) -> Place | None:
        return self.matching.place

    @property
    def values(self) -> int:
        return self.matching.values

    def interest(self) -> Interest:
        return self.matching.interest()

    def shown(self, state: Workstation) -> Workstation | None:
        return redact(self.view, state) if self.matching.matches(state) else None

    def notices(self, before: Workstation | None, after: Workstation | None) -> bool:
        if before is None or after is None or not hides(self.view):
            return True
        return self.shown(before) != self.shown(after)

    def normalised(self) -> Any:
        return self.matching.normalised()


@dataclass(frozen=True, slots=True)
class Notifications:
    """Those that an audience is told: until they expire, which no change in the log will say."""

    audience: Audience
    view: View
    entity: ClassVar[str] = notification.ENTITY
    place: ClassVar[None] = None
    values: ClassVar[int] = 0

    def interest(self) -> Interest:
        return self.audience.interest()

    def shown(self, state: Notification) -> Notification | None:
        return state if self.audience.is_told(state, datetime.now(UTC)) else None

    def notices(self, before: Notification | None, after: Notification | None) -> bool:
        return True

    def normalised(self) -> Any:
        return ["notifications", *self.audience.normalised()]


@dataclass(frozen=True, slots=True)
class Reservations:
    """Bookings that keep a desk from others. Whoever asks for their own is shown those that are over too, for as long
    as they are kept in mind."""

    bookings: Bookings
    onlooker: Onlooker
    entity: ClassVar[str] = RESERVATION
    place: ClassVar[None] = None
    values: ClassVar[int] = 1

    @property
    def view(self) -> View:
        return self.onlooker.view

    @property
    def is_own(self) -> bool:
        """Whether it is of one person's, for themselves."""
        return self.onlooker.employee_id is not None

    def interest(self) -> Interest:
        return self.bookings.interest()

    def shown(self, state: Reservation) -> Reservation | None:
        if not self.bookings.matches(state) or not (self.is_own or state.state in BLOCKING):
            return None
        return redact_reservation(self.onlooker, state)

    def notices(self, before: Reservation | None, after: Reservation | None) -> bool:
        was, now = (None if state is None else self.shown(state) for state in (before, after))
        return was != now or (now is not None and now.version is not None)

    def normalised(self) -> Any:
        return ["reservations", *self.bookings.normalised(), *self.onlooker[1:]]
