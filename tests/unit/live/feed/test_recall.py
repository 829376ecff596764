"""What happened before a process heard of anything is read into its memory, and nothing of another history."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast
from uuid import UUID

import pytest

from graphql_app.domain.change import Change, Head
from graphql_app.domain.workstation import Workstation
from graphql_app.live.feed.hub import Hub
from graphql_app.live.feed.recall import Recall
from graphql_app.store.log import outbox
from tests.clock import settle
from tests.examples import change, workstation

EPOCH, OTHER = UUID(int=7), UUID(int=8)


class Log:
    """A log whose changes are all of one name; `opens` lets reading go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.name = "old"
        self.opens = asyncio.Event()
        self.opens.set()
        self.reads: list[tuple[int, int]] = []
        monkeypatch.setattr(outbox, "changes_between", self.changes_between)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        yield None

    async def changes_between(self, _: Any, after: int, last: int) -> list[Change[Workstation]]:
        self.reads.append((after, last))
        found = [change(None, workstation(name=self.name), revision) for revision in range(after + 1, last + 1)]
        await self.opens.wait()
        return found


def remembered(hub: Hub, after: int, last: int) -> list[str] | None:
    changes = hub.since(after, last, "workstation")
    return None if changes is None else [one.after.name for one in changes if one.after is not None]


async def test_what_was_read_while_another_history_began_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    log, hub = Log(monkeypatch), Hub(10)
    hub.restart(Head(EPOCH, 4))
    log.opens.clear()
    recalling = asyncio.create_task(Recall(cast(Any, log), hub).reaches(0))
    await settle()
    hub.restart(Head(OTHER, 4))
    log.name = "new"
    log.opens.set()
    assert await recalling
    assert remembered(hub, 0, 4) == ["new"] * 4


async def test_those_who_ask_at_once_read_it_once_and_as_far_as_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    log, hub = Log(monkeypatch), Hub(3)
    hub.restart(Head(EPOCH, 8))
    recall = Recall(cast(Any, log), hub)
    found = await asyncio.gather(recall.reaches(5), recall.reaches(5), recall.reaches(4))
    assert list(found) == [True, True, False]
    assert log.reads == [(5, 8)]
    assert remembered(hub, 5, 8) == ["old"] * 3
