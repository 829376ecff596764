"""Statements about failed logins."""

from sqlalchemy import text

from graphql_app.domain.account import Patience
from graphql_app.store.postgres.session import Session
from graphql_app.store.postgres.statements import prepared

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
    """Deletes all failures of the subject: who they are has been shown."""
    await connection.execute(_FORGIVE, {"subject": subject})


async def take_back(connection: Session, subject: str) -> None:
    """Takes back the one attempt that did not fail after all."""
    await connection.execute(_TAKE_BACK, {"subject": subject})
