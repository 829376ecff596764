"""Whom a change finds: exactly those whose filter it meets or met."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphql_app.domain.filters import WorkstationFilter
from graphql_app.domain.interest import Interest
from graphql_app.domain.workstation import Status, Workstation
from graphql_app.live.feed.interests import COMBINATIONS_MOST, Interests
from tests.examples import ADA, RESEARCH, WEI, change, occupied, workstation

filters = st.builds(
    WorkstationFilter,
    ids=st.none() | st.frozensets(st.integers(1, 4)),
    building=st.none() | st.sampled_from(["HQ", "Annex"]),
    floor_number=st.none() | st.integers(1, 2),
    department_ids=st.none() | st.frozensets(st.integers(1, 3)),
    statuses=st.none() | st.frozensets(st.sampled_from(Status)),
    employee_key=st.none() | st.sampled_from([ADA.key, WEI.key]),
    name_contains=st.none() | st.sampled_from(["A", "b"]),
    x_min=st.none() | st.floats(0, 20),
    employee_number=st.none() | st.just(ADA.employee_number),
)
states = st.builds(
    workstation,
    id=st.integers(1, 4),
    name=st.sampled_from(["A-01", "B-01"]),
    building=st.sampled_from(["HQ", "Annex", None]),
    floor_number=st.integers(1, 2),
    department=st.sampled_from([RESEARCH, None]),
    status=st.sampled_from(Status),
    employee=st.sampled_from([ADA, WEI, None]),
    employee_id=st.sampled_from([ADA.employee_number, None]),
)


@given(st.lists(filters, max_size=8), states | st.none(), states)
def test_a_change_finds_exactly_those_whose_filter_matches_a_state_of_it(
    followed: list[WorkstationFilter], before: Workstation | None, after: Workstation
) -> None:
    interests: Interests[int] = Interests()
    for number, matching in enumerate(followed):
        interests.add(number, matching.interest())

    found = interests.of(change(before, after))

    noticed = [n for n, f in enumerate(followed) if f.matches(after) or (before is not None and f.matches(before))]
    assert sorted(found) == noticed


@given(st.lists(filters, max_size=8))
def test_nothing_is_left_of_those_who_went_away(followed: list[WorkstationFilter]) -> None:
    interests: Interests[int] = Interests()
    for number, matching in enumerate(followed):
        interests.add(number, matching.interest())
    for number in range(len(followed)):
        interests.remove(number)

    assert not interests._by_entity
    assert list(interests) == []


def test_changes_of_another_entity_find_nobody() -> None:
    interests: Interests[str] = Interests()
    interests.add("follows notifications", Interest("notification"))

    assert interests.of(change(None, workstation())) == []


class Counted:
    """An interest that counts how often it is asked."""

    def __init__(self, matching: WorkstationFilter) -> None:
        self.asked = 0
        self._matching = matching
        told = matching.interest()
        self.interest = Interest(told.entity, told.wanted, self._matches)

    def _matches(self, state: Any) -> bool:
        self.asked += 1
        return self._matching.matches(state)


@pytest.mark.parametrize(
    "others",
    [
        [WorkstationFilter(building="HQ", floor_number=number) for number in range(2, 500)],
        [WorkstationFilter(ids=frozenset({number})) for number in range(2, 500)],
        [WorkstationFilter(department_ids=frozenset({number, number + 1})) for number in range(2, 500)],
        [WorkstationFilter(employee_key=WEI.key, statuses=frozenset({status})) for status in Status],
    ],
)
def test_who_follows_something_else_is_not_even_asked(others: list[WorkstationFilter]) -> None:
    interests: Interests[int] = Interests()
    counted = [Counted(matching) for matching in others]
    for number, one in enumerate(counted):
        interests.add(number, one.interest)

    found = interests.of(change(workstation(), occupied(ADA)))

    assert (found, sum(one.asked for one in counted)) == ([], 0)


def test_a_filter_of_very_many_values_is_indexed_by_some_of_them() -> None:
    matching = WorkstationFilter(ids=frozenset(range(500)), department_ids=frozenset(range(1, 500)), building="HQ")
    interests: Interests[int] = Interests()
    interests.add(1, matching.interest())

    entries = sum(len(table) for tables in interests._by_entity.values() for table in tables.values())
    assert 1 < entries <= COMBINATIONS_MOST
    assert interests.of(change(None, workstation(building="Annex"))) == []
    assert interests.of(change(None, workstation())) == [1]
