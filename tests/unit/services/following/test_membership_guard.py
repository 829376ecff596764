"""Who follows what is for their department stops when they leave it."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest

from graphql_app.domain.change import Change, Head
from graphql_app.domain.errors import Conflict
from graphql_app.live.feed.hub import Hub
from graphql_app.services.following.membership_guard import MembershipGuard
from tests.examples import THEN

ADA, WEI, EPOCH = UUID(int=1), UUID(int=2), UUID(int=7)


def image(key: UUID, department: int | None, name: str = "") -> Mapping[str, Any]:
    return {"public_key": str(key), "department_id": department, "name": name}


def change(revision: int, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> Change[Any]:
    return Change(revision, "employee", 1, THEN, before, after)


def deliver(hub: Hub, *changes: Change[Any]) -> None:
    hub.deliver(changes, Head(EPOCH, changes[-1].revision))


@pytest.fixture
def hub() -> Hub:
    hub = Hub(10)
    hub.restart(Head(EPOCH, 0))
    return hub


def watched(hub: Hub) -> list[Conflict]:
    """What somebody is told who follows as Ada."""
    ended: list[Conflict] = []
    MembershipGuard(hub, ADA, 0).watch(ended.append)
    return ended


LEAVING = {
    "to another department": (image(ADA, 1), image(ADA, 2)),
    "to none": (image(ADA, 1), image(ADA, None)),
    "from none": (image(ADA, None), image(ADA, 1)),
    "for good": (image(ADA, 1), None),
}


@pytest.mark.parametrize("how", LEAVING)
def test_who_leaves_their_department_is_told_at_once(hub: Hub, how: str) -> None:
    ended = watched(hub)

    deliver(hub, change(1, *LEAVING[how]))

    assert [refusal.code for refusal in ended] == ["CONFLICT"]


def test_who_stays_is_not_disturbed(hub: Hub) -> None:
    ended = watched(hub)

    deliver(
        hub,
        change(1, image(ADA, 1), image(ADA, 1, "Ada King")),
        change(2, image(WEI, 1), image(WEI, 2)),
        change(3, image(WEI, 2), None),
    )

    assert ended == []


def test_a_history_that_is_lost_may_have_had_the_move_in_it(hub: Hub) -> None:
    ended = watched(hub)

    hub.restart(Head(UUID(int=8), 5))

    assert len(ended) == 1


def test_who_watches_no_more_is_told_nothing(hub: Hub) -> None:
    ended: list[Conflict] = []
    stop = MembershipGuard(hub, ADA, 0).watch(ended.append)

    stop()
    deliver(hub, change(1, *LEAVING["for good"]))

    assert ended == []


def test_a_move_while_the_department_was_looked_up_is_noticed(hub: Hub) -> None:
    before, after = MembershipGuard(hub, ADA, 0), MembershipGuard(hub, ADA, 1)
    before.check()

    deliver(hub, change(1, image(ADA, 1), image(ADA, 2)))

    with pytest.raises(Conflict):
        before.check()
    after.check()


def test_so_much_meanwhile_that_it_is_not_remembered_counts_as_a_move(hub: Hub) -> None:
    standing = MembershipGuard(hub, ADA, 0)

    deliver(hub, *(change(revision, image(WEI, 1), image(WEI, 1, str(revision))) for revision in range(1, 12)))

    with pytest.raises(Conflict):
        standing.check()
