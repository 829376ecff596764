"""Who did what to which workstation, when, and from where."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from typing import Any

from graphql_app.domain.errors import InvalidInput, public_name
from graphql_app.domain.values import moment_problem, text_problem
from graphql_app.domain.workstation import Workstation

ACTOR_MOST = 1000  # an issuer and its subject


class Transport(StrEnum):
    """The way in."""

    HTTP = "http"
    SOCKET = "websocket"
    REST = "rest"
    COMMAND = "command"
    SQL = "sql"


class Action(StrEnum):
    CREATED = "created"
    CHANGED = "changed"
    DELETED = "deleted"


# What an image shows, flat: objects with identities of their own would be those of today.
SHOWN: Mapping[str, Callable[[Workstation], Any]] = {
    **{
        name: attrgetter(name)
        for name, field in Workstation.__dataclass_fields__.items()
        if field.compare and name not in {"id", "department", "employee"}
    },
    "department_id": lambda one: one.department and one.department.id,
    "department_name": lambda one: one.department and one.department.name,
    "employee_key": lambda one: one.employee and one.employee.key,
    "employee_name": lambda one: one.employee and one.employee.name,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One committed change of one workstation. `before` is None when it was created, `after` when it was deleted.

    `seq` is for this server alone: its gaps would tell of entries that one may not see. `key` names it to others.
    """

    seq: int
    workstation_id: int
    at: datetime
    actor: str
    transport: Transport | None  # None: of a release that did not tell
    address: str | None
    request_id: str | None
    before: Workstation | None
    after: Workstation | None
    key: str = ""  # given by services/audit, which has the secret

    @property
    def action(self) -> Action:
        if self.before is None:
            return Action.CREATED
        return Action.DELETED if self.after is None else Action.CHANGED

    @property
    def changed(self) -> list[str]:
        """The fields that differ, by their public names: of redacted images, those that one may know of."""
        before, after = self.before, self.after
        if before is None or after is None:
            return []
        return [public_name(name) for name, of in SHOWN.items() if of(before) != of(after)]


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """All that is given must hold; None asks nothing."""

    workstation_id: int | None = None
    actor: str | None = None
    since: datetime | None = None  # that moment included
    until: datetime | None = None  # that moment not
    actions: frozenset[Action] | None = None

    def __post_init__(self) -> None:
        """Raises InvalidInput."""
        problems = {
            "actor": self.actor is not None and text_problem(self.actor, ACTOR_MOST),
            "since": self.since is not None and moment_problem(self.since),
            "until": self.until is not None and moment_problem(self.until),
        }
        for name, problem in problems.items():
            if problem:
                raise InvalidInput(f"`{name}` {problem}.", field=name)

    def normalised(self) -> list[object]:
        """Equal for filters that mean the same, and JSON."""
        actions = None if self.actions is None else sorted(self.actions)
        return [self.workstation_id, self.actor, *map(_text, (self.since, self.until)), actions]


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
