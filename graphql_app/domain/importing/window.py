"""JSON as a text that is read on from value to value, never as a whole, with the line of each."""

import json
import re
from collections.abc import Iterable
from typing import Any

from graphql_app.domain.importing.report import ROW_MOST, Fault, Unreadable
from graphql_app.domain.importing.values import Bad

_BLANKS = re.compile(r"[ \t\r\n]*")
# A literal or an escape cut in two is reported at its start: none is longer than this, but for numbers and strings.
_CUT = 16


class Number(str):
    """A number as it was written, so that none of its digits is lost."""

    __slots__ = ()


class Constant(str):
    """NaN and Infinity, which Python's decoder lets pass and JSON does not."""

    __slots__ = ()


class Repeated(dict[str, Any]):
    """An object in which a name stands twice."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    return made if len(made) == len(pairs) else Repeated(made)


DECODER = json.JSONDecoder(parse_int=Number, parse_float=Number, parse_constant=Constant, object_pairs_hook=_object)


class JsonWindow:
    """A window over the text that moves on value by value, and knows in which line it is."""

    def __init__(self, blocks: Iterable[str]) -> None:
        self._blocks = iter(blocks)
        self._text = ""
        self._at = 0
        self.line = 1

    def peek(self) -> str:
        """The next character that is no blank; empty at the end."""
        while True:
            match = _BLANKS.match(self._text, self._at)
            assert match is not None
            self._move(match.end())
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def take(self, mark: str) -> None:
        if self.peek() != mark:
            raise self.unreadable(f"this is not JSON: here must be {mark}")
        self._move(self._at + 1)

    def goes_on(self, end: str) -> bool:
        """Whether a comma follows, which is taken, and not the end. A comma just before the end is none."""
        following = self.peek()
        if following not in (",", end):
            raise self.unreadable(f"this is not JSON: here must be a comma or {end}")
        if following == end:
            return False
        self.take(",")
        if self.peek() == end:
            raise self.unreadable(f"this is not JSON: a comma stands before {end}")
        return True

    def value(self) -> Any:
        """The value that starts here, read on until it is whole."""
        self.peek()
        while True:
            try:
                value, end = DECODER.raw_decode(self._text, self._at)
            except RecursionError as error:
                raise self.unreadable("this is nested too deeply") from error
            except json.JSONDecodeError as error:
                if not (self._is_cut(error) and self._more()):
                    raise self._broken(error) from error
            else:
                # What ends with the window may be a number whose other digits come next.
                if end < len(self._text) - _CUT or not self._more():
                    self._move(end)
                    return value

    def unreadable(self, reason: str) -> Unreadable:
        return Unreadable(self.line, Fault(None, reason))

    def _broken(self, error: json.JSONDecodeError) -> Unreadable:
        line = self.line + self._text.count("\n", self._at, error.pos)
        column = error.pos - self._text.rfind("\n", 0, error.pos)
        return Unreadable(line, Fault(None, f"this is not JSON: {error.msg} (character {column} of the line)"))

    def _is_cut(self, error: json.JSONDecodeError) -> bool:
        return error.msg.startswith("Unterminated string") or error.pos >= len(self._text) - _CUT

    def _more(self) -> bool:
        """Lets go of what was read and adds the next block. False at the end."""
        if len(self._text) - self._at > ROW_MOST:
            raise self.unreadable(f"this is longer than {ROW_MOST:,} characters, or a quote is never closed")
        block = next(self._blocks, None)
        if block is None:
            return False
        self._text = self._text[self._at :] + block
        self._at = 0
        return True

    def _move(self, at: int) -> None:
        self.line += self._text.count("\n", self._at, at)
        self._at = at


def written(value: Any) -> str:
    """Writes the value as JSON again, its numbers digit for digit. Raises Bad for what JSON has not."""
    if isinstance(value, Constant):
        raise Bad(f"is not JSON: {value} is no JSON number")
    if isinstance(value, Repeated):
        raise Bad("is JSON in which a name stands twice")
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{written(name)}: {written(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    return json.dumps(value, ensure_ascii=False)
