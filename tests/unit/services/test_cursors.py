"""Cursors: what a client holds tells it nothing, and fits only where it came from."""

from base64 import urlsafe_b64decode
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphql_app.domain.change import Head
from graphql_app.domain.errors import UnknownCursor
from graphql_app.domain.filters import WorkstationFilter
from graphql_app.domain.workstation import Status
from graphql_app.services.cursors import FeedCursors, PageCursors, Position
from tests.examples import view

SECRET = "a secret of thirty-two characters"
FEED, PAGE = FeedCursors(SECRET), PageCursors(SECRET)
HEAD = Head(UUID(int=7), 42)
FLOOR = WorkstationFilter(building="HQ", floor_number=1)
LISTING = ["workstations", FLOOR.normalised(), [("name", False), ("id", False)]]


@given(st.uuids(), st.integers(0, 2**63 - 1))
def test_a_feed_cursor_names_its_place_in_the_history(epoch: UUID, revision: int) -> None:
    cursor = FEED.encode(Head(epoch, revision), FLOOR, view("employee"))

    assert FEED.decode(cursor, FLOOR, view("employee")) == Position(Head(epoch, revision), True)


def test_a_feed_cursor_knows_that_it_was_given_for_another_filter() -> None:
    cursor = FEED.encode(HEAD, FLOOR, view("employee"))

    assert FEED.decode(cursor, WorkstationFilter(), view("employee")) == Position(HEAD, False)


def test_a_feed_cursor_knows_that_it_was_given_for_another_view() -> None:
    cursor = FEED.encode(HEAD, FLOOR, view("admin"))

    assert FEED.decode(cursor, FLOOR, view("visitor")) == Position(HEAD, False)


def test_a_feed_cursor_fits_the_same_filter_written_in_another_way() -> None:
    one = WorkstationFilter(statuses=frozenset([Status.RESERVED, Status.AVAILABLE]))
    same = WorkstationFilter(statuses=frozenset([Status.AVAILABLE, Status.RESERVED]))

    assert FEED.decode(FEED.encode(HEAD, one, view("hr")), same, view("hr")).is_for_this


def test_equal_places_do_not_look_equal() -> None:
    assert FEED.encode(HEAD, FLOOR, view("hr")) != FEED.encode(HEAD, FLOOR, view("hr"))


def test_all_feed_cursors_are_of_one_length() -> None:
    assert (
        len({len(FEED.encode(Head(UUID(int=7), revision), FLOOR, view("hr"))) for revision in (0, 9, 2**63 - 1)}) == 1
    )


def test_a_page_cursor_gives_back_the_key_of_its_row() -> None:
    cursor = PAGE.encode(["工位", None, 1.5, 7], LISTING)

    assert PAGE.decode(cursor, LISTING, "after") == ("工位", None, 1.5, 7)


def test_a_page_cursor_of_another_list_is_refused() -> None:
    other = [LISTING[0], LISTING[1], [("name", True), ("id", False)]]

    with pytest.raises(UnknownCursor, match="another filter or order") as refused:
        PAGE.decode(PAGE.encode(["A-01", 1], LISTING), other, "before")

    assert refused.value.field == "before"


def test_a_page_cursor_cannot_be_read() -> None:
    cursor = PAGE.encode(["CANARY", 31337.25], LISTING)
    content = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))

    assert b"CANARY" not in content
    assert b"31337" not in content


@given(st.text())
def test_any_other_text_is_no_cursor(text: str) -> None:
    with pytest.raises(UnknownCursor):
        FEED.decode(text, FLOOR, view("hr"))
    with pytest.raises(UnknownCursor):
        PAGE.decode(text, LISTING, "after")


def test_a_cursor_for_one_thing_is_no_cursor_for_another() -> None:
    with pytest.raises(UnknownCursor):
        PAGE.decode(FEED.encode(HEAD, FLOOR, view("hr")), LISTING, "after")
    with pytest.raises(UnknownCursor):
        FEED.decode(PAGE.encode([1], LISTING), FLOOR, view("hr"))


def test_a_cursor_of_a_server_with_another_secret_is_refused() -> None:
    with pytest.raises(UnknownCursor):
        FEED.decode(FeedCursors(SECRET + "!").encode(HEAD, FLOOR, view("hr")), FLOOR, view("hr"))
