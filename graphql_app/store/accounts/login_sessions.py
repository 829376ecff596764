"""Statements about login sessions."""

from uuid import UUID

from sqlalchemy import text

from graphql_app.domain.account import LoginSession
from graphql_app.domain.texts import plain
from graphql_app.store.accounts.accounts import StoredAccount
from graphql_app.store.postgres.session import Session
from graphql_app.store.postgres.statements import prepared
from graphql_app.store.schema import rows

USER_AGENT_LENGTH_MOST = 200

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
    text("""
UPDATE accounts SET tokens_from = clock_timestamp() WHERE lower(name) = lower(CAST(:name AS text)) RETURNING id
""")
)


async def open_for(
    connection: Session, known: StoredAccount, address: str | None, user_agent: str | None
) -> LoginSession | None:
    """Opens a session. Returns None when the account is not what it was when it was read."""
    values = {"account_id": known.account.id, "password_hash": known.password_hash, **_told(address, user_agent)}
    row = await connection.row(_OPEN, values)
    return None if row is None else rows.login_session(row)


async def use(connection: Session, session_id: int, address: str | None, user_agent: str | None) -> None:
    await connection.execute(_USED, {"id": session_id, **_told(address, user_agent)})


async def revoke(connection: Session, key: UUID) -> None:
    """Ends the session, if it has not ended."""
    await connection.execute(_REVOKE, {"key": key})


async def revoke_all(connection: Session, name: str) -> int | None:
    """Ends all sessions of the account, and returns how many were open; None when there is no such account."""
    account_id = await connection.scalar(_TOKENS_FROM_NOW, {"name": name})
    if account_id is None:
        return None
    return await connection.execute(_REVOKE_ALL, {"account_id": account_id})


def _told(address: str | None, user_agent: str | None) -> dict[str, str | None]:
    return {"user_agent": user_agent and plain(user_agent)[:USER_AGENT_LENGTH_MOST], "address": address}
