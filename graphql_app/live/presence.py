"""Who is connected where: those of this process at once, those of the others through Redis.

Nothing here waits for Redis but one task in the background. Without Redis, what is known is what is in this process,
and what was known of the others until it fades.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from itertools import islice

import orjson

from graphql_app.domain.access import Viewer
from graphql_app.domain.arranging import BUILDING_MOST
from graphql_app.domain.presence import Person, Places, Present, present
from graphql_app.domain.seal import Pseudonyms
from graphql_app.domain.workstation import Place
from graphql_app.observe import IsolatedFailure, PresenceLost, PresenceWhole, note
from graphql_app.store.broadcast import MAYBE_MISSED, Channel
from graphql_app.store.presence import Away, PresenceStore

RETURN_SECONDS = 1.5  # after Redis was away the others say anew who is there: only then is it asked
GATHER_SECONDS = 0.1  # what changes meanwhile is said, and asked, together
LOOK_SECONDS = 1.0  # how often it is noticed by itself that Redis came or went
AT_ONCE_MOST = 500  # floors in one exchange with Redis


def kept_seconds(ghost_seconds: float) -> float:
    """How long an entry lives unless it is renewed. Together with the beat, on which others look again, it is less than
    the whole."""
    return ghost_seconds * 2 / 3


def beat_seconds(ghost_seconds: float) -> float:
    """How often entries are renewed, and all that is watched is read again: a lost message heals."""
    return ghost_seconds / 6


class Watch:
    """What changed for somebody who watches some floors: each once, however often."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self._changed: dict[Place, None] = {}
        self._arrived = asyncio.Event()

    def put(self, place: Place) -> None:
        self._changed[place] = None
        self._arrived.set()

    async def take(self) -> list[Place]:
        """Waits until something changed."""
        while not self._changed:
            self._arrived.clear()
            await self._arrived.wait()
        taken = list(self._changed)
        self._changed.clear()
        return taken


class Presence:
    """Runs in every process. `ghost_seconds`: no longer is anybody shown whose process was killed."""

    def __init__(
        self,
        store: PresenceStore,
        channel: Channel,
        pseudonyms: Pseudonyms,
        *,
        ghost_seconds: float,
        linger_seconds: float,
    ) -> None:
        self._store = store
        self._channel = channel
        self._pseudonyms = pseudonyms
        self._beat_seconds = beat_seconds(ghost_seconds)
        self._linger_seconds = linger_seconds
        self._own: dict[Place, dict[Person, int]] = {}  # with the number of their connections
        self._others: dict[Place, dict[Person, float]] = {}  # of watched floors, with the time at which it fades
        self._by_place: defaultdict[Place, set[Watch]] = defaultdict(set)
        self._wide: set[Watch] = set()
        self._unsaid: set[Place] = set()
        self._unread: set[Place] = set()
        self._is_list_unread = False
        self._woken = asyncio.Event()
        self._read = asyncio.Event()  # set whenever something was read
        self._beat_at = 0.0
        self._ask_from = 0.0
        self._is_whole = False

    # --- in this process ---------------------------------------------------------------------------------------------

    def enter(self, viewer: Viewer, place: Place) -> Callable[[], None]:
        """The viewer is on the floor from now on. Returns what says that they left; who is back soon was never away."""
        if len(place.building) > BUILDING_MOST:  # no building is called that
            return lambda: None
        person = Person(self._pseudonyms.of(viewer.subject), viewer.employee_key)
        connections = self._own.setdefault(place, {})
        connections[person] = connections.get(person, 0) + 1
        if connections[person] == 1:
            self._moved(place)

        def leave() -> None:
            asyncio.get_running_loop().call_later(self._linger_seconds, self._left, person, place)

        return leave

    def at(self, place: Place) -> Present:
        """Who is on the floor, as far as it is known here."""
        now = asyncio.get_running_loop().time()
        others = self._others.get(place)
        people = [*self._own.get(place, ()), *(one for one, until in (others or {}).items() if until > now)]
        return present(place, people, is_partial=not self._is_whole or others is None)

    def places(self, wanted: Places) -> list[Place]:
        """Of these floors those on which anybody is known to be, and the one floor if it is but one."""
        if wanted.only is not None:
            return [wanted.only]
        return [place for place in {**self._own, **self._others} if wanted.include(place) and self.at(place).count]

    @contextmanager
    def watching(self, places: Places) -> Iterator[Watch]:
        """In this block, what others say of these floors is read, and the watch is told of changes."""
        watch = Watch(places)
        watchers = self._wide if places.only is None else self._by_place[places.only]
        watchers.add(watch)
        if places.only is None:
            self._is_list_unread = True
        elif places.only not in self._others:
            self._unread.add(places.only)
        self._woken.set()
        try:
            yield watch
        finally:
            watchers.discard(watch)
            if places.only is not None and not watchers:
                del self._by_place[places.only]
            for place in [places.only] if places.only is not None else list(self._others):
                if not self._is_watched(place):
                    self._others.pop(place, None)

    async def known(self, places: Places, seconds: float) -> None:
        """Waits until the others were asked about these floors, if Redis is there and for so long at most."""
        try:
            async with asyncio.timeout(seconds):
                while self._channel.is_connected and (
                    self._is_list_unread if places.only is None else places.only not in self._others
                ):
                    self._read.clear()
                    await self._read.wait()
        except TimeoutError:
            pass

    def _left(self, person: Person, place: Place) -> None:
        connections = self._own[place]
        connections[person] -= 1
        if connections[person] == 0:
            del connections[person]
            if not connections:
                del self._own[place]
            self._moved(place)

    def _moved(self, place: Place) -> None:
        self._unsaid.add(place)
        self._woken.set()
        self._tell(place)

    def _tell(self, place: Place) -> None:
        for watch in (*self._by_place.get(place, ()), *self._wide):
            if watch.places.include(place):
                watch.put(place)

    def _is_watched(self, place: Place) -> bool:
        return place in self._by_place or any(watch.places.include(place) for watch in self._wide)

    # --- between the processes ---------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Never returns; end it by cancelling."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen(), name="presence listener")
            while True:
                await self._once()

    async def close(self) -> None:
        """Says that nobody is here any more, when run() has ended and nobody enters."""
        await self._store.close()
        await self._publish(self._own)

    async def _listen(self) -> None:
        async for content in self._channel.messages():
            moved = None if content == MAYBE_MISSED else _places_in(content)
            if moved is None:
                self._beat_at = 0.0
            else:
                self._unread.update(filter(self._is_watched, moved))
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

    async def _exchange(self) -> bool:
        """Says what is new here, and asks what is new elsewhere; returns whether it was asked.

        Raises Away; what was not done is done the next time.
        """
        now = asyncio.get_running_loop().time()
        is_beat = now >= self._beat_at
        if is_beat:
            self._beat_at = now + self._beat_seconds
            self._unread.update(self._by_place)
            self._is_list_unread = self._is_list_unread or bool(self._wide)
        try:
            moved = await self._say({*self._unsaid, *self._own} if is_beat else set(self._unsaid))
            if moved:
                await self._publish(moved)
            if now < self._ask_from:
                return False
            if self._is_list_unread:
                self._is_list_unread = False
                everywhere = {*await self._store.floors(), *self._others}
                self._unread.update(place for place in everywhere if self._is_watched(place))
            await self._ask()
        except Exception:
            self._beat_at = 0.0
            raise
        self._read.set()
        return True

    async def _publish(self, moved: Collection[Place]) -> None:
        await self._channel.publish(orjson.dumps([[place.building, place.number] for place in moved]))

    async def _say(self, places: Collection[Place]) -> set[Place]:
        """Returns the floors of which something new was said."""
        moved = set()
        for part in _parts(places):
            here = {place: list(self._own.get(place, ())) for place in part}
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
        unread, self._unread = self._unread, set()
        for part in _parts(unread):
            found = await self._store.read(part)
            now = asyncio.get_running_loop().time()
            for place, people in found.items():
                if not self._is_watched(place):
                    continue
                before = self._others.get(place)
                self._others[place] = {person: now + left for person, left in people.items()}
                if before is None or before.keys() != people.keys():
                    self._tell(place)

    def _mark(self, why: str | None) -> None:
        """Notes whether what is known is the whole, and tells all who watch when that changes."""
        is_whole = why is None
        if is_whole != self._is_whole:
            self._is_whole = is_whole
            note(PresenceWhole() if why is None else PresenceLost(why))
            for place in {*self._by_place, *self._own, *self._others}:
                self._tell(place)
        if not is_whole:
            self._ask_from = asyncio.get_running_loop().time() + RETURN_SECONDS
            self._fade()

    def _fade(self) -> None:
        """What the others said fades here too, when they cannot be heard."""
        now = asyncio.get_running_loop().time()
        for place, people in self._others.items():
            if any(until <= now for until in people.values()):
                self._others[place] = {person: until for person, until in people.items() if until > now}
                self._tell(place)


def _places_in(content: bytes) -> list[Place] | None:
    """The floors that a message names; None when it is of a release that says it in another way."""
    try:
        return [Place(building, number) for building, number in orjson.loads(content)]
    except (TypeError, ValueError):
        return None


def _parts(places: Collection[Place]) -> Iterator[list[Place]]:
    rest = iter(list(places))
    while part := list(islice(rest, AT_ONCE_MOST)):
        yield part
