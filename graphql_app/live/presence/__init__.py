"""Who is connected where: those of this process at once, those of the others through Redis.

Nothing here waits for Redis but one task in the background. Without Redis, what is known is what is in this process,
and what was known of the others until it fades.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from graphql_app.domain.access import Viewer
from graphql_app.domain.arranging import BUILDING_MOST
from graphql_app.domain.presence import Person, Places, Present, present
from graphql_app.domain.seal import Pseudonyms
from graphql_app.domain.workstation import Place
from graphql_app.live.presence.exchange import Exchange
from graphql_app.live.presence.people import Others, Own
from graphql_app.live.presence.watches import Watch, Watches
from graphql_app.store.redis.broadcast import Channel
from graphql_app.store.redis.presence import PresenceStore


def kept_seconds(ghost_seconds: float) -> float:
    """Returns how long an entry lives unless it is renewed. With the beat on which others look again, it is less than
    the whole."""
    return ghost_seconds * 2 / 3


def beat_seconds(ghost_seconds: float) -> float:
    """Returns how often entries are renewed, and everything that is watched is read again: so a lost message heals."""
    return ghost_seconds / 6


class Presence:
    """Knows who is on which floor; runs in every process. Nobody is shown for longer than `ghost_seconds` after their
    process was killed."""

    def __init__(
        self,
        store: PresenceStore,
        channel: Channel,
        pseudonyms: Pseudonyms,
        *,
        ghost_seconds: float,
        linger_seconds: float,
    ) -> None:
        self._pseudonyms = pseudonyms
        self._linger_seconds = linger_seconds
        self._own = Own()
        self._others = Others()
        self._watches = Watches()
        self._exchange = Exchange(
            store, channel, self._own, self._others, self._watches, beat_seconds=beat_seconds(ghost_seconds)
        )

    async def run(self) -> None:
        """Exchanges with the other processes. Never returns; end it by cancelling."""
        await self._exchange.run()

    async def close(self) -> None:
        """Withdraws everybody of this process, when run() has ended and nobody enters."""
        await self._exchange.close()

    def enter(self, viewer: Viewer, place: Place) -> Callable[[], None]:
        """Puts the viewer on the floor. Returns what takes them off it; somebody back within the linger time was never
        away."""
        if len(place.building) > BUILDING_MOST:  # no building is called that
            return lambda: None
        person = Person(self._pseudonyms.of(viewer.subject), viewer.employee_key)
        if self._own.enter(person, place):
            self._moved(place)

        def leave() -> None:
            asyncio.get_running_loop().call_later(self._linger_seconds, self._left, person, place)

        return leave

    def at(self, place: Place) -> Present:
        """Returns who is on the floor, as far as it is known here."""
        people = [*self._own.at(place), *self._others.at(place, asyncio.get_running_loop().time())]
        return present(place, people, is_partial=not self._exchange.is_whole or place not in self._others)

    def look(self, place: Place) -> None:
        """Makes the watchers of a floor look at it anew: it came to be, or is no more."""
        self._watches.tell(place)

    def places(self, wanted: Places) -> list[Place]:
        """Returns those of the places on which anybody is known to be, and the one floor if it is but one."""
        if wanted.only is not None:
            return [wanted.only]
        known = dict.fromkeys([*self._own, *self._others])
        return [place for place in known if wanted.include(place) and self.at(place).count]

    @contextmanager
    def watching(self, places: Places) -> Iterator[Watch]:
        """Reads what other processes say of these floors, within the block, and tells the watch of changes."""
        watch = self._watches.open(places)
        self._exchange.want(places)
        try:
            yield watch
        finally:
            self._watches.close(watch)
            for place in [places.only] if places.only is not None else list(self._others):
                if not self._watches.include(place):
                    self._others.forget(place)

    async def known(self, places: Places, seconds: float) -> None:
        """Waits until the others were asked about these floors, if Redis is there and for so long at most."""
        try:
            async with asyncio.timeout(seconds):
                await self._exchange.asked(places)
        except TimeoutError:
            pass

    def _left(self, person: Person, place: Place) -> None:
        if self._own.leave(person, place):
            self._moved(place)

    def _moved(self, place: Place) -> None:
        self._exchange.say(place)
        self._watches.tell(place)
