"""Following the office: a snapshot, then every later change, from any cursor."""

from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from graphql_app.domain.access import Scope, Viewer, require, require_fields
from graphql_app.domain.change import Batch, Kind, joined
from graphql_app.domain.filters import WorkstationFilter, checked
from graphql_app.domain.presence import Places
from graphql_app.domain.topics import Workstations
from graphql_app.domain.workstation import Place, Workstation
from graphql_app.live.mailbox import Lost
from graphql_app.live.presence import Presence
from graphql_app.live.sessions import Sessions
from graphql_app.services.cursors import FeedCursors
from graphql_app.services.history import History, Start
from graphql_app.services.presences import Presences
from graphql_app.services.reads import reads_floors
from graphql_app.services.streams import AFTER_LOSS, Changes, FloorStatuses, Limits, alone


@dataclass(frozen=True, slots=True)
class FloorSnapshot:
    """The workstations of a floor as of `cursor`, redacted."""

    cursor: str
    workstations: Sequence[Workstation]


class Follow:
    """Opens streams for viewers. What a stream shows depends on its filter and view alone, so it can be shared."""

    def __init__(
        self, history: History, cursors: FeedCursors, presence: Presence, limits: Limits, sessions: Sessions
    ) -> None:
        self._history = history
        self._cursors = cursors
        self._presence = presence
        self._limits = limits
        self._sessions = sessions

    def changes(self, viewer: Viewer, matching: WorkstationFilter) -> Changes[Workstation]:
        """A stream of the workstations that match. Raises Forbidden, InvalidInput."""
        require(viewer, Scope.READ)
        require_fields(viewer.view, "Workstation", checked(matching).guarded_fields())
        return Changes(self._history, self._cursors, Workstations(matching, viewer.view), self._limits)

    def floor_status(self, viewer: Viewer, place: Place) -> FloorStatuses:
        """A stream of the counts of one floor. Raises Forbidden."""
        require(viewer, Scope.READ)
        return FloorStatuses(self._history, self._cursors, place, viewer.view, self._limits)

    def presence(self, viewer: Viewer, places: Places) -> Presences:
        """A stream of who is connected on some floors. Raises Forbidden."""
        require(viewer, Scope.READ)
        return Presences(self._presence, places, viewer.view)

    def enter(self, viewer: Viewer, place: Place | None) -> Callable[[], None]:
        """The viewer follows the floor, and so is present there. Returns what says that they follow it no more."""
        return self._presence.enter(viewer, place) if place is not None else lambda: None

    @contextmanager
    def _present(self, viewer: Viewer, place: Place | None) -> Iterator[None]:
        leave = self.enter(viewer, place)
        try:
            yield
        finally:
            leave()

    async def floors(self, viewer: Viewer, places: Collection[Place]) -> Mapping[Place, FloorSnapshot]:
        """The workstations of each floor and the cursor to go on from, all as of one moment."""
        require(viewer, Scope.READ)
        reads_floors(*places)
        head, found = await self._history.floors(places, viewer.view, settled=viewer.reads_primary)
        snapshots = {}
        for place, workstations in found.items():
            matching = WorkstationFilter(building=place.building, floor_number=place.number)
            snapshots[place] = FloorSnapshot(self._cursors.encode(head, matching, viewer.view), workstations)
        return snapshots

    async def stream(
        self, viewer: Viewer, matching: WorkstationFilter, after: str | None
    ) -> AsyncIterator[tuple[str, Batch[Workstation]]]:
        """Every batch with its cursor, for one follower. Raises Forbidden, InvalidInput, UnknownCursor, Unavailable."""
        changes = self.changes(viewer, matching)
        start = await changes.start(after, snapshot=True)
        with self._present(viewer, changes.place):
            async for batch in alone(changes, start):
                yield changes.cursor(batch), batch

    async def poll(
        self, viewer: Viewer, matching: WorkstationFilter, after: str | None, wait_seconds: float
    ) -> tuple[str, Batch[Workstation]]:
        """What is new since the cursor, as one batch: at once when there is something, else the first that comes.

        Empty with an advanced cursor when nothing came in time, or the process is to stop. Raises what stream() raises.
        """
        changes = self.changes(viewer, matching)
        start = await changes.start(after, snapshot=True)
        with self._present(viewer, changes.place):
            return await self._poll(changes, start, wait_seconds)

    async def _poll(
        self, changes: Changes[Workstation], start: Start, wait_seconds: float
    ) -> tuple[str, Batch[Workstation]]:
        async with changes.opened():
            batch = joined([part async for part in changes.level(start, alone=True)])
            if batch.kind is Kind.CHANGES and not (batch.states or batch.removed):
                try:
                    async with self._sessions.timeout(wait_seconds):
                        batch = await changes.news()
                except TimeoutError:
                    batch = replace(batch, revision=changes.revision)
                except Lost:
                    batch = joined([part async for part in changes.level(AFTER_LOSS, alone=True)])
            return changes.cursor(batch), batch
