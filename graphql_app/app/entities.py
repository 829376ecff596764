"""How what can be followed is read at once: the part of an entity that needs the statements of its subject.

store/schema/entities.py registers the entities themselves.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from graphql_app.domain import notification
from graphql_app.domain.notification import Notification
from graphql_app.domain.reservation import RESERVATION, Reservation
from graphql_app.domain.topics import Notifications, Reservations, Workstations
from graphql_app.domain.workstation import WORKSTATION
from graphql_app.services.following.snapshots import SnapshotRows
from graphql_app.store import notifications, reservations
from graphql_app.store import office as queries
from graphql_app.store.postgres.session import Session
from graphql_app.store.schema import rows


def _workstations(session: Session, topic: Workstations, after: int, most: int) -> Any:
    return queries.matching_workstations(session, topic.matching, after=after, most=most)


async def _notifications(session: Session, topic: Notifications, after: int, most: int) -> Sequence[Notification]:
    return await notifications.told_to(session, topic.audience, after, most)


async def _reservations(session: Session, topic: Reservations, after: int, most: int) -> Sequence[Reservation]:
    return await reservations.followed(session, topic.bookings, is_own=topic.is_own, after=after, most=most)


# By the entity of the topics.
SNAPSHOT_ROWS: Mapping[str, SnapshotRows] = {
    WORKSTATION: SnapshotRows(_workstations, rows.selected, rows.selected_once),
    notification.ENTITY: SnapshotRows(_notifications),
    RESERVATION: SnapshotRows(_reservations),
}
