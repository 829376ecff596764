"""What each kind of value may be, whatever door it comes in by: texts, JSON, numbers, moments, time zones.

Each function returns what is wrong with a value, as the end of a sentence about it, or None. The same is held by the
database for those who write SQL (the function `json_problem_v1` and the constraints on moments); a test compares them.
"""

import json
import math
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import accumulate, chain
from typing import Any
from zoneinfo import available_timezones

# --- texts -----------------------------------------------------------------------------------------------------------

_HALF = re.compile("[\ud800-\udfff]")


def text_problem(value: str, most: int) -> str | None:
    """Of a text that takes at most so many characters."""
    if len(value) > most:
        return f"takes at most {most:,} characters, this has {len(value):,}"
    return characters_problem(value)


def characters_problem(value: str) -> str | None:
    return "holds a NUL character" if "\x00" in value else half_problem(value)


def half_problem(value: str) -> str | None:
    """All that is wrong with a text in JSON: there a NUL is written as an escape."""
    return "holds half a character (a lone surrogate)" if not value.isascii() and _HALF.search(value) else None


# --- numbers ---------------------------------------------------------------------------------------------------------

COORDINATE_BELOW = 100_000_000  # numeric(10,2)


def number_problem(value: float) -> str | None:
    """Of a coordinate or a size."""
    if not math.isfinite(value) or abs(value) >= COORDINATE_BELOW:
        return f"must be a number below {COORDINATE_BELOW:,}"
    return None


# --- JSON ------------------------------------------------------------------------------------------------------------

JSON_MOST = 20_000  # characters
DEPTH_MOST = 192  # lists and objects in one another
# What every client reads exactly: JavaScript, and whoever else makes a double of a number (RFC 8259, RFC 7493).
INTEGER_MOST = 2**53 - 1
_INTEGER = f"holds an integer beyond ±{INTEGER_MOST}; write it as a text"
_NUMBER = "holds a number that is too large or too small for a double; write it as a text"
_DEPTH = f"is nested too deeply: {DEPTH_MOST} levels are the most"


def json_problem(value: Any) -> str | None:
    """Of a value that is to be written as JSON, and of all that is in it."""
    level: list[Any] = [value]
    depth = 0
    while level:
        problem = next(filter(None, map(_leaf_problem, level)), None)
        if problem is not None:
            return problem
        containers = [one for one in level if isinstance(one, (dict, list))]
        if containers and depth == DEPTH_MOST:
            return _DEPTH
        level = [below for container in containers for below in _in(container)]
        depth += 1
    return None


def _in(container: Any) -> Iterable[Any]:
    return chain(container, container.values()) if isinstance(container, dict) else container


def _leaf_problem(value: Any) -> str | None:
    if isinstance(value, str):
        return half_problem(value)
    if isinstance(value, float):
        return None if math.isfinite(value) else _NUMBER
    return _INTEGER if isinstance(value, int) and abs(value) > INTEGER_MOST else None


def json_text_problem(text: str) -> str | None:
    """Of JSON that is a text already, and is kept as it was written."""
    if len(text) > JSON_MOST:
        return f"takes at most {JSON_MOST:,} characters, this has {len(text):,}"
    try:
        return json_problem(_STRICT.decode(text))
    except json.JSONDecodeError as error:
        return f"is not JSON: {error.msg} at character {error.pos + 1}"
    except RecursionError:
        return _DEPTH
    except _Unfit as unfit:
        return str(unfit)


class _Unfit(Exception):
    """Not a ValueError: what cannot be read is told apart from what may not be."""


def _whole(digits: str) -> int:
    if len(digits) > len(str(-INTEGER_MOST)):  # Python itself gives up at some thousands
        raise _Unfit(_INTEGER)
    return int(digits)


def _double(written: str) -> float:
    value = float(written)
    if math.isinf(value) or (value == 0 and _DIGIT.search(written)):
        raise _Unfit(_NUMBER)
    return value


def _constant(name: str) -> Any:
    raise _Unfit(f"is not JSON: {name} is no JSON number")


_DIGIT = re.compile("^[^eE]*[1-9]")  # of a number that is not zero
_STRICT = json.JSONDecoder(parse_int=_whole, parse_float=_double, parse_constant=_constant)


# What is stored already may be more than is let in by now: as much is shown as it is as the way out can carry.
_CARRIED_DEPTH = 200  # orjson writes 254 levels, and some of them are the answer's own
_LONG = re.compile("[0-9]{19}")


def _carried(digits: str) -> int:
    if len(digits) > 20 or not -(2**63) <= int(digits) < 2**64:
        raise _Unfit(_INTEGER)
    return int(digits)


_CARRIED = json.JSONDecoder(parse_int=_carried, parse_constant=_constant)


def is_carried(text: str) -> bool:
    """Whether JSON goes out as it is: neither too deep to be written, nor with integers that orjson makes floats of.
    Raises nothing: what is no JSON is found by reading it."""
    if text.count("[") + text.count("{") > _CARRIED_DEPTH and _depth(text) > _CARRIED_DEPTH:
        return False
    if _LONG.search(text) is None:
        return True
    try:
        _CARRIED.decode(text)
    except (RecursionError, ValueError, _Unfit):
        return False
    return True


def _depth(text: str) -> int:
    """How many lists and objects are open at most, in one another."""
    steps = ((mark in "[{") - (mark in "]}") for mark in _MARKS.findall(text) if mark[0] != '"')
    return max(accumulate(steps), default=0)


_MARKS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


# --- moments ---------------------------------------------------------------------------------------------------------

# Within what Python's datetime, JavaScript's Date and PostgreSQL hold, and by so much that Python holds it in whatever
# time zone: it counts from the year 1 to the year 9999 of each.
MOMENT_FIRST = datetime(1, 1, 2, tzinfo=UTC)
MOMENT_LAST = datetime(9999, 12, 31, tzinfo=UTC) - timedelta(microseconds=1)


def moment_problem(value: datetime) -> str | None:
    if value.tzinfo is None:
        return "needs a time and a time zone, as in 2030-01-01T09:00:00Z"
    if not MOMENT_FIRST <= value <= MOMENT_LAST:
        return f"must be from {MOMENT_FIRST.date()} to {MOMENT_LAST.date()}"
    return None


# --- time zones ------------------------------------------------------------------------------------------------------


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())


def time_zone_problem(value: str) -> str | None:
    """Of the name of a time zone: IANA has to list it."""
    return None if value in _time_zones() else "is no IANA time zone; write it as Asia/Shanghai"
