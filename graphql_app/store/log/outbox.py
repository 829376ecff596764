"""The change log as an outbox: what changed since a revision, and how far it is numbered."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, String, bindparam, literal_column, select, text

from graphql_app.domain.change import Change, Head
from graphql_app.domain.entity import Entity
from graphql_app.domain.workstation import Place
from graphql_app.observe import EntriesUnknown, EntryUnreadable, FeedFailed, note
from graphql_app.store.postgres.session import Reader
from graphql_app.store.postgres.statements import Prepared, prepared
from graphql_app.store.schema import rows
from graphql_app.store.schema.entities import ENTITIES
from graphql_app.store.schema.tables import change_log, feed_head

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
    (SELECT extract(epoch FROM clock_timestamp() - logged_at)::float8 FROM change_log WHERE revision IS NULL
        ORDER BY seq LIMIT 1) AS waiting_seconds
FROM feed_head
""")
)


class UnreadableChange(Exception):
    """A change with an image that is none to this release: written by one whose tables had other columns."""


def decoded(records: Iterable[Any]) -> list[Change[Any]]:
    """Changes from rows of the log, or from their JSON on the relay. Those of entities that this release does not know
    (a newer one writes them), and those that nobody can read, are noted and passed over. Raises UnreadableChange."""
    changes: list[Change[Any]] = []
    unknown: list[str] = []
    for record in records:
        entity = ENTITIES.get(record["entity"])
        if entity is None:
            unknown.append(record["entity"])
        elif (change := _change_of(record, entity)) is not None:
            changes.append(change)
    for name, entries in Counter(unknown).items():
        note(EntriesUnknown(name, entries))
    return changes


def _change_of(record: Any, entity: Entity) -> Change[Any] | None:
    try:
        return _change(record, entity.decode)
    except KeyError as error:
        raise UnreadableChange(f"a change of the entity {entity.name} without {error}") from error
    except (AttributeError, TypeError, ValueError) as error:
        note(EntryUnreadable("change_log", entity.name, record["entity_id"], type(error).__name__))
        return None


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
_KEPT_FROM = prepared(select(feed_head.c.kept_from))
_BETWEEN = (
    select(*_IMAGES)
    .where(_LOG.revision > bindparam("after", type_=BigInteger), _LOG.revision <= bindparam("last", type_=BigInteger))
    .order_by(_LOG.revision)
)
_ALL_BETWEEN = prepared(_BETWEEN)
_UNNUMBERED = prepared(
    select(*_IMAGES).where(_LOG.revision.is_(None), _LOG.entity == bindparam("entity", type_=String)).order_by(_LOG.seq)
)
# As the indexes of the log by place have it: where a workstation is by the change, and where it was, if it moved.
_SEQS_OF_PLACES = """
    SELECT seq FROM change_log JOIN places
        ON coalesce(after, before) ->> 'building' = places.building
        AND coalesce(after, before) ->> 'floor_number' = places.number
    WHERE entity = 'workstation' AND {range}
UNION ALL
    SELECT seq FROM change_log JOIN places
        ON before ->> 'building' = places.building AND before ->> 'floor_number' = places.number
    WHERE entity = 'workstation' AND (before ->> 'building' IS DISTINCT FROM after ->> 'building'
        OR before ->> 'floor_number' IS DISTINCT FROM after ->> 'floor_number') AND {range}
"""


def _of_places(range_: str, order: str) -> Prepared:
    """Selects the images of workstations on some floors, in order, at most so many."""
    seqs = _SEQS_OF_PLACES.format(range=range_)
    return prepared(
        text(f"""
WITH places AS (
    SELECT * FROM unnest(CAST(:buildings AS text[]), CAST(:numbers AS text[])) AS places(building, number)
)
SELECT revision, transaction_id, entity, entity_id, logged_at, before, after FROM change_log
WHERE seq IN ({seqs}) ORDER BY {order} LIMIT CAST(:most AS bigint)
""")  # noqa: S608  # of the program's own texts
    )


_UNNUMBERED_OF_PLACES = _of_places("revision IS NULL", "seq")
_BETWEEN_OF_PLACE = _of_places("revision > CAST(:after AS bigint) AND revision <= CAST(:last AS bigint)", "revision")


def _named(places: Collection[Place], most: int | None = None) -> dict[str, Any]:
    return {
        "buildings": [place.building for place in places],
        "numbers": [str(place.number) for place in places],
        "most": most,
    }


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


async def kept_from(reader: Reader) -> int:
    """The oldest revision that a cursor may name: what came after it is all still in the log."""
    return int(await reader.scalar(_KEPT_FROM) or 0)


async def changes_between(
    reader: Reader,
    after: int,
    last: int,
    entity: str | None = None,
    place: Place | None = None,
    most: int | None = None,
) -> list[Change[Any]] | None:
    """The changes with after < revision <= last, in order: of one entity or of all, or the first `most` of the
    workstations of one floor. None when the log is not kept so long, or cannot be read: then the present is what there
    is to go by."""
    ranged = {"after": after, "last": last}
    if place is not None:
        records = await reader.fetch(_BETWEEN_OF_PLACE, {**ranged, **_named([place], most)})
    else:
        records = await reader.fetch(_ALL_BETWEEN if entity is None else _between_of(entity), ranged)
    try:
        found = decoded(records)
    except UnreadableChange as error:
        note(FeedFailed(error))
        return None
    # Asked afterwards: whatever is kept now was kept when it was read.
    return found if after >= await kept_from(reader) else None


async def unnumbered(reader: Reader, entity: str, places: Collection[Place] | None = None) -> list[Change[Any]]:
    """Committed changes of an entity that the feed has not numbered yet, in the order of writing; of all, or of the
    workstations of some floors. Their revision reads 0.
    """
    if places is None:
        return decoded(await reader.fetch(_UNNUMBERED, {"entity": entity}))
    return decoded(await reader.fetch(_UNNUMBERED_OF_PLACES, _named(places)))


_MORE_UNNUMBERED = prepared(
    text("SELECT count(*) = :most + 1 FROM (SELECT FROM change_log WHERE revision IS NULL LIMIT :most + 1) unnumbered")
)


async def has_more_unnumbered(reader: Reader, most: int) -> bool:
    """Returns whether more committed changes than so many have no revision yet, of all entities."""
    return bool(await reader.scalar(_MORE_UNNUMBERED, {"most": most}))
