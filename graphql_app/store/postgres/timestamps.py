"""Moments as PostgreSQL has them, in microseconds since 2000.

A moment that Python cannot hold (infinity, BC, the year 10000) is read as the nearest that it can, so that a row that
was written by SQL can be shown.
"""

from datetime import UTC, datetime, timedelta

FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# PostgreSQL counts microseconds from here, with infinity at both ends.
_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
_FIRST, _LAST = ((end - _BEGINNING) // _MICROSECOND for end in (FIRST, LAST))


def from_microseconds(microseconds: int) -> datetime:
    """Returns the moment so many microseconds after 2000, or the nearest that Python can hold."""
    return _BEGINNING + timedelta(microseconds=min(max(microseconds, _FIRST), _LAST))


def from_bytes(sent: bytes) -> datetime:
    """Reads a moment from the eight bytes of PostgreSQL's binary format."""
    return from_microseconds(int.from_bytes(sent, signed=True))


def to_microseconds(moment: datetime) -> int:
    """Returns the microseconds from 2000 to the moment. Raises ValueError for one without a time zone."""
    if moment.tzinfo is None:
        raise ValueError("a moment needs a time zone")
    return (moment - _BEGINNING) // _MICROSECOND


def from_text(written: str) -> datetime:
    """Reads a moment from JSON that PostgreSQL made of a row, in the time zone of the session that wrote it.

    Raises ValueError for a text that is no moment.
    """
    try:
        moment = datetime.fromisoformat(written)
        return moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    except OverflowError:
        return FIRST if written.startswith("0001") else LAST
    except ValueError:
        if written == "-infinity" or written.endswith(" BC"):
            return FIRST
        if written == "infinity" or written.partition("-")[0].isdigit():  # a year of more digits than Python reads
            return LAST
        raise
