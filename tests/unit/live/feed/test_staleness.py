"""What a process may say that it knows: never more than the feed has told it."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from graphql_app.domain.change import Change, Head
from graphql_app.domain.workstation import Place
from graphql_app.live.feed.staleness import AWAITED_MOST, CURRENT_SECONDS, TRANSACTIONS_MOST, Staleness
from tests.examples import THEN

HEAD = Head(UUID(int=7), 1)
HERE, THERE = Place("HQ", 1), Place("HQ", 2)


def told(staleness: Staleness, *transactions: int) -> None:
    staleness.delivered([Change(1, "workstation", 1, THEN, None, None, t) for t in transactions], HEAD)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_it_is_current_for_as_long_as_the_feed_is_heard() -> None:
    clock = Clock()
    staleness = Staleness(clock)
    assert not staleness.is_current
    assert staleness.silent_seconds is None
    staleness.heard()
    clock.now += CURRENT_SECONDS - 0.01
    assert staleness.is_current
    clock.now += 0.01
    assert not staleness.is_current
    assert staleness.silent_seconds is not None


def test_a_transaction_is_passed_when_all_that_was_committed_with_it_is_delivered() -> None:
    staleness = Staleness()
    told(staleness, 8)
    assert not staleness.has_passed(8), "more of it may be on its way"
    staleness.settled(5)
    assert staleness.has_passed(8)


def test_whatever_ended_before_the_oldest_open_one_is_passed_though_it_logged_nothing() -> None:
    staleness = Staleness()
    staleness.settled(5)
    assert staleness.has_passed(4)
    assert not staleness.has_passed(5)
    staleness.settled(3)
    assert staleness.has_passed(4), "what is passed stays passed"


def test_another_history_forgets_everything() -> None:
    staleness = Staleness()
    told(staleness, 8)
    staleness.settled(5)
    staleness.heard()
    staleness.wrote(9, [HERE])
    staleness.restarted(HEAD)
    assert not staleness.has_passed(8)
    assert not staleness.has_passed(4)
    assert not staleness.is_current
    assert not staleness.awaits(HERE)


def test_an_own_write_is_awaited_where_it_was_made_until_it_comes_back() -> None:
    staleness = Staleness()
    staleness.wrote(8, [HERE, None])
    assert staleness.awaits(HERE)
    assert staleness.awaits(None)
    assert not staleness.awaits(THERE)
    told(staleness, 8)
    assert staleness.awaits(HERE)
    staleness.settled(5)
    assert not staleness.awaits(HERE)


def test_a_write_that_came_back_before_its_writer_heard_of_the_commit_is_not_awaited() -> None:
    staleness = Staleness()
    told(staleness, 8)
    staleness.settled(5)
    staleness.wrote(8, [HERE])
    assert not staleness.awaits(HERE)


def test_a_later_write_at_the_same_place_is_awaited_longer() -> None:
    staleness = Staleness()
    staleness.wrote(8, [HERE])
    staleness.wrote(9, [HERE])
    told(staleness, 8)
    staleness.settled(9)
    assert staleness.awaits(HERE)


def test_of_several_writes_at_one_place_each_is_awaited_in_whatever_order_they_are_told() -> None:
    staleness = Staleness()
    staleness.wrote(9, [HERE])
    staleness.wrote(5, [HERE])
    staleness.settled(below=7)
    assert staleness.awaits(HERE)
    staleness.settled(below=10)
    assert not staleness.awaits(HERE)


def test_what_is_remembered_is_bounded() -> None:
    staleness = Staleness()
    told(staleness, *range(1, 3 * TRANSACTIONS_MOST))
    staleness.settled(0)
    told(staleness, *range(4 * TRANSACTIONS_MOST, 5 * TRANSACTIONS_MOST))
    staleness.settled(0)
    for number in range(2 * AWAITED_MOST):
        staleness.wrote(10**9, [Place("HQ", number)])
    sizes = [len(staleness._whole), len(staleness._begun), len(staleness._awaited)]
    assert sizes == [TRANSACTIONS_MOST, 0, AWAITED_MOST]
    assert staleness.has_passed(5 * TRANSACTIONS_MOST - 1)
    assert not staleness.has_passed(1), "forgotten is not passed"


@given(
    st.lists(
        st.one_of(st.tuples(st.just("told"), st.integers(1, 30)), st.tuples(st.just("settled"), st.integers(1, 30)))
    )
)
def test_nothing_is_passed_that_the_feed_has_not_settled(story: list[tuple[str, int]]) -> None:
    staleness = Staleness()
    below, waiting, whole = 0, set[int](), set[int]()
    for what, number in story:
        if what == "told":
            told(staleness, number)
            waiting.add(number)
        else:
            staleness.settled(number)
            below, whole, waiting = max(below, number), whole | waiting, set()
    assert {t for t in range(1, 31) if staleness.has_passed(t)} == whole | set(range(1, below))


def test_a_name_that_was_written_is_awaited_everywhere_until_it_comes_back() -> None:
    staleness = Staleness()
    staleness.wrote_anywhere(7)

    assert staleness.awaits(Place("HQ", 1))
    assert staleness.awaits(None)
    assert staleness.awaits_any(frozenset())
    staleness.settled(8)
    assert not staleness.awaits(Place("HQ", 1))
    assert not staleness.awaits_any(None)


def test_what_is_awaited_everywhere_is_bounded_and_ends_with_its_history() -> None:
    staleness = Staleness()
    for number in range(2 * AWAITED_MOST):
        staleness.wrote_anywhere(10**9 + number)
    assert len(staleness._awaited_anywhere) == AWAITED_MOST

    staleness.restarted(HEAD)
    assert not staleness.awaits_any(None)
