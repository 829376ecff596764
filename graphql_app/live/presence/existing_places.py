"""Which floors there are: read once, then kept true by the feed."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from graphql_app.aio.single_flight import SingleFlight
from graphql_app.domain.change import Change, Head
from graphql_app.domain.errors import Refusal
from graphql_app.domain.workstation import FLOOR, Place


class ExistingPlaces:
    """Knows which floors exist; a listener of the hub. A made-up floor can be followed, but nobody else is told of it.

    `tell` is called with each floor that comes or goes.
    """

    def __init__(self, read: Callable[[], Awaitable[Iterable[Place]]], tell: Callable[[Place], None]) -> None:
        self._read = read
        self._tell = tell
        self._reading: SingleFlight[str, None] = SingleFlight()
        self._places: set[Place] | None = None  # None until somebody asked
        self._meanwhile: list[Change[Any]] | None = None  # what came, while they are read

    def __contains__(self, place: object) -> bool:
        return self._places is not None and place in self._places

    async def known(self) -> None:
        """Waits until the floors are read. Raises Unavailable."""
        if self._places is None:
            await self._reading.join("places", self._take_in)

    def delivered(self, changes: Sequence[Change[Any]], head: Head) -> None:
        moved = [change for change in changes if change.entity == FLOOR]
        if self._meanwhile is not None:
            self._meanwhile += moved
        if self._places is not None:
            self._apply(moved)

    def restarted(self, head: Head) -> None:
        """Reads the floors anew; until then they stay as they were."""
        if self._places is not None:
            self._reading.begin("places", self._again)

    async def close(self) -> None:
        await self._reading.close()

    async def _again(self) -> None:
        with suppress(Refusal):  # who asks next tries again
            await self._take_in()

    async def _take_in(self) -> None:
        self._meanwhile = []
        try:
            found = set(await self._read())
            # What was read may be older than what came meanwhile, or newer: in the end it comes to the same.
            before, self._places = self._places or set(), found
            self._apply(self._meanwhile)
        finally:
            self._meanwhile = None
        for place in before ^ found:
            self._tell(place)

    def _apply(self, changes: Iterable[Change[Any]]) -> None:
        assert self._places is not None
        for change in changes:
            before, after = (state.place if state is not None else None for state in (change.before, change.after))
            if before == after:
                continue
            self._places.discard(before)
            if after is not None:
                self._places.add(after)
            for place in filter(None, (before, after)):
                self._tell(place)
