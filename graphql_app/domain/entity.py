"""An entity: what is logged, streamed and kept in memory, said once for all who handle its changes.

Each is one value; store/schema/entities.py lists them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from graphql_app.domain.access import View
from graphql_app.domain.change import Change


class FloorRole(Enum):
    """What an entity is to the floors that are kept in memory."""

    CONTENT = auto()  # it stands on a floor, or on none: its changes are applied
    FLOOR = auto()  # it is one: after a change the floor is read anew


class LoginRole(Enum):
    """What an entity is to those who are logged in."""

    ACCOUNT = auto()
    SESSION = auto()
    PERSON = auto()  # whom an account belongs to


def _never(_: View) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Entity:
    """`name` is what triggers write into change_log.

    `decode` reads an image of a row: fields that it does not know are passed over; it raises KeyError for a missing
    field that no default can stand for. `redact` is None where nothing is hidden from anybody. `has_version` says
    whether a view is shown a version, so that it notices every change. `is_rare`: few beside all else that is logged,
    and found by an index of their own, so that catching up reads them however much happened.
    """

    name: str
    decode: Callable[[Mapping[str, Any]], Any]
    redact: Callable[[View, Any], Any] | None = None
    has_version: Callable[[View], bool] = _never
    floor: FloorRole | None = None
    login: LoginRole | None = None
    is_rare: bool = False

    def can_notice(self, view: View, before: Any, after: Any) -> bool:
        """Whether anything that the view is shown, by whatever question, is another after the change."""
        if before is None or after is None or self.redact is None or self.has_version(view):
            return True
        return bool(self.redact(view, before) != self.redact(view, after))


class Entities(dict[str, Entity]):
    """The registry: entities by their names. Not changed once it is made."""

    def __init__(self, *entities: Entity) -> None:
        """Raises ValueError when two have one name."""
        super().__init__((entity.name, entity) for entity in entities)
        if len(self) < len(entities):
            raise ValueError("two entities have the same name")

    def can_be_noticed(self, view: View, change: Change[Any]) -> bool:
        """Whether the view can notice the change, by whatever question."""
        return self[change.entity].can_notice(view, change.before, change.after)

    def with_floor_role(self, role: FloorRole) -> frozenset[str]:
        """The names of those with that role."""
        return frozenset(entity.name for entity in self.values() if entity.floor is role)

    def with_login_role(self, *roles: LoginRole) -> tuple[str, ...]:
        """The names of those with one of the roles, in the order of the registry."""
        return tuple(entity.name for entity in self.values() if entity.login in roles)
