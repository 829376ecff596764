"""Floors in Redis: read once over all processes, never older than asked for, sealed, and no harm when it is away."""

import asyncio
import os
import secrets
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
import redis.asyncio as redis

from graphql_app import observe
from graphql_app.domain.change import Head
from graphql_app.domain.workstation import Floor, Place
from graphql_app.embedded import Valkey
from graphql_app.store.office.whole_floor import FloorState
from graphql_app.store.redis.cache import CALL_SECONDS, SharedFloorCache
from graphql_app.store.redis.copies import decoded, encoded
from tests.examples import occupied, workstation

EPOCH, OTHER = UUID(int=7), UUID(int=8)
HERE, THERE = Place("总部A座", 3), Place("HQ", 2)


def on(place: Place, revision: int, name: str = "A-01", epoch: UUID = EPOCH) -> FloorState:
    desks = [
        make(id=key, building=place.building, floor_number=place.number, name=f"{name} {key}")
        for key, make in enumerate((workstation, occupied, occupied), start=1)
    ]
    return FloorState(Head(epoch, revision), Floor(place.number, place.building, place.number, "三楼"), desks)


class Process:
    """One that reads through the cache; its database answers with `state`, and counts."""

    def __init__(self, url: str, secret: str, call_seconds: float = 2) -> None:
        self.oldest: Head | None = Head(EPOCH, 0)
        self.state: Callable[[Place], FloorState | None] = lambda place: on(place, 5)
        self.reads = 0
        self.admission: asyncio.Event | None = None
        self.cache = SharedFloorCache(
            url, secret, self._read, lambda: self.oldest, kept_seconds=60, call_seconds=call_seconds
        )

    async def _read(self, place: Place) -> FloorState | None:
        self.reads += 1
        if self.admission is not None:
            await self.admission.wait()
        return self.state(place)


Join = Callable[..., Awaitable[Process]]


@pytest.fixture
async def join(valkey: Valkey) -> AsyncIterator[Join]:
    """Starts processes of one installation."""
    secret = secrets.token_urlsafe(32)
    async with AsyncExitStack() as stack:

        async def join(**settings: float) -> Process:
            process = Process(valkey.url, secret, **settings)
            stack.push_async_callback(process.cache.close)
            async with asyncio.timeout(5):
                while process.cache.is_away:  # noqa: ASYNC110  # it connects in its own time
                    await asyncio.sleep(0.005)
            return process

        yield join


@pytest.fixture
async def admin(valkey: Valkey) -> AsyncIterator[Any]:
    async with redis.Redis.from_url(valkey.url) as admin:
        yield admin


async def left(admin: Any, copies: int = 1) -> list[bytes]:
    """The names of the copies, once there are so many."""
    async with asyncio.timeout(5):
        while len(found := [key for key in await admin.keys() if not key.endswith(b":claim")]) < copies:  # noqa: ASYNC110  # it is only told
            await asyncio.sleep(0.005)
    return found


def whole(state: FloorState | None) -> object:
    """With the parts that take no part in comparisons."""
    return state and (state, [(one.version, one.updated_at) for one in state.workstations])


# --- as bytes --------------------------------------------------------------------------------------------------------


def test_a_copy_is_what_was_copied() -> None:
    state = on(HERE, 5)
    nowhere = replace(state, workstations=[workstation(equipment=None, notes="x", updated_at=None, version=None)])
    for one in (state, nowhere, replace(state, workstations=[])):
        assert whole(decoded(encoded(one))) == whole(one)
    copy = decoded(encoded(state))
    assert copy is not None
    _, first, second = copy.workstations
    assert first.employee is second.employee, "one object a person"


def test_a_copy_of_another_release_is_not_understood() -> None:
    assert decoded(encoded(on(HERE, 5)).replace(b'"notes"', b'"remarks"', 1)) is None


# --- over processes --------------------------------------------------------------------------------------------------


async def test_what_one_process_has_read_the_others_find(join: Join, admin: Any) -> None:
    one, other = await join(), await join()
    assert await one.cache.read(HERE) == on(HERE, 5)
    await left(admin)
    assert whole(await other.cache.read(HERE)) == whole(on(HERE, 5))
    assert (one.reads, other.reads) == (1, 0)


async def test_a_copy_older_than_what_a_process_remembers_is_read_anew_and_replaced(join: Join, admin: Any) -> None:
    one, other = await join(), await join()
    await one.cache.read(HERE)
    await left(admin)
    other.oldest, other.state = Head(EPOCH, 6), lambda place: on(place, 9)
    assert await other.cache.read(HERE) == on(HERE, 9)
    one.oldest = Head(EPOCH, 7)
    async with asyncio.timeout(5):
        while (await one.cache.read(HERE)) != on(HERE, 9):  # noqa: ASYNC110  # another leaves it in its own time
            await asyncio.sleep(0.01)


async def test_a_newer_copy_is_never_replaced_by_an_older_one(join: Join, admin: Any) -> None:
    slow, fast = await join(), await join()
    slow.admission = asyncio.Event()
    reading = asyncio.create_task(slow.cache.read(HERE))
    await asyncio.sleep(0.05)
    fast.oldest, fast.state = Head(EPOCH, 8), lambda place: on(place, 9)
    await admin.delete(*[key for key in await admin.keys() if key.endswith(b":claim")])
    await fast.cache.read(HERE)
    (name,) = await left(admin)
    slow.admission.set()
    assert await reading == on(HERE, 5)
    await asyncio.sleep(0.1)
    assert await admin.hget(name, "revision") == b"9"


async def test_another_history_has_copies_of_its_own(join: Join, admin: Any) -> None:
    one, other = await join(), await join()
    await one.cache.read(HERE)
    await left(admin)
    other.oldest, other.state = Head(OTHER, 0), lambda place: on(place, 1, epoch=OTHER)
    assert await other.cache.read(HERE) == on(HERE, 1, epoch=OTHER)
    assert other.reads == 1


async def test_many_who_start_at_once_read_once(join: Join, admin: Any) -> None:
    processes = [await join() for _ in range(6)]
    for process in processes:
        process.admission = asyncio.Event()
        asyncio.get_running_loop().call_later(0.05, process.admission.set)
    states = await asyncio.gather(*(process.cache.read(HERE) for process in processes))
    assert states == [on(HERE, 5)] * 6
    assert sum(process.reads for process in processes) == 1


async def test_whoever_waits_for_one_that_died_reads_itself(join: Join, admin: Any) -> None:
    dead, waiting = await join(), await join()
    dead.admission = asyncio.Event()
    reading = asyncio.create_task(dead.cache.read(HERE))
    await asyncio.sleep(0.05)
    began = time.monotonic()
    assert await waiting.cache.read(HERE) == on(HERE, 5)
    assert time.monotonic() - began < 1
    reading.cancel()


async def test_a_floor_that_is_not_there_is_not_waited_for(join: Join, admin: Any) -> None:
    one, other = await join(), await join()
    one.state = other.state = lambda _: None
    assert await one.cache.read(HERE) is None
    await asyncio.sleep(0.05)
    began = time.monotonic()
    assert await other.cache.read(HERE) is None
    assert time.monotonic() - began < 0.2
    assert [key for key in await admin.keys() if not key.endswith(b":claim")] == []


async def test_a_process_that_has_not_heard_the_feed_asks_nobody(join: Join, admin: Any) -> None:
    process = await join()
    process.oldest = None
    assert await process.cache.read(HERE) == on(HERE, 5)
    assert await admin.keys() == []


# --- what Redis learns -----------------------------------------------------------------------------------------------


async def test_redis_is_told_neither_names_nor_contents(join: Join, admin: Any) -> None:
    process = await join()
    await process.cache.read(HERE)
    await process.cache.remember_busiest([HERE])
    names = await left(admin, 2)
    seen = b"".join(names)
    for name in names:
        kind = await admin.type(name)
        seen += b"".join((await admin.hgetall(name)).values()) if kind == b"hash" else await admin.get(name) or b""
        assert await admin.pttl(name) > 0, "everything fades"
    for secret in ("总部A座", "A-01", "Ada", "E-1001", str(EPOCH), "available"):
        assert secret.encode() not in seen


async def test_a_copy_that_was_tampered_with_or_moved_is_not_believed(join: Join, admin: Any) -> None:
    one, other = await join(), await join()
    await one.cache.read(HERE)
    (here,) = await left(admin)
    await one.cache.read(THERE)
    (there,) = set(await left(admin, 2)) - {here}
    await admin.hset(there, "copy", await admin.hget(here, "copy"))
    assert await other.cache.read(THERE) == on(THERE, 5)
    await admin.hset(here, "copy", b"x" * 100)
    assert await other.cache.read(HERE) == on(HERE, 5)
    assert other.reads == 2


async def test_a_copy_that_claims_to_be_newer_than_it_is_is_not_believed(join: Join, admin: Any) -> None:
    one, other = await join(), await join()
    await one.cache.read(HERE)
    (name,) = await left(admin)
    await admin.hset(name, "revision", "100")
    other.oldest, other.state = Head(EPOCH, 50), lambda place: on(place, 60)
    assert await other.cache.read(HERE) == on(HERE, 60)


# --- warming ---------------------------------------------------------------------------------------------------------


async def test_the_busiest_floors_are_told_to_who_starts(join: Join, admin: Any) -> None:
    one, other = await join(), await join()
    assert await other.cache.busiest() == []
    await one.cache.remember_busiest([HERE, THERE])
    assert await other.cache.busiest() == [HERE, THERE]


# --- without Redis ---------------------------------------------------------------------------------------------------


async def test_a_hanging_redis_costs_one_short_wait_and_then_nothing(
    join: Join, valkey: Valkey, admin: Any, news: list[observe.News]
) -> None:
    process = await join(call_seconds=CALL_SECONDS)
    await process.cache.read(HERE)
    pid = valkey.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert await process.cache.read(HERE) == on(HERE, 5)
        assert time.monotonic() - began < CALL_SECONDS + 0.3
        began = time.monotonic()
        for _ in range(50):
            assert await process.cache.read(HERE) == on(HERE, 5)
        assert time.monotonic() - began < 0.3
    finally:
        os.kill(pid, signal.SIGCONT)
    assert sum(isinstance(one, observe.SharedCacheLost) for one in news) == 1
    async with asyncio.timeout(10):
        while process.cache.is_away:  # noqa: ASYNC110  # it looks in its own time
            await asyncio.sleep(0.05)


async def test_a_redis_that_is_not_there_costs_nothing() -> None:
    process = Process("redis://127.0.0.1:1/0", secrets.token_urlsafe(32))
    await asyncio.sleep(0.05)
    for _ in range(20):
        assert await process.cache.read(HERE) == on(HERE, 5)
    assert await process.cache.busiest() == []
    await process.cache.close()
