"""A floor as of one moment, read in one statement, so that nothing can happen between its parts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Integer, String, bindparam, text

from graphql_app.domain.change import Head, rewind
from graphql_app.domain.workstation import Floor, Place, Workstation
from graphql_app.observe import FeedFailed, note
from graphql_app.store.log import outbox
from graphql_app.store.postgres.session import Reader
from graphql_app.store.postgres.statements import prepared
from graphql_app.store.schema import rows


@dataclass(frozen=True, slots=True)
class FloorState:
    """The floor and its workstations, by id, exactly as they were at the head."""

    head: Head
    floor: Floor
    workstations: Sequence[Workstation]


# Images as the log has them. A floor that is being renamed is not worth the trouble of telling where it was.
_STATE = prepared(
    text("""
SELECT epoch, revision,
    (SELECT to_json(f) FROM floors f WHERE f.building = :building AND f.number = :number)::text AS floor,
    (SELECT coalesce(json_agg(w), '[]') FROM workstations w
     WHERE w.building = :building AND w.floor_number = :number)::text AS workstations,
    (SELECT coalesce(json_agg(l ORDER BY seq), '[]') FROM change_log l
     WHERE revision IS NULL AND entity = 'workstation' AND (
        (before ->> 'building' = :building AND (before ->> 'floor_number')::integer = :number)
        OR (after ->> 'building' = :building AND (after ->> 'floor_number')::integer = :number)))::text AS waiting,
    EXISTS (SELECT FROM change_log WHERE revision IS NULL AND entity = 'floor') AS is_moving
FROM feed_head
""").bindparams(bindparam("building", type_=String), bindparam("number", type_=Integer))
)


async def read(reader: Reader, place: Place) -> FloorState | None:
    """The state at the head of the log; None when there is no such floor, when it is on the move, and while it
    is, or a change waits, as this release cannot read it. Raises Unavailable."""
    row = await reader.row(_STATE, {"building": place.building, "number": place.number})
    assert row is not None, "feed_head always has its one row"
    if row["floor"] is None or row["is_moving"]:
        return None
    try:
        return _state(row, place)
    except (KeyError, outbox.UnreadableChange) as error:  # of the columns of another release
        note(FeedFailed(error))
        return None


def _state(row: Any, place: Place) -> FloorState:
    """Raises KeyError and UnreadableChange."""
    workstations = map(rows.workstation, orjson.loads(row["workstations"]))
    waiting = outbox.decoded(orjson.loads(row["waiting"]))
    exact = [one for one in rewind(workstations, waiting) if one.place == place]
    return FloorState(Head(row["epoch"], row["revision"]), rows.floor(orjson.loads(row["floor"])), exact)
