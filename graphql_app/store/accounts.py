"""Statements about accounts, their sessions, refresh tokens and failed logins."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import String, bindparam, func, select, text

from graphql_app.domain.account import Account, LoginSession, Patience, RefreshToken
from graphql_app.domain.change import Head
from graphql_app.store import outbox, rows
from graphql_app.store.session import Reader, Session
from graphql_app.store.statements import prepared
from graphql_app.store.tables import accounts, employees, login_sessions, refresh_tokens

USER_AGENT_LENGTH_MOST = 200

_ACCOUNT = (
    accounts.c.id,
    accounts.c.name,
    accounts.c.role,
    accounts.c.disabled,
    accounts.c.tokens_from,
    accounts.c.employee_key,
    employees.c.employee_number,
    accounts.c.version,
)
_ACCOUNTS = select(*_ACCOUNT).select_from(
    accounts.outerjoin(employees, employees.c.public_key == accounts.c.employee_key)
)
_ALL = prepared(_ACCOUNTS.order_by(accounts.c.name))
_BY_NAME = prepared(
    _ACCOUNTS.add_columns(accounts.c.password_hash).where(
        func.lower(accounts.c.name) == func.lower(bindparam("name", type_=String))
    )
)


@dataclass(frozen=True, slots=True)
class Known:
    account: Account
    password_hash: str


async def by_name(reader: Reader, name: str) -> Known | None:
    row = await reader.row(_BY_NAME, {"name": name})
    return None if row is None else Known(rows.account(row), row["password_hash"])


async def everybody(reader: Reader) -> list[Account]:
    """All accounts, by name."""
    return [rows.account(row) for row in await reader.fetch(_ALL)]


# --- what every process knows ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Standing:
    """All accounts, and the sessions that were revoked lately. No older than the head, and newer by what the feed has
    not numbered yet."""

    head: Head
    accounts: list[Account]
    revoked: dict[UUID, datetime]


_REVOKED = prepared(
    text("""
SELECT key, revoked_at FROM login_sessions
WHERE revoked_at > clock_timestamp() - make_interval(secs => CAST(:seconds AS float8))
""")
)


async def standing(snapshot: Session, seconds: float) -> Standing:
    """As of one moment; `seconds`: how far back revocations matter."""
    head = await outbox.head(snapshot)
    found = await everybody(snapshot)
    revoked = {row["key"]: row["revoked_at"] for row in await snapshot.fetch(_REVOKED, {"seconds": seconds})}
    return Standing(head, found, revoked)


# --- sessions --------------------------------------------------------------------------------------------------------

# The account's row is held, so that nobody disables it or changes its password in between unnoticed.
_OPEN = prepared(
    text("""
INSERT INTO login_sessions (account_id, user_agent, address)
SELECT id, CAST(:user_agent AS text), CAST(:address AS text) FROM accounts
WHERE id = CAST(:account_id AS integer) AND NOT disabled AND password_hash = CAST(:password_hash AS text) FOR SHARE
RETURNING id, key, account_id, created_at, revoked_at
""")
)
_USED = prepared(
    text("""
UPDATE login_sessions SET last_used_at = clock_timestamp(),
    user_agent = coalesce(CAST(:user_agent AS text), user_agent), -- on a socket nobody says it again
    address = CAST(:address AS text)
WHERE id = :id
""")
)
_REVOKE = prepared(
    text("UPDATE login_sessions SET revoked_at = clock_timestamp() WHERE key = :key AND revoked_at IS NULL")
)
_REVOKE_ALL = prepared(
    text("""
UPDATE login_sessions SET revoked_at = clock_timestamp() WHERE account_id = :account_id AND revoked_at IS NULL
""")
)
_TOKENS_FROM_NOW = prepared(
    text(
        """
UPDATE accounts SET tokens_from = clock_timestamp() WHERE lower(name) = lower(CAST(:name AS text)) RETURNING id
"""
    )
)


async def open_session(
    connection: Session, known: Known, address: str | None, user_agent: str | None
) -> LoginSession | None:
    """None when the account is not what it was when it was read."""
    values = {"account_id": known.account.id, "password_hash": known.password_hash, **_told(address, user_agent)}
    row = await connection.row(_OPEN, values)
    return None if row is None else rows.login_session(row)


async def use_session(connection: Session, session_id: int, address: str | None, user_agent: str | None) -> None:
    await connection.execute(_USED, {"id": session_id, **_told(address, user_agent)})


async def revoke_session(connection: Session, key: UUID) -> int:
    """Returns how many were open: one or none."""
    return await connection.execute(_REVOKE, {"key": key})


async def revoke_all(connection: Session, name: str) -> int | None:
    """Ends all sessions of the account, and returns how many were open; None when there is no such account."""
    account_id = await connection.scalar(_TOKENS_FROM_NOW, {"name": name})
    if account_id is None:
        return None
    return await connection.execute(_REVOKE_ALL, {"account_id": account_id})


def _told(address: str | None, user_agent: str | None) -> dict[str, str | None]:
    return {"user_agent": user_agent and user_agent[:USER_AGENT_LENGTH_MOST], "address": address}


# --- refresh tokens --------------------------------------------------------------------------------------------------

# Whoever renews within one family takes turns, by the session's row.
_PRESENTED = prepared(
    select(
        *_ACCOUNT,
        login_sessions.c.id.label("session_id"),
        login_sessions.c.key,
        login_sessions.c.account_id,
        login_sessions.c.created_at,
        login_sessions.c.revoked_at,
        refresh_tokens.c.id.label("token_id"),
        refresh_tokens.c.expires_at,
        refresh_tokens.c.used_at,
        func.clock_timestamp().label("now"),
    )
    .select_from(
        refresh_tokens.join(login_sessions, login_sessions.c.id == refresh_tokens.c.session_id)
        .join(accounts, accounts.c.id == login_sessions.c.account_id)
        .outerjoin(employees, employees.c.public_key == accounts.c.employee_key)
    )
    .where(refresh_tokens.c.id == bindparam("id"))
)
_LOCK = prepared(
    text("""
SELECT r.id FROM refresh_tokens r JOIN login_sessions s ON s.id = r.session_id
WHERE r.token_hash = CAST(:token_hash AS bytea) FOR NO KEY UPDATE OF s
""")
)
_ISSUE = prepared(
    text("""
WITH issued AS (
    INSERT INTO refresh_tokens (session_id, token_hash, expires_at)
    VALUES (:session_id, CAST(:token_hash AS bytea), CAST(:expires_at AS timestamptz)) RETURNING id
)
UPDATE refresh_tokens SET used_at = coalesce(used_at, clock_timestamp()), replaced_by = issued.id
FROM issued WHERE refresh_tokens.id = CAST(:replaces AS bigint)
""")
)


@dataclass(frozen=True, slots=True)
class Presented:
    """A refresh token that was presented, and all that decides what becomes of it."""

    token: RefreshToken
    session: LoginSession
    account: Account
    now: datetime


async def presented(connection: Session, token_hash: bytes) -> Presented | None:
    """The token with this hash; its family is this transaction's alone from now on."""
    # Read once more after the lock: what was waited for may have used it.
    token_id = await connection.scalar(_LOCK, {"token_hash": token_hash})
    row = None if token_id is None else await connection.row(_PRESENTED, {"id": token_id})
    if row is None:
        return None
    session = LoginSession(row["session_id"], row["key"], row["account_id"], row["created_at"], row["revoked_at"])
    return Presented(
        RefreshToken(row["token_id"], row["expires_at"], row["used_at"]), session, rows.account(row), row["now"]
    )


async def issue(
    connection: Session, session_id: int, token_hash: bytes, expires_at: datetime, *, replaces: int | None = None
) -> None:
    """Keeps a new token of the family; the one that it replaces has been used from now on."""
    values = {"session_id": session_id, "token_hash": token_hash, "expires_at": expires_at, "replaces": replaces}
    await connection.execute(_ISSUE, values)


# --- failed logins ---------------------------------------------------------------------------------------------------

FORGOTTEN_SECONDS = 3600.0

# An attempt counts as failed before the password is looked at, so that many at once are counted too.
_ATTEMPT = prepared(
    text("""
INSERT INTO login_failures AS known (subject, failures, last_at, free_at)
VALUES (:subject, 1, clock_timestamp(), clock_timestamp())
ON CONFLICT (subject) DO UPDATE SET
    failures = CASE WHEN known.last_at < clock_timestamp() - make_interval(secs => CAST(:forgotten AS float8)) THEN 1
        ELSE known.failures + 1 END,
    last_at = clock_timestamp(),
    free_at = CASE WHEN known.failures + 1 < CAST(:free AS integer)
            OR known.last_at < clock_timestamp() - make_interval(secs => CAST(:forgotten AS float8))
        THEN clock_timestamp()
        ELSE clock_timestamp() + make_interval(secs => least(CAST(:most AS float8),
            CAST(:first AS float8) * 2 ^ least(known.failures + 1 - CAST(:free AS integer), 20))) END
WHERE known.free_at <= clock_timestamp()
RETURNING failures
""")
)
_LEFT = prepared(
    text("""
SELECT CAST(extract(epoch FROM free_at - clock_timestamp()) AS float8) FROM login_failures WHERE subject = :subject
""")
)
_FORGIVE = prepared(text("DELETE FROM login_failures WHERE subject = :subject"))
_TAKE_BACK = prepared(
    text("""
UPDATE login_failures SET failures = greatest(failures - 1, 0), free_at = clock_timestamp() WHERE subject = :subject
""")
)


async def attempt(connection: Session, subject: str, patience: Patience) -> float | None:
    """Counts an attempt as failed. Returns how many seconds the subject must wait instead, if it must."""
    values = {
        "subject": subject,
        "forgotten": FORGOTTEN_SECONDS,
        "free": patience.free,
        "most": patience.seconds_most,
        "first": patience.first_seconds,
    }
    if await connection.scalar(_ATTEMPT, values) is not None:
        return None
    left = await connection.scalar(_LEFT, {"subject": subject})
    return max(float(left or 0), 0.1)


async def forgive(connection: Session, subject: str) -> None:
    """All that failed: who the subject is has been shown."""
    await connection.execute(_FORGIVE, {"subject": subject})


async def take_back(connection: Session, subject: str) -> None:
    """The one attempt that did not fail after all."""
    await connection.execute(_TAKE_BACK, {"subject": subject})


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
    """False when the name is taken."""
    values = {"name": name, "password_hash": password_hash, "role": role, "employee_key": employee_key}
    return await connection.scalar(_ADD, values) is not None


async def change(connection: Session, name: str, column: str, value: Any) -> bool:
    """Sets `role`, `disabled` or `password_hash`. False when there is no such account."""
    return await connection.execute(_CHANGE[column], {"name": name, "value": value}) > 0
