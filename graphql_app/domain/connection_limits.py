"""How many connections anybody may have open, counted over all processes: what this process may open by itself.

What each process has open is counted in Redis. A process opens without asking anybody what there was room for when it
heard last, on credit: those that turn out to be too many, as others were faster, are told so a moment later.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ConnectionLimit:
    name: str  # as a refusal says it: "connections of one user"
    most: int


class CountedConnection(Protocol):
    """One that was let in."""

    def revoke(self, ceiling: ConnectionLimit) -> None:
        """It is one too many, and ends."""


@dataclass(slots=True)
class ConnectionCounts:
    """What this process has of one key."""

    room: int  # how many may be open here, by what was heard last
    open: int = 0
    on_credit: dict[CountedConnection, None] = field(default_factory=dict)  # not confirmed yet; the newest last


@dataclass(frozen=True, slots=True)
class Told:
    """What Redis is told of a key: what is open, and how much of that it confirmed before."""

    key: str
    places: ConnectionCounts
    open: int
    on_credit: Collection[CountedConnection]

    @property
    def confirmed(self) -> int:
        return max(0, self.open - len(self.on_credit))


class ConnectionLimits:
    """One ceiling, for all its keys. What it holds is bounded by what is open."""

    def __init__(self, ceiling: ConnectionLimit, *, processes: int = 1) -> None:
        self.ceiling = ceiling
        self._places: dict[str, ConnectionCounts] = {}
        self._due: dict[str, ConnectionCounts] = {}
        self._is_alone = False
        self.share_among(processes)

    def __len__(self) -> int:
        return len(self._places)

    @property
    def unsettled(self) -> int:
        """Of how many keys Redis is to be told."""
        return len(self._due)

    def share_among(self, processes: int) -> None:
        """So many processes open connections."""
        self._share = max(1, self.ceiling.most // processes)

    def enter(self, key: str, connection: CountedConnection) -> bool:
        """Whether one more may be open here now; whoever entered leaves."""
        places = self._places.get(key)
        if places is None:
            places = self._places[key] = ConnectionCounts(self.ceiling.most)
        if self._is_alone:
            if places.open >= self._share:
                return False
        else:
            self._due[key] = places
            if places.open >= places.room:
                return False
            places.on_credit[connection] = None
        places.open += 1
        return True

    def leave(self, key: str, connection: CountedConnection) -> None:
        places = self._places[key]
        places.open -= 1
        places.on_credit.pop(connection, None)
        if not self._is_alone:
            self._due[key] = places
        elif not places.open:
            del self._places[key]

    def open(self, key: str) -> int:
        """How many are open here."""
        places = self._places.get(key)
        return 0 if places is None else places.open

    # --- with Redis, in the background -------------------------------------------------------------------------------

    def due(self, most: int) -> list[Told]:
        """What is to be told."""
        told = []
        for key in list(self._due)[:most]:
            places = self._due.pop(key)
            told.append(Told(key, places, places.open, places.on_credit))
            places.on_credit = {}
        return told

    def settle(self, told: Iterable[Told], rooms: Iterable[int]) -> None:
        """There is room for so many here. Where that is less than what is open, the newest go."""
        for one, room in zip(told, rooms, strict=True):
            one.places.room = room
            if not one.places.open and room and one.key not in self._due:
                self._places.pop(one.key, None)
            for connection in list(one.on_credit)[max(0, room - one.confirmed) :]:
                connection.revoke(self.ceiling)

    def renew(self) -> None:
        """All is told anew, as it fades otherwise. What is full elsewhere and was not asked for again is forgotten."""
        self._places = {key: places for key, places in self._places.items() if places.open or key in self._due}
        self._due = dict(self._places)

    def part(self) -> None:
        """Redis is away: until meet() each process opens its share, and what is open stays."""
        self._is_alone = True
        self._due.clear()
        self._places = {key: places for key, places in self._places.items() if places.open}
        for places in self._places.values():
            places.on_credit.clear()

    def meet(self) -> None:
        """Redis is back."""
        if self._is_alone:
            self._is_alone = False
            self.renew()
