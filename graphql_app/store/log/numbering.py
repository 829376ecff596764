"""How the change log is numbered: after commit, by the one session that leads, which hears of what is committed."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from graphql_app.domain.change import Head
from graphql_app.domain.entity import LoginRole
from graphql_app.store.postgres.database import Database
from graphql_app.store.postgres.driver import Connection
from graphql_app.store.schema.entities import ENTITIES

CHANNEL = "graphql_app_changes"
# One lock a database: whoever holds it numbers. Any fixed number that no other program takes will do.
LEADER_LOCK = 0x67726170686C6561
STANDBY_SECONDS = 0.5

# All in one statement: a crash leaves either the old head and unnumbered rows, or the new head and numbered ones.
# `chosen` gives the `seq` of those that are next.
_NUMBERING = """
WITH RECURSIVE {chosen}, fresh AS (
    SELECT seq, row_number() OVER (ORDER BY seq) AS place FROM chosen
), head AS (
    UPDATE feed_head SET revision = revision + (SELECT count(*) FROM fresh)
    WHERE EXISTS (SELECT FROM fresh)
    RETURNING revision - (SELECT count(*) FROM fresh) AS previous
), numbered AS (
    UPDATE change_log SET revision = head.previous + fresh.place FROM fresh, head
    WHERE change_log.seq = fresh.seq
    RETURNING change_log.*
)
SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS below, revision,
    json_build_object('revision', revision, 'transaction_id', transaction_id, 'entity', entity, 'entity_id', entity_id,
        'logged_at', logged_at, 'before', before, 'after', after)::text AS content
FROM (VALUES (1)) always LEFT JOIN numbered ON true ORDER BY revision
"""
_OLDEST = _NUMBERING.format(
    chosen="chosen AS (SELECT seq FROM change_log WHERE revision IS NULL ORDER BY seq LIMIT $1)"
)
# The transactions of at most $1 changes, as wholes, that need not stand behind a larger one. What must: a change of
# the same thing, or of what must; and all that was written after a change of who may see what.
_SMALL = _NUMBERING.format(
    chosen="""
waiting (transaction_id) AS (
    (SELECT transaction_id FROM change_log WHERE revision IS NULL ORDER BY transaction_id LIMIT 1)
    UNION ALL
    SELECT (SELECT later.transaction_id FROM change_log later
            WHERE later.revision IS NULL AND later.transaction_id > waiting.transaction_id
            ORDER BY later.transaction_id LIMIT 1)
    FROM waiting WHERE waiting.transaction_id IS NOT NULL
), small AS MATERIALIZED (
    SELECT transaction_id FROM (SELECT transaction_id FROM waiting LIMIT 200) oldest
    WHERE transaction_id IS NOT NULL AND $1::bigint >= (
        SELECT count(*) FROM (SELECT FROM change_log l WHERE l.revision IS NULL
                              AND l.transaction_id = oldest.transaction_id LIMIT $1::bigint + 1) counted)
), candidates AS MATERIALIZED (
    SELECT l.seq, l.entity, l.entity_id, l.transaction_id
    FROM small CROSS JOIN LATERAL (
        SELECT * FROM change_log WHERE revision IS NULL AND transaction_id = small.transaction_id) l
), barrier AS (
    SELECT min(seq) AS seq FROM change_log
    WHERE revision IS NULL AND entity IN ({logins})
      AND transaction_id NOT IN (SELECT transaction_id FROM small)
), held (transaction_id) AS (
    SELECT c.transaction_id FROM candidates c
    WHERE c.seq > (SELECT seq FROM barrier) OR EXISTS (
        SELECT FROM change_log earlier
        WHERE earlier.revision IS NULL AND earlier.entity = c.entity AND earlier.entity_id = c.entity_id
          AND earlier.seq < c.seq AND earlier.transaction_id NOT IN (SELECT transaction_id FROM small))
    UNION
    SELECT behind.transaction_id FROM held
    JOIN candidates c USING (transaction_id)
    JOIN candidates behind ON behind.entity = c.entity AND behind.entity_id = c.entity_id AND behind.seq > c.seq
), chosen AS (
    SELECT seq FROM candidates WHERE transaction_id NOT IN (SELECT transaction_id FROM held)
)""".format(logins=", ".join(f"'{name}'" for name in ENTITIES.with_login_role(*LoginRole)))  # noqa: S608  # own texts
)

# What this session touches it finds by an index, few at a time. Statistics that were taken while most of the log waited
# have PostgreSQL read all of it instead, each time anew.
_BY_INDEX = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off"}

_TRY_LOCK = "SELECT pg_try_advisory_lock($1)"

# What makes this history this one: the cluster, its timeline (turned by every promotion and point-in-time restore), and
# the database in it (another one after a dump was restored).
_HISTORY = """
UPDATE feed_head SET
    epoch = CASE WHEN history IN ('', now_is) THEN epoch ELSE gen_random_uuid() END, history = now_is
FROM (SELECT (SELECT system_identifier FROM pg_control_system())::text || '/'
    || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) || '/'
    || (SELECT oid FROM pg_database WHERE datname = current_database())::text AS now_is) this
RETURNING epoch, revision
"""


@dataclass(frozen=True, slots=True)
class Numbered:
    """What the leader just numbered: the JSON of the changes with previous < revision <= head.revision.

    `below` is given when nothing is left to be numbered: every transaction with a smaller id has ended, and what it
    logged is within the head.
    """

    previous: int
    head: Head
    changes: list[str]
    below: int | None

    def joined(self, later: "Numbered") -> "Numbered | None":
        """Returns this and what was numbered later as one; None when it does not follow on this."""
        if (self.head.epoch, self.head.revision) != (later.head.epoch, later.previous):
            return None
        return Numbered(self.previous, later.head, self.changes + later.changes, later.below)


class Leader:
    """The one session that numbers. It is the session that holds the lock: who loses the lock cannot number."""

    def __init__(self, connection: Connection, epoch: UUID, revision: int) -> None:
        self._connection = connection
        self._woken = asyncio.Event()
        self.head = Head(epoch, revision)

    def wake(self, *_: object) -> None:
        self._woken.set()

    async def wait(self, seconds: float) -> None:
        """Waits until something is committed, or for so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            pass
        self._woken.clear()

    async def number(self, most: int) -> Numbered:
        """Gives the next revisions to what was committed, in the order of writing. Also the heartbeat that keeps the
        session."""
        return await self._numbered(_OLDEST, most, most)

    async def number_small(self, largest: int) -> Numbered:
        """The same for transactions of at most so many changes, past larger ones, wherever that changes no order that
        anybody may rely on. Says nothing of what is left."""
        return await self._numbered(_SMALL, largest, 0)

    async def _numbered(self, statement: str, given: int, most: int) -> Numbered:
        """With `most` or more of them, others may be left."""
        records = await self._connection.fetch(statement, given, timeout=5)
        below = records[0]["below"]
        numbered = [record for record in records if record["revision"] is not None]
        previous = self.head.revision
        if numbered:
            self.head = Head(self.head.epoch, numbered[-1]["revision"])
        changes = [record["content"] for record in numbered]
        return Numbered(previous, self.head, changes, below if len(numbered) < most else None)


@asynccontextmanager
async def leading(database: Database) -> AsyncIterator[Leader]:
    """Waits until no other process leads, then gives the leader's session. Raises what asyncpg raises."""
    # The server ends a session that went silent, so that a leader that hangs or is cut off loses the lock to another.
    connection = await database.connect(
        idle_session_timeout="2000",
        idle_in_transaction_session_timeout="2000",
        tcp_keepalives_idle="1",
        tcp_keepalives_interval="1",
        tcp_keepalives_count="2",
        **_BY_INDEX,
    )
    try:
        # Asked again and again rather than waited for: a session that waits is not idle, and would never be ended.
        while not await connection.fetchval(_TRY_LOCK, LEADER_LOCK, timeout=5):  # noqa: ASYNC110  # the server is asked
            await asyncio.sleep(STANDBY_SECONDS * random.uniform(0.5, 1))  # noqa: S311  # jitter, not a secret
        row = await connection.fetchrow(_HISTORY, timeout=5)
        assert row is not None, "feed_head always has its one row"
        leader = Leader(connection, row["epoch"], row["revision"])
        await connection.add_listener(CHANNEL, leader.wake)
        yield leader
    except asyncpg.PostgresError as error:
        database.met(error)
        raise
    finally:
        # terminate, not close: nothing is in flight that is worth waiting for a peer that may be gone.
        connection.terminate()
