"""Importing the office, without the file and the database: what may stand in a file, and what is wrong with it."""

from graphql_app.domain.importing.checks import Check, Finding, worded
from graphql_app.domain.importing.columns import COLUMNS, KEYS, REFERENCES, SINGULAR, Column, Kind, Reference
from graphql_app.domain.importing.report import Fault, Outcome, Problem, Report, Tally, Unreadable
from graphql_app.domain.importing.rows import BadRow, Row

__all__ = [
    "COLUMNS",
    "KEYS",
    "REFERENCES",
    "SINGULAR",
    "BadRow",
    "Check",
    "Column",
    "Fault",
    "Finding",
    "Kind",
    "Outcome",
    "Problem",
    "Reference",
    "Report",
    "Row",
    "Tally",
    "Unreadable",
    "worded",
]
