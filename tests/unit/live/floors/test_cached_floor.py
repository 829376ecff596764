"""A floor in memory says what its rows say, and no view is shown more than it may see."""

from hypothesis import given
from hypothesis import strategies as st

from graphql_app.domain.access import redact
from graphql_app.domain.change import Change
from graphql_app.domain.filters import WorkstationFilter
from graphql_app.domain.workstation import Floor, Status, Workstation
from graphql_app.live.floors.cached_floor import CachedFloor
from tests.examples import ADA, change, occupied, view, views, workstation

LOBBY = Floor(1, "HQ", 1, "Lobby")
ALL = WorkstationFilter(building="HQ", floor_number=1)
ADMIN, VISITOR = view("admin"), view("visitor")


def held(*workstations: Workstation) -> CachedFloor:
    return CachedFloor(LOBBY, workstations)


def test_workstations_come_by_id_as_the_view_may_see_them() -> None:
    rows = [occupied(id=3), workstation(id=1), workstation(id=2)]
    floor = held(*rows)
    for shown_to in (VISITOR, ADMIN, view("hr")):
        assert list(floor.workstations(shown_to)) == [redact(shown_to, row) for row in (rows[1], rows[2], rows[0])]
    assert floor.workstation(3, VISITOR).employee_id is None
    assert floor.workstation(3, ADMIN).employee_id == ADA.employee_number


def test_what_did_not_change_is_not_made_again() -> None:
    floor = held(workstation(id=1), workstation(id=2))
    first = floor.workstations(VISITOR)
    assert floor.workstations(VISITOR) is first
    floor.apply(change(workstation(id=1), workstation(id=1, name="new")))
    second = floor.workstations(VISITOR)
    assert [second[0] is first[0], second[1] is first[1]] == [False, True]
    assert first[0].name == "A-01", "what was given away does not change"


def test_a_workstation_comes_and_goes() -> None:
    floor = held(workstation(id=5))
    floor.apply(change(None, workstation(id=2)))
    floor.apply(change(workstation(id=9, building="Annex"), workstation(id=9)))
    assert [one.id for one in floor.workstations(VISITOR)] == [2, 5, 9]
    floor.apply(change(workstation(id=2), None))
    floor.apply(change(workstation(id=5), workstation(id=5, floor_number=2)))
    floor.apply(change(workstation(id=9), workstation(id=9, building=None, floor_number=None)))
    assert list(floor.workstations(VISITOR)) == []


def test_a_filter_is_matched_against_what_is_true_not_against_what_is_shown() -> None:
    floor = held(occupied(id=1, x_position=5.0), workstation(id=2, x_position=50.0))
    far = WorkstationFilter(building="HQ", floor_number=1, x_min=10.0)
    assert [one.id for one in floor.matching(far, VISITOR)] == [2]
    assert floor.matching(ALL, VISITOR) is floor.workstations(VISITOR)
    assert floor.counts_matching(far).total == 1


def test_the_counts_follow_the_changes() -> None:
    floor = held(workstation(id=1), occupied(id=2))
    assert floor.counts() is floor.counts_matching(ALL)
    assert floor.counts().by_status == {**dict.fromkeys(Status, 0), Status.AVAILABLE: 1, Status.OCCUPIED: 1}
    floor.apply(change(workstation(id=1), workstation(id=1, status=Status.RESERVED)))
    assert floor.counts().by_status[Status.RESERVED] == 1


def test_copies_for_views_count() -> None:
    floor = held(workstation(id=1), workstation(id=2))
    assert floor.size == 2
    floor.workstations(VISITOR)
    floor.workstation(1, view("hr"))
    assert floor.size == 6


keys = st.integers(1, 6)
states = st.none() | st.builds(
    lambda number, x, status: workstation(floor_number=number, x_position=x, status=status),
    st.sampled_from([1, 1, 1, 2]),
    st.floats(0, 10),
    st.sampled_from(Status),
)
steps = st.lists(st.tuples(keys, states, views), max_size=30)


@given(steps)
def test_after_any_changes_read_by_anybody_in_between_it_shows_what_is_there(
    steps: list[tuple[int, Workstation | None, object]],
) -> None:
    floor, truth = held(), dict[int, Workstation]()
    for key, state, asked in steps:
        before = truth.pop(key, None)
        after = None if state is None else workstation(**{**_fields(state), "id": key})
        if before is None and after is None:
            continue
        floor.apply(Change(1, "workstation", key, (before or after).created_at, before, after))  # type: ignore[union-attr]
        if after is not None and after.floor_number == 1:
            truth[key] = after
        assert list(floor.workstations(asked)) == [redact(asked, truth[key]) for key in sorted(truth)]  # type: ignore[arg-type]
        assert floor.counts().total == len(truth)


def _fields(state: Workstation) -> dict[str, object]:
    return {"floor_number": state.floor_number, "x_position": state.x_position, "status": state.status}
