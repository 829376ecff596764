"""What time brings about: duties that the leading process carries out, each at its own pace."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from graphql_app.live.feed import Feed
from graphql_app.observe import DutyFailed, RowsPruned, note
from graphql_app.store import housekeeping
from graphql_app.store.database import Database

AT_ONCE_MOST = 1000


@dataclass(frozen=True, slots=True)
class Duty:
    """`carry_out` does a small part of the work and returns whether there is more of it."""

    name: str
    every_seconds: float
    carry_out: Callable[[], Awaitable[bool]]


class Ticker:
    """Runs in every process and acts in the one that leads; what it changes goes through the database."""

    def __init__(self, feed: Feed, duties: Sequence[Duty]) -> None:
        self._feed = feed
        self._duties = duties

    async def run(self) -> None:
        """Never returns; end it by cancelling."""
        async with asyncio.TaskGroup() as tasks:
            for duty in self._duties:
                tasks.create_task(self._repeat(duty), name=duty.name)

    async def _repeat(self, duty: Duty) -> None:
        while True:
            has_more = False
            if self._feed.is_leading:
                try:
                    has_more = await duty.carry_out()
                except Exception as error:  # noqa: BLE001  # the supervisor of a duty: noted, and tried again
                    note(DutyFailed(duty.name, error))
            await asyncio.sleep(0.05 if has_more else duty.every_seconds)


def housekeeping_duties(
    database: Database,
    *,
    log_hours: float,
    idempotency_hours: float,
    notification_hours: float,
    audit_days: float,
    refresh_seconds: float,
) -> list[Duty]:
    async def prune_log() -> bool:
        async with database.reading() as connection:
            count = await housekeeping.prune_log(connection, log_hours, AT_ONCE_MOST)
        note(RowsPruned("change_log", count))
        return count == AT_ONCE_MOST

    async def forget_keys() -> bool:
        async with database.reading() as connection:
            count = await housekeeping.forget_keys(connection, idempotency_hours, AT_ONCE_MOST)
        note(RowsPruned("idempotency_keys", count))
        return count == AT_ONCE_MOST

    async def prune_notifications() -> bool:
        async with database.reading() as connection:
            count = await housekeeping.prune_notifications(connection, notification_hours, AT_ONCE_MOST)
        note(RowsPruned("notifications", count))
        return count == AT_ONCE_MOST

    async def prune_audit() -> bool:
        async with database.reading() as connection:
            count = await housekeeping.prune_audit(connection, audit_days, AT_ONCE_MOST)
        note(RowsPruned("audit_log", count))
        return count == AT_ONCE_MOST

    async def forget_logins() -> bool:
        async with database.reading() as connection:
            count = await housekeeping.forget_logins(connection, refresh_seconds, AT_ONCE_MOST)
        note(RowsPruned("login_sessions", count))
        return count == AT_ONCE_MOST

    return [
        Duty("prune the change log", 5.0, prune_log),
        Duty("forget idempotency keys", 60.0, forget_keys),
        Duty("forget old notifications", 60.0, prune_notifications),
        Duty("prune the audit log", 60.0, prune_audit),
        Duty("forget old logins", 60.0, forget_logins),
    ]
