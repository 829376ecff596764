"""The floors in memory, as many as there is room for."""

from collections import OrderedDict
from collections.abc import Iterator

from graphql_app.domain.change import Change, places_of
from graphql_app.domain.workstation import Floor, Place, Workstation
from graphql_app.live.floors.cached_floor import CachedFloor


class FloorCache:
    """Bounded by the number of workstations, copies for views included; what was used least recently goes first."""

    def __init__(self, rows_most: int) -> None:
        self._rows_most = rows_most
        self._floors: OrderedDict[Place, CachedFloor] = OrderedDict()  # the one used last is last
        self._places: dict[int, Place] = {}  # of the workstations
        self._by_id: dict[int, Place] = {}  # of the floors

    def __contains__(self, place: object) -> bool:
        return place in self._floors

    def __len__(self) -> int:
        return len(self._floors)

    def __iter__(self) -> Iterator[Place]:
        return iter(self._floors)

    @property
    def rows(self) -> int:
        return sum(cached.size for cached in self._floors.values())

    @property
    def has_room(self) -> bool:
        """Whether another floor can be added without dropping any."""
        return self.rows < self._rows_most / 2

    def place_of(self, workstation_id: int) -> Place | None:
        return self._places.get(workstation_id)

    def floor(self, floor_id: int) -> Floor | None:
        place = self._by_id.get(floor_id)
        return None if place is None else self._floors[place].floor

    def used(self, place: Place, now: float) -> CachedFloor:
        self._floors.move_to_end(place)
        cached = self._floors[place]
        cached.used_at = now
        cached.uses += 1
        return cached

    def busiest(self, most: int) -> list[Place]:
        """Returns the floors that are used most. Each call halves the counts, so that old uses count ever less."""
        found = sorted(self._floors, key=lambda place: self._floors[place].uses, reverse=True)[:most]
        for cached in self._floors.values():
            cached.uses //= 2
        return found

    def add(self, cached: CachedFloor, now: float) -> None:
        """Unless it is larger than the whole cache may be."""
        if cached.size > self._rows_most:
            return
        place = cached.floor.place
        self._floors[place] = cached
        self._by_id[cached.floor.id] = place
        self._places.update(dict.fromkeys(cached.ids, place))
        self.used(place, now)

    def apply(self, change: Change[Workstation]) -> None:
        self._places.pop(change.key, None)
        for place in places_of(change):
            if place in self._floors:
                self._floors[place].apply(change)
        here = change.after.place if change.after is not None else None
        if here is not None and here in self._floors:
            self._places[change.key] = here

    def drop(self, place: Place) -> None:
        cached = self._floors.pop(place, None)
        if cached is not None:
            del self._by_id[cached.floor.id]
            for key in cached.ids:
                self._places.pop(key, None)

    def drop_unused(self, since: float) -> int:
        """Drops the floors that were not used since then. Returns how many."""
        unused = [place for place, cached in self._floors.items() if cached.used_at < since]
        for place in unused:
            self.drop(place)
        return len(unused)

    def make_room(self) -> int:
        """Drops the floors used least recently until the rest fits. Returns how many were dropped."""
        rows, floors = self.rows, len(self)
        while rows > self._rows_most:
            oldest = next(iter(self._floors))
            rows -= self._floors[oldest].size
            self.drop(oldest)
        return floors - len(self)

    def clear(self) -> None:
        self._floors.clear()
        self._places.clear()
        self._by_id.clear()
