"""Which floors there are, whatever comes while they are read."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import pytest

from graphql_app.domain.change import Change, Head
from graphql_app.domain.errors import Unavailable
from graphql_app.domain.workstation import Floor, Place
from graphql_app.live.presence.existing_places import ExistingPlaces
from tests.clock import settle

HEAD = Head(UUID(int=1), 1)
LOBBY, ATTIC, CELLAR = (Place("HQ", number) for number in (1, 2, -1))


def floor(place: Place) -> Floor:
    return Floor(1, place.building, place.number, "")


def moved(before: Place | None, after: Place | None) -> Change[Floor]:
    return Change(1, "floor", 1, datetime.now(UTC), before and floor(before), after and floor(after))


class Database:
    """Answers when it is told to."""

    def __init__(self, *places: Place) -> None:
        self.places = places
        self.answers = asyncio.Event()
        self.is_away = False

    async def read(self) -> tuple[Place, ...]:
        found = self.places
        await self.answers.wait()
        if self.is_away:
            raise Unavailable("away")
        return found


@pytest.fixture
def told() -> list[Place]:
    return []


@pytest.mark.parametrize("is_in_what_was_read", [True, False])
async def test_what_comes_while_they_are_read_counts_whether_it_was_read_or_not(
    is_in_what_was_read: bool, told: list[Place]
) -> None:
    database = Database(*([LOBBY, CELLAR] if is_in_what_was_read else [LOBBY, ATTIC]))
    places = ExistingPlaces(database.read, told.append)
    waiting = asyncio.create_task(places.known())
    await settle()

    places.delivered([moved(ATTIC, CELLAR)], HEAD)
    database.answers.set()
    await waiting

    assert [place in places for place in (LOBBY, ATTIC, CELLAR)] == [True, False, True]


async def test_who_watches_is_told_of_a_floor_that_comes_moves_or_goes(told: list[Place]) -> None:
    database = Database(LOBBY)
    database.answers.set()
    places = ExistingPlaces(database.read, told.append)
    await places.known()
    told.clear()

    places.delivered([moved(None, ATTIC), moved(ATTIC, ATTIC), moved(ATTIC, CELLAR), moved(CELLAR, None)], HEAD)

    assert told == [ATTIC, ATTIC, CELLAR, CELLAR]
    assert [place in places for place in (LOBBY, ATTIC, CELLAR)] == [True, False, False]


async def test_of_another_history_they_are_read_anew_and_stay_as_they_were_until_then(told: list[Place]) -> None:
    database = Database(LOBBY)
    database.answers.set()
    places = ExistingPlaces(database.read, told.append)
    await places.known()
    told.clear()
    database.places = (ATTIC,)
    database.answers.clear()

    places.restarted(HEAD)
    await settle()
    assert LOBBY in places
    database.answers.set()
    await settle()

    assert [place in places for place in (LOBBY, ATTIC)] == [False, True]
    assert set(told) == {LOBBY, ATTIC}


async def test_who_asks_while_the_database_is_away_is_told_so_and_the_next_tries_again(told: list[Place]) -> None:
    database = Database(LOBBY)
    database.is_away = True
    database.answers.set()
    places = ExistingPlaces(database.read, told.append)
    with pytest.raises(Unavailable):
        await places.known()

    database.is_away = False
    await places.known()

    assert LOBBY in places
