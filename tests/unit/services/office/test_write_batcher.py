"""Changes that come while others are being written are written together."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from graphql_app.domain.arranging import ConditionalUpdate
from graphql_app.domain.errors import Contention, Unavailable
from graphql_app.domain.workstation import Status
from graphql_app.services.office.write_batcher import AT_ONCE_MOST, CHANGES_MOST, WriteBatcher, Written
from graphql_app.store.office import Update
from tests.clock import settle
from tests.examples import caller, workstation


class Transactions:
    """What was written together, by its ids. `gate` holds them back."""

    def __init__(self) -> None:
        self.seen: list[list[int]] = []
        self.admission = asyncio.Event()
        self.error: Exception | None = None

    async def write(self, updates: Sequence[Update]) -> list[Written | None]:
        self.seen.append([update.workstation_id for update in updates])
        await self.admission.wait()
        if self.error is not None:
            raise self.error
        return [(workstation(id=update.workstation_id), len(self.seen)) for update in updates]


@pytest.fixture
def transactions() -> Transactions:
    return Transactions()


def update(key: int, **changes: Any) -> Update:
    guarded = ConditionalUpdate(changes or {"status": Status.RESERVED}, frozenset(Status))
    return Update(caller("admin").named(f"w{key}"), key, guarded, None)


def begun(commits: WriteBatcher, *updates: Update) -> "list[asyncio.Task[Written | None]]":
    return [asyncio.create_task(commits.write(one)) for one in updates]


async def test_what_comes_while_as_many_as_may_be_are_under_way_waits_and_goes_together(
    transactions: Transactions,
) -> None:
    commits = WriteBatcher(transactions.write)
    tasks = []
    for key in range(1, AT_ONCE_MOST + 4):
        tasks += begun(commits, update(key))
        await settle()
    transactions.admission.set()
    written = await asyncio.gather(*tasks)

    late = list(range(AT_ONCE_MOST + 1, AT_ONCE_MOST + 4))
    assert transactions.seen == [*([key] for key in range(1, AT_ONCE_MOST + 1)), late]
    assert [one and one[0].id for one in written] == list(range(1, AT_ONCE_MOST + 4))


async def test_changes_of_other_fields_and_more_than_so_many_go_apart(transactions: Transactions) -> None:
    transactions.admission.set()
    commits = WriteBatcher(transactions.write)
    many = [update(key) for key in range(CHANGES_MOST + 1)]
    await asyncio.gather(*begun(commits, *many, update(7, notes="x")))

    assert sorted(map(len, transactions.seen)) == [1, 1, CHANGES_MOST]


async def test_who_went_away_before_it_was_begun_has_changed_nothing(transactions: Transactions) -> None:
    commits = WriteBatcher(transactions.write)
    first = []
    for key in range(AT_ONCE_MOST):
        first += begun(commits, update(key))
        await settle()
    gone, stays = begun(commits, update(8), update(9))
    await settle()
    gone.cancel()
    transactions.admission.set()
    await asyncio.gather(*first, stays)

    assert transactions.seen[-1] == [9]


async def test_where_one_undid_all_each_is_told_to_go_the_long_way(transactions: Transactions) -> None:
    transactions.admission.set()
    transactions.error = Contention("held")
    assert await asyncio.gather(*begun(WriteBatcher(transactions.write), update(1), update(2))) == [None, None]


@pytest.mark.parametrize("error", [Unavailable("gone"), ValueError("a bug")])
async def test_where_nobody_knows_what_was_written_all_are_told_so(
    transactions: Transactions, error: Exception
) -> None:
    transactions.admission.set()
    transactions.error = error
    tasks = begun(WriteBatcher(transactions.write), update(1), update(2))
    assert await asyncio.gather(*tasks, return_exceptions=True) == [error, error]
