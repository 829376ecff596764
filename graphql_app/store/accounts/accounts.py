"""Statements about accounts."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import String, bindparam, func, select, text

from graphql_app.domain.account import Account
from graphql_app.domain.change import Change, Head
from graphql_app.domain.entity import LoginRole
from graphql_app.store.log import outbox
from graphql_app.store.postgres.session import Reader, Session
from graphql_app.store.postgres.statements import prepared
from graphql_app.store.schema import rows
from graphql_app.store.schema.entities import ENTITIES
from graphql_app.store.schema.tables import accounts, employees

COLUMNS = (
    accounts.c.id,
    accounts.c.name,
    accounts.c.role,
    accounts.c.disabled,
    accounts.c.tokens_from,
    accounts.c.employee_key,
    employees.c.employee_number,
    accounts.c.version,
)
_ACCOUNTS = select(*COLUMNS).select_from(
    accounts.outerjoin(employees, employees.c.public_key == accounts.c.employee_key)
)
_ALL = prepared(_ACCOUNTS.order_by(accounts.c.name))
_BY_NAME = prepared(
    _ACCOUNTS.add_columns(accounts.c.password_hash).where(
        func.lower(accounts.c.name) == func.lower(bindparam("name", type_=String))
    )
)


@dataclass(frozen=True, slots=True)
class StoredAccount:
    account: Account
    password_hash: str


async def by_name(reader: Reader, name: str) -> StoredAccount | None:
    row = await reader.row(_BY_NAME, {"name": name})
    return None if row is None else StoredAccount(rows.account(row), row["password_hash"])


async def everybody(reader: Reader) -> list[Account]:
    """Returns all accounts, by name."""
    return [rows.account(row) for row in await reader.fetch(_ALL)]


# --- what every process knows ----------------------------------------------------------------------------------------

_REVOKED = prepared(
    text("""
SELECT key FROM login_sessions
WHERE revoked_at > clock_timestamp() - make_interval(secs => CAST(:seconds AS float8))
""")
)


@dataclass(frozen=True, slots=True)
class AccountsSnapshot:
    """All accounts, and the keys of sessions that were revoked lately: as new as the database, and so newer than the
    head by what the feed has not numbered yet."""

    accounts: list[Account]
    revoked: frozenset[UUID]


async def accounts_snapshot(snapshot: Session, seconds: float) -> AccountsSnapshot:
    """Reads all accounts, and the sessions revoked within the last `seconds`, as of one moment."""
    revoked = await snapshot.fetch(_REVOKED, {"seconds": seconds})
    return AccountsSnapshot(await everybody(snapshot), frozenset(row["key"] for row in revoked))


# A person is no part of it: a number that comes late keeps nobody in or out.
_LOGINS = ENTITIES.with_login_role(LoginRole.ACCOUNT, LoginRole.SESSION)


async def beyond(snapshot: Session, here: Head) -> list[Change[Any]] | None:
    """Returns what the log says of accounts and sessions after `here`, numbered or not; None where it does not reach
    back so far, or tells another history."""
    head = await outbox.head(snapshot)
    if head.epoch != here.epoch:
        return None
    found: list[Change[Any]] = []
    for entity in _LOGINS:
        numbered = await outbox.changes_between(snapshot, here.revision, head.revision, entity)
        if numbered is None:
            return None
        found += [*numbered, *await outbox.unnumbered(snapshot, entity)]
    return found


# --- administration --------------------------------------------------------------------------------------------------

_ADD = prepared(
    text("""
INSERT INTO accounts (name, password_hash, role, employee_key)
VALUES (:name, :password_hash, :role, CAST(:employee_key AS uuid))
ON CONFLICT (lower(name)) DO NOTHING RETURNING id
""")
)
_CHANGE = {
    "role": prepared(text("UPDATE accounts SET role = :value WHERE lower(name) = lower(CAST(:name AS text))")),
    "disabled": prepared(text("UPDATE accounts SET disabled = :value WHERE lower(name) = lower(CAST(:name AS text))")),
    # Whoever knew the old one is logged out.
    "password_hash": prepared(
        text("""
UPDATE accounts SET password_hash = :value, tokens_from = clock_timestamp()
WHERE lower(name) = lower(CAST(:name AS text))
""")
    ),
}


async def add(connection: Session, name: str, password_hash: str, role: str, employee_key: UUID | None) -> bool:
    """Inserts an account. Returns False when the name is taken."""
    values = {"name": name, "password_hash": password_hash, "role": role, "employee_key": employee_key}
    return await connection.scalar(_ADD, values) is not None


async def change(connection: Session, name: str, column: str, value: Any) -> bool:
    """Sets `role`, `disabled` or `password_hash`. Returns False when there is no such account."""
    return await connection.execute(_CHANGE[column], {"name": name, "value": value}) > 0
