"""Presence between the processes: what is new here is said in Redis, and what is new elsewhere is asked.

A message on the channel is but a hint that something moved; what did, Redis tells. Whoever misses one finds out with
the next beat.
"""

import asyncio
from collections.abc import Collection, Iterable, Iterator
from itertools import islice

import orjson

from graphql_app.domain.presence import Places
from graphql_app.domain.workstation import Place
from graphql_app.live.presence.people import Others, Own, surplus
from graphql_app.live.presence.watches import Watches
from graphql_app.observe import IsolatedFailure, PresenceLost, PresenceWhole, note
from graphql_app.store.redis.broadcast import MAYBE_MISSED, Channel
from graphql_app.store.redis.presence import Away, PresenceStore

RETURN_SECONDS = 1.5  # after Redis was away the others say anew who is there: only then is it asked
GATHER_SECONDS = 0.1  # what changes meanwhile is said, and asked, together
LOOK_SECONDS = 1.0  # how often it is noticed by itself that Redis came or went
AT_ONCE_MOST = 500  # floors in one exchange with Redis


class Exchange:
    """Reads `own` and writes `others`. `is_whole`: what is known of the others is up to date."""

    def __init__(
        self,
        store: PresenceStore,
        channel: Channel,
        own: Own,
        others: Others,
        watches: Watches,
        *,
        beat_seconds: float,
    ) -> None:
        self._store = store
        self._channel = channel
        self._own = own
        self._others = others
        self._watches = watches
        self._beat_seconds = beat_seconds
        self._unsaid: set[Place] = set()
        self._unread: set[Place] = set()
        self._is_list_unread = False
        self._woken = asyncio.Event()
        self._read = asyncio.Event()  # set whenever something was read
        self._beat_at = 0.0
        self._ask_from = 0.0
        self.is_whole = False

    def say(self, place: Place) -> None:
        """Marks a floor on which something changed, to be told soon."""
        self._unsaid.add(place)
        self._woken.set()

    def want(self, places: Places) -> None:
        """Marks floors that somebody watches from now on, to be asked for soon."""
        if places.only is None:
            self._is_list_unread = True
        elif places.only not in self._others:
            self._unread.add(places.only)
        self._woken.set()

    async def asked(self, places: Places) -> None:
        """Waits until these floors were asked for; not while Redis is away."""
        while self._channel.is_connected and (
            self._is_list_unread if places.only is None else places.only not in self._others
        ):
            self._read.clear()
            await self._read.wait()

    async def run(self) -> None:
        """Exchanges when something is marked, and at every beat. Never returns; end it by cancelling."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen(), name="presence listener")
            while True:
                await self._once()

    async def close(self) -> None:
        """Withdraws what was told, when run() has ended."""
        await self._store.close()
        await self._publish(self._own)

    async def _listen(self) -> None:
        async for content in self._channel.messages():
            moved = None if content == MAYBE_MISSED else _places_in(content)
            if moved is None:
                self._beat_at = 0.0
            else:
                self._unread.update(filter(self._watches.include, moved))
            self._woken.set()

    async def _once(self) -> None:
        try:
            async with asyncio.timeout(min(LOOK_SECONDS, self._beat_seconds)):
                await self._woken.wait()
        except TimeoutError:
            pass
        await asyncio.sleep(GATHER_SECONDS)
        self._woken.clear()
        try:
            if not self._channel.is_connected:
                raise Away("the broadcast is not connected")
            if await self._exchange():
                self._mark(None)
        except Away as error:
            self._mark(str(error))
        except Exception as error:  # noqa: BLE001  # the supervisor of presence: noted, and asked again with the next beat
            note(IsolatedFailure("presence", error))
            self._mark(f"{type(error).__name__}: {error}")
        self._make_room()

    async def _exchange(self) -> bool:
        """Tells what is new here, and asks what is new elsewhere. Returns whether it was asked.

        Raises Away; what was not done is done the next time.
        """
        now = asyncio.get_running_loop().time()
        is_beat = now >= self._beat_at
        if is_beat:
            self._beat_at = now + self._beat_seconds
            self._unread.update(self._watches)
            self._is_list_unread = self._is_list_unread or self._watches.are_wide
        try:
            moved = await self._say({*self._unsaid, *self._own} if is_beat else set(self._unsaid))
            if moved:
                await self._publish(moved)
            if now < self._ask_from:
                return False
            await self._ask()
        except Exception:
            self._beat_at = 0.0
            raise
        self._read.set()
        return True

    async def _publish(self, moved: Iterable[Place]) -> None:
        await self._channel.publish(orjson.dumps([[place.building, place.number] for place in moved]))

    async def _say(self, places: Collection[Place]) -> set[Place]:
        """Returns the floors of which something new was said."""
        moved = set()
        for part in _parts(places):
            here = {place: list(self._own.at(place)) for place in part}
            unsaid = self._unsaid & here.keys()
            self._unsaid -= unsaid
            try:
                await self._store.put(here)
            except Exception:
                self._unsaid |= unsaid
                raise
            moved |= unsaid
        return moved

    async def _ask(self) -> None:
        if self._is_list_unread:
            self._is_list_unread = False
            everywhere = {*await self._store.floors(), *self._others}
            self._unread.update(filter(self._watches.include, everywhere))
        unread, self._unread = self._unread, set()
        for part in _parts(unread):
            found = await self._store.read(part)
            now = asyncio.get_running_loop().time()
            for place, people in found.items():
                if self._watches.include(place) and self._others.learn(place, people, now):
                    self._watches.tell(place)

    def _mark(self, why: str | None) -> None:
        """Notes whether what is known is the whole, and tells all who watch when that changes."""
        is_whole = why is None
        if is_whole != self.is_whole:
            self.is_whole = is_whole
            note(PresenceWhole() if why is None else PresenceLost(why))
            for place in {*self._watches, *self._own, *self._others}:
                self._watches.tell(place)
        if not is_whole:
            now = asyncio.get_running_loop().time()
            self._ask_from = now + RETURN_SECONDS
            for place in self._others.fade(now):  # they cannot be heard
                self._watches.tell(place)

    def _make_room(self) -> None:
        for place in surplus(self._others, lambda place: self._others.is_empty(place) and place not in self._watches):
            self._others.forget(place)
        left = surplus(self._unsaid, lambda place: place not in self._own)
        self._unsaid.difference_update(left)
        self._store.forget(left)


def _places_in(content: bytes) -> list[Place] | None:
    """Returns the floors that a message names; None when a release that writes it differently sent it."""
    try:
        return [Place(building, number) for building, number in orjson.loads(content)]
    except (TypeError, ValueError):
        return None


def _parts(places: Collection[Place]) -> Iterator[list[Place]]:
    rest = iter(list(places))
    while part := list(islice(rest, AT_ONCE_MOST)):
        yield part
