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
        return sum(held.size for held in self._floors.values())

    @property
    def has_room(self) -> bool:
        """For one more, so that nothing must go."""
        return self.rows < self._rows_most / 2

    def place_of(self, workstation_id: int) -> Place | None:
        return self._places.get(workstation_id)

    def floor(self, floor_id: int) -> Floor | None:
        place = self._by_id.get(floor_id)
        return None if place is None else self._floors[place].floor

    def used(self, place: Place, now: float) -> CachedFloor:
        self._floors.move_to_end(place)
        held = self._floors[place]
        held.used_at = now
        held.uses += 1
        return held

    def busiest(self, most: int) -> list[Place]:
        """The floors that are used most; what was used long ago counts ever less with each time that this is asked."""
        found = sorted(self._floors, key=lambda place: self._floors[place].uses, reverse=True)[:most]
        for held in self._floors.values():
            held.uses //= 2
        return found

    def add(self, held: CachedFloor, now: float) -> None:
        """Unless it is larger than all that may be held."""
        if held.size > self._rows_most:
            return
        place = held.floor.place
        self._floors[place] = held
        self._by_id[held.floor.id] = place
        self._places.update(dict.fromkeys(held.ids, place))
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
        held = self._floors.pop(place, None)
        if held is not None:
            del self._by_id[held.floor.id]
            for key in held.ids:
                self._places.pop(key, None)

    def drop_unused(self, since: float) -> int:
        """Returns how many that were."""
        unused = [place for place, held in self._floors.items() if held.used_at < since]
        for place in unused:
            self.drop(place)
        return len(unused)

    def make_room(self) -> int:
        """Drops what is too much. Returns how many floors that were."""
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
