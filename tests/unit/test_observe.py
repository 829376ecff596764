"""Taking note of what happens."""

import logging

import pytest

from graphql_app import observe
from graphql_app.observe import SocketOpened, note


def test_a_listener_that_fails_harms_neither_the_others_nor_who_takes_note(caplog: pytest.LogCaptureFixture) -> None:
    def fails(_: observe.News) -> None:
        raise OSError("no room for metrics")

    heard: list[observe.News] = []
    ends = [observe.listen(fails), observe.listen(heard.append)]
    with caplog.at_level(logging.ERROR):
        note(SocketOpened())
    for end in ends:
        end()

    assert heard == [SocketOpened()]
    assert "SocketOpened" in caplog.text
