"""When a booking is: held against an oracle that only ever asks what the clock shows at an instant."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphql_app.domain.errors import InvalidInput
from graphql_app.domain.when import Between, Day, Local, Span, span_of, zone_of

MINUTE = timedelta(minutes=1)
BERLIN = zone_of("Europe/Berlin")
# Zones whose clocks are put forward and back: by an hour, by half of one, at midnight, by a whole day.
CHANGES = [
    ("Europe/Berlin", date(2026, 3, 29)),
    ("Europe/Berlin", date(2026, 10, 25)),
    ("America/New_York", date(2026, 3, 8)),
    ("America/New_York", date(2026, 11, 1)),
    ("Australia/Lord_Howe", date(2026, 4, 5)),
    ("Australia/Lord_Howe", date(2026, 10, 4)),
    ("Africa/Cairo", date(2026, 4, 24)),
    ("Asia/Beirut", date(2026, 3, 29)),
    ("Asia/Shanghai", date(2026, 10, 1)),
    ("UTC", date(2026, 1, 1)),
]


def instants(local: datetime, zone: ZoneInfo) -> list[datetime]:
    """All instants, in minutes, at which the clock shows this."""
    middle = local.replace(tzinfo=UTC)
    around = (middle + minutes * MINUTE for minutes in range(-15 * 60, 15 * 60))
    return [moment for moment in around if moment.astimezone(zone).replace(tzinfo=None, fold=0) == local]


def by_the_offset_before(local: datetime, zone: ZoneInfo) -> datetime:
    """The instant of a time that does not exist, by the offset of an hour that did."""
    earlier = local - timedelta(hours=6)
    return instants(earlier, zone)[0] + timedelta(hours=6)


minutes = st.integers(0, 24 * 60 - 1).map(lambda value: time(value // 60, value % 60))


@given(st.sampled_from(CHANGES), st.integers(-1, 1), minutes, minutes)
def test_times_of_the_clock_are_the_instants_of_rfc_5545(
    change: tuple[str, date], days: int, start: time, end: time
) -> None:
    zone, day = zone_of(change[0]), change[1] + timedelta(days=days)
    local_start = datetime.combine(day, start)
    local_end = datetime.combine(day if end > start else day + timedelta(days=1), end)
    starts, ends = instants(local_start, zone), instants(local_end, zone)

    if not starts:
        with pytest.raises(InvalidInput, match="clock is put forward") as refused:
            span_of(Local(day, start, end), zone)
        following = datetime.fromisoformat(refused.value.data["next"])
        assert instants(following, zone) == [by_the_offset_before(local_start, zone)]
        return
    expected = min((one for one in ends if one > starts[0]), default=None) or by_the_offset_before(local_end, zone)
    if expected <= starts[0]:
        with pytest.raises(InvalidInput, match="after the start"):
            span_of(Local(day, start, end), zone)
        return
    span = span_of(Local(day, start, end), zone)
    assert (span.starts_at, span.ends_at) == (starts[0], expected)
    assert (span.local_start, span.local_end, span.zone) == (local_start, local_end, zone.key)


@given(st.sampled_from(CHANGES), st.integers(-1, 1))
def test_a_day_is_from_midnight_to_midnight(change: tuple[str, date], days: int) -> None:
    zone, day = zone_of(change[0]), change[1] + timedelta(days=days)

    span = span_of(Day(day), zone)

    for moment, shown in ((span.starts_at, day), (span.ends_at, day + timedelta(days=1))):
        assert moment.astimezone(zone).date() == shown
        assert (moment - MINUTE).astimezone(zone).date() == shown - timedelta(days=1)
    assert timedelta(hours=22) < span.ends_at - span.starts_at < timedelta(hours=26)


def test_a_day_of_the_change_has_23_or_25_hours() -> None:
    hours = [
        (span_of(Day(day), BERLIN).ends_at - span_of(Day(day), BERLIN).starts_at) / timedelta(hours=1)
        for day in (date(2026, 3, 29), date(2026, 10, 25), date(2026, 7, 1))
    ]
    assert hours == [23, 25, 24]


def test_an_end_that_is_not_after_the_start_is_on_the_next_day() -> None:
    span = span_of(Local(date(2026, 6, 1), time(22), time(6)), BERLIN)
    assert span.local_end == datetime(2026, 6, 2, 6)


def test_of_two_equal_hours_the_end_is_the_first_after_the_start() -> None:
    day = date(2026, 10, 25)  # 02:00 to 03:00 comes twice
    span = span_of(Local(day, time(2, 30), time(2, 15)), BERLIN)
    assert span.local_end.date() == day + timedelta(days=1), "02:15 is on the next day: it is not after 02:30"
    short = span_of(Local(day, time(1), time(2, 30)), BERLIN)
    assert short.ends_at == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
    st.integers(1, 31 * 24 * 60),
    st.sampled_from(CHANGES),
)
def test_instants_stay_as_they_are(start: datetime, length: int, change: tuple[str, date]) -> None:
    zone = zone_of(change[0])

    span = span_of(Between(start, start + length * MINUTE), zone)

    assert (span.starts_at, span.ends_at) == (start, start + length * MINUTE)
    assert span.local_start == start.astimezone(zone).replace(tzinfo=None, fold=0)


NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "when",
    [
        Between(NOON, NOON),
        Between(NOON, NOON - MINUTE),
        Between(NOON, NOON + timedelta(days=31, minutes=1)),
        Between(NOON.replace(tzinfo=None), NOON),
        Between(datetime.max.replace(tzinfo=UTC) - MINUTE, datetime.max.replace(tzinfo=UTC)),
        Between(datetime.min.replace(tzinfo=UTC), NOON),
        Day(date.max),
        Local(date.max, time(9), time(8)),
        Local(date(2026, 6, 1), time(9), time(8, tzinfo=UTC)),
    ],
    ids=repr,
)
def test_what_cannot_be_is_refused(when: Between | Local | Day) -> None:
    with pytest.raises(InvalidInput):
        span_of(when, BERLIN)


@pytest.mark.parametrize("name", ["", "Nowhere/City", "../etc/passwd", "Europe"])
def test_a_zone_that_does_not_exist_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="no time zone"):
        zone_of(name)


def test_the_longest_booking_is_31_days() -> None:
    assert span_of(Between(NOON, NOON + timedelta(days=31)), BERLIN) == Span(
        NOON, NOON + timedelta(days=31), datetime(2026, 6, 1, 14), datetime(2026, 7, 2, 14), "Europe/Berlin"
    )
