"""A memo asks its function once for each value, and never holds more than it may."""

from graphql_app.aio.memo import Memo


def test_a_value_is_made_once() -> None:
    asked: list[int] = []

    def make(value: int) -> str:
        asked.append(value)
        return str(value)

    memo = Memo(make, 9)

    assert [memo[7], memo[8], memo[7]] == ["7", "8", "7"]
    assert asked == [7, 8]


def test_it_never_holds_more_than_it_may() -> None:
    memo = Memo(str, 3)

    sizes = [len(memo) for value in range(10) if memo[value] == str(value)]

    assert sizes == [1, 2, 3, 1, 2, 3, 1, 2, 3, 1]
