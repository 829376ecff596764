"""A desk on a floor plan, the people and places around it, and which status may follow which."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

import orjson

from graphql_app.domain.names import normal
from graphql_app.domain.values import is_carried

T = TypeVar("T")

# What the change log calls them.
WORKSTATION = "workstation"
FLOOR = "floor"
BUILDING = "building"
DEPARTMENT = "department"
EMPLOYEE = "employee"


class Status(StrEnum):
    AVAILABLE = "available"
    OCCUPIED = "occupied"
    MAINTENANCE = "maintenance"
    RESERVED = "reserved"


class ByStatus(dict[str, T]):
    """By the texts of statuses. One that is none (somebody wrote it past all constraints) counts as the status of a
    desk that is not to be used."""

    def __missing__(self, value: str) -> T:
        return self[Status.MAINTENANCE.value]


STATUSES = ByStatus({status.value: status for status in Status})


# Which status may follow which. A desk comes out of maintenance free: whoever sat there is assigned anew.
MAY_FOLLOW: dict[Status, frozenset[Status]] = {
    Status.AVAILABLE: frozenset({Status.OCCUPIED, Status.MAINTENANCE, Status.RESERVED}),
    Status.OCCUPIED: frozenset({Status.AVAILABLE, Status.MAINTENANCE}),
    Status.RESERVED: frozenset({Status.AVAILABLE, Status.OCCUPIED, Status.MAINTENANCE}),
    Status.MAINTENANCE: frozenset({Status.AVAILABLE}),
}


def may_become(now: Status, then: Status) -> bool:
    """Whether a workstation may go from `now` to `then`. Staying as it is always may."""
    return now == then or then in MAY_FOLLOW[now]


@dataclass(frozen=True, slots=True)
class Department:
    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Employee:
    """`key` is the public identity; neither the row number nor the employee number is ever made part of an ID."""

    key: UUID
    name: str
    department: Department | None
    employee_number: str | None  # guarded


class Place(NamedTuple):
    """A floor, named as workstations refer to it; a tuple, as it is looked up by most of what happens."""

    building: str
    number: int


def named_place(building: str, number: int) -> Place:
    """The place of a name that somebody typed."""
    return Place(normal(building), number)


@dataclass(frozen=True, slots=True)
class Floor:
    id: int
    building: str
    number: int
    name: str

    @property
    def place(self) -> Place:
        return Place(self.building, self.number)


@dataclass(frozen=True, slots=True)
class Workstation:
    """One desk. Coordinates and sizes share one unit, the floor plan's.

    Two are equal when they show the same: `version` and `updated_at` take no part, they change with hidden fields too.
    """

    id: int
    name: str
    status: Status
    building: str | None
    floor_number: int | None
    floor_name: str | None
    department: Department | None
    employee: Employee | None
    x_position: float | None  # guarded, as the next three
    y_position: float | None
    width: float | None
    height: float | None
    employee_id: str | None  # the occupant's employee number (工号); guarded
    equipment: str | None  # JSON, as it was written
    notes: str | None
    created_at: datetime
    updated_at: datetime | None = field(compare=False)  # guarded, as version
    version: int | None = field(compare=False)

    @property
    def place(self) -> Place | None:
        if self.building is None or self.floor_number is None:
            return None
        return Place(self.building, self.floor_number)


def equipment_value(text: str | None) -> Any:
    """The equipment as JSON values; as text, where it was stored before values.py had its say, and cannot be carried:
    what no program reads, what is too deep to be written again, and numbers that would become others.

    Not to be changed: desks with the same equipment share it.
    """
    if text is None:
        return None
    return _shared_value(text) if len(text) <= SHARED_MOST else _value(text)


def _value(text: str) -> Any:
    try:
        return orjson.loads(text) if is_carried(text) else text
    except orjson.JSONDecodeError:
        return text


SHARED_MOST = 500  # characters
_shared_value = lru_cache(maxsize=4096)(_value)


@dataclass(frozen=True, slots=True)
class WholeFloor(Floor):
    """A floor with its workstations, by id."""

    workstations: Sequence[Workstation]


@dataclass(frozen=True, slots=True)
class Counts:
    """How many workstations of a group are in each status. `key` names the group; None when there is but one."""

    key: str | None
    by_status: dict[Status, int]

    @property
    def total(self) -> int:
        return sum(self.by_status.values())
