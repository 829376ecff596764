"""One cell, read: its value, or Bad with the reason why it has none. Nothing is rounded, nothing is cut."""

import re
from collections.abc import Callable
from decimal import Decimal

from graphql_app.domain.arranging import NOTES_MOST
from graphql_app.domain.names import hint, normal, unseen
from graphql_app.domain.values import COORDINATE_BELOW, json_text_problem, text_problem, time_zone_problem
from graphql_app.domain.workstation import Status

NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d{1,3})?", re.ASCII | re.IGNORECASE)
DECIMAL_COMMA = re.compile(r"\s*[+-]?\d*,\d+\s*", re.ASCII)
INTEGER_BELOW = 2**31
HUNDREDTH = Decimal("0.01")

STATUSES = {
    **{status.value: status for status in Status},
    "空闲": Status.AVAILABLE,
    "使用中": Status.OCCUPIED,
    "已占用": Status.OCCUPIED,
    "维护中": Status.MAINTENANCE,
    "已预订": Status.RESERVED,
    "已预定": Status.RESERVED,
}


class Bad(ValueError):
    """A value that cannot be right; the message says why, for whoever made the file."""


def shown(cell: str) -> str:
    """The cell as a problem quotes it."""
    return repr(cell if len(cell) <= 40 else cell[:39] + "…")


def is_blank(cell: str) -> bool:
    return not cell or cell.isspace()


def text(most: int, *, stripped: bool = True) -> Callable[[str], str]:
    def read(cell: str) -> str:
        value = cell.strip() if stripped else cell
        problem = text_problem(value, most)
        if problem is not None:
            raise Bad(problem)
        return value

    return read


def name(most: int) -> Callable[[str], str]:
    """A text that tells one thing from another, in the form in which names are kept."""
    read_text = text(most)

    def read(cell: str) -> str:
        value = read_text(normal(cell))
        if (found := unseen(value)) is not None:
            raise Bad(hint(found))
        return value

    return read


def whole(cell: str) -> int:
    """Reads a whole number. Raises Bad."""
    value = _number(cell)
    if abs(value) >= INTEGER_BELOW:
        raise Bad(f"{shown(cell)} is too large")
    if value != int(value):
        raise Bad(f"{shown(cell)} is not a whole number")
    return int(value)


def coordinate(cell: str) -> Decimal:
    """Reads a number of at most two decimals, as the column keeps no more: 1.500 is 1.5. Raises Bad for 1.005."""
    value = _number(cell)
    if abs(value) >= COORDINATE_BELOW:
        raise Bad(f"{shown(cell)} is too large: it must stay below {COORDINATE_BELOW:,}")
    if value != value.quantize(HUNDREDTH):
        raise Bad(f"{shown(cell)} has more than 2 decimals; round it yourself, nothing is rounded here")
    return value.quantize(HUNDREDTH)


def size(cell: str) -> Decimal:
    """Reads a coordinate above 0. Raises Bad."""
    value = coordinate(cell)
    if value <= 0:
        raise Bad(f"{shown(cell)} is not above 0")
    return value


def _number(cell: str) -> Decimal:
    value = cell.strip()
    if len(value) > 100 or not NUMBER.fullmatch(value):
        raise Bad(f"{shown(cell)} is not a number; write it as 120 or 12.5")
    return Decimal(value)


def with_decimal_point(cell: str) -> str:
    """Returns 10.5 for 10,5; everything else as it is."""
    return cell.replace(",", ".") if DECIMAL_COMMA.fullmatch(cell) else cell


def status(cell: str) -> str:
    """Reads the name of a status, in any case. Raises Bad."""
    found = STATUSES.get(cell.strip().casefold())
    if found is None:
        raise Bad(f"{shown(cell)} is no status; it is one of {', '.join(STATUSES)}")
    return found.value


def time_zone(cell: str) -> str:
    """Reads the name of a time zone. Raises Bad for one that IANA does not list."""
    value = cell.strip()
    if (problem := time_zone_problem(value)) is not None:
        raise Bad(f"{shown(cell)} {problem}")
    return value


notes = text(NOTES_MOST, stripped=False)


def equipment(cell: str) -> str:
    """Checks a JSON text, and keeps it as it was written. Raises Bad."""
    problem = json_text_problem(cell)
    if problem is not None:
        raise Bad(f"{problem}: {shown(cell)}")
    return cell
