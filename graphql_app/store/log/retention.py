"""What is forgotten in time: a small batch at once, so that nobody waits for it."""

from sqlalchemy import text

from graphql_app.domain.account import KNOWN_DAYS
from graphql_app.store.log import counting
from graphql_app.store.postgres.session import Session
from graphql_app.store.postgres.statements import prepared

# Walks from the oldest and stops at the first that is young enough, so that what is kept has no hole. What happened to
# workstations goes on into the audit log.
_PRUNE = prepared(
    text("""
WITH oldest AS (
    SELECT seq, revision, bool_or(logged_at >= now() - make_interval(secs => CAST(:hours AS float8) * 3600))
        OVER (ORDER BY revision) AS is_kept
    FROM (SELECT seq, revision, logged_at FROM change_log
          WHERE revision > (SELECT kept_from FROM feed_head) AND revision <= (SELECT revision FROM counted)
          ORDER BY revision LIMIT :most) candidates
), gone AS (
    DELETE FROM change_log WHERE seq IN (SELECT seq FROM oldest WHERE NOT is_kept) RETURNING *
), audited AS (
    INSERT INTO audit_log (seq, workstation_id, logged_at, actor, transport, address, request_id, before, after)
    SELECT seq, CAST(entity_id AS integer), logged_at, actor, transport, address, request_id, before, after FROM gone
    WHERE entity = 'workstation'
), moved AS (
    UPDATE feed_head SET kept_from = (SELECT max(revision) FROM gone) WHERE EXISTS (SELECT FROM gone)
)
SELECT count(*) FROM gone
""")
)
_FORGET = prepared(
    text("""
DELETE FROM idempotency_keys WHERE (actor, key) IN (
    SELECT actor, key FROM idempotency_keys WHERE used_at < now() - make_interval(secs => CAST(:hours AS float8) * 3600)
    ORDER BY used_at LIMIT :most)
""")
)
_PRUNE_NOTIFICATIONS = prepared(
    text("""
DELETE FROM notifications WHERE id IN (
    SELECT id FROM notifications WHERE created_at < now() - make_interval(secs => CAST(:hours AS float8) * 3600)
    ORDER BY created_at LIMIT :most)
""")
)
_PRUNE_AUDIT = prepared(
    text("""
DELETE FROM audit_log WHERE seq IN (
    SELECT seq FROM (SELECT seq, logged_at FROM audit_log ORDER BY seq LIMIT :most) oldest
    WHERE logged_at < now() - make_interval(secs => CAST(:days AS float8) * 86400))
""")
)

# Whose refresh tokens have all expired, or who was logged out: kept for a while, as whoever looks into it will ask.
_FORGET_SESSIONS = prepared(
    text("""
DELETE FROM login_sessions WHERE id IN (
    SELECT id FROM login_sessions
    WHERE last_used_at < clock_timestamp() - make_interval(days => 1, secs => CAST(:seconds AS float8))
       OR revoked_at < clock_timestamp() - make_interval(days => 30)
    LIMIT :most)
""")
)
# One that was used is kept until it expires: who presents it again has a copy.
_FORGET_TOKENS = prepared(
    text("""
DELETE FROM refresh_tokens WHERE id IN (
    SELECT id FROM refresh_tokens WHERE expires_at < clock_timestamp() - make_interval(days => 1) LIMIT :most)
""")
)
_FORGET_FAILURES = prepared(
    text("""
DELETE FROM login_failures WHERE subject IN (
    SELECT subject FROM login_failures
    WHERE last_at < clock_timestamp() - make_interval(hours => 1) AND free_at < clock_timestamp() LIMIT :most)
""")
)
_FORGET_ADDRESSES = prepared(
    text("""
DELETE FROM login_addresses WHERE (account_id, network) IN (
    SELECT account_id, network FROM login_addresses
    WHERE last_at < clock_timestamp() - make_interval(days => CAST(:days AS integer)) LIMIT :most)
""")
)


async def prune_log(connection: Session, hours: float, most: int) -> int:
    """Takes the oldest changes out of the log, once they are counted, and moves kept_from with them, in one statement.
    Returns how many."""
    while await counting.count(connection):
        pass
    return int(await connection.scalar(_PRUNE, {"hours": hours, "most": most}) or 0)


async def forget_keys(connection: Session, hours: float, most: int) -> int:
    """Forgets old idempotency keys. Returns how many."""
    return await connection.execute(_FORGET, {"hours": hours, "most": most})


async def prune_notifications(connection: Session, hours: float, most: int) -> int:
    """Forgets old notifications, expired or not; it is logged, so that whoever shows one takes it down. Returns how
    many."""
    return await connection.execute(_PRUNE_NOTIFICATIONS, {"hours": hours, "most": most})


async def prune_audit(connection: Session, days: float, most: int) -> int:
    """Forgets the oldest entries of the audit log. Returns how many."""
    return await connection.execute(_PRUNE_AUDIT, {"days": days, "most": most})


async def forget_logins(connection: Session, seconds: float, most: int) -> int:
    """Forgets sessions whose refresh tokens, valid for so long, have expired; these too, old failures, and from where
    nobody came for long. Returns how many sessions."""
    await connection.execute(_FORGET_TOKENS, {"most": most})
    await connection.execute(_FORGET_FAILURES, {"most": most})
    await connection.execute(_FORGET_ADDRESSES, {"days": KNOWN_DAYS, "most": most})
    return await connection.execute(_FORGET_SESSIONS, {"seconds": seconds, "most": most})
