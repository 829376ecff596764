"""The change log as an outbox: what changed since a revision, how it is numbered, and how its arrival is heard of."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Integer,
    String,
    bindparam,
    cast,
    func,
    literal_column,
    or_,
    select,
    text,
    tuple_,
)

from graphql_app.domain.change import Change, Head
from graphql_app.domain.workstation import Place
from graphql_app.observe import FeedFailed, note
from graphql_app.store import rows
from graphql_app.store.database import Database
from graphql_app.store.session import Reader
from graphql_app.store.statements import Prepared, prepared
from graphql_app.store.tables import change_log, feed_head

CHANNEL = "graphql_app_changes"
# One lock a database: whoever holds it numbers. Any fixed number that no other program takes will do.
LEADER_LOCK = 0x67726170686C6561
STANDBY_SECONDS = 0.5

_LOG = change_log.c
_IMAGES = (
    _LOG.revision,
    _LOG.transaction_id,
    _LOG.entity,
    _LOG.entity_id,
    _LOG.logged_at,
    _LOG.before,
    _LOG.after,
)
_PROGRESS = prepared(
    text("""
SELECT epoch, revision, pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS below,
    (SELECT extract(epoch FROM clock_timestamp() - min(logged_at))::float8 FROM change_log WHERE revision IS NULL)
        AS waiting_seconds
FROM feed_head
""")
)


class Unreadable(Exception):
    """A change with an image that is none to this release: written by one whose tables had other columns."""


def decoded(records: Iterable[Any]) -> list[Change[Any]]:
    """Changes from rows of the log, or from their JSON on the relay. Entities that this release does not know (a newer
    one writes them) are passed over. Raises Unreadable."""
    known = [record for record in records if record["entity"] in rows.IMAGES]
    try:
        return [_change(record, rows.IMAGES[record["entity"]]) for record in known]
    except (KeyError, TypeError, ValueError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from error


def _change(record: Any, image: Callable[[Any], Any]) -> Change[Any]:
    before, after = record["before"], record["after"]
    return Change(
        revision=record["revision"] or 0,
        entity=record["entity"],
        key=int(record["entity_id"]),
        logged_at=rows.moment(record["logged_at"]),
        before=image(before) if before else None,
        after=image(after) if after else None,
        transaction_id=record.get("transaction_id") or 0,  # a leader of an older release does not say it
    )


_HEAD = prepared(select(feed_head.c.epoch, feed_head.c.revision))
_WAITING = prepared(select(func.extract("epoch", func.now() - func.min(_LOG.logged_at))).where(_LOG.revision.is_(None)))
_KEPT_FROM = prepared(select(feed_head.c.kept_from))
_BETWEEN = (
    select(*_IMAGES)
    .where(_LOG.revision > bindparam("after", type_=BigInteger), _LOG.revision <= bindparam("last", type_=BigInteger))
    .order_by(_LOG.revision)
)
_ALL_BETWEEN = prepared(_BETWEEN)
_ALL_UNNUMBERED = (
    select(*_IMAGES).where(_LOG.revision.is_(None), _LOG.entity == bindparam("entity", type_=String)).order_by(_LOG.seq)
)
_UNNUMBERED = prepared(_ALL_UNNUMBERED)
_PLACES = (
    func.unnest(bindparam("buildings", type_=ARRAY(String)), bindparam("numbers", type_=ARRAY(Integer)))
    .table_valued("building", "number", name="places")
    .render_derived()
)
_UNNUMBERED_OF_PLACES = prepared(
    _ALL_UNNUMBERED.where(
        or_(
            *(
                tuple_(image["building"].astext, cast(image["floor_number"].astext, Integer)).in_(
                    select(_PLACES.c.building, _PLACES.c.number)
                )
                for image in (_LOG.before, _LOG.after)
            )
        )
    )
)


@cache
def _between_of(entity: str) -> Prepared:
    """The name, one of the program's own, is part of the text: only so the planner knows that an index of one entity
    will do."""
    return prepared(_BETWEEN.where(_LOG.entity == literal_column(f"'{entity}'", String)))


async def head(reader: Reader) -> Head:
    row = await reader.row(_HEAD)
    assert row is not None, "feed_head always has its one row"
    return Head(row["epoch"], row["revision"])


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the log is numbered, all as of one moment. Every transaction `below` this id had ended; unless a change
    was waiting for its revision, what they logged is within the head."""

    head: Head
    below: int
    waiting_seconds: float | None


async def progress(reader: Reader) -> Progress:
    row = await reader.row(_PROGRESS)
    assert row is not None, "feed_head always has its one row"
    return Progress(Head(row["epoch"], row["revision"]), row["below"], row["waiting_seconds"])


async def waiting_seconds(reader: Reader) -> float:
    """How long ago the oldest change was made that has no revision yet; 0 when all have one."""
    return float(await reader.scalar(_WAITING) or 0)


async def kept_from(reader: Reader) -> int:
    """The oldest revision that a cursor may name: what came after it is all still in the log."""
    return int(await reader.scalar(_KEPT_FROM) or 0)


async def changes_between(reader: Reader, after: int, last: int, entity: str | None = None) -> list[Change[Any]] | None:
    """The changes with after < revision <= last, of one entity or of all, in order; None when the log is not kept so
    long, or cannot be read: then the present is what there is to go by."""
    statement = _ALL_BETWEEN if entity is None else _between_of(entity)
    records = await reader.fetch(statement, {"after": after, "last": last})
    try:
        found = decoded(records)
    except Unreadable as error:
        note(FeedFailed(error))
        return None
    # Asked afterwards: whatever is kept now was kept when it was read.
    return found if after >= await kept_from(reader) else None


async def unnumbered(reader: Reader, entity: str, places: Collection[Place] | None = None) -> list[Change[Any]]:
    """Committed changes of an entity that the feed has not numbered yet, in the order of writing, of some floors or of
    all. Their revision reads 0.
    """
    if places is None:
        return decoded(await reader.fetch(_UNNUMBERED, {"entity": entity}))
    wanted = {"buildings": [place.building for place in places], "numbers": [place.number for place in places]}
    return decoded(await reader.fetch(_UNNUMBERED_OF_PLACES, {"entity": entity, **wanted}))


# --- leading ---------------------------------------------------------------------------------------------------------


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
        """This and what was numbered later as one; None when it does not follow on this."""
        if (self.head.epoch, self.head.revision) != (later.head.epoch, later.previous):
            return None
        return Numbered(self.previous, later.head, self.changes + later.changes, later.below)


# All in one statement: a crash leaves either the old head and unnumbered rows, or the new head and numbered ones.
_NUMBER = """
WITH fresh AS (
    SELECT seq, row_number() OVER (ORDER BY seq) AS place
    FROM (SELECT seq FROM change_log WHERE revision IS NULL ORDER BY seq LIMIT $1) unnumbered
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


class Leader:
    """The one session that numbers. It is the session that holds the lock: who loses the lock cannot number."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]", epoch: UUID, revision: int) -> None:
        self._connection = connection
        self._woken = asyncio.Event()
        self.head = Head(epoch, revision)

    def wake(self, *_: object) -> None:
        self._woken.set()

    async def wait(self, seconds: float) -> None:
        """Until something is committed, or for so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            pass
        self._woken.clear()

    async def number(self, most: int) -> Numbered:
        """Gives the next revisions to what was committed. Also the heartbeat that keeps the session."""
        records = await self._connection.fetch(_NUMBER, most, timeout=5)
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
    finally:
        # terminate, not close: nothing is in flight that is worth waiting for a peer that may be gone.
        connection.terminate()
