"""The live presence on some floors, as one view may see it."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Protocol

from graphql_app.domain.access import View, redact_present
from graphql_app.domain.presence import Places, Present
from graphql_app.domain.workstation import Place
from graphql_app.live.presence import Presence
from graphql_app.live.presence.people import surplus
from graphql_app.live.presence.watches import Watch
from graphql_app.services.following.history import Start

GATHER_SECONDS = 0.25  # a floor is told of at most so often
KNOWN_SECONDS = 0.5  # so long the first payload waits for what other processes know


class Existing(Protocol):
    """The floors that there are: live/presence/existing_places.ExistingPlaces."""

    def __contains__(self, place: object) -> bool: ...

    async def known(self) -> None:
        """Waits until they are. Raises Unavailable."""


class Presences:
    """Each floor with somebody on it at once, then each when it changes for this view. Shared as every stream is.

    Who watches more than the floor that they name is told of those that exist: anybody may follow what they made up.
    """

    def __init__(self, presence: Presence, existing: Existing, places: Places, view: View) -> None:
        self._presence = presence
        self._existing = existing
        self._places = places
        self._watch: Watch | None = None
        self._shown: dict[Place, Present] = {}  # what all who are level have been told
        self._handing: Present | None = None
        self._due: deque[Place] = deque()
        self._quiet_until = 0.0
        self.view = view
        self.place = places.only
        self.values = 0
        self.key: Hashable = ("presence", places, view)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["Presences"]:
        with self._presence.watching(self._places) as self._watch:
            if self.place is None:
                await self._existing.known()
            await self._presence.known(self._places, KNOWN_SECONDS)
            there = filter(self._is_told_of, self._presence.places(self._places))
            self._shown = {place: self._seen(place) for place in there}
            yield self

    async def next(self) -> Present:
        """The next floor on which something changed that this view may notice."""
        assert self._watch is not None
        if self._handing is not None:  # by now it has been handed out to all who are level
            self._shown[self._handing.place], self._handing = self._handing, None
            for place in surplus(self._shown, lambda place: not self._shown[place].count and place != self.place):
                del self._shown[place]
        while True:
            while self._due:
                now = self._seen(self._due.popleft())
                if now != self._shown.get(now.place, Present(now.place, 0, now.people, now.is_partial)):
                    self._handing = now
                    return now
            await asyncio.sleep(self._quiet_until - asyncio.get_running_loop().time())
            self._due.extend(await self._watch.take())
            self._quiet_until = asyncio.get_running_loop().time() + GATHER_SECONDS

    def after(self, _: Present) -> Start:
        return Start()

    async def level(self, _: Start, *, alone: bool = False) -> AsyncGenerator[Present, None]:
        """What the others have been told, each floor once; again where it changed while that was being sent."""
        told: dict[Place, Present] = {}
        while owed := [one for one in self._shown.values() if self._is_owed(one, told)]:
            for one in owed:
                told[one.place] = one
                yield one

    def _is_owed(self, one: Present, told: dict[Place, Present]) -> bool:
        """Where nobody is, and nobody is known to have been, is told only of the one floor that was asked about."""
        return told.get(one.place) != one and bool(one.count or one.place in told or self.place)

    def _seen(self, place: Place) -> Present:
        present = self._presence.at(place)
        if not self._is_told_of(place):
            present = replace(present, count=0, people=frozenset())
        return redact_present(self.view, present)

    def _is_told_of(self, place: Place) -> bool:
        return place == self.place or place in self._existing
