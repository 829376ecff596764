"""JSON: {"buildings": [...], "workstations": [...]} or one list, read row by row with the line of each, never whole."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from graphql_app.domain.importing import rows
from graphql_app.domain.importing.columns import Column, ImportKind
from graphql_app.domain.importing.report import Fault
from graphql_app.domain.importing.rows import BadRow, Plan, Row
from graphql_app.domain.importing.values import Bad, shown
from graphql_app.domain.importing.window import Constant, JsonWindow, Repeated, written

PLANS_KEPT = 1000
NAMES_KEPT = 5000  # characters of the names of one
_SURROGATE = re.compile("[\ud800-\udfff]")


def read(blocks: Iterable[str], kind: ImportKind | None) -> Iterator[Row | BadRow]:
    """The rows in the order of the file. `kind` is that of a bare list. Raises Unreadable."""
    text = JsonWindow(blocks)
    start = text.peek()
    if start == "[":
        yield from _list(text, kind or _nameless(text))
    elif start == "{":
        yield from _lists(text, kind)
    else:
        raise text.unreadable("the file is empty" if not start else "the file must hold a JSON object or a list")
    if text.peek():
        raise text.unreadable("something follows after the end of the JSON")


def _nameless(text: JsonWindow) -> ImportKind:
    raise text.unreadable('a list does not tell which kind it is: say so with --kind, or write {"workstations": [...]}')


def _lists(text: JsonWindow, only: ImportKind | None) -> Iterator[Row | BadRow]:
    """Each kind's list, in whatever order they stand."""
    seen: set[ImportKind] = set()
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


def _named(text: JsonWindow, only: ImportKind | None) -> ImportKind:
    if text.peek() != '"':
        raise text.unreadable('here must be the name of a list, as "workstations"')
    name = text.value()
    if name not in (kind.value for kind in ImportKind):
        raise text.unreadable(f"{shown(name)} is none of {', '.join(ImportKind)}")
    if only not in (None, name):
        raise text.unreadable(f"the file holds {name}, but --kind says {only}")
    return ImportKind(name)


def _list(text: JsonWindow, kind: ImportKind) -> Iterator[Row | BadRow]:
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

    def __init__(self, kind: ImportKind) -> None:
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
            if len(self._plans) < PLANS_KEPT and sum(map(len, names)) <= NAMES_KEPT:
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
