"""What only all rows and the office together show to be wrong: found by store/office/loading, put into words here."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from graphql_app.domain.importing.columns import SINGULAR, ImportKind
from graphql_app.domain.importing.report import Fault
from graphql_app.domain.importing.values import shown


class Check(StrEnum):
    REPEATED = "repeated"  # detail: line and index of the first row about the same one
    UNKNOWN = "unknown"  # detail: the kind that is referred to, then the values of its key
    NEEDED = "needed"


@dataclass(frozen=True, slots=True)
class ImportFinding:
    """What a check found in one row."""

    index: int
    line: int
    column: str | None
    check: Check
    detail: Sequence[str]


def worded(kind: ImportKind, finding: ImportFinding) -> Fault:
    return Fault(finding.column, _REASONS[finding.check](kind, finding.detail))


def _repeated(kind: ImportKind, detail: Sequence[str]) -> str:
    line, index = detail
    return f"this {SINGULAR[kind]} is in the file already: line {line}, row {int(index) + 1} of {kind}"


def _unknown(_: ImportKind, detail: Sequence[str]) -> str:
    kind, *key = detail
    named = ", ".join(map(shown, key))
    return (
        f"there is no {SINGULAR[ImportKind(kind)]} {named}, neither in the office nor among the good rows of this file"
    )


def _needed(kind: ImportKind, _: Sequence[str]) -> str:
    return f"is missing, and there is no such {SINGULAR[kind]} yet: a new one needs it"


_REASONS = {Check.REPEATED: _repeated, Check.UNKNOWN: _unknown, Check.NEEDED: _needed}
