"""Statements about refresh tokens: each is exchanged for the next of its family, which is one login session."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, func, select, text

from graphql_app.domain.account import Account, LoginSession, RefreshToken
from graphql_app.store.accounts.accounts import COLUMNS
from graphql_app.store.postgres.session import Session
from graphql_app.store.postgres.statements import prepared
from graphql_app.store.schema import rows
from graphql_app.store.schema.tables import accounts, employees, login_sessions, refresh_tokens

# Whoever renews within one family takes turns, by the session's row.
_PRESENTED = prepared(
    select(
        *COLUMNS,
        login_sessions.c.id.label("session_id"),
        login_sessions.c.key,
        login_sessions.c.account_id,
        login_sessions.c.created_at,
        login_sessions.c.revoked_at,
        refresh_tokens.c.id.label("token_id"),
        refresh_tokens.c.expires_at,
        refresh_tokens.c.used_at,
        refresh_tokens.c.successor,
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
UPDATE refresh_tokens SET used_at = coalesce(used_at, clock_timestamp()), replaced_by = issued.id,
    successor = CAST(:successor AS bytea)
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
    """Returns the token with this hash, and locks its family until the transaction ends."""
    # Read once more after the lock: what was waited for may have used it.
    token_id = await connection.scalar(_LOCK, {"token_hash": token_hash})
    row = None if token_id is None else await connection.row(_PRESENTED, {"id": token_id})
    if row is None:
        return None
    session = LoginSession(row["session_id"], row["key"], row["account_id"], row["created_at"], row["revoked_at"])
    return Presented(
        RefreshToken(row["token_id"], row["expires_at"], row["used_at"], row["successor"]),
        session,
        rows.account(row),
        row["now"],
    )


async def issue(
    connection: Session,
    session_id: int,
    token_hash: bytes,
    expires_at: datetime,
    *,
    replaces: int | None = None,
    successor: bytes | None = None,
) -> None:
    """Keeps a new token of the family; the one that it replaces counts as used from now on, and keeps it sealed."""
    values = {
        "session_id": session_id,
        "token_hash": token_hash,
        "expires_at": expires_at,
        "replaces": replaces,
        "successor": successor,
    }
    await connection.execute(_ISSUE, values)
