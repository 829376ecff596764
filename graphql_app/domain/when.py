"""When a booking is: what somebody meant by a wall clock, and the instants that it comes to in the zone of a building.

Ranges are half-open. Local times become instants here alone: SQL takes the second of two equal hours, where RFC 5545
(3.3.5) takes the first.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from graphql_app.domain.errors import InvalidInput
from graphql_app.domain.values import moment_problem

LONGEST = timedelta(days=31)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Between:
    """From one instant to another."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Local:
    """From one time of the clock to another, on a day; an end that is not after the start is on the next day."""

    day: date
    start: time
    end: time


@dataclass(frozen=True, slots=True)
class Day:
    """A whole day, from midnight to midnight: 23, 24 or 25 hours."""

    day: date


When: TypeAlias = Between | Local | Day


@dataclass(frozen=True, slots=True)
class Span:
    """The instants of a booking, and the wall clock that was meant by them in the zone."""

    starts_at: datetime
    ends_at: datetime
    local_start: datetime  # without a zone, as local_end
    local_end: datetime
    zone: str


def zone_of(name: str) -> ZoneInfo:
    """Returns the zone of that name. Raises InvalidInput where there is none, or this server knows of none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidInput(f"There is no time zone {name!r}; set the zone of the building.", field="when") from error


def span_of(when: When, zone: ZoneInfo) -> Span:
    """Returns the instants that are meant. Raises InvalidInput for a time that does not exist, an end that is not
    after its start, and more than 31 days."""
    match when:
        case Between(start, end):
            span = _between(start, end, zone)
        case Local(day, start_time, end_time):
            span = _local(datetime.combine(day, start_time), _end_of(day, start_time, end_time), zone)
        case Day(day):
            span = _day(day, zone)
    if not span.starts_at < span.ends_at:
        raise InvalidInput("The end must be after the start.", field="when")
    if span.ends_at - span.starts_at > LONGEST:
        raise InvalidInput(f"A booking takes at most {LONGEST.days} days.", field="when")
    return span


def _between(start: datetime, end: datetime, zone: ZoneInfo) -> Span:
    for name, moment in (("start", start), ("end", end)):
        if (problem := moment_problem(moment)) is not None:
            raise InvalidInput(f"`{name}` {problem}.", field="when")
    starts_at, ends_at = start.astimezone(UTC), end.astimezone(UTC)
    return Span(starts_at, ends_at, _wall(starts_at, zone), _wall(ends_at, zone), zone.key)


def _end_of(day: date, start: time, end: time) -> datetime:
    try:
        return datetime.combine(day if end > start else day + DAY, end)
    except (OverflowError, TypeError) as error:
        raise InvalidInput(
            "`from` and `to` are times without an offset, on a day of the calendar.", field="when"
        ) from error


def _local(start: datetime, end: datetime, zone: ZoneInfo) -> Span:
    if not _exists(start, zone):
        following = _wall(instant(start, zone), zone)
        raise InvalidInput(
            f"There is no {start:%H:%M} on {start:%Y-%m-%d} in {zone.key}: the clock is put forward."
            f" The next time that there is, is {following:%H:%M}.",
            field="when",
            next=following.isoformat(timespec="minutes"),
        )
    starts_at, ends_at = instant(start, zone), instant(end, zone)
    if ends_at <= starts_at:  # of two equal hours the first after the start
        ends_at = instant(end.replace(fold=1), zone)
    return Span(starts_at, ends_at, start, end, zone.key)


def _day(day: date, zone: ZoneInfo) -> Span:
    try:
        start, end = (datetime.combine(one, time()) for one in (day, day + DAY))
    except OverflowError as error:
        raise InvalidInput("There is no day after this one.", field="when") from error
    # A midnight that does not exist is the moment at which the clock is put forward.
    return Span(instant(start, zone), instant(end, zone), start, end, zone.key)


def instant(local: datetime, zone: ZoneInfo) -> datetime:
    """Returns the instant of a wall clock: of two equal hours the first, and of a time that does not exist the one by
    the offset before the gap (RFC 5545, 3.3.5)."""
    try:
        return local.replace(tzinfo=zone).astimezone(UTC)
    except OverflowError as error:
        raise InvalidInput("This is beyond the calendar.", field="when") from error


def _exists(local: datetime, zone: ZoneInfo) -> bool:
    return _wall(instant(local, zone), zone) == local


def _wall(moment: datetime, zone: ZoneInfo) -> datetime:
    try:
        return moment.astimezone(zone).replace(tzinfo=None, fold=0)
    except OverflowError as error:
        raise InvalidInput("This is beyond the calendar.", field="when") from error
