"""Who is on which floor: the people of this process, and what the others said of theirs."""

from collections.abc import Callable, Collection, Iterator, Mapping

from graphql_app.domain.presence import Person
from graphql_app.domain.workstation import Place

EMPTY_MOST = 1000  # floors that are remembered although nobody is there: more than have people who come and go


class Own:
    """The people of this process: floors on which somebody is, with the number of connections of each. Bounded by the
    subscriptions."""

    def __init__(self) -> None:
        self._connections: dict[Place, dict[Person, int]] = {}

    def __iter__(self) -> Iterator[Place]:
        return iter(self._connections)

    def __contains__(self, place: object) -> bool:
        return place in self._connections

    def at(self, place: Place) -> Collection[Person]:
        return self._connections.get(place, {}).keys()

    def enter(self, person: Person, place: Place) -> bool:
        """Counts a connection. Returns whether its user was not there yet."""
        here = self._connections.setdefault(place, {})
        here[person] = here.get(person, 0) + 1
        return here[person] == 1

    def leave(self, person: Person, place: Place) -> bool:
        """Counts a connection less. Returns whether it was the user's last."""
        here = self._connections[place]
        here[person] -= 1
        if here[person]:
            return False
        del here[person]
        if not here:
            del self._connections[place]
        return True


class Others:
    """The people of other processes: watched floors that were asked for, with the time at which each person fades."""

    def __init__(self) -> None:
        self._fading: dict[Place, dict[Person, float]] = {}

    def __iter__(self) -> Iterator[Place]:
        return iter(self._fading)

    def __contains__(self, place: object) -> bool:
        return place in self._fading

    def __len__(self) -> int:
        return len(self._fading)

    def at(self, place: Place, now: float) -> list[Person]:
        return [person for person, until in self._fading.get(place, {}).items() if until > now]

    def learn(self, place: Place, left_seconds: Mapping[Person, float], now: float) -> bool:
        """Takes in what was told of the floor. Returns whether that is news."""
        before = self._fading.get(place)
        self._fading[place] = {person: now + left for person, left in left_seconds.items()}
        return before is None or before.keys() != left_seconds.keys()

    def forget(self, place: Place) -> None:
        self._fading.pop(place, None)

    def is_empty(self, place: Place) -> bool:
        return not self._fading[place]

    def fade(self, now: float) -> list[Place]:
        """Forgets people whose time is over. Returns the floors where that was."""
        moved = [place for place, people in self._fading.items() if any(until <= now for until in people.values())]
        for place in moved:
            self._fading[place] = {person: until for person, until in self._fading[place].items() if until > now}
        return moved


def surplus(places: Collection[Place], is_empty: Callable[[Place], bool]) -> list[Place]:
    """Which of these floors to forget, the first of them: who follows made-up ones without end would fill memory."""
    if len(places) <= EMPTY_MOST:
        return []
    empty = list(filter(is_empty, places))
    return empty[: max(0, len(empty) - EMPTY_MOST)]
