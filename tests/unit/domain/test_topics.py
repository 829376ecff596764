"""What a follower can tell of a change: nothing of what is hidden, everything that comes or goes."""

import pytest

from graphql_app.domain.filters import WorkstationFilter
from graphql_app.domain.topics import Workstations
from graphql_app.domain.workstation import Workstation
from tests.examples import view, workstation

DESK = workstation()
MOVED = workstation(x_position=99.0, version=2)
RENAMED = workstation(name="A-99", version=2)
ELSEWHERE = workstation(building="Annex", version=2)
CHANGES: dict[str, tuple[Workstation | None, Workstation | None]] = {
    "created": (None, DESK),
    "deleted": (DESK, None),
    "renamed": (DESK, RENAMED),
    "gone elsewhere": (DESK, ELSEWHERE),
}


def topic(role: str) -> Workstations:
    return Workstations(WorkstationFilter(building="HQ"), view(role))


@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("role", ["visitor", "admin"])
def test_what_is_shown_is_noticed(role: str, what: str) -> None:
    assert topic(role).notices(*CHANGES[what])


@pytest.mark.parametrize(("role", "notices"), [("visitor", False), ("employee", True), ("admin", True)])
def test_a_move_is_noticed_by_those_who_are_shown_where_it_stands(role: str, notices: bool) -> None:
    assert topic(role).notices(DESK, MOVED) is notices


def test_what_is_elsewhere_is_shown_to_nobody() -> None:
    assert topic("admin").shown(ELSEWHERE) is None
    assert topic("admin").shown(DESK) == DESK
