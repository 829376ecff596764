"""Whether the database takes writes: told when it changes."""

from types import SimpleNamespace

import pytest

from graphql_app.observe import News, WritesAccepted, WritesRefused
from graphql_app.store.postgres.condition import QUIET_SECONDS, REFUSED, WriteCondition
from graphql_app.store.postgres.failures import Trouble


@pytest.fixture
def clock() -> SimpleNamespace:
    return SimpleNamespace(now=0.0)


@pytest.fixture
def condition(clock: SimpleNamespace) -> WriteCondition:
    return WriteCondition(lambda: float(clock.now))


def test_what_goes_well_is_no_news(condition: WriteCondition, news: list[News]) -> None:
    condition.written()
    condition.met(Trouble.LOST)
    condition.met(Trouble.RETRY)
    condition.met(None)
    assert (news, condition.refused) == ([], None)


@pytest.mark.parametrize("trouble", REFUSED)
def test_it_is_told_once_however_many_writes_meet_it(
    condition: WriteCondition, clock: SimpleNamespace, news: list[News], trouble: Trouble
) -> None:
    for _ in range(500):
        condition.met(trouble)
        condition.written()  # some find room
        clock.now += QUIET_SECONDS / 100
    assert news == [WritesRefused(REFUSED[trouble])]
    assert condition.refused == REFUSED[trouble]
    clock.now += QUIET_SECONDS
    condition.written()
    condition.written()
    assert news[1:] == [WritesAccepted()]
    assert condition.refused is None
