"""When those who follow are told that the feed is not heard."""

from uuid import UUID

import pytest

from graphql_app import observe
from graphql_app.domain.change import Head
from graphql_app.live.feed.staleness import Staleness
from graphql_app.live.feed.watchdog import SILENT_SECONDS, FeedWatchdog
from graphql_app.observe import FeedHeard, FeedSilent


class Scene:
    """A silence that is watched, and the time."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.staleness = Staleness(lambda: self.now)
        self.watchdog = FeedWatchdog(self.staleness)
        self.told: list[bool] = []

    def tell(self) -> None:
        self.told.append(self.watchdog.is_on)

    def pass_by(self, seconds: float) -> None:
        self.now += seconds
        self.watchdog.look()


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_its_beginning_and_its_end_are_told_once_each(scene: Scene, news: list[observe.News]) -> None:
    scene.staleness.heard()
    with scene.watchdog.watching(scene.tell):
        scene.pass_by(SILENT_SECONDS)
        scene.pass_by(0.1)
        scene.pass_by(60)
        scene.staleness.heard()
        scene.pass_by(0.1)
        scene.pass_by(0.1)

    assert scene.told == [True, False]
    assert news == [FeedSilent(), FeedHeard()]


def test_who_watches_no_more_is_told_nothing(scene: Scene) -> None:
    scene.staleness.heard()
    with scene.watchdog.watching(scene.tell):
        pass
    scene.pass_by(SILENT_SECONDS + 1)

    assert (scene.watchdog.is_on, scene.told) == (True, [])


def test_a_feed_that_was_never_heard_is_not_silent_but_not_there_yet(scene: Scene) -> None:
    scene.pass_by(60)

    assert not scene.watchdog.is_on


def test_a_part_of_what_is_to_come_is_heard_too(scene: Scene) -> None:
    """As of a large import, which the leader numbers in many parts."""
    scene.staleness.heard()
    for _ in range(3):
        scene.pass_by(SILENT_SECONDS - 1)
        scene.staleness.delivered([], Head(UUID(int=7), 1))

    assert not scene.watchdog.is_on
    assert not scene.staleness.is_current


def test_one_who_fails_to_be_told_keeps_nobody_else_from_it(scene: Scene) -> None:
    def fails() -> None:
        raise RuntimeError("gone")

    scene.staleness.heard()
    with scene.watchdog.watching(fails), scene.watchdog.watching(scene.tell):
        scene.pass_by(SILENT_SECONDS + 0.1)

    assert scene.told == [True]
