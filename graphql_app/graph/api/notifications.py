"""Notifications in the schema: what they are like, those that are for you, and publishing one."""

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Annotated, Any

import strawberry
from strawberry import Parent, argument

from graphql_app.domain import identifiers
from graphql_app.domain import notification as domain
from graphql_app.domain import workstation as office
from graphql_app.domain.change import Batch
from graphql_app.domain.identifiers import global_id
from graphql_app.graph.api import enums
from graphql_app.graph.api.context import AppInfo
from graphql_app.graph.api.feeds import Feed
from graphql_app.graph.api.mutations import idempotency, mutation_result
from graphql_app.graph.api.paging import After, Before, First, Last, PageInfo
from graphql_app.graph.api.refusals import Conflict, Forbidden, InvalidInput, ReadOnly, union
from graphql_app.graph.api.sources import SubscriptionSource
from graphql_app.graph.api.types import Cursor, Department, Node
from graphql_app.services.following.streams import Changes
from graphql_app.services.listing import Listing, Paging
from graphql_app.services.notifications import Published

enums.publish(
    domain.Level,
    {
        domain.Level.INFO: "Good to know.",
        domain.Level.WARNING: "Something will go wrong, or go away, unless you act.",
        domain.Level.CRITICAL: "Act now.",
    },
    name="NotificationLevel",
    description="How urgent a notification is.",
)

Where = Annotated[
    str | None, argument(description="Leave out those of other buildings. Without it, those of all are meant.")
]
WhichFloor = Annotated[int | None, argument(description="Leave out those of floors with another number.")]


def _id_of(info: AppInfo, notification_id: int) -> strawberry.ID:
    return strawberry.ID(global_id("Notification", info.context.services.notify.key(notification_id)))


@strawberry.type(
    description="Something that people are told. It is for whoever fits all of the targets that it names, and for"
    " everybody when it names none."
)
class Notification(Node):
    level: domain.Level = strawberry.field(description="How urgent it is.")
    title: str = strawberry.field(description="One line; at most 200 characters.")
    body: str = strawberry.field(description="The rest, plain text; at most 4,000 characters, may be empty.")
    building: str | None = strawberry.field(description="For whoever is in this building.")
    floor_number: int | None = strawberry.field(description="For whoever is on this floor of the building.")
    role: str | None = strawberry.field(description="For whoever has this role.")
    created_at: datetime = strawberry.field(description="When it was published.")
    expires_at: datetime | None = strawberry.field(description="From then on it is not shown any more.")

    @strawberry.field(description="Opaque and global: unique over all types.")
    @staticmethod
    def id(root: Parent[domain.Notification], info: AppInfo) -> strawberry.ID:
        return _id_of(info, root.id)

    @strawberry.field(graphql_type=Department | None, description="For whoever belongs to this department.")
    @staticmethod
    async def department(root: Parent[domain.Notification], info: AppInfo) -> office.Department | None:
        if root.department_id is None:
            return None
        context = info.context
        found: office.Department | None = await context.load(
            "department", root.department_id, lambda ids: context.services.browse.departments_by_id(context.caller, ids)
        )
        return found

    @classmethod
    def is_type_of(cls, value: object, _: object) -> bool:
        return isinstance(value, domain.Notification)


@strawberry.type(description="A notification and its place in the list.")
class NotificationEdge:
    cursor: str = strawberry.field(description="Give it as `after` or `before`.")
    node: Notification = strawberry.field(description="The notification.")


@strawberry.type(description="A page of notifications.")
class NotificationConnection:
    edges: list[NotificationEdge] = strawberry.field(description="The notifications with their cursors.")
    nodes: list[Notification] = strawberry.field(description="The notifications alone.")
    page_info: PageInfo = strawberry.field(description="Where this page stands.")


@strawberry.type(description="What can be asked about notifications.")
class NotificationQueries:
    @strawberry.field(
        graphql_type=NotificationConnection,
        description="A page of the notifications that are for you: for everybody, for a role of yours, for your"
        " department. The newest first; those that have expired are left out.",
    )
    async def notifications(
        self,
        info: AppInfo,
        building: Where = None,
        floor: WhichFloor = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Listing[domain.Notification]:
        paging = Paging(first, after, last, before)
        return await info.context.services.notify.mine(info.context.caller, paging, building, floor)


@strawberry.type(description="All that is new since the payload before, of the notifications that are for you.")
class NotificationFeed(Feed):
    @strawberry.field(
        graphql_type=list[Notification], description="Those that are new or were corrected, in the order of publishing."
    )
    def notifications(self) -> Sequence[domain.Notification]:
        return self.batch.states

    @strawberry.field(
        description="Those that were taken back, are for others now, or are no longer kept. What expires is not among"
        " them: `expiresAt` has said so."
    )
    def removed(self, info: AppInfo) -> list[strawberry.ID]:
        return [_id_of(info, key) for key in self.batch.removed]


def _feed_of(stream: Changes[domain.Notification], batch: Batch[domain.Notification]) -> NotificationFeed:
    return NotificationFeed(batch=batch, cursor=Cursor(stream.cursor(batch)))


@strawberry.type(description="What can be followed of notifications.")
class NotificationSubscriptions:
    @strawberry.subscription(
        description="The notifications that are for you: those that there are, then every later one. `cursor` resumes"
        " it on any connection, with nothing lost and nothing twice. It ends with the error CONFLICT when you come to"
        " belong to another department: subscribe again."
    )
    async def notifications(
        self,
        info: AppInfo,
        after: Annotated[Cursor | None, argument(description="Resume after this cursor.")] = None,
        building: Where = None,
        floor: WhichFloor = None,
        snapshot: Annotated[bool, argument(description="Without a cursor: start with those that there are.")] = True,
    ) -> AsyncGenerator[NotificationFeed, None]:
        followed = await info.context.services.notify.follow(
            info.context.caller,
            info.context.last_event_id or after,
            snapshot=snapshot,
            building=building,
            floor_number=floor,
        )
        return SubscriptionSource(followed.stream, followed.start, _feed_of, followed.membership)  # type: ignore[return-value]  # an async iterable is all it takes


@strawberry.input(description="A new notification. Without a target it is for everybody.")
class PublishNotificationInput:
    title: str = strawberry.field(description="One line; at most 200 characters.")
    body: str = strawberry.field(default="", description="The rest, plain text; at most 4,000 characters.")
    level: domain.Level = strawberry.field(default=domain.Level.INFO, description="How urgent it is.")
    building: str | None = strawberry.field(default=None, description="For whoever is in this building.")
    floor_number: int | None = strawberry.field(default=None, description="For one floor of it.")
    department_id: strawberry.ID | None = strawberry.field(default=None, description="For one department.")
    role: str | None = strawberry.field(default=None, description="For whoever has this role.")
    expires_at: datetime | None = strawberry.field(default=None, description="When it is over; must be in the future.")


def draft_of(given: PublishNotificationInput) -> domain.Draft:
    """Raises InvalidInput."""
    department = given.department_id
    return domain.Draft(
        level=given.level,
        title=given.title,
        body=given.body,
        building=given.building,
        floor_number=given.floor_number,
        department_id=None if department is None else identifiers.row(department, "Department", "departmentId"),
        role=given.role,
        expires_at=given.expires_at,
    )


@strawberry.type(description="The notification that was published.")
class NotificationPublished:
    notification: Notification = strawberry.field(description="As it is kept.")
    receipt: str = strawberry.field(
        description="Names the write: a request with it in the header X-Min-Cursor sees it."
    )


PublishResult = Annotated[
    NotificationPublished | InvalidInput | Conflict | Forbidden | ReadOnly,
    union("PublishNotificationResult", "publishNotification"),
]


@strawberry.type(description="What can be done about notifications.")
class NotificationMutations:
    @strawberry.mutation(
        graphql_type=PublishResult, description="Tells people something: all that fit each of the targets given."
    )
    async def publish_notification(
        self, info: AppInfo, input: Annotated[PublishNotificationInput, argument(description="What, and to whom.")]
    ) -> Any:
        notify, caller, key = info.context.services.notify, info.context.caller, idempotency(info)
        return await mutation_result(info, lambda: notify.publish(caller, draft_of(input), key), _published)


def _published(done: Published) -> NotificationPublished:
    return NotificationPublished(notification=done.notification, receipt=done.receipt)  # type: ignore[arg-type]  # resolved from the domain's
