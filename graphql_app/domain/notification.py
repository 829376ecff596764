"""A notification, whom it is for, and what one may say."""

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from graphql_app.domain.errors import InvalidInput
from graphql_app.domain.interest import Attribute, Interest
from graphql_app.domain.names import normal
from graphql_app.domain.values import moment_problem, text_problem

ENTITY = "notification"  # what the change log calls it
TITLE_MOST = 200
BODY_MOST = 4000


class Level(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Notification:
    """It is for whoever fits each of the targets that it names; for everybody, when it names none."""

    id: int
    level: Level
    title: str
    body: str
    building: str | None
    floor_number: int | None
    department_id: int | None
    role: str | None
    created_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Draft:
    """A notification that is to be published."""

    level: Level
    title: str
    body: str = ""
    building: str | None = None
    floor_number: int | None = None
    department_id: int | None = None
    role: str | None = None
    expires_at: datetime | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "building", self.building and normal(self.building))


# What a notification may be for, and how it is read off one.
TARGETS: Mapping[str, Attribute] = {
    "building": lambda n: n.building,
    "floor_number": lambda n: n.floor_number,
    "department_id": lambda n: n.department_id,
    "role": lambda n: n.role,
}


@dataclass(frozen=True, slots=True)
class Audience:
    """Somebody who is told of notifications, as far as it decides which: all who are alike share one stream.

    Roles and department are what a person has; building and floor narrow what they ask for. Without them, the
    notifications of every place are meant.
    """

    roles: frozenset[str]
    department_id: int | None = None
    building: str | None = None
    floor_number: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "building", self.building and normal(self.building))

    def accepted(self) -> Iterator[tuple[str, frozenset[Hashable]]]:
        """The values that each target may have; a target that is not named here may have any."""
        yield "role", frozenset({None, *self.roles})
        yield "department_id", frozenset({None, self.department_id})
        for place in ("building", "floor_number"):
            if getattr(self, place) is not None:
                yield place, frozenset({None, getattr(self, place)})

    def interest(self) -> Interest:
        """The changes that this audience can notice, if it were for ever."""
        return Interest(ENTITY, tuple((TARGETS[name], values) for name, values in self.accepted()))

    def is_told(self, notification: Notification, now: datetime) -> bool:
        """Whether it is for this audience, and not over yet."""
        is_over = notification.expires_at is not None and notification.expires_at <= now
        return not is_over and all(TARGETS[name](notification) in values for name, values in self.accepted())

    def normalised(self) -> list[object]:
        """Equal for audiences that are told the same."""
        return [sorted(self.roles), self.department_id, self.building, self.floor_number]


def checked_draft(draft: Draft, now: datetime) -> Draft:
    """The draft itself. Raises InvalidInput naming the field."""
    for name, most in (("title", TITLE_MOST), ("body", BODY_MOST)):
        problem = text_problem(getattr(draft, name), most)
        if problem is not None:
            raise InvalidInput(f"`{name}` {problem}.", field=name)
    if not draft.title.strip():
        raise InvalidInput("`title` must not be empty.", field="title")
    if draft.floor_number is not None and draft.building is None:
        raise InvalidInput(
            "`floorNumber` needs `building`: floors of different buildings share numbers.", field="building"
        )
    if draft.expires_at is not None:
        _check_end(draft.expires_at, now)
    return draft


def _check_end(expires_at: datetime, now: datetime) -> None:
    problem = moment_problem(expires_at) or ("must be in the future" if expires_at <= now else None)
    if problem is not None:
        raise InvalidInput(f"`expiresAt` {problem}; leave it out for what is never over.", field="expiresAt")
