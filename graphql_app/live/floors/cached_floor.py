"""One floor in memory, and what was made of it: kept until the feed changes it, then made again of what changed."""

from collections.abc import Iterable, Sequence

from graphql_app.domain.access import View, redact
from graphql_app.domain.change import Change
from graphql_app.domain.filters import WorkstationFilter
from graphql_app.domain.workstation import Counts, Floor, Status, Workstation


class CachedFloor:
    """The feed changes it in place: what is wanted of it is taken before the next await. What it gives away is shared
    by everybody, and never changed."""

    def __init__(self, floor: Floor, workstations: Iterable[Workstation]) -> None:
        self.floor = floor
        self.used_at = 0.0
        self.uses = 0
        self._rows = {one.id: one for one in workstations}
        self._ids: list[int] | None = None
        self._redacted: dict[View, dict[int, Workstation]] = {}  # each once a state and view
        self._listed: dict[View, Sequence[Workstation]] = {}
        self._counts: Counts | None = None

    @property
    def size(self) -> int:
        """In workstations, copies for views included."""
        return len(self._rows) * (1 + len(self._redacted))

    @property
    def ids(self) -> Iterable[int]:
        return self._rows

    def apply(self, change: Change[Workstation]) -> None:
        """Takes the newest state of a workstation that is here, was here, or comes here."""
        key = change.key
        if change.after is not None and change.after.place == self.floor.place:
            self._rows[key] = change.after
        else:
            self._rows.pop(key, None)
        self._ids = self._counts = None
        self._listed.clear()
        for redacted in self._redacted.values():
            redacted.pop(key, None)

    def workstation(self, key: int, view: View) -> Workstation:
        """Redacted for the view. The workstation must be here."""
        redacted = self._redacted.setdefault(view, {})
        shown = redacted.get(key)
        if shown is None:
            shown = redacted[key] = redact(view, self._rows[key])
        return shown

    def workstations(self, view: View) -> Sequence[Workstation]:
        """All of them, by id, redacted for the view."""
        listed = self._listed.get(view)
        if listed is None:
            listed = self._listed[view] = tuple([self.workstation(key, view) for key in self._in_order()])
        return listed

    def matching(self, matching: WorkstationFilter, view: View) -> Sequence[Workstation]:
        """Those that match, by id, redacted for the view."""
        if self._is_all(matching):
            return self.workstations(view)
        return [self.workstation(key, view) for key in self._in_order() if matching.matches(self._rows[key])]

    def counts(self) -> Counts:
        """Returns how many workstations are in each status."""
        if self._counts is None:
            self._counts = _counted(self._rows.values())
        return self._counts

    def counts_matching(self, matching: WorkstationFilter) -> Counts:
        """Returns how many of the matching workstations are in each status."""
        if self._is_all(matching):
            return self.counts()
        return _counted(one for one in self._rows.values() if matching.matches(one))

    def _is_all(self, matching: WorkstationFilter) -> bool:
        return matching == WorkstationFilter(building=self.floor.building, floor_number=self.floor.number)

    def _in_order(self) -> list[int]:
        if self._ids is None:
            self._ids = sorted(self._rows)
        return self._ids


def _counted(workstations: Iterable[Workstation]) -> Counts:
    statuses = [one.status for one in workstations]
    return Counts(None, {status: statuses.count(status) for status in Status})
