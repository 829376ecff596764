"""One request of a viewer: who asks, how, and how fresh the answer must be."""

from dataclasses import replace
from enum import Enum
from typing import NamedTuple

from graphql_app.domain.access import Scope, View, Viewer
from graphql_app.domain.audit import Transport


class Consistency(Enum):
    """How fresh an answer must be."""

    CACHED = "cached"  # as what this process keeps in memory
    LATEST = "latest"  # it holds a write that this process may not have heard of


class Caller(NamedTuple):
    """One request of a viewer. `transport`, `address` and `request_id` are for the audit log."""

    viewer: Viewer
    request_id: str | None = None
    transport: Transport | None = None
    address: str | None = None
    consistency: Consistency = Consistency.CACHED

    @property
    def view(self) -> View:
        """What they may see."""
        return self.viewer.view

    @property
    def reads_latest(self) -> bool:
        """Whether what is kept in memory will not do."""
        return self.consistency is Consistency.LATEST

    def named(self, subject: str) -> "Caller":
        """Returns the same request, as one of this subject."""
        return self._replace(viewer=replace(self.viewer, subject=subject))


def by_command(name: str) -> Caller:
    """Returns who acts when an operator types a command."""
    viewer = Viewer(f"command:{name}", ("admin",), View(frozenset(Scope)), None, None, float("inf"))
    return Caller(viewer, transport=Transport.COMMAND)
