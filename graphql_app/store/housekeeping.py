"""What is forgotten in time: a small batch at once, so that nobody waits for it."""

from sqlalchemy import text

from graphql_app.store.database import Session
from graphql_app.store.statements import prepared

# Walks from the oldest and stops at the first that is young enough, so that what is kept has no hole.
_PRUNE = prepared(
    text("""
WITH oldest AS (
    SELECT seq, revision, bool_or(logged_at >= now() - make_interval(secs => CAST(:hours AS float8) * 3600))
        OVER (ORDER BY revision) AS is_kept
    FROM (SELECT seq, revision, logged_at FROM change_log WHERE revision > (SELECT kept_from FROM feed_head)
          ORDER BY revision LIMIT :most) candidates
), gone AS (
    DELETE FROM change_log WHERE seq IN (SELECT seq FROM oldest WHERE NOT is_kept) RETURNING revision
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


async def prune_log(connection: Session, hours: float, most: int) -> int:
    """Forgets the oldest changes and moves kept_from with them, in one statement. Returns how many."""
    return int(await connection.scalar(_PRUNE, {"hours": hours, "most": most}) or 0)


async def forget_keys(connection: Session, hours: float, most: int) -> int:
    """Forgets old idempotency keys. Returns how many."""
    return await connection.execute(_FORGET, {"hours": hours, "most": most})


async def prune_notifications(connection: Session, hours: float, most: int) -> int:
    """Forgets old notifications, expired or not; it is logged, so that whoever shows one takes it down. Returns how
    many."""
    return await connection.execute(_PRUNE_NOTIFICATIONS, {"hours": hours, "most": most})
