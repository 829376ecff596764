"""Following the office: a snapshot, then every later change, from any cursor."""

from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from graphql_app.domain.access import Scope, require, require_fields
from graphql_app.domain.caller import Caller
from graphql_app.domain.change import Batch
from graphql_app.domain.filters import WorkstationFilter, checked_filter
from graphql_app.domain.presence import Places
from graphql_app.domain.topics import Workstations
from graphql_app.domain.workstation import Place, Workstation
from graphql_app.live.admission.budgets import Budgets
from graphql_app.live.presence import Presence
from graphql_app.services.cursors import FeedCursors
from graphql_app.services.following.cohorts import Cohorts, Payload, Subscriber
from graphql_app.services.following.history import History, Start
from graphql_app.services.following.presences import Existing, Presences
from graphql_app.services.following.streams import Changes, FloorStatuses, Stream, StreamLimits
from graphql_app.services.reads import reads_floors

RenderChanges = Callable[[Changes[Workstation], Batch[Workstation]], Coroutine[Any, Any, Payload]]


@dataclass(frozen=True, slots=True)
class FloorSnapshot:
    """The workstations of a floor as of `cursor`, redacted."""

    cursor: str
    workstations: Sequence[Workstation]


class Follow:
    """Opens streams for viewers. What a stream shows depends on its filter and view alone, so it can be shared."""

    def __init__(
        self,
        history: History,
        cursors: FeedCursors,
        presence: Presence,
        existing: Existing,
        limits: StreamLimits,
        cohorts: Cohorts,
        budgets: Budgets,
    ) -> None:
        self._history = history
        self._cursors = cursors
        self._presence = presence
        self._existing = existing
        self._budgets = budgets
        self._limits = limits
        self._cohorts = cohorts

    def changes(self, caller: Caller, matching: WorkstationFilter) -> Changes[Workstation]:
        """A stream of the workstations that match. Raises Forbidden, InvalidInput."""
        require(caller.viewer, Scope.READ)
        require_fields(caller.view, "Workstation", checked_filter(matching).guarded_fields())
        return Changes(self._history, self._cursors, Workstations(matching, caller.view), self._limits)

    def floor_status(self, caller: Caller, place: Place) -> FloorStatuses:
        """A stream of the counts of one floor. Raises Forbidden."""
        require(caller.viewer, Scope.READ)
        return FloorStatuses(self._history, self._cursors, place, caller.view, self._limits)

    def presence(self, caller: Caller, places: Places) -> Presences:
        """A stream of who is connected on some floors. Raises Forbidden."""
        require(caller.viewer, Scope.READ)
        return Presences(self._presence, self._existing, places, caller.view)

    def enter(self, caller: Caller, stream: Stream) -> Callable[[], None]:
        """The viewer follows the stream, and so is present on its floor, if it stays on one. Returns what says that
        they follow it no more. Raises TooMany for one who follows too much."""
        give_back = self._budgets.take(caller.viewer.subject, stream.values)
        leave = self._presence.enter(caller.viewer, stream.place) if stream.place is not None else None

        def end() -> None:
            give_back()
            if leave is not None:
                leave()

        return end

    async def floors(self, caller: Caller, places: Collection[Place]) -> Mapping[Place, FloorSnapshot]:
        """The workstations of each floor and the cursor to go on from, all as of one moment."""
        require(caller.viewer, Scope.READ)
        reads_floors(*places)
        head, found = await self._history.floors(places, caller.view, settled=caller.reads_latest)
        snapshots = {}
        for place, workstations in found.items():
            matching = WorkstationFilter(building=place.building, floor_number=place.number)
            snapshots[place] = FloorSnapshot(self._cursors.encode(head, matching, caller.view), workstations)
        return snapshots

    async def join(
        self,
        caller: Caller,
        matching: WorkstationFilter,
        after: str | None,
        render: RenderChanges,
        joining: Subscriber,
        resync: str | None = None,
    ) -> Callable[[], None]:
        """Every batch from the cursor on, or all anew if there is a reason to; rendered once for all who follow the
        same. Returns what ends it.

        Raises Forbidden, InvalidInput, UnknownCursor.
        """
        changes = self.changes(caller, matching)
        start = Start(resync=resync) if resync else await changes.start(after, snapshot=True)
        leave_floor = self.enter(caller, changes)
        leave = self._cohorts.join(
            (render, changes.key), changes, lambda: partial(render, changes), joining, start, lingers=True
        )

        def end() -> None:
            leave()
            leave_floor()

        return end
