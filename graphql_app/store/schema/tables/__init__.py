"""The tables, as Alembic's migrations make them (a test compares the two): one file a subject."""

from graphql_app.store.schema.tables.accounts import (
    accounts,
    login_addresses,
    login_failures,
    login_sessions,
    refresh_tokens,
)
from graphql_app.store.schema.tables.counts import counted, workstation_counts
from graphql_app.store.schema.tables.log import HAPPENED, audit_log, change_log, feed_head, idempotency_keys
from graphql_app.store.schema.tables.metadata import metadata
from graphql_app.store.schema.tables.notifications import notifications
from graphql_app.store.schema.tables.office import buildings, departments, employees, floors, workstations
from graphql_app.store.schema.tables.reservations import reservations

__all__ = [
    "HAPPENED",
    "accounts",
    "audit_log",
    "buildings",
    "change_log",
    "counted",
    "departments",
    "employees",
    "feed_head",
    "floors",
    "idempotency_keys",
    "login_addresses",
    "login_failures",
    "login_sessions",
    "metadata",
    "notifications",
    "refresh_tokens",
    "reservations",
    "workstation_counts",
    "workstations",
]
