"""A transaction that got in another one's way is tried again, but not for ever."""

import pytest

from graphql_app.domain.errors import Contention, Outdated
from graphql_app.store.postgres import retry as again
from graphql_app.store.postgres.retry import OUTDATED_MOST, retry_on_contention


class Work:
    def __init__(self, failures: int, failure: type[Contention] = Contention) -> None:
        self.failures = failures
        self.failure = failure
        self.tries = 0

    async def __call__(self) -> str:
        self.tries += 1
        if self.tries <= self.failures:
            raise self.failure("in the way")
        return "done"


async def test_work_that_got_in_the_way_is_done_again() -> None:
    work = Work(4)
    assert await retry_on_contention(work.__call__)() == "done"
    assert work.tries == 5


async def test_work_that_is_always_in_the_way_is_refused_in_the_end_and_told_when_to_come_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(again, "WAIT_SECONDS", 0.1)
    work = Work(1000)
    with pytest.raises(Contention, match=r"try again in 10 s\.") as refused:
        await retry_on_contention(work.__call__)()
    assert refused.value.data == {"retryAfter": 10}
    assert 3 < work.tries < 10, "with pauses that grow"


async def test_work_over_columns_that_are_being_changed_is_done_again_on_every_connection() -> None:
    work = Work(OUTDATED_MOST - 1, Outdated)
    assert await retry_on_contention(work.__call__)() == "done"
