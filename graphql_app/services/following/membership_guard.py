"""Where an employee belongs, for as long as a subscription rests upon it."""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from graphql_app.domain.change import Change
from graphql_app.domain.errors import Conflict
from graphql_app.domain.interest import Interest
from graphql_app.domain.workstation import EMPLOYEE
from graphql_app.live.feed.hub import Hub

_Image = Mapping[str, Any]  # of a row of `employees`, as the log has it


def _key(image: _Image) -> str:
    return str(image["public_key"])


class MembershipGuard:
    """The department of an employee, as it was read when the history stood at a revision or later."""

    def __init__(self, hub: Hub, employee_key: UUID, revision: int) -> None:
        self._hub = hub
        self._interest = Interest(EMPLOYEE, ((_key, frozenset({str(employee_key)})),))
        self._key = str(employee_key)
        self._revision = revision

    def watch(self, end: Callable[[Conflict], None]) -> Callable[[], None]:
        """Calls `end` when the employee comes to belong elsewhere (or when it cannot be known that they do not), before
        anybody is told of a later change. Returns what stops watching."""
        box = _Box(lambda: end(_moved()))
        self._hub.open(self._interest, box)
        return lambda: self._hub.close(box)

    def check(self) -> None:
        """Raises Conflict when that has happened by now; from then on, in the same moment, watch."""
        head = self._hub.head
        assert head is not None
        meanwhile = self._hub.since(self._revision, head.revision, EMPLOYEE)
        if meanwhile is None or any(self._concerns(change) and _belongs_elsewhere(change) for change in meanwhile):
            raise _moved()

    def _concerns(self, change: Change[_Image]) -> bool:
        return self._key in [_key(image) for image in (change.before, change.after) if image is not None]


def _moved() -> Conflict:
    return Conflict("You belong to another department now; subscribe again.")


def _belongs_elsewhere(change: Change[_Image]) -> bool:
    was, now = (image and image["department_id"] for image in (change.before, change.after))
    return bool(was != now)


class _Box:
    def __init__(self, end: Callable[[], None]) -> None:
        self._end = end

    def put(self, change: Change[_Image]) -> None:
        if _belongs_elsewhere(change):
            self._end()

    def lose(self) -> None:
        self._end()
