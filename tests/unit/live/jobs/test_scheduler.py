"""What time brings is done by one process: the one that leads."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from graphql_app import observe
from graphql_app.live.jobs.scheduler import Job, Scheduler
from tests.clock import settle


class Work:
    def __init__(self) -> None:
        self.done = 0
        self.fails = False

    async def carry_out(self) -> bool:
        self.done += 1
        if self.fails:
            raise ValueError("not today")
        return False


async def test_jobs_are_the_leaders_alone_and_move_on_with_the_lead() -> None:
    feed, work = SimpleNamespace(is_leading=False), Work()
    running = asyncio.create_task(Scheduler(cast(Any, feed), [Job("work", 0, work.carry_out)]).run())
    await settle()
    assert work.done == 0

    feed.is_leading = True
    await settle()
    assert work.done > 0

    feed.is_leading = False
    await settle()
    done = work.done
    await settle()
    assert work.done == done
    running.cancel()


async def test_a_job_that_fails_is_noted_and_tried_again_and_keeps_none_of_the_others(news: list[observe.News]) -> None:
    failing, other = Work(), Work()
    failing.fails = True
    jobs = [Job("failing", 0, failing.carry_out), Job("other", 0, other.carry_out)]
    running = asyncio.create_task(Scheduler(cast(Any, SimpleNamespace(is_leading=True)), jobs).run())
    await settle()

    assert min(failing.done, other.done) > 1
    assert {(one.name) for one in news if isinstance(one, observe.JobFailed)} == {"failing"}
    running.cancel()
