"""Statements about where accounts have logged in from."""

from sqlalchemy import text

from graphql_app.store.postgres.session import Reader, Session
from graphql_app.store.postgres.statements import prepared

# Whoever knew an older password, or was thrown out, is a stranger again.
_KNOWN = prepared(
    text("""
SELECT true FROM login_addresses known JOIN accounts account ON account.id = known.account_id
WHERE known.account_id = :account_id AND known.network = CAST(:network AS text)
    AND known.last_at >= account.tokens_from
""")
)
_REMEMBER = prepared(
    text("""
INSERT INTO login_addresses (account_id, network) VALUES (:account_id, CAST(:network AS text))
ON CONFLICT (account_id, network) DO UPDATE SET last_at = clock_timestamp()
""")
)


async def is_known(reader: Reader, account_id: int, network: str) -> bool:
    """Returns whether the account has logged in from there, since all its sessions ended last."""
    return bool(await reader.scalar(_KNOWN, {"account_id": account_id, "network": network}))


async def remember(connection: Session, account_id: int, network: str) -> None:
    """Records that the account has logged in from there just now."""
    await connection.execute(_REMEMBER, {"account_id": account_id, "network": network})
