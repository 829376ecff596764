"""Whether the database takes writes, as far as statements have met: told when it changes, not for each of them."""

import time
from collections.abc import Callable

from graphql_app.observe import WritesAccepted, WritesRefused, note
from graphql_app.store.postgres.failures import Trouble

REFUSED = {
    Trouble.READ_ONLY: "it is read-only",
    Trouble.FULL: "its disk is full, or fails: make room there",
}
# Of writes on a full disk some find room, and others do not.
QUIET_SECONDS = 5.0


class WriteCondition:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._trouble: Trouble | None = None
        self._met_at = 0.0

    def met(self, trouble: Trouble | None) -> None:
        """A statement met it. What is no reason to refuse writes counts for nothing."""
        if trouble not in REFUSED:
            return
        self._met_at = self._clock()
        if trouble is not self._trouble:
            self._trouble = trouble
            note(WritesRefused(REFUSED[trouble]))

    def written(self) -> None:
        """Something was committed."""
        if self._trouble is not None and self._clock() - self._met_at > QUIET_SECONDS:
            self._trouble = None
            note(WritesAccepted())

    @property
    def refused(self) -> str | None:
        """Why writes were refused a moment ago; None when they were not."""
        if self._trouble is None or self._clock() - self._met_at > QUIET_SECONDS:
            return None
        return REFUSED[self._trouble]
