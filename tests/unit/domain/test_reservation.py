"""The states of a booking, who may do what when, and whom it is shown to."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from graphql_app.domain.access import Onlooker, redact_reservation, require_bookings
from graphql_app.domain.errors import CheckInClosed, Conflict, Forbidden, InvalidInput
from graphql_app.domain.reservation import (
    BLOCKING,
    MAY_FOLLOW,
    NOTE_MOST,
    Bookings,
    CheckInRule,
    Reservation,
    ReservationState,
    Visibility,
    checked_note,
    require_ahead,
    require_check_in_open,
    require_may_become,
)
from graphql_app.domain.topics import Reservations
from tests.examples import view, viewer

START = datetime(2026, 6, 1, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
BOOKED = Reservation(
    id=1,
    workstation_id=2,
    floor_id=3,
    desk_name="A-02",
    holder_id=4,
    booked_by="ada",
    note="by the window",
    department_id=5,
    state=ReservationState.CONFIRMED,
    starts_at=START,
    ends_at=START + 8 * HOUR,
    local_start=START.replace(tzinfo=None),
    local_end=(START + 8 * HOUR).replace(tzinfo=None),
    time_zone="UTC",
    check_in_from=START - 15 * MINUTE,
    check_in_by=START + 30 * MINUTE,
    checked_in_at=None,
    ended_at=None,
    ended_why=None,
    visibility=Visibility.DEPARTMENT,
    version=1,
)


def test_no_state_follows_itself_or_one_that_it_leads_to() -> None:
    reached: dict[ReservationState, set[ReservationState]] = {
        state: set(following) for state, following in MAY_FOLLOW.items()
    }
    for _ in ReservationState:
        for following in reached.values():
            following |= {beyond for state in list(following) for beyond in reached[state]}
    assert set(MAY_FOLLOW) == set(ReservationState)
    assert all(state not in following for state, following in reached.items())


def test_what_blocks_is_what_is_not_over() -> None:
    assert {
        ReservationState.HELD,
        ReservationState.CONFIRMED,
        ReservationState.DUE,
        ReservationState.CHECKED_IN,
    } == BLOCKING


@pytest.mark.parametrize("state", ReservationState)
@pytest.mark.parametrize("then", ReservationState)
def test_the_table_decides_what_may_become_what(state: ReservationState, then: ReservationState) -> None:
    booking = replace(BOOKED, state=state)
    if then in MAY_FOLLOW[state]:
        require_may_become(booking, then)
    else:
        with pytest.raises(Conflict, match="cannot become"):
            require_may_become(booking, then)


@pytest.mark.parametrize(
    ("minutes", "is_open"), [(-16, False), (-15, True), (0, True), (29, True), (30, False), (600, False)]
)
def test_one_checks_in_within_a_half_open_window(minutes: int, is_open: bool) -> None:
    now = START + minutes * MINUTE
    if is_open:
        require_check_in_open(BOOKED, now)
    else:
        with pytest.raises(CheckInClosed) as refused:
            require_check_in_open(BOOKED, now)
        assert refused.value.data == {
            "opensAt": (START - 15 * MINUTE).isoformat(),
            "closedAt": (START + 30 * MINUTE).isoformat(),
        }


@pytest.mark.parametrize(
    ("grace", "now", "length", "expected"),
    [
        (30, START - HOUR, 8 * HOUR, START + 30 * MINUTE),
        (30, START + 10 * MINUTE, 8 * HOUR, START + 40 * MINUTE),  # booked when it had begun
        (30, START - HOUR, 20 * MINUTE, START + 20 * MINUTE),  # never after the end
        (0, START - HOUR, 8 * HOUR, None),  # nobody has to
    ],
)
def test_the_desk_is_given_up_after_the_grace(
    grace: int, now: datetime, length: timedelta, expected: datetime | None
) -> None:
    rule = CheckInRule(15 * MINUTE, grace * MINUTE)
    assert rule.window(START, START + length, now) == (START - 15 * MINUTE, expected)


@pytest.mark.parametrize(
    ("start", "end"),
    [(-15 * MINUTE, HOUR), (-HOUR, HOUR), (-2 * HOUR, timedelta(0)), (367 * 24 * HOUR, 368 * 24 * HOUR)],
)
def test_what_is_past_or_too_far_ahead_is_refused(start: timedelta, end: timedelta) -> None:
    with pytest.raises(InvalidInput):
        require_ahead(START + start, START + end, START, 15 * MINUTE)


def test_a_booking_may_begin_in_the_step_that_has_begun() -> None:
    require_ahead(START - 14 * MINUTE, START + HOUR, START, 15 * MINUTE)


def test_a_note_is_a_text_of_its_length() -> None:
    assert (checked_note(""), checked_note(None), checked_note("x")) == (None, None, "x")
    for bad in ("x" * (NOTE_MOST + 1), "\x00", "\ud800"):
        with pytest.raises(InvalidInput):
            checked_note(bad)


@pytest.mark.parametrize("visibility", Visibility)
@pytest.mark.parametrize(
    ("onlooker", "sees_all"),
    [
        (Onlooker(view("employee"), 5, 4), True),  # the holder
        (Onlooker(view("employee"), 5, 9), False),  # of the same department
        (Onlooker(view("employee"), 6, 9), False),
        (Onlooker(view("employee")), False),
        (Onlooker(view("hr")), True),
        (Onlooker(view("facilities")), True),
    ],
    ids=["holder", "same department", "other department", "nobody's", "hr", "facilities"],
)
def test_whose_it_is_is_decided_for_each_booking(visibility: Visibility, onlooker: Onlooker, sees_all: bool) -> None:
    shown = redact_reservation(onlooker, replace(BOOKED, visibility=visibility))

    is_near = visibility is Visibility.DEPARTMENT and onlooker.department_id == 5
    is_named = sees_all or is_near or visibility is Visibility.EVERYONE
    assert (shown.holder_id == 4) is is_named
    hidden = (shown.booked_by, shown.note, shown.department_id, shown.version)
    assert hidden == (("ada", "by the window", 5, 1) if sees_all else (None,) * 4)
    assert (shown.starts_at, shown.state, shown.desk_name) == (BOOKED.starts_at, BOOKED.state, BOOKED.desk_name)


def test_who_may_not_know_of_bookings_is_refused() -> None:
    with pytest.raises(Forbidden):
        require_bookings(viewer("visitor"))
    for role in ("employee", "hr", "facilities", "admin"):
        require_bookings(viewer(role))


FLOOR = Reservations(Bookings(floor_id=3), Onlooker(view("employee"), 6))
MINE = Reservations(Bookings(holder_id=4), Onlooker(view("employee"), 5, 4))


def test_a_floor_shows_what_keeps_its_desks() -> None:
    assert FLOOR.shown(BOOKED) is not None
    assert FLOOR.shown(replace(BOOKED, state=ReservationState.CANCELLED)) is None
    assert FLOOR.shown(replace(BOOKED, floor_id=9)) is None


def test_ones_own_are_shown_to_the_end() -> None:
    assert MINE.shown(replace(BOOKED, state=ReservationState.CANCELLED)) == replace(
        BOOKED, state=ReservationState.CANCELLED
    )
    assert MINE.shown(replace(BOOKED, holder_id=9)) is None


def test_a_change_of_what_is_hidden_is_noticed_by_nobody_who_may_not_see_it() -> None:
    after = replace(BOOKED, note="elsewhere", version=2)
    assert not FLOOR.notices(BOOKED, after)
    assert MINE.notices(BOOKED, after)
    assert FLOOR.notices(BOOKED, replace(after, ends_at=START + HOUR))


def test_the_interest_of_a_topic_finds_its_changes() -> None:
    ((attribute, values),) = FLOOR.interest().wanted
    assert attribute(BOOKED) in values
    assert len({topic.normalised().__repr__() for topic in (FLOOR, MINE)}) == 2
