"""Importing the office, without the file and the database: what may stand in a file, and what is wrong with it."""

from graphql_app.domain.importing.checks import Check, ImportFinding, worded
from graphql_app.domain.importing.columns import COLUMNS, KEYS, REFERENCES, SINGULAR, Column, ImportKind, Reference
from graphql_app.domain.importing.report import (
    Difference,
    Fault,
    ImportOutcome,
    ImportTally,
    Problem,
    Report,
    Unreadable,
)
from graphql_app.domain.importing.rows import BadRow, Row

__all__ = [
    "COLUMNS",
    "KEYS",
    "REFERENCES",
    "SINGULAR",
    "BadRow",
    "Check",
    "Column",
    "Difference",
    "Fault",
    "ImportFinding",
    "ImportKind",
    "ImportOutcome",
    "ImportTally",
    "Problem",
    "Reference",
    "Report",
    "Row",
    "Unreadable",
    "worded",
]
