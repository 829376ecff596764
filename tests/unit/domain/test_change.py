"""What a viewer is told of a change, and how changes become one or are taken back."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphql_app.domain.change import Batch, Change, Kind, Merged, Rewinding, add, combined, merge, rewind, tell
from graphql_app.domain.filters import WorkstationFilter
from graphql_app.domain.topics import Workstations
from graphql_app.domain.workstation import Status, Workstation
from tests.examples import ADA, THEN, WEI, change, occupied, view, workstation

FREE = WorkstationFilter(statuses=frozenset({Status.AVAILABLE}))
INSIDE, ALSO_INSIDE = workstation(), workstation(notes="the lamp is new")
OUTSIDE, ALSO_OUTSIDE = occupied(), occupied(notes="the lamp is new")
NOTHING: list[object] = []

# Before, after -> the states that are told, the ids that are removed.
TOLD: list[tuple[Workstation | None, Workstation | None, list[Workstation], list[int]]] = [
    (None, INSIDE, [INSIDE], []),
    (None, OUTSIDE, [], []),
    (INSIDE, ALSO_INSIDE, [ALSO_INSIDE], []),
    (INSIDE, OUTSIDE, [], [1]),
    (INSIDE, None, [], [1]),
    (OUTSIDE, INSIDE, [INSIDE], []),
    (OUTSIDE, ALSO_OUTSIDE, [], []),
    (OUTSIDE, None, [], []),
    (None, None, [], []),
]


@pytest.mark.parametrize(("before", "after", "states", "removed"), TOLD)
def test_a_state_is_told_if_it_matches_and_a_removal_if_only_what_was_before_did(
    before: Workstation | None, after: Workstation | None, states: list[Workstation], removed: list[int]
) -> None:
    batch = tell({1: Merged(before, after, [])}, Workstations(FREE, view("admin")), 7)

    assert (batch.kind, batch.revision, batch.states, batch.removed) == (Kind.CHANGES, 7, states, removed)


@pytest.mark.parametrize("role", ["visitor", "hr", "operator"])
def test_a_move_is_not_told_to_who_does_not_see_coordinates(role: str) -> None:
    moved = {1: Merged(INSIDE, replace(INSIDE, x_position=99.0, version=2), [])}

    batch = tell(moved, Workstations(WorkstationFilter(), view(role)), 1)

    assert (batch.states, batch.removed) == (NOTHING, NOTHING)


@pytest.mark.parametrize("role", ["employee", "facilities", "admin"])
def test_a_move_is_told_to_who_sees_coordinates(role: str) -> None:
    moved = {1: Merged(INSIDE, replace(INSIDE, x_position=99.0), [])}

    assert [w.x_position for w in tell(moved, Workstations(WorkstationFilter(), view(role)), 1).states] == [99.0]


@pytest.mark.parametrize("role", ["visitor", "employee", "facilities", "operator"])
def test_a_new_employee_number_is_not_told_to_who_does_not_see_it(role: str) -> None:
    after = occupied(replace(ADA, employee_number="E-2002"))

    assert (
        tell({1: Merged(occupied(ADA), after, [])}, Workstations(WorkstationFilter(), view(role)), 1).states == NOTHING
    )


def test_a_new_version_alone_is_told_to_nobody() -> None:
    assert (
        tell(
            {1: Merged(INSIDE, replace(INSIDE, version=2), [])}, Workstations(WorkstationFilter(), view("admin")), 1
        ).states
        == []
    )


def test_what_came_into_the_filter_is_told_even_if_it_looks_the_same() -> None:
    # Found by its coordinates, which this view may not see: it has to know that it is there now.
    near = WorkstationFilter(x_max=50)

    batch = tell({1: Merged(replace(INSIDE, x_position=99.0), INSIDE, [])}, Workstations(near, view("visitor")), 1)

    assert [w.id for w in batch.states] == [1]


def test_what_is_told_is_redacted() -> None:
    batch = tell({1: Merged(None, occupied(), [])}, Workstations(WorkstationFilter(), view("visitor")), 1)

    assert [(w.x_position, w.employee_id, w.version) for w in batch.states] == [(None, None, None)]
    assert [w.employee and w.employee.employee_number for w in batch.states] == [None]


MOVED = replace(INSIDE, x_position=99.0)


@pytest.mark.parametrize(
    ("between", "role", "merged"),
    [
        ([], "admin", False),
        ([MOVED], "admin", True),
        ([ALSO_INSIDE, INSIDE], "visitor", True),
        ([None], "visitor", True),  # deleted, and created anew
        ([ALSO_INSIDE], "admin", False),  # the very state that is told
        ([replace(INSIDE, version=2)], "admin", False),  # nothing of it shows
        ([MOVED, replace(MOVED, employee_id="E-7")], "visitor", False),
        ([MOVED], "visitor", False),  # a visitor is not told that something hidden was skipped
    ],
)
def test_merged_says_whether_a_state_was_skipped_that_the_view_could_have_noticed(
    between: list[Workstation | None], role: str, merged: bool
) -> None:
    told = {1: Merged(INSIDE, ALSO_INSIDE, between)}

    assert tell(told, Workstations(WorkstationFilter(), view(role)), 1).merged is merged


def test_what_is_not_told_does_not_count_as_merged() -> None:
    hidden = {1: Merged(OUTSIDE, ALSO_OUTSIDE, [INSIDE] * 2), 2: Merged(None, workstation(id=2), [])}

    batch = tell(hidden, Workstations(FREE, view("admin")), 1)

    assert [w.id for w in batch.states] == [2]
    assert batch.merged is False


def test_merged_tells_nothing_of_a_change_that_the_view_cannot_notice() -> None:
    moved = replace(INSIDE, x_position=99.0)
    seen = replace(moved, notes="the lamp is new")

    alone = tell(merge([change(moved, seen)]), Workstations(WorkstationFilter(), view("visitor")), 1)
    with_a_hidden_move = tell(
        merge([change(INSIDE, moved), change(moved, seen)]), Workstations(WorkstationFilter(), view("visitor")), 1
    )

    assert with_a_hidden_move == alone


def test_a_workstation_that_came_and_went_is_not_told_at_all() -> None:
    batch = tell(
        merge([change(None, INSIDE), change(INSIDE, None)]), Workstations(WorkstationFilter(), view("admin")), 2
    )

    assert (batch.states, batch.removed, batch.merged) == (NOTHING, NOTHING, False)


def test_a_change_that_was_taken_back_is_told_only_to_who_is_shown_the_version() -> None:
    back = replace(INSIDE, version=3)
    there_and_back = merge([change(INSIDE, OUTSIDE), change(OUTSIDE, back)])

    assert tell(there_and_back, Workstations(WorkstationFilter(), view("visitor")), 2).states == []
    told = tell(there_and_back, Workstations(WorkstationFilter(), view("admin")), 2)
    assert ([w.version for w in told.states], told.merged) == ([3], True)


def test_a_batch_carries_when_its_oldest_change_was_made() -> None:
    assert tell({}, Workstations(WorkstationFilter(), view("visitor")), 3, THEN).logged_at == THEN


def batch(
    kind: Kind = Kind.CHANGES, revision: int = 1, *states: Workstation, removed: tuple[int, ...] = ()
) -> Batch[Workstation]:
    return Batch(kind, revision, states, removed)


def test_batches_become_one_with_the_newest_state_of_each_workstation() -> None:
    newer = replace(INSIDE, notes="newer")

    whole = combined([batch(Kind.CHANGES, 1, INSIDE, workstation(id=2)), batch(Kind.CHANGES, 2, newer)])

    assert whole == Batch(Kind.CHANGES, 2, [newer, workstation(id=2)], [])


def test_what_a_later_batch_removes_is_removed_from_the_whole() -> None:
    whole = combined([batch(Kind.CHANGES, 1, INSIDE), batch(Kind.CHANGES, 2, removed=(1,))])

    assert (whole.states, whole.removed) == (NOTHING, [1])


def test_what_a_later_batch_brings_back_is_not_removed_from_the_whole() -> None:
    whole = combined([batch(Kind.CHANGES, 1, removed=(1,)), batch(Kind.CHANGES, 2, INSIDE)])

    assert (whole.states, whole.removed) == ([INSIDE], NOTHING)


def test_what_was_removed_since_a_snapshot_is_simply_not_in_it() -> None:
    whole = combined([batch(Kind.SNAPSHOT, 1, INSIDE, workstation(id=2)), batch(Kind.CHANGES, 2, removed=(1,))])

    assert (whole.kind, whole.states, whole.removed) == (Kind.SNAPSHOT, [workstation(id=2)], NOTHING)


def test_the_first_before_and_the_last_after_are_kept() -> None:
    states: list[Workstation | None] = [occupied(ADA), occupied(WEI), workstation()]

    merged = merge([change(INSIDE, states[0]), change(states[0], states[1]), change(states[1], states[2])])

    assert merged == {1: Merged(INSIDE, states[2], states[:2])}


def test_adding_to_what_was_merged_is_the_same_as_merging_all() -> None:
    changes = [change(None, INSIDE), change(None, workstation(id=2)), change(INSIDE, OUTSIDE)]
    merged = merge(changes[:2])
    add(merged, changes[2])

    assert merged == merge(changes)
    assert list(merged) == [1, 2]


# --- as properties: any history of a few desks -----------------------------------------------------------------------

State = dict[int, Workstation]


@st.composite
def histories(draw: st.DrawFn) -> tuple[State, list[Change[Workstation]], State]:
    """A state, what happened to it, and what it became."""
    state: State = {id: workstation(id=id) for id in draw(st.frozensets(st.integers(1, 4)))}
    first, changes = dict(state), []
    for number, (id, status, x) in enumerate(
        draw(st.lists(st.tuples(st.integers(1, 4), st.none() | st.sampled_from(Status), st.floats(0, 9))))
    ):
        before = state.get(id)
        after = None if status is None else workstation(id=id, status=status, x_position=x, version=number)
        if before is None and after is None:
            continue
        changes.append(change(before, after, number + 1))
        if after is None:
            del state[id]
        else:
            state[id] = after
    return first, changes, state


@given(histories())
def test_rewinding_all_changes_gives_exactly_the_state_before_them(
    history: tuple[State, list[Change[Workstation]], State],
) -> None:
    first, changes, last = history

    rewound = rewind(last.values(), changes)

    assert rewound == [first[id] for id in sorted(first)]
    assert [w.version for w in rewound] == [first[id].version for id in sorted(first)]


@given(histories(), st.data())
def test_rewinding_the_unnumbered_changes_gives_the_state_at_the_head(
    history: tuple[State, list[Change[Workstation]], State], data: st.DataObject
) -> None:
    first, changes, last = history
    numbered = data.draw(st.integers(0, len(changes)))
    at_head = dict(first)
    for one in changes[:numbered]:
        at_head.pop(one.key, None)
        if one.after is not None:
            at_head[one.key] = one.after

    assert rewind(last.values(), changes[numbered:]) == [at_head[id] for id in sorted(at_head)]


@given(histories(), st.integers(1, 5))
def test_rewinding_part_by_part_gives_the_same_as_all_at_once(
    history: tuple[State, list[Change[Workstation]], State], size: int
) -> None:
    first, changes, last = history
    rows = [last[id] for id in sorted(last)]
    rewinding = Rewinding(changes)

    parts = [rewinding.part(rows[begin : begin + size]) for begin in range(0, len(rows), size)]

    assert [w for part in [*parts, rewinding.rest([])] for w in part] == [first[id] for id in sorted(first)]


@given(histories(), st.sampled_from(["visitor", "employee", "admin"]))
def test_a_follower_who_applies_what_it_is_told_sees_what_a_snapshot_would_show(
    history: tuple[State, list[Change[Workstation]], State], role: str
) -> None:
    first, changes, last = history
    shown = {
        w.id: w
        for w in tell({id: Merged(None, w, []) for id, w in first.items()}, Workstations(FREE, view(role)), 0).states
    }

    batch = tell(merge(changes), Workstations(FREE, view(role)), 1)
    for w in batch.states:
        shown[w.id] = w
    for id in batch.removed:
        del shown[id]

    expected = tell({id: Merged(None, w, []) for id, w in last.items()}, Workstations(FREE, view(role)), 1).states
    assert sorted(shown.values(), key=lambda w: w.id) == sorted(expected, key=lambda w: w.id)


@given(histories(), st.data())
def test_what_is_merged_in_parts_says_the_same_as_what_is_merged_at_once(
    history: tuple[State, list[Change[Workstation]], State], data: st.DataObject
) -> None:
    _, changes, _ = history
    merged = merge(changes[: data.draw(st.integers(0, len(changes)))])
    for one in changes[sum(len(part.between) + 1 for part in merged.values()) :]:
        add(merged, one)

    assert merged == merge(changes)


@pytest.mark.parametrize(("was", "now"), list(product([None, INSIDE, OUTSIDE], repeat=2)))
def test_no_workstation_is_both_told_and_removed(was: Workstation | None, now: Workstation | None) -> None:
    batch = tell({1: Merged(was, now, [])}, Workstations(FREE, view("visitor")), 1)

    assert not {w.id for w in batch.states} & set(batch.removed)
