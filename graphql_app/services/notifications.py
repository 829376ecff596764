"""Notifications: publishing one, and reading those that are for oneself."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from graphql_app.domain import identifiers
from graphql_app.domain.access import Scope, require
from graphql_app.domain.arranging import Idempotency
from graphql_app.domain.caller import Caller
from graphql_app.domain.errors import Conflict, InvalidInput
from graphql_app.domain.notification import Audience, Draft, Notification, checked_draft
from graphql_app.domain.seal import BrokenSeal, Numbers
from graphql_app.domain.topics import Notifications
from graphql_app.services.consistency import ConsistencyTokens
from graphql_app.services.cursors import FeedCursors, PageCursors
from graphql_app.services.following.history import History, Start
from graphql_app.services.following.membership_guard import MembershipGuard
from graphql_app.services.following.streams import Changes, StreamLimits
from graphql_app.services.listing import Listing, Paging
from graphql_app.store import notifications
from graphql_app.store import office as queries
from graphql_app.store.postgres.database import Database
from graphql_app.store.postgres.retry import retry_on_contention
from graphql_app.store.postgres.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Published:
    """What was published, and the receipt of the transaction that wrote it."""

    notification: Notification
    receipt: str


@dataclass(frozen=True, slots=True)
class FollowedAudience:
    """`membership` is what the audience rests upon, if it can change while somebody follows."""

    stream: Changes[Notification]
    start: Start
    membership: MembershipGuard | None


class Notify:
    """Use cases around notifications. Whom one is for, `domain/notification.Audience` decides."""

    def __init__(
        self,
        database: Database,
        tokens: ConsistencyTokens,
        history: History,
        cursors: PageCursors,
        feed_cursors: FeedCursors,
        limits: StreamLimits,
        *,
        secret: str,
        page_most: int,
        roles: Collection[str],
    ) -> None:
        self._database = database
        self._tokens = tokens
        self._history = history
        self._cursors = cursors
        self._feed_cursors = feed_cursors
        self._limits = limits
        self._page_most = page_most
        self._roles = frozenset(roles)
        # Row numbers would tell how many others there are, for whom one may not know.
        self._keys = Numbers(secret, "notification")

    @retry_on_contention
    async def publish(self, caller: Caller, draft: Draft, key: Idempotency | None = None) -> Published:
        """Raises Forbidden, InvalidInput, Conflict (of idempotency keys), ReadOnly."""
        require(caller.viewer, Scope.NOTIFY, Scope.READ)
        if checked_draft(draft, datetime.now(UTC)).role not in {None, *self._roles}:
            raise InvalidInput(f"There is no such role; there are {', '.join(sorted(self._roles))}.", field="role")
        async with self._database.writing(caller, key) as transaction:
            if transaction.replayed is not None:
                return await self._as_before(transaction)
            made = await notifications.insert(transaction.connection, draft)
            await transaction.remember(caller, f"{made.id} {transaction.id}")
        return Published(made, self._tokens.issue(transaction.id))

    async def audience(self, caller: Caller, building: str | None = None, floor_number: int | None = None) -> Audience:
        """Returns what the viewer is told of, in the place that they name. The department is the present one of the
        employee whom the token names. Raises Forbidden, Unavailable."""
        require(caller.viewer, Scope.READ)
        anywhere = Audience(frozenset(caller.viewer.roles), await self._department(caller))
        return replace(anywhere, building=building, floor_number=floor_number)

    async def mine(
        self, caller: Caller, paging: Paging, building: str | None = None, floor_number: int | None = None
    ) -> Listing[Notification]:
        """Returns a page of those that are for the caller, the newest first."""
        audience = await self.audience(caller, building, floor_number)
        listing = ["notifications", audience.normalised()]
        window = paging.window(self._cursors, listing, most=self._page_most)
        page = await notifications.page(self._database, audience, window)

        def seal(notification: Notification) -> str:
            return self._cursors.encode([notification.id], listing)

        return Listing(page.rows, seal, has_next=page.has_next, has_previous=page.has_previous)

    async def by_id(self, caller: Caller, ids: Collection[int]) -> Mapping[int, Notification]:
        """Returns those of them that are for the caller."""
        audience = await self.audience(caller)
        return await notifications.by_id(self._database, audience, ids)

    async def follow(
        self, caller: Caller, after: str | None, *, snapshot: bool, building: str | None, floor_number: int | None
    ) -> FollowedAudience:
        """Opens a stream of those that are for the caller, shared by all who are told the same, and says where to start
        in it.

        Raises Forbidden, UnknownCursor, Unavailable.
        """
        head = await self._history.reached(0)
        topic = Notifications(await self.audience(caller, building, floor_number), caller.view)
        stream = Changes(self._history, self._feed_cursors, topic, self._limits)
        employee = caller.viewer.employee_key
        membership = None if employee is None else MembershipGuard(self._history.hub, employee, head.revision)
        return FollowedAudience(stream, await stream.start(after, snapshot=snapshot), membership)

    def key(self, notification_id: int) -> str:
        """Returns the public key of a notification."""
        return self._keys.close(notification_id)

    def row(self, key: str) -> int:
        """Returns the row behind the public key of a notification. Raises InvalidInput for an invalid one."""
        try:
            return self._keys.open(key)
        except BrokenSeal as broken:
            raise identifiers.unknown(key, type_name="Notification") from broken

    async def _department(self, caller: Caller) -> int | None:
        if caller.viewer.employee_key is None:
            return None
        found = await queries.employees_by_key(self._database, [caller.viewer.employee_key])
        own = found.get(caller.viewer.employee_key)
        return own.department.id if own is not None and own.department is not None else None

    async def _as_before(self, transaction: Transaction) -> Published:
        """Returns the answer to a repeated request: the notification that the first one published, as it is now."""
        assert transaction.replayed is not None
        notification_id, transaction_id = map(int, transaction.replayed.split())
        found = await notifications.published(transaction.connection, notification_id)
        if found is None:
            raise Conflict("The notification of this idempotency key is no longer kept; make a new key for another.")
        return Published(found, self._tokens.issue(transaction_id))
