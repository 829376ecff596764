"""JSON: {"buildings": [...], "workstations": [...]} or one list, read row by row with the line of each, never whole."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from graphql_app.domain.importing import rows
from graphql_app.domain.importing.columns import Column, Kind
from graphql_app.domain.importing.report import Fault, Unreadable
from graphql_app.domain.importing.rows import BadRow, Plan, Row
from graphql_app.domain.importing.values import Bad, shown

ROW_MOST = 1024 * 1024  # characters; also bounds what is read in search of the end of a broken one
_BLANKS = re.compile(r"[ \t\r\n]*")
_SURROGATE = re.compile("[\ud800-\udfff]")
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


_DECODER = json.JSONDecoder(parse_int=Number, parse_float=Number, parse_constant=Constant, object_pairs_hook=_object)


def read(blocks: Iterable[str], kind: Kind | None) -> Iterator[Row | BadRow]:
    """The rows in the order of the file. `kind` is that of a bare list. Raises Unreadable."""
    text = _Text(blocks)
    start = text.peek()
    if start == "[":
        yield from _list(text, kind or _nameless(text))
    elif start == "{":
        yield from _lists(text, kind)
    else:
        raise text.unreadable("the file is empty" if not start else "the file must hold a JSON object or a list")
    if text.peek():
        raise text.unreadable("something follows after the end of the JSON")


def _nameless(text: "_Text") -> Kind:
    raise text.unreadable('a list does not tell which kind it is: say so with --kind, or write {"workstations": [...]}')


def _lists(text: "_Text", only: Kind | None) -> Iterator[Row | BadRow]:
    """Each kind's list, in whatever order they stand."""
    seen: set[Kind] = set()
    text.take("{")
    while text.peek() != "}":
        kind = _named(text, only)
        if kind in seen:
            raise text.unreadable(f'"{kind}" is there twice')
        seen.add(kind)
        text.take(":")
        yield from _list(text, kind)
        if not text.goes_on("}"):
            break
    text.take("}")


def _named(text: "_Text", only: Kind | None) -> Kind:
    if text.peek() != '"':
        raise text.unreadable('here must be the name of a list, as "workstations"')
    name = text.value()
    if name not in (kind.value for kind in Kind):
        raise text.unreadable(f"{shown(name)} is none of {', '.join(Kind)}")
    if only not in (None, name):
        raise text.unreadable(f"the file holds {name}, but --kind says {only}")
    return Kind(name)


def _list(text: "_Text", kind: Kind) -> Iterator[Row | BadRow]:
    plans = _Plans(kind)
    index = 0
    text.take("[")
    while text.peek() != "]":
        line = text.line
        yield plans.row(index, line, text.value())
        index += 1
        if not text.goes_on("]"):
            break
    text.take("]")


# --- rows ------------------------------------------------------------------------------------------------------------


class _Plans:
    """Rows may differ in what they give; those with the same names share a plan."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._plans: dict[tuple[str, ...], Plan | tuple[Fault, ...]] = {}

    def row(self, index: int, line: int, value: Any) -> Row | BadRow:
        faults: Sequence[Fault]
        if not isinstance(value, dict):
            faults = [Fault(None, "must be an object")]
        elif isinstance(value, Repeated):
            faults = [Fault(None, "names a column twice")]
        else:
            plan = self._plan(tuple(value))
            if isinstance(plan, Plan):
                return _row(plan, index, line, list(value.values()))
            faults = plan
        return BadRow(self._kind, index, line, tuple(faults))

    def _plan(self, names: tuple[str, ...]) -> Plan | tuple[Fault, ...]:
        found = self._plans.get(names)
        if found is None:
            found = rows.plan(self._kind, names)
            if len(self._plans) < 1000:
                self._plans[names] = found
        return found


def _row(plan: Plan, index: int, line: int, given: Sequence[Any]) -> Row | BadRow:
    cells: list[str] = []
    faults: list[Fault] = []
    for column, value in zip(plan.columns, given, strict=True):
        try:
            cells.append(_cell(column, value))
        except Bad as bad:
            faults.append(Fault(column.name, str(bad)))
    return BadRow(plan.kind, index, line, tuple(faults)) if faults else plan.row(index, line, cells)


def _cell(column: Column, value: Any) -> str:
    """The value as a cell of a CSV would hold it: from there on both formats are one."""
    if value is None:
        return ""
    if isinstance(value, str) and not isinstance(value, Constant):
        cell = value
    elif column.name == "equipment":
        cell = _rewritten(value)
    else:
        raise Bad(f"must be a text or a number, not {_description(value)}")
    if not cell.isascii() and _SURROGATE.search(cell):
        raise Bad("holds half a character (a lone surrogate)")
    return cell


def _description(value: Any) -> str:
    if isinstance(value, Constant):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return "an object" if isinstance(value, dict) else "a list"


def _rewritten(value: Any) -> str:
    try:
        return written(value)
    except RecursionError as error:
        raise Bad("is JSON that is nested too deeply") from error


def written(value: Any) -> str:
    """The value as JSON again, its numbers digit for digit."""
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


# --- text ------------------------------------------------------------------------------------------------------------


class _Text:
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
                value, end = _DECODER.raw_decode(self._text, self._at)
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
