"""Who is present, in several processes that share one Valkey: told, forgotten, healed, and sealed."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from uuid import UUID

import pytest
import redis.asyncio as redis

from graphql_app.domain.access import ROLES, View, Viewer
from graphql_app.domain.change import Change, Head
from graphql_app.domain.presence import Places, Present
from graphql_app.domain.seal import Pseudonyms, Seal
from graphql_app.domain.workstation import Floor, Place
from graphql_app.embedded import Valkey
from graphql_app.live.presence import Presence, kept_seconds, people
from graphql_app.live.presence.existing_places import ExistingPlaces
from graphql_app.services.following.history import Start
from graphql_app.services.following.presences import Presences
from graphql_app.store.redis import broadcast
from graphql_app.store.redis.presence import PresenceStore

HERE, THERE, ELSEWHERE = Place("总部A座", 3), Place("总部A座", 4), Place("Riverside", 1)
SECRET = "a secret of thirty-two characters"
GHOST_SECONDS = 3.0
ADA = UUID(int=0xADA)
SEES_PEOPLE, SEES_COUNTS = View(ROLES["admin"]), View(ROLES["visitor"])


def somebody(subject: str, employee: UUID | None = None) -> Viewer:
    return Viewer(subject, (), SEES_COUNTS, employee, "E-1001" if employee else None, 0)


class Process:
    """What one server process knows of presence."""

    def __init__(self, presence: Presence, task: "asyncio.Task[None]") -> None:
        self.presence = presence
        self._task = task

    async def die(self) -> None:
        """As by SIGKILL: it says nothing any more."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def until(self, place: Place, holds: Callable[[Present], bool], seconds: float = 5) -> float:
        """Waits until it is known here. Returns how long that took."""
        began = time.monotonic()
        with self.presence.watching(Places(place.building, place.number)):
            async with asyncio.timeout(seconds):
                while not holds(self.presence.at(place)):  # noqa: ASYNC110  # what is known is asked, as a stream asks
                    await asyncio.sleep(0.02)
        return time.monotonic() - began


@asynccontextmanager
async def running(
    valkey: Valkey, secret: str = SECRET, linger_seconds: float = 0, ghost_seconds: float = GHOST_SECONDS
) -> AsyncIterator[Process]:
    async with broadcast.opened(valkey.url, Seal(secret, "broadcast"), "graphql_app:presence") as channel:
        store = PresenceStore(valkey.url, secret, kept_seconds=kept_seconds(ghost_seconds))
        presence = Presence(
            store,
            channel,
            Pseudonyms(secret, "present"),
            ghost_seconds=ghost_seconds,
            linger_seconds=linger_seconds,
        )
        process = Process(presence, asyncio.create_task(presence.run()))
        try:
            yield process
        finally:
            is_dead = process._task.done()
            await process.die()
            # Whom the system has killed says nothing; its connections are closed all the same.
            await (store._redis.aclose() if is_dead else presence.close())


@asynccontextmanager
async def pair(valkey: Valkey, ghost_seconds: float = GHOST_SECONDS) -> AsyncIterator[tuple[Process, Process]]:
    """Two that know of each other."""
    async with (
        running(valkey, ghost_seconds=ghost_seconds) as one,
        running(valkey, ghost_seconds=ghost_seconds) as other,
    ):
        for process in (one, other):
            await process.until(HERE, lambda here: not here.is_partial)
        yield one, other


# --- counting --------------------------------------------------------------------------------------------------------


async def test_who_enters_in_one_process_is_known_in_the_other_within_a_second(valkey: Valkey) -> None:
    async with pair(valkey) as (one, other):
        leave = one.presence.enter(somebody("ada", ADA), HERE)
        assert one.presence.at(HERE).count == 1, "where they enter, it is known at once"
        with other.presence.watching(Places(HERE.building, HERE.number)):
            assert await other.until(HERE, lambda here: here.people == frozenset({ADA})) < 1
            leave()
            assert await other.until(HERE, lambda here: here.count == 0) < 1


async def test_several_connections_of_one_subject_count_once_in_whatever_process(valkey: Valkey) -> None:
    async with pair(valkey) as (one, other):
        leaves = [process.presence.enter(somebody("ada"), HERE) for process in (one, one, other)]
        other.presence.enter(somebody("wei"), HERE)

        for process in (one, other):
            await process.until(HERE, lambda here: here.count == 2)
        for leave in leaves[:2]:
            leave()
        await one.until(THERE, lambda there: not there.is_partial)
        assert (await settled(one, HERE)).count == 2, "still connected to the other"
        leaves[2]()
        for process in (one, other):
            await process.until(HERE, lambda here: here.count == 1)


async def settled(process: Process, place: Place) -> Present:
    """What is known when all that was said has been heard."""
    with process.presence.watching(Places(place.building, place.number)):
        await asyncio.sleep(0.5)
        return process.presence.at(place)


async def test_each_floor_has_its_own(valkey: Valkey) -> None:
    async with pair(valkey) as (one, other):
        one.presence.enter(somebody("ada"), HERE)
        one.presence.enter(somebody("ada"), ELSEWHERE)

        await other.until(ELSEWHERE, lambda there: there.count == 1)
        await other.until(HERE, lambda here: here.count == 1)
        assert (await settled(other, THERE)).count == 0


async def test_who_is_back_within_a_moment_was_never_away(valkey: Valkey) -> None:
    async with running(valkey, linger_seconds=0.2) as process:
        with process.presence.watching(Places(HERE.building, HERE.number)) as watch:
            process.presence.enter(somebody("ada"), HERE)()
            process.presence.enter(somebody("ada"), HERE)
            await asyncio.sleep(0.4)
            assert process.presence.at(HERE).count == 1
            await watch.take()
            assert watch._changed == {}


async def test_a_building_that_cannot_be_is_nowhere(valkey: Valkey) -> None:
    async with running(valkey) as process:
        process.presence.enter(somebody("ada"), Place("b" * 51, 1))()
        assert process.presence.places(Places()) == []


# --- dying, leaving, coming back -------------------------------------------------------------------------------------


async def test_a_process_that_dies_leaves_no_ghosts_beyond_the_bound(valkey: Valkey) -> None:
    async with pair(valkey) as (one, other):
        one.presence.enter(somebody("ada"), HERE)
        other.presence.enter(somebody("wei"), HERE)
        with other.presence.watching(Places(HERE.building, HERE.number)):
            await other.until(HERE, lambda here: here.count == 2)
            await one.die()
            assert await other.until(HERE, lambda here: here.count == 1, GHOST_SECONDS + 1) < GHOST_SECONDS


async def test_who_stays_is_shown_for_longer_than_an_entry_lives(valkey: Valkey) -> None:
    async with pair(valkey, ghost_seconds=6) as (one, other):
        one.presence.enter(somebody("ada"), HERE)
        with other.presence.watching(Places(HERE.building, HERE.number)):
            await other.until(HERE, lambda here: here.count == 1)
            for _ in range(60):
                await asyncio.sleep(0.1)
                assert other.presence.at(HERE).count == 1


async def test_a_process_that_stops_in_order_takes_its_people_with_it_at_once(valkey: Valkey) -> None:
    async with running(valkey) as other:
        async with running(valkey) as one:
            one.presence.enter(somebody("ada"), HERE)
            await other.until(HERE, lambda here: here.count == 1)
        assert await other.until(HERE, lambda here: here.count == 0) < 1
    async with redis.Redis.from_url(valkey.url) as admin:
        assert await admin.keys() == []


async def test_a_lost_message_heals_with_the_next_beat(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    async def lost(*_: object) -> None:
        pass

    async with pair(valkey) as (one, other):
        monkeypatch.setattr(one.presence._exchange, "_publish", lost)
        with other.presence.watching(Places(HERE.building, HERE.number)):
            await other.until(HERE, lambda here: not here.is_partial)
            one.presence.enter(somebody("ada"), HERE)
            await other.until(HERE, lambda here: here.count == 1, GHOST_SECONDS / 6 + 1)


async def test_flushing_redis_heals_with_the_next_beat(valkey: Valkey) -> None:
    async with pair(valkey) as (one, other), redis.Redis.from_url(valkey.url) as admin:
        one.presence.enter(somebody("ada"), HERE)
        await other.until(HERE, lambda here: here.count == 1)
        await admin.flushall()
        await asyncio.sleep(GHOST_SECONDS / 6 + 0.5)
        await other.until(HERE, lambda here: here.count == 1)


async def test_redis_away_is_said_and_what_this_process_knows_goes_on(valkey: Valkey) -> None:
    async with pair(valkey) as (one, other):
        one.presence.enter(somebody("ada"), HERE)
        other.presence.enter(somebody("wei"), HERE)
        places = Places(HERE.building, HERE.number)
        with one.presence.watching(places), other.presence.watching(places):
            for process in (one, other):
                await process.until(HERE, lambda here: here.count == 2)
            await asyncio.to_thread(valkey.stop)
            await other.until(HERE, lambda here: here.is_partial)
            other.presence.enter(somebody("eve"), HERE)
            assert other.presence.at(HERE).count == 3, "what is known is not forgotten before it fades"
            await other.until(HERE, lambda here: here.count == 2, GHOST_SECONDS + 1)
            assert other.presence.at(HERE).is_partial

            await asyncio.to_thread(valkey.start)
            for process in (one, other):
                await process.until(HERE, lambda here: here.count == 3 and not here.is_partial)


async def test_a_redis_that_returns_shows_nobody_as_gone_who_stayed(valkey: Valkey) -> None:
    async with pair(valkey, ghost_seconds=60) as (one, other):
        one.presence.enter(somebody("ada"), HERE)
        with other.presence.watching(Places(HERE.building, HERE.number)):
            await other.until(HERE, lambda here: here.count == 1)
            await asyncio.to_thread(valkey.stop)
            await asyncio.to_thread(valkey.start)
            await other.until(HERE, lambda here: here.is_partial)
            while other.presence.at(HERE).is_partial:
                assert other.presence.at(HERE).count == 1
                await asyncio.sleep(0.02)
            assert other.presence.at(HERE).count == 1


async def test_a_redis_that_hangs_holds_up_nobody_who_enters(valkey: Valkey) -> None:
    async with pair(valkey) as (one, _):
        pid = valkey.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            stream = Presences(one.presence, ANYWHERE, Places(HERE.building, HERE.number), SEES_COUNTS)
            began = time.monotonic()
            leave = one.presence.enter(somebody("ada"), HERE)
            assert time.monotonic() - began < 0.1
            async with stream.opened():
                first = [present async for present in stream.level(Start())]
            assert time.monotonic() - began < 1
            assert [(present.count, present.is_partial) for present in first] == [(1, True)]
            leave()
        finally:
            os.kill(pid, signal.SIGCONT)


# --- streams ---------------------------------------------------------------------------------------------------------


class Anywhere:
    """Whatever floor is named, there is."""

    def __contains__(self, place: object) -> bool:
        return True

    async def known(self) -> None: ...


ANYWHERE = Anywhere()


class Follower:
    """What a stream has told, in order."""

    def __init__(
        self, process: Process, places: Places, view: View, existing: ExistingPlaces | Anywhere = ANYWHERE
    ) -> None:
        self.told: list[Present] = []
        self.stream = Presences(process.presence, existing, places, view)
        self._task = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        async with self.stream.opened():
            async for present in self.stream.level(Start()):
                self.told.append(present)
            while True:
                self.told.append(await self.stream.next())

    @property
    def counts(self) -> dict[Place, int]:
        """What was told last of each floor."""
        return {present.place: present.count for present in self.told}

    async def until(self, holds: Callable[[], bool], seconds: float = 5) -> None:
        async with asyncio.timeout(seconds):
            while not holds():  # noqa: ASYNC110  # conditions of all kinds
                await asyncio.sleep(0.02)

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])


async def test_a_floor_is_told_at_once_and_then_when_it_changes(valkey: Valkey) -> None:
    async with pair(valkey) as (one, other):
        one.presence.enter(somebody("ada", ADA), HERE)
        follower = Follower(other, Places(HERE.building, HERE.number), SEES_PEOPLE)
        await follower.until(lambda: bool(follower.told))
        leave = one.presence.enter(somebody("wei"), HERE)
        await follower.until(lambda: len(follower.told) == 2)
        leave()
        await follower.until(lambda: len(follower.told) == 3)
        await follower.end()

    people = frozenset({ADA})
    assert follower.told == [Present(HERE, count, people, is_partial=False) for count in (1, 2, 1)]


async def test_an_empty_floor_is_told_too(valkey: Valkey) -> None:
    async with pair(valkey) as (one, _):
        follower = Follower(one, Places("Nowhere", 99), SEES_COUNTS)
        await follower.until(lambda: bool(follower.told))
        await follower.end()

    assert follower.told == [Present(Place("Nowhere", 99), 0, None, is_partial=False)]


async def test_who_sees_no_names_is_not_told_that_one_has_taken_the_place_of_another(valkey: Valkey) -> None:
    async with running(valkey) as process:
        await process.until(HERE, lambda here: not here.is_partial)
        leave = process.presence.enter(somebody("ada", ADA), HERE)
        places = Places(HERE.building, HERE.number)
        names, counts = (Follower(process, places, view) for view in (SEES_PEOPLE, SEES_COUNTS))
        for follower in (names, counts):
            await follower.until(lambda follower=follower: bool(follower.told))  # type: ignore[misc]
        process.presence.enter(somebody("wei", UUID(int=2)), HERE)
        leave()
        await names.until(lambda: len(names.told) == 2)
        await asyncio.sleep(0.4)
        for follower in (names, counts):
            await follower.end()

    assert [present.people for present in names.told] == [frozenset({ADA}), frozenset({UUID(int=2)})]
    assert counts.told == [Present(HERE, 1, None, is_partial=False)]


async def test_a_burst_is_told_four_times_a_second_at_most(valkey: Valkey) -> None:
    async with running(valkey) as process:
        await process.until(HERE, lambda here: not here.is_partial)
        follower = Follower(process, Places(HERE.building, HERE.number), SEES_COUNTS)
        await follower.until(lambda: bool(follower.told))
        began = time.monotonic()
        for number in range(100):
            process.presence.enter(somebody(str(number)), HERE)
            await asyncio.sleep(0.01)
        await follower.until(lambda: follower.told[-1].count == 100)
        took = time.monotonic() - began
        await follower.end()

    assert len(follower.told) <= 3 + took / 0.25


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        (Places(), {HERE: 2, THERE: 1, ELSEWHERE: 1}),
        (Places("总部A座"), {HERE: 2, THERE: 1}),
        (Places(None, 1), {ELSEWHERE: 1}),
    ],
)
async def test_whole_buildings_are_followed_too(valkey: Valkey, places: Places, expected: dict[Place, int]) -> None:
    async with pair(valkey) as (one, other):
        one.presence.enter(somebody("ada"), HERE)
        one.presence.enter(somebody("wei"), ELSEWHERE)
        await one.until(HERE, lambda here: here.count == 1)
        follower = Follower(other, places, SEES_COUNTS)
        leave = one.presence.enter(somebody("eve"), THERE)
        other.presence.enter(somebody("bob"), HERE)
        await follower.until(lambda: follower.counts == expected)
        leave()
        if THERE in expected:
            await follower.until(lambda: follower.counts == {**expected, THERE: 0})
        await follower.end()
        assert list(other.presence._others) == [], "nobody watches, nothing is kept"


async def test_only_floors_that_exist_are_told_of_from_when_they_do_until_they_do_not(valkey: Valkey) -> None:
    floors = {HERE: Floor(1, HERE.building, HERE.number, ""), THERE: Floor(2, THERE.building, THERE.number, "")}
    revisions = count(1)

    async def read() -> list[Place]:
        return [HERE]

    def happened(before: Floor | None, after: Floor | None) -> None:
        revision = next(revisions)
        moved: Change[Floor] = Change(revision, "floor", 2, datetime.now(UTC), before, after)
        existing.delivered([moved], Head(UUID(int=1), revision))

    async with pair(valkey) as (one, other):
        existing = ExistingPlaces(read, other.presence.look)
        follower = Follower(other, Places(), SEES_PEOPLE, existing)
        one.presence.enter(somebody("eve", ADA), Place("<script>buy now</script>", 1))
        other.presence.enter(somebody("eve", ADA), Place("made up here", 1))
        one.presence.enter(somebody("ada"), THERE)
        one.presence.enter(somebody("ada"), HERE)
        await follower.until(lambda: follower.counts == {HERE: 1})
        await asyncio.sleep(0.5)
        assert follower.counts == {HERE: 1}

        happened(None, floors[THERE])
        await follower.until(lambda: follower.counts == {HERE: 1, THERE: 1})
        happened(floors[THERE], None)
        await follower.until(lambda: follower.counts == {HERE: 1, THERE: 0})
        assert follower.told[-1].people == frozenset()

        named = Follower(other, Places("made up here", 1), SEES_PEOPLE, existing)
        await named.until(lambda: named.counts == {Place("made up here", 1): 1})
        await named.end()
        await follower.end()


async def test_floors_that_somebody_makes_up_are_forgotten_again(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "EMPTY_MOST", 10)
    made_up = [Place("made up", number) for number in range(50)]
    async with pair(valkey) as (one, other):
        follower = Follower(other, Places(), SEES_COUNTS)
        one.presence.enter(somebody("ada"), HERE)
        leaves = [one.presence.enter(somebody("eve"), place) for place in made_up]
        await follower.until(lambda: follower.counts == dict.fromkeys([HERE, *made_up], 1))
        for leave in leaves:
            leave()
        await follower.until(lambda: follower.counts == {HERE: 1, **dict.fromkeys(made_up, 0)})
        one.presence.enter(somebody("wei"), HERE)
        await follower.until(lambda: follower.counts[HERE] == 2)

        assert len(other.presence._others) == 11
        await follower.until(lambda: len(follower.stream._shown) <= 12)
        await follower.end()


async def test_floors_that_are_made_up_while_redis_is_away_are_forgotten_again(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "EMPTY_MOST", 10)
    async with pair(valkey) as (one, other):
        await asyncio.to_thread(valkey.stop)
        await one.until(HERE, lambda here: here.is_partial)
        one.presence.enter(somebody("ada"), HERE)
        for number in range(100):
            one.presence.enter(somebody("eve"), Place("made up", number))()
        async with asyncio.timeout(5):
            while len(one.presence._exchange._unsaid) > 11:  # noqa: ASYNC110  # nothing tells of it
                await asyncio.sleep(0.02)

        await asyncio.to_thread(valkey.start)
        await other.until(HERE, lambda here: here.count == 1 and not here.is_partial)


# --- what Redis is told ----------------------------------------------------------------------------------------------


async def test_redis_is_told_neither_names_nor_numbers_nor_floors(valkey: Valkey) -> None:
    async with pair(valkey) as (one, other), redis.Redis.from_url(valkey.url) as admin:
        spied: list[str] = []

        async def spy() -> None:
            async with admin.monitor() as monitor:
                while True:
                    spied.append((await monitor.next_command())["command"])

        spying = asyncio.create_task(spy())
        await asyncio.sleep(0.1)
        one.presence.enter(somebody("ada@example.org", ADA), HERE)
        await other.until(HERE, lambda here: here.people == frozenset({ADA}))
        await asyncio.sleep(GHOST_SECONDS / 6)
        spying.cancel()
        await asyncio.wait([spying])
        kept: list[bytes | str] = []
        async with redis.Redis.from_url(valkey.url) as reader:
            keys = await reader.keys()
            for key in keys:
                kept += [key, *await reader.zrange(key, 0, -1)]
                assert 0 < await reader.pttl(key) <= GHOST_SECONDS * 1000, "all of it fades"

    assert len(keys) == 2
    everything = repr(kept) + "\n".join(spied)
    for secret in (
        "ada@example.org",
        "E-1001",
        "总部",
        repr("总部".encode())[2:-1],
        str(ADA),
        ADA.hex,
        repr(ADA.bytes)[2:-1],
    ):
        assert secret not in everything


async def test_installations_that_share_a_redis_know_nothing_of_each_other(valkey: Valkey) -> None:
    async with running(valkey) as one, running(valkey, "another secret of 32 characters.") as stranger:
        for process in (one, stranger):
            await process.until(HERE, lambda here: not here.is_partial)
        one.presence.enter(somebody("ada"), HERE)
        assert (await settled(stranger, HERE)).count == 0


async def test_what_others_put_there_is_passed_over(valkey: Valkey) -> None:
    async with pair(valkey) as (one, other), redis.Redis.from_url(valkey.url) as admin:
        one.presence.enter(somebody("ada"), HERE)
        await other.until(HERE, lambda here: here.count == 1)
        for key in await admin.keys():
            await admin.zadd(key, {b"made up": 9e12})
        async with AsyncExitStack() as stack:
            for places in (Places(HERE.building, HERE.number), Places()):
                stack.enter_context(other.presence.watching(places))
            await asyncio.sleep(GHOST_SECONDS / 6 + 0.5)
            assert other.presence.at(HERE).count == 1


async def test_what_another_release_says_is_read_anew_and_holds_up_nothing(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with pair(valkey) as (one, other):
        for words in (b"not JSON", b"{}", b"[[1]]", b"7"):
            await one.presence._exchange._channel.publish(words)
        one.presence.enter(somebody("ada"), HERE)
        await other.until(HERE, lambda here: here.count == 1)

        async def fails(*_: object) -> None:
            raise ValueError("of another shape")

        with monkeypatch.context() as broken:
            broken.setattr(PresenceStore, "read", fails)
            await other.until(HERE, lambda here: here.is_partial)
        await other.until(HERE, lambda here: here.count == 1 and not here.is_partial)
