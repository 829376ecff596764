"""All that moves: the feed of changes, what it keeps true, and who is here."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from graphql_app.app.loops import Loops
from graphql_app.app.store import Stores
from graphql_app.domain.connection_limits import ConnectionLimit
from graphql_app.domain.seal import Numbers, Pseudonyms
from graphql_app.domain.token_buckets import TokenRate
from graphql_app.domain.workstation import Place
from graphql_app.live.admission.limiter import KEPT_SECONDS, Limiter
from graphql_app.live.admission.limits import (
    ADDRESS_CONNECTIONS,
    ADDRESS_REQUESTS,
    LOGINS,
    USER_CONNECTIONS,
    USER_OPERATIONS,
)
from graphql_app.live.feed.hub import Hub
from graphql_app.live.feed.leader import Leadership
from graphql_app.live.feed.primary import PrimaryWatch
from graphql_app.live.feed.recall import Recall
from graphql_app.live.feed.relay import Relay
from graphql_app.live.feed.staleness import Staleness
from graphql_app.live.feed.watchdog import FeedWatchdog
from graphql_app.live.floors.projection import FloorProjection
from graphql_app.live.floors.warm_up import WarmUp
from graphql_app.live.jobs.scheduler import Job, Scheduler, housekeeping_jobs
from graphql_app.live.presence import Presence, kept_seconds
from graphql_app.live.presence.existing_places import ExistingPlaces
from graphql_app.live.sessions.accounts import Accounts
from graphql_app.live.sessions.sessions import Sessions
from graphql_app.settings import Settings
from graphql_app.store import office as queries
from graphql_app.store.office import whole_floor as floors
from graphql_app.store.office.whole_floor import FloorState
from graphql_app.store.postgres.database import Database
from graphql_app.store.redis.cache import SharedFloorCache
from graphql_app.store.redis.limits import LimitStore
from graphql_app.store.redis.presence import PresenceStore


@dataclass(frozen=True, slots=True)
class Live:
    """The parts that move. `floor_projection` and `warm_up` are None where the settings turn them off."""

    hub: Hub
    recall: Recall
    staleness: Staleness
    accounts: Accounts
    watchdog: FeedWatchdog
    primary: PrimaryWatch
    relay: Relay
    feed: Leadership
    scheduler: Scheduler
    sessions: Sessions
    presence: Presence
    places: ExistingPlaces
    floor_projection: FloorProjection | None
    warm_up: WarmUp | None
    limiter: Limiter

    def begin(self, loops: Loops) -> None:
        parts = {
            "floors": self.floor_projection,
            "warm_up": self.warm_up,
            "limits": self.limiter,
            "relay": self.relay,
            "recall": self.recall,
            "feed": self.feed,
            "accounts": self.accounts,
            "watchdog": self.watchdog,
            "primary": self.primary,
            "scheduler": self.scheduler,
            "sessions": self.sessions,
            "presence": self.presence,
        }
        for name, part in parts.items():
            if part is not None:
                loops.begin(name, part.run())


def live_of(settings: Settings, stores: Stores, stack: AsyncExitStack) -> Live:
    """Nothing moves yet. The hub tells its listeners in the order in which they are built here."""
    hub = Hub(settings.recent_changes, timedelta(hours=settings.log_hours))
    staleness = Staleness()
    hub.listen(staleness)
    accounts = Accounts(
        stores.inner,
        hub,
        staleness,
        Numbers(stores.secret, "account"),
        access_seconds=settings.access_seconds,
    )
    relay = Relay(stores.inner, stores.channel, hub, staleness)
    feed = Leadership(stores.inner, relay)
    presence = presence_of(settings, stores, stack)
    floor_projection, warm_up = floors_in_memory(settings, stores, hub, staleness, stack)
    return Live(
        hub,
        Recall(stores.inner, hub),
        staleness,
        accounts,
        FeedWatchdog(staleness),
        PrimaryWatch(stores.inner),
        relay,
        feed,
        Scheduler(feed, jobs(settings, stores.inner)),
        Sessions(settings.drain_seconds),
        presence,
        existing_places(stores, hub, presence, stack),
        floor_projection,
        warm_up,
        limiter_of(settings, stores, stack),
    )


def jobs(settings: Settings, database: Database) -> list[Job]:
    return housekeeping_jobs(
        database,
        log_hours=settings.log_hours,
        idempotency_hours=settings.idempotency_hours,
        notification_hours=settings.notification_hours,
        audit_days=settings.audit_days,
        refresh_seconds=settings.refresh_seconds,
    )


def presence_of(settings: Settings, stores: Stores, stack: AsyncExitStack) -> Presence:
    ghost_seconds = settings.presence_ghost_seconds
    presence = Presence(
        PresenceStore(stores.redis_url, stores.secret, kept_seconds=kept_seconds(ghost_seconds)),
        stores.channel.beside("graphql_app:presence"),
        Pseudonyms(stores.secret, "present"),
        ghost_seconds=ghost_seconds,
        linger_seconds=settings.presence_linger_seconds,
    )
    stack.push_async_callback(presence.close)
    return presence


def existing_places(stores: Stores, hub: Hub, presence: Presence, stack: AsyncExitStack) -> ExistingPlaces:
    async def read() -> list[Place]:
        return [floor.place for floor in await queries.all_floors(stores.database)]

    places = ExistingPlaces(read, presence.look)
    hub.listen(places)
    stack.push_async_callback(places.close)
    return places


def floors_in_memory(
    settings: Settings, stores: Stores, hub: Hub, staleness: Staleness, stack: AsyncExitStack
) -> tuple[FloorProjection | None, WarmUp | None]:
    if not settings.cache_rows:
        return None, None
    read: Callable[[Place], Awaitable[FloorState | None]] = partial(floors.read, stores.database.direct)
    shared = None
    if settings.cache_shared_seconds:
        shared = SharedFloorCache(
            stores.redis_url, stores.secret, read, lambda: hub.oldest, kept_seconds=settings.cache_shared_seconds
        )
        stack.push_async_callback(shared.close)
        read = shared.read
    floor_projection = FloorProjection(
        read, hub, staleness, rows_most=settings.cache_rows, unused_seconds=settings.cache_unused_seconds
    )
    hub.listen(floor_projection)
    return floor_projection, WarmUp(floor_projection, shared) if shared is not None else None


def limiter_of(settings: Settings, stores: Stores, stack: AsyncExitStack) -> Limiter:
    """The limits that are on, and what holds them over all processes."""
    store = LimitStore(stores.redis_url, stores.secret, kept_seconds=KEPT_SECONDS)
    stack.push_async_callback(store.close)
    rates = [
        TokenRate(USER_OPERATIONS, settings.user_operations_per_second, settings.user_operations_burst),
        TokenRate(ADDRESS_REQUESTS, settings.address_requests_per_second, settings.address_requests_burst),
        TokenRate(LOGINS, settings.logins_per_second, settings.logins_burst),
    ]
    ceilings = [
        ConnectionLimit(USER_CONNECTIONS, settings.user_connections),
        ConnectionLimit(ADDRESS_CONNECTIONS, settings.address_connections),
    ]
    return Limiter(
        store,
        [rate for rate in rates if rate.per_second],
        [ceiling for ceiling in ceilings if ceiling.most],
        processes=settings.workers,
    )
