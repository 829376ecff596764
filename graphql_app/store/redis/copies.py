"""Encodes a floor as bytes, and decodes it."""

from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any
from uuid import UUID

import orjson

from graphql_app.domain.change import Head
from graphql_app.domain.frozen import maker
from graphql_app.domain.workstation import STATUSES, Department, Employee, Floor, Workstation
from graphql_app.store.office.whole_floor import FloorState

_FIELDS = tuple(Workstation.__dataclass_fields__)
# Of another release with other fields, in whatever is part of a copy: not understood, and read anew.
_PARTS = (Workstation, Employee, Department, Floor)
_FORMAT = [2, *([kind.__name__, *kind.__dataclass_fields__] for kind in _PARTS)]
_row = attrgetter(*_FIELDS)
_workstation = maker(Workstation)
_STATUS, _DEPARTMENT, _EMPLOYEE = map(_FIELDS.index, ("status", "department", "employee"))
_MOMENTS = [_FIELDS.index(name) for name in ("created_at", "updated_at")]


def encoded(state: FloorState) -> bytes:
    head, floor = state.head, state.floor
    place = [floor.id, floor.building, floor.number, floor.name]
    # orjson writes dataclasses as objects, texts of enums, and moments as ISO 8601.
    return orjson.dumps([_FORMAT, str(head.epoch), head.revision, place, [_row(one) for one in state.workstations]])


def decoded(content: bytes) -> FloorState | None:
    """Returns the floor; None for what another release has written."""
    match orjson.loads(content):
        case [form, epoch, revision, place, rows] if form == _FORMAT:
            return _state(epoch, revision, place, rows)
    return None


def _state(epoch: str, revision: int, place: list[Any], rows: list[list[Any]]) -> FloorState:
    people: dict[str, Employee] = {}
    departments: dict[int, Department] = {}

    def department(image: Any) -> Department | None:
        return image and departments.setdefault(image["id"], Department(**image))

    def employee(image: Any) -> Employee | None:
        if image is None or image["key"] in people:
            return image and people[image["key"]]
        known = Employee(UUID(image["key"]), image["name"], department(image["department"]), image["employee_number"])
        return people.setdefault(image["key"], known)

    def workstation(row: list[Any]) -> Workstation:
        row[_STATUS] = STATUSES[row[_STATUS]]
        row[_DEPARTMENT] = department(row[_DEPARTMENT])
        row[_EMPLOYEE] = employee(row[_EMPLOYEE])
        for moment in _MOMENTS:
            row[moment] = row[moment] and datetime.fromisoformat(row[moment])
        return _workstation(*row)

    workstations: Sequence[Workstation] = [workstation(row) for row in rows]
    return FloorState(Head(UUID(epoch), revision), Floor(*place), workstations)
