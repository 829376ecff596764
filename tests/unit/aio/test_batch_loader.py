"""One statement for all who ask in one moment: each is answered, whatever becomes of the others."""

import asyncio
from collections.abc import Collection

import pytest

from graphql_app.aio.batch_loader import BatchLoader
from graphql_app.domain.errors import Unavailable
from tests.clock import settle


class Statements:
    """What was fetched, each as (ids, fields). `gate` holds them back."""

    def __init__(self) -> None:
        self.seen: list[tuple[set[int], frozenset[str]]] = []
        self.admission = asyncio.Event()
        self.error: Exception | None = None

    async def fetch(self, ids: Collection[int], fields: frozenset[str]) -> dict[int, str]:
        self.seen.append((set(ids), fields))
        await self.admission.wait()
        if self.error is not None:
            raise self.error
        return {one: f"row {one}" for one in ids}


@pytest.fixture
def statements() -> Statements:
    return Statements()


async def test_who_asks_in_one_moment_shares_a_statement(statements: Statements) -> None:
    statements.admission.set()
    gathered = BatchLoader(statements.fetch)

    found = await asyncio.gather(gathered.ask([1], ["name"]), gathered.ask([2, 1], ["notes"]))

    assert statements.seen == [({1, 2}, frozenset({"name", "notes"}))]
    assert all(rows[1] == "row 1" for rows in found)


async def test_who_asks_later_is_not_answered_by_what_was_begun_before(statements: Statements) -> None:
    gathered = BatchLoader(statements.fetch)
    first = gathered.ask([1], ["name"])
    await settle()
    second = gathered.ask([1], ["name"])
    await settle()
    statements.admission.set()

    assert (await first, await second) == ({1: "row 1"}, {1: "row 1"})
    assert len(statements.seen) == 2


async def test_who_goes_away_takes_nothing_from_the_others(statements: Statements) -> None:
    gathered = BatchLoader(statements.fetch)
    gone, stays = (gathered.ask([key], ["name"]) for key in (1, 2))
    await settle()
    gone.cancel()
    statements.admission.set()

    assert (await stays)[2] == "row 2"
    assert gone.cancelled()


async def test_what_goes_wrong_is_told_to_all_who_asked(statements: Statements) -> None:
    statements.error = Unavailable("The database does not answer.")
    statements.admission.set()
    gathered = BatchLoader(statements.fetch)

    told = await asyncio.gather(*(gathered.ask([key], ["name"]) for key in (1, 2)), return_exceptions=True)

    assert told == [statements.error] * 2
