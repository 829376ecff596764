"""What is told of how many connections are in use."""

from contextlib import ExitStack

from graphql_app.store.postgres.use import PoolUse


def test_it_tells_when_the_number_changes() -> None:
    told: list[int] = []
    use = PoolUse(2, told.append)
    with use.turn() as taken:
        taken()
        taken()
    assert told == [1, 0]


def test_what_goes_from_hand_to_hand_is_no_news() -> None:
    told: list[int] = []
    use = PoolUse(1, told.append)
    first, second = ExitStack(), ExitStack()
    first.enter_context(use.turn())()
    taken = second.enter_context(use.turn())  # waits
    first.close()
    taken()
    second.close()
    assert told == [1, 0]


def test_who_got_none_is_not_counted() -> None:
    told: list[int] = []
    with PoolUse(1, told.append).turn():
        pass
    assert told == []
