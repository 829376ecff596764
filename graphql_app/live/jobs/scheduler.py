"""The scheduler: runs each job of the leading process at its own interval."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from graphql_app.domain.caller import by_command
from graphql_app.live.feed.leader import Leadership
from graphql_app.observe import JobFailed, RowsPruned, note
from graphql_app.store import reservations
from graphql_app.store.log import counting
from graphql_app.store.log import retention as housekeeping
from graphql_app.store.postgres.database import Database
from graphql_app.store.postgres.session import Session

AT_ONCE_MOST = 1000
BOOKINGS_MOST = 500
BOOKINGS_SECONDS = 0.25  # what is due is told within a second
CLOCK = by_command("clock")  # who ends bookings whose time is over

# Deletes rows older than the age (in the function's own unit), at most so many. Returns how many.
Prune = Callable[[Session, float, int], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Job:
    """A job and its interval. `carry_out` does a small part of the work and returns whether there is more of it."""

    name: str
    every_seconds: float
    carry_out: Callable[[], Awaitable[bool]]


class Scheduler:
    """Runs in every process, and carries jobs out only where that process leads the feed."""

    def __init__(self, feed: Leadership, jobs: Sequence[Job]) -> None:
        self._feed = feed
        self._jobs = jobs

    async def run(self) -> None:
        """Carries jobs out when they are due. Never returns; end it by cancelling."""
        async with asyncio.TaskGroup() as tasks:
            for job in self._jobs:
                tasks.create_task(self._repeat(job), name=job.name)

    async def _repeat(self, job: Job) -> None:
        while True:
            has_more = False
            if self._feed.is_leading:
                try:
                    has_more = await job.carry_out()
                except Exception as error:  # noqa: BLE001  # the supervisor of a job: noted, and tried again
                    note(JobFailed(job.name, error))
            await asyncio.sleep(0.05 if has_more else job.every_seconds)


def housekeeping_jobs(
    database: Database,
    *,
    log_hours: float,
    idempotency_hours: float,
    notification_hours: float,
    audit_days: float,
    refresh_seconds: float,
) -> list[Job]:
    """Returns the jobs that count workstations and delete what is older than it is kept."""

    def pruning(name: str, every_seconds: float, table: str, prune: Prune, age: float) -> Job:
        async def carry_out() -> bool:
            async with database.reading() as connection:
                count = await prune(connection, age, AT_ONCE_MOST)
            note(RowsPruned(table, count))
            return count == AT_ONCE_MOST

        return Job(name, every_seconds, carry_out)

    async def count() -> bool:
        return await counting.count(database)

    async def forget_empty() -> bool:
        await counting.forget_empty(database)
        return False

    async def settle_bookings() -> bool:
        if not await reservations.is_any_due(database):
            return False
        async with database.writing(CLOCK) as transaction:
            count = await reservations.settle(transaction.connection, BOOKINGS_MOST)
        return count >= BOOKINGS_MOST

    return [
        Job("settle the bookings that are due", BOOKINGS_SECONDS, settle_bookings),
        Job("count the workstations", 1.0, count),
        Job("forget empty counts", 600.0, forget_empty),
        pruning("prune the change log", 5.0, "change_log", housekeeping.prune_log, log_hours),
        pruning("forget idempotency keys", 60.0, "idempotency_keys", housekeeping.forget_keys, idempotency_hours),
        pruning(
            "forget old notifications", 60.0, "notifications", housekeeping.prune_notifications, notification_hours
        ),
        pruning("prune the audit log", 60.0, "audit_log", housekeeping.prune_audit, audit_days),
        pruning("forget old logins", 60.0, "login_sessions", housekeeping.forget_logins, refresh_seconds),
    ]
