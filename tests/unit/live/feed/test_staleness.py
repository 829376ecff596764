"""What a process may say that it knows: never more than the feed has told it."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from graphql_app.domain.change import Change, Head
from graphql_app.domain.workstation import Place
from graphql_app.live.feed.staleness import AWAITED_MOST, CURRENT_SECONDS, TRANSACTIONS_MOST, Freshness
from tests.examples import THEN

HEAD = Head(UUID(int=7), 1)
HERE, THERE = Place("HQ", 1), Place("HQ", 2)


def told(freshness: Freshness, *transactions: int) -> None:
    freshness.delivered([Change(1, "workstation", 1, THEN, None, None, t) for t in transactions], HEAD)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_it_is_current_for_as_long_as_the_feed_is_heard() -> None:
    clock = Clock()
    freshness = Freshness(clock)
    assert not freshness.is_current
    assert freshness.silent_seconds is None
    freshness.heard()
    clock.now += CURRENT_SECONDS - 0.01
    assert freshness.is_current
    clock.now += 0.01
    assert not freshness.is_current
    assert freshness.silent_seconds is not None


def test_a_transaction_is_passed_when_all_that_was_committed_with_it_is_delivered() -> None:
    freshness = Freshness()
    told(freshness, 8)
    assert not freshness.has_passed(8), "more of it may be on its way"
    freshness.settled(5)
    assert freshness.has_passed(8)


def test_whatever_ended_before_the_oldest_open_one_is_passed_though_it_logged_nothing() -> None:
    freshness = Freshness()
    freshness.settled(5)
    assert freshness.has_passed(4)
    assert not freshness.has_passed(5)
    freshness.settled(3)
    assert freshness.has_passed(4), "what is passed stays passed"


def test_another_history_forgets_everything() -> None:
    freshness = Freshness()
    told(freshness, 8)
    freshness.settled(5)
    freshness.heard()
    freshness.wrote(9, [HERE])
    freshness.restarted(HEAD)
    assert not freshness.has_passed(8)
    assert not freshness.has_passed(4)
    assert not freshness.is_current
    assert not freshness.awaits(HERE)


def test_an_own_write_is_awaited_where_it_was_made_until_it_comes_back() -> None:
    freshness = Freshness()
    freshness.wrote(8, [HERE, None])
    assert freshness.awaits(HERE)
    assert freshness.awaits(None)
    assert not freshness.awaits(THERE)
    told(freshness, 8)
    assert freshness.awaits(HERE)
    freshness.settled(5)
    assert not freshness.awaits(HERE)


def test_a_write_that_came_back_before_its_writer_heard_of_the_commit_is_not_awaited() -> None:
    freshness = Freshness()
    told(freshness, 8)
    freshness.settled(5)
    freshness.wrote(8, [HERE])
    assert not freshness.awaits(HERE)


def test_a_later_write_at_the_same_place_is_awaited_longer() -> None:
    freshness = Freshness()
    freshness.wrote(8, [HERE])
    freshness.wrote(9, [HERE])
    told(freshness, 8)
    freshness.settled(9)
    assert freshness.awaits(HERE)


def test_of_several_writes_at_one_place_each_is_awaited_in_whatever_order_they_are_told() -> None:
    freshness = Freshness()
    freshness.wrote(9, [HERE])
    freshness.wrote(5, [HERE])
    freshness.settled(below=7)
    assert freshness.awaits(HERE)
    freshness.settled(below=10)
    assert not freshness.awaits(HERE)


def test_what_is_remembered_is_bounded() -> None:
    freshness = Freshness()
    told(freshness, *range(1, 3 * TRANSACTIONS_MOST))
    freshness.settled(0)
    told(freshness, *range(4 * TRANSACTIONS_MOST, 5 * TRANSACTIONS_MOST))
    freshness.settled(0)
    for number in range(2 * AWAITED_MOST):
        freshness.wrote(10**9, [Place("HQ", number)])
    sizes = [len(freshness._whole), len(freshness._begun), len(freshness._awaited)]
    assert sizes == [TRANSACTIONS_MOST, 0, AWAITED_MOST]
    assert freshness.has_passed(5 * TRANSACTIONS_MOST - 1)
    assert not freshness.has_passed(1), "forgotten is not passed"


@given(
    st.lists(
        st.one_of(st.tuples(st.just("told"), st.integers(1, 30)), st.tuples(st.just("settled"), st.integers(1, 30)))
    )
)
def test_nothing_is_passed_that_the_feed_has_not_settled(story: list[tuple[str, int]]) -> None:
    freshness = Freshness()
    below, waiting, whole = 0, set[int](), set[int]()
    for what, number in story:
        if what == "told":
            told(freshness, number)
            waiting.add(number)
        else:
            freshness.settled(number)
            below, whole, waiting = max(below, number), whole | waiting, set()
    assert {t for t in range(1, 31) if freshness.has_passed(t)} == whole | set(range(1, below))
