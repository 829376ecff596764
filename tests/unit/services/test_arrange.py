"""A transaction that got in another one's way is tried again, but not for ever."""

import pytest

from graphql_app.domain.errors import Contention
from graphql_app.services.arrange import TRIES_MOST, tried_again


class Work:
    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.tries = 0

    async def __call__(self) -> str:
        self.tries += 1
        if self.tries <= self.failures:
            raise Contention("in the way")
        return "done"


async def test_work_that_got_in_the_way_is_done_again() -> None:
    work = Work(TRIES_MOST - 1)
    assert await tried_again(work.__call__)() == "done"
    assert work.tries == TRIES_MOST


async def test_work_that_is_always_in_the_way_is_refused_in_the_end() -> None:
    work = Work(TRIES_MOST)
    with pytest.raises(Contention):
        await tried_again(work.__call__)()
    assert work.tries == TRIES_MOST
