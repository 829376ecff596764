"""Moments as PostgreSQL has them. What Python cannot hold (infinity, BC, the year 10000) is read as the nearest that it
can: a row that somebody wrote with SQL years ago is shown, and harms nothing."""

from datetime import UTC, datetime, timedelta

FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# PostgreSQL counts microseconds from here, with infinity at both ends.
_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
_FIRST, _LAST = ((end - _BEGINNING) // _MICROSECOND for end in (FIRST, LAST))


def of_count(microseconds: int) -> datetime:
    return _BEGINNING + timedelta(microseconds=min(max(microseconds, _FIRST), _LAST))


def of_bytes(sent: bytes) -> datetime:
    return of_count(int.from_bytes(sent, signed=True))


def count(moment: datetime) -> int:
    """Raises ValueError for one without a time zone."""
    if moment.tzinfo is None:
        raise ValueError("a moment needs a time zone")
    return (moment - _BEGINNING) // _MICROSECOND


def of_text(written: str) -> datetime:
    """From JSON that PostgreSQL made of a row, in the time zone of whoever wrote it. Raises ValueError for what is no
    moment at all."""
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
