"""Who watches which floors, and what changed for them."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator

from graphql_app.domain.presence import Places
from graphql_app.domain.workstation import Place


class Watch:
    """The floors that changed for one watcher: each once, however often."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self._changed: dict[Place, None] = {}
        self._arrived = asyncio.Event()

    def put(self, place: Place) -> None:
        self._changed[place] = None
        self._arrived.set()

    async def take(self) -> list[Place]:
        """Waits until something changed. Returns the floors."""
        while not self._changed:
            self._arrived.clear()
            await self._arrived.wait()
        taken = list(self._changed)
        self._changed.clear()
        return taken


class Watches:
    """All watchers. Those of one floor are found by it; of those who watch whole buildings there are few."""

    def __init__(self) -> None:
        self._by_place: defaultdict[Place, set[Watch]] = defaultdict(set)
        self._wide: set[Watch] = set()

    def __iter__(self) -> Iterator[Place]:
        """The floors that are watched by themselves."""
        return iter(self._by_place)

    def __contains__(self, place: object) -> bool:
        return place in self._by_place

    @property
    def are_wide(self) -> bool:
        """Whether anybody watches more than one floor."""
        return bool(self._wide)

    def open(self, places: Places) -> Watch:
        watch = Watch(places)
        self._like(places).add(watch)
        return watch

    def close(self, watch: Watch) -> None:
        alike = self._like(watch.places)
        alike.discard(watch)
        if watch.places.only is not None and not alike:
            del self._by_place[watch.places.only]

    def include(self, place: Place) -> bool:
        return place in self._by_place or any(watch.places.include(place) for watch in self._wide)

    def tell(self, place: Place) -> None:
        """Tells all who watch the floor that something changed there."""
        for watch in (*self._by_place.get(place, ()), *self._wide):
            if watch.places.include(place):
                watch.put(place)

    def _like(self, places: Places) -> set[Watch]:
        return self._wide if places.only is None else self._by_place[places.only]
