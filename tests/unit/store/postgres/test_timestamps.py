"""Moments of PostgreSQL: what Python can hold comes back as it is, and all else as the nearest."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphql_app.domain.values import MOMENT_FIRST, MOMENT_LAST, moment_problem
from graphql_app.store.postgres import timestamps as moments

OFFSETS = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
INSIDE = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30, 23))


@given(INSIDE, OFFSETS)
def test_a_moment_that_is_let_in_comes_back_from_every_time_zone(naive: datetime, offset: timezone) -> None:
    moment = naive.replace(tzinfo=UTC)

    assert moment_problem(moment) is None
    assert moments.from_microseconds(moments.to_microseconds(moment)) == moment
    assert moments.from_text(moment.astimezone(offset).isoformat()) == moment
    assert moments.from_text(moment.astimezone(offset).isoformat()).tzinfo is UTC


@pytest.mark.parametrize(
    ("written", "nearest"),
    [
        ("infinity", moments.LAST),
        ("-infinity", moments.FIRST),
        ("20000-01-01T00:00:00+00:00", moments.LAST),
        ("9999-12-31T23:00:00-05:00", moments.LAST),
        ("0044-03-15T00:00:00+00:00 BC", moments.FIRST),
        ("0001-01-01T00:00:00+08:05:43", moments.FIRST),
    ],
)
def test_what_python_cannot_hold_is_the_nearest_that_it_can(written: str, nearest: datetime) -> None:
    assert moments.from_text(written) == nearest


def test_the_ends_of_what_postgresql_counts_are_moments() -> None:
    assert moments.from_microseconds(2**63 - 1) == moments.LAST
    assert moments.from_microseconds(-(2**63)) == moments.FIRST


def test_what_is_no_moment_is_an_error() -> None:
    with pytest.raises(ValueError, match="banana"):
        moments.from_text("banana")


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2030, 1, 1),
        MOMENT_LAST + timedelta(microseconds=1),
        MOMENT_FIRST - timedelta(microseconds=1),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-12))),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=12))),
    ],
)
def test_a_moment_without_a_zone_or_out_of_range_is_refused(moment: datetime) -> None:
    assert moment_problem(moment) is not None
