"""How many rows, and from which end."""

import pytest

from graphql_app.domain.errors import InvalidInput, TooMany
from graphql_app.domain.paging import sized


@pytest.mark.parametrize(
    ("first", "last", "size", "backward"),
    [
        (None, None, 50, False),
        (10, None, 10, False),
        (None, 10, 10, True),
        (0, None, 0, False),
        (None, 0, 0, True),
        (500, None, 500, False),
        (None, 500, 500, True),
    ],
)
def test_first_counts_from_the_front_and_last_from_the_end(
    first: int | None, last: int | None, size: int, backward: bool
) -> None:
    assert sized(first, last, default=50, most=500) == (size, backward)


def test_the_default_is_never_more_than_is_allowed() -> None:
    assert sized(None, None, default=50, most=10) == (10, False)


def test_first_and_last_together_are_refused() -> None:
    with pytest.raises(InvalidInput, match="not both"):
        sized(1, 1, default=50, most=500)


@pytest.mark.parametrize(("first", "last", "name"), [(-1, None, "first"), (None, -1, "last")])
def test_a_negative_size_is_refused(first: int | None, last: int | None, name: str) -> None:
    with pytest.raises(InvalidInput, match=name) as refused:
        sized(first, last, default=50, most=500)

    assert refused.value.field == name


@pytest.mark.parametrize(("first", "last", "name"), [(501, None, "first"), (None, 501, "last")])
def test_too_large_a_size_is_refused_and_the_limit_named(first: int | None, last: int | None, name: str) -> None:
    with pytest.raises(TooMany, match=f"`{name}` is at most 500, 501 were asked for") as refused:
        sized(first, last, default=50, most=500)

    assert refused.value.data == {"measure": "rows of a page", "limit": 500, "asked": 501}
