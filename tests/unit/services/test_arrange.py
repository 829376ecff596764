"""A transaction that got in another one's way is tried again, but not for ever."""

import pytest

from graphql_app.domain.errors import Contention
from graphql_app.services import arrange
from graphql_app.services.arrange import tried_again


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
    work = Work(4)
    assert await tried_again(work.__call__)() == "done"
    assert work.tries == 5


async def test_work_that_is_always_in_the_way_is_refused_in_the_end_and_told_when_to_come_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(arrange, "WAIT_SECONDS", 0.1)
    work = Work(1000)
    with pytest.raises(Contention, match=r"try again in 10 s\.") as refused:
        await tried_again(work.__call__)()
    assert refused.value.data == {"retryAfter": 10}
    assert 3 < work.tries < 10, "with pauses that grow"
