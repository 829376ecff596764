"""Answers from memory are true: whoever reads whatever where, while anybody writes and Redis comes and goes."""

import asyncio
import os
import random
import secrets
import signal
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, TypeAlias

import asyncpg
import pytest
import redis.asyncio as redis
from pydantic import SecretStr
from sqlalchemy import text

from graphql_app import observe
from graphql_app.app.running import Parts, running
from graphql_app.domain.access import ROLES, View, Viewer, redact
from graphql_app.domain.caller import Caller
from graphql_app.domain.filters import WorkstationFilter
from graphql_app.domain.identifiers import global_id
from graphql_app.domain.workstation import Counts, Place, Status, Workstation
from graphql_app.embedded import Servers, Valkey
from graphql_app.live.feed.staleness import CURRENT_SECONDS
from graphql_app.services.cursors import FeedCursors
from graphql_app.services.following.follow import Follow
from graphql_app.services.listing import Paging
from graphql_app.services.office.browse import Browse
from graphql_app.store.log.numbering import leading
from graphql_app.store.office import whole_floor as floors
from graphql_app.store.postgres.database import Database
from graphql_app.store.redis.cache import SharedFloorCache
from graphql_app.store.schema import rows
from graphql_app.testing import new_key
from tests import histories
from tests.graphql_client import Office, leaderless, numbered, running_office, settings_for
from tests.histories import Committed, committed

PLACES = [Place("总部A座", 3), Place("总部A座", 4), Place("Riverside", 1)]


def caller(role: str, **fields: Any) -> Caller:
    return Caller(Viewer(role, (role,), View(ROLES[role]), None, None, float("inf")), **fields)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a reader was told, and how far the process was when it was asked and when it had answered."""

    what: str
    view: View
    asked: int
    answered: int
    told: Any
    from_memory: bool


class Process:
    """All of graphql_app but its doors."""

    def __init__(self, parts: Parts, secret: str) -> None:
        self.cursors = FeedCursors(secret)
        self.browse: Browse = parts.engine.services.browse
        self.follow: Follow = parts.engine.services.follow
        self.receipts = parts.engine.services.tokens
        self.arrange = parts.engine.services.arrange
        self.health = parts.health
        self._hub = parts.engine.services.tokens.hub

    @property
    def revision(self) -> int:
        return self._hub.head.revision if self._hub.head is not None else -1


StartProcess: TypeAlias = Callable[..., Awaitable[Process]]


@pytest.fixture
async def start(database_url: str, servers: Servers) -> AsyncIterator[StartProcess]:
    """Starts processes of one installation over the furnished office, with warm caches if told."""
    secret = SecretStr(secrets.token_urlsafe(32))
    await histories.furnish(database_url)
    async with AsyncExitStack() as stack:

        async def start(**settings: Any) -> Process:
            given = settings_for(database_url, servers, **{"secret": secret, "cache_rows": 10_000, **settings})
            process = Process(await stack.enter_async_context(running(given)), secret.get_secret_value())
            await committed(database_url)
            async with asyncio.timeout(5):
                while (await process.health.findings())["caches"].degraded:  # noqa: ASYNC110  # it is only told
                    await asyncio.sleep(0.01)
            return process

        yield start


# --- what may be told ------------------------------------------------------------------------------------------------


class Truth:
    """Each workstation's states by revision, and so the office at any of them."""

    def __init__(self, truth: Committed) -> None:
        self.head = truth.head
        self._states: defaultdict[int, list[tuple[int, Workstation | None]]] = defaultdict(list)
        for entry in truth.log:
            after = rows.workstation(entry.after) if entry.after is not None else None
            self._states[entry.workstation_id].append((entry.revision, after))

    def at(self, revision: int) -> dict[int, Workstation]:
        found = {key: self.of(key, revision) for key in self._states}
        return {key: state for key, state in found.items() if state is not None}

    def of(self, key: int, revision: int) -> Workstation | None:
        known = [state for changed, state in self._states[key] if changed <= revision]
        return known[-1] if known else None

    def between(self, key: int, first: int, last: int) -> list[Workstation | None]:
        return [self.of(key, first), *(state for changed, state in self._states[key] if first < changed <= last)]


def _whole(workstation: Workstation | None) -> Any:
    """Its hidden parts too, which take no part in comparisons."""
    return workstation and (workstation, workstation.version, workstation.updated_at)


def _shown(view: View, workstation: Workstation | None) -> Any:
    return _whole(redact(view, workstation)) if workstation is not None else None


Expected: TypeAlias = Callable[[dict[int, Workstation], View], Any]


def floor_at(place: Place) -> Expected:
    return lambda office, view: [_shown(view, one) for _, one in sorted(office.items()) if one.place == place]


def counts_at(place: Place) -> Expected:
    def counts(office: dict[int, Workstation], _: View) -> Any:
        statuses = [one.status for one in office.values() if one.place == place]
        return {status: statuses.count(status) for status in Status}

    return counts


def one_at(key: int) -> Expected:
    return lambda office, view: _shown(view, office.get(key))


# --- readers ---------------------------------------------------------------------------------------------------------


class Reader:
    """Reads in every way as every role, and remembers what it was told."""

    def __init__(self, process: Process, number: int) -> None:
        self.process = process
        self.choice = random.Random(number)
        self.answers: list[tuple[Answer, Expected]] = []

    async def read(self) -> None:
        role = self.choice.choice(["visitor", "employee", "facilities", "hr", "admin"])
        place = self.choice.choice(PLACES)
        ways = (self._floor, self._floor, self._counts, self._one, self._exact, self._filtered)
        await self.choice.choice(ways)(caller(role), place)

    def _note(self, what: str, who: Caller, asked: int, told: Any, expected: Expected, memory: bool) -> None:
        self.answers.append((Answer(what, who.view, asked, self.process.revision, told, memory), expected))

    async def _floor(self, who: Caller, place: Place) -> None:
        asked = self.process.revision
        found = (await self.process.browse.workstations_by_place(who, [place]))[place]
        told = [_whole(one) for one in found]
        self._note("floor", who, asked, told, floor_at(place), isinstance(found, tuple))

    async def _counts(self, who: Caller, place: Place) -> None:
        asked = self.process.revision
        found: Counts = (await self.process.browse.counts_by_place(who, [place]))[place]
        self._note("counts", who, asked, found.by_status, counts_at(place), False)

    async def _one(self, who: Caller, _: Place) -> None:
        key, asked = self.choice.randint(1, 79), self.process.revision
        found = await self.process.browse.workstation(who, key)
        self._note("one", who, asked, _whole(found), one_at(key), False)

    async def _exact(self, who: Caller, place: Place) -> None:
        """As of its cursor, which may be ahead of the process, but never behind the question."""
        asked = self.process.revision
        snapshot = (await self.process.follow.floors(who, [place]))[place]
        told = [_whole(one) for one in snapshot.workstations]
        revision = self.process.cursors.head(snapshot.cursor).revision
        assert revision >= asked
        self.answers.append((Answer("exact", who.view, revision, revision, told, from_memory=True), floor_at(place)))

    async def _filtered(self, who: Caller, place: Place) -> None:
        matching = WorkstationFilter(frozenset(range(1, 40)), place.building, place.number)
        asked = self.process.revision
        page = await self.process.browse.workstations(who, matching, [], Paging(first=1), is_counted=True)

        def expected(office: dict[int, Workstation], _: View) -> Any:
            return sum(matching.matches(one) for one in office.values())

        self._note("count", who, asked, page.total_count, expected, False)


def check(answers: Sequence[tuple[Answer, Expected]], truth: Truth) -> None:
    """Raises AssertionError for an answer that was never true since it was asked.

    What was read from the database may be ahead of the feed, and see the changes of two transactions in another order:
    there, each workstation is held to its own states.
    """
    offices: dict[int, dict[int, Workstation]] = {}
    for answer, expected in answers:
        last = answer.answered if answer.from_memory else truth.head
        for revision in range(answer.asked, last + 1):
            if revision not in offices:
                offices[revision] = truth.at(revision)
            if expected(offices[revision], answer.view) == answer.told:
                break
        else:
            assert answer.what in ("floor", "counts", "count"), f"{answer} was never true"
            assert not answer.from_memory, f"{answer} was never true"
            if answer.what == "floor":
                _check_each(answer, truth, last)


def _check_each(answer: Answer, truth: Truth, last: int) -> None:
    for told in answer.told:
        states = truth.between(told[0].id, answer.asked, last)
        assert told in [_shown(answer.view, state) for state in states], f"{told} was never true"


async def reading(reader: Reader, until: "asyncio.Task[Any]") -> None:
    while not until.done():
        await reader.read()
        await asyncio.sleep(reader.choice.random() * 0.002)


# --- stories ---------------------------------------------------------------------------------------------------------


async def test_every_answer_was_true_between_the_question_and_the_answer(
    start: StartProcess, database_url: str
) -> None:
    processes = [await start(), await start(recent_changes=40)]  # one of them often cannot reach back
    readers = [Reader(process, number) for number, process in enumerate(processes * 3)]
    writing = asyncio.create_task(_written(database_url, 4, 3.0))
    await asyncio.gather(*(reading(reader, writing) for reader in readers))
    await writing
    truth = Truth(await committed(database_url))
    answers = [answer for reader in readers for answer in reader.answers]
    check(answers, truth)
    assert sum(answer.from_memory for answer, _ in answers if answer.what == "floor") > 50


async def test_renames_of_what_a_floor_shows_are_seen_in_memory(start: StartProcess, database_url: str) -> None:
    process = await start()
    reader = Reader(process, 1)
    psql = await asyncpg.connect(database_url)

    async def rename() -> None:
        for number in range(30):
            await psql.execute("UPDATE departments SET name = $1 WHERE id = 1", f"研发 {number}")
            await psql.execute("UPDATE floors SET name = $1 WHERE number = 3", f"floor {number}")
            await psql.execute("UPDATE floors SET number = 4 + 10 * ($1 % 2) WHERE number IN (4, 14)", number)
            await psql.execute("UPDATE buildings SET name = $1 WHERE id = 2", ("Riverside", "Waterside")[number % 2])

    renaming = asyncio.create_task(rename())
    await reading(reader, renaming)
    await renaming
    await psql.close()
    check(reader.answers, Truth(await committed(database_url)))


async def _written(url: str, writers: int, seconds: float) -> None:
    await asyncio.gather(*(histories.write(url, number, seconds) for number in range(writers)))


async def test_whatever_happens_to_redis_every_answer_is_true(
    start: StartProcess, database_url: str, valkey: Valkey
) -> None:
    # The second has room for a floor or two, and so goes through Redis again and again.
    processes = [await start(redis_url=valkey.url), await start(redis_url=valkey.url, cache_rows=90)]
    readers = [Reader(process, number) for number, process in enumerate(processes)]
    news: list[observe.News] = []
    end = observe.listen(news.append)
    writing = asyncio.create_task(_written(database_url, 2, 7.0))

    async def trouble() -> None:
        await asyncio.sleep(0.5)
        async with redis.Redis.from_url(valkey.url) as admin:
            await admin.flushall()
        await asyncio.sleep(0.3)
        pid = valkey.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(2.5)
        os.kill(pid, signal.SIGCONT)
        await asyncio.sleep(0.5)
        await asyncio.to_thread(valkey.stop)
        await asyncio.sleep(1.0)
        await asyncio.to_thread(valkey.start)

    await asyncio.gather(trouble(), *(reading(reader, writing) for reader in readers))
    await writing
    end()
    assert {one.result for one in news if isinstance(one, observe.SharedCacheAsked)} == {"hit", "miss", "off"}
    answers = [answer for reader in readers for answer in reader.answers]
    check(answers, Truth(await committed(database_url)))
    assert sum(answer.from_memory for answer, _ in answers if answer.what == "floor") > 50


async def test_without_a_leader_memory_is_silent_and_the_database_answers(
    start: StartProcess, database_url: str
) -> None:
    """Redis is away too: all that the process can do is to read a log that nobody numbers."""
    process = await start(redis_url="redis://127.0.0.1:1/0")
    who = caller("admin")
    assert isinstance((await process.browse.workstations_by_place(who, PLACES))[PLACES[0]], tuple)
    async with leaderless(database_url):
        psql = await asyncpg.connect(database_url)
        await psql.execute("UPDATE workstations SET notes = 'unheard' WHERE id = 1")
        await psql.close()
        async with asyncio.timeout(CURRENT_SECONDS + 3):
            while getattr(await process.browse.workstation(who, 1), "notes", None) != "unheard":  # noqa: ASYNC110  # it is only told
                await asyncio.sleep(0.05)
        finding = (await process.health.findings())["caches"]
        assert (finding.ok, finding.degraded) == (True, True)
        assert "off" in finding.detail
    async with asyncio.timeout(10):
        while (await process.health.findings())["caches"].degraded:  # noqa: ASYNC110  # it is only told
            await asyncio.sleep(0.05)


# --- through the doors -----------------------------------------------------------------------------------------------

FIELDS = """
id name status building floorNumber floorName notes equipment createdAt updatedAt version
xPosition yPosition width height employeeId department { id name }
employee { id name employeeNumber department { name } }
"""
FLOOR = 'building: "总部A座", floorNumber: 3'
DESK = global_id("Workstation", 7)
DOCUMENTS = [
    f'{{ floor(building: "总部A座", number: 3) {{ id name stats {{ total occupied }} workstations {{ {FIELDS} }} }} }}',
    f"{{ floors {{ id number workstations {{ {FIELDS} }} }} }}",
    f'{{ workstation(id: "{DESK}") {{ {FIELDS} }} }}',
    f'{{ node(id: "{DESK}") {{ id ... on Workstation {{ {FIELDS} }} }} }}',
    f"{{ workstations(filter: {{{FLOOR}}}, first: 20) {{ totalCount nodes {{ {FIELDS} }} }} }}",
    f"{{ workstationStats(filter: {{{FLOOR}}}) {{ key total reserved maintenance }} }}",
    f"{{ workstationStats(filter: {{{FLOOR}, xMin: 10}}) {{ total }} }}",
    f'{{ nodes(ids: ["{global_id("Floor", 1)}", "{DESK}"]) {{ id ... on Floor {{ name }} }} }}',
]
PATHS = [
    f"/api/workstations/{DESK}",
    "/api/workstations?building=总部A座&floor=3&first=10",
    "/api/workstations/stats?building=总部A座&floor=3",
]
UPDATE = """
mutation Update($id: ID!, $input: UpdateWorkstationInput!) {
  updateWorkstation(id: $id, input: $input) { ... on WorkstationChanged { workstation { id } } }
}
"""
ROLES_HERE = ["visitor", "employee", "facilities", "hr", "admin"]


async def test_every_role_is_told_by_a_warm_server_what_a_cold_one_tells_it(
    database_url: str, servers: Servers
) -> None:
    await histories.furnish(database_url)
    shared = {"secret": SecretStr(secrets.token_urlsafe(32)), "token_private_key": SecretStr(new_key())}
    settings = [settings_for(database_url, servers, cache_rows=rows, **shared) for rows in (10_000, 0)]
    choice = random.Random(7)
    async with running_office(settings[0]) as warm, running_office(settings[1]) as cold:
        for _ in range(3):
            await _written(database_url, 2, 0.5)
            await histories.mark(database_url, str(choice.random()))
            await _heard(warm)
            questions = [(role, ask) for role in ROLES_HERE for ask in [*DOCUMENTS, *PATHS]] * 2
            choice.shuffle(questions)
            for role, ask in questions:
                told, true = [await _answer(office, role, ask) for office in (warm, cold)]
                assert told == true, (role, ask)


async def _heard(office: Office) -> None:
    """Waits until the server has been told of all that was committed."""
    await numbered(office.database)
    head = await office.sql("SELECT revision FROM feed_head")
    async with asyncio.timeout(5):
        while f"revision {head}," not in await readiness(office):  # noqa: ASYNC110  # it is only told
            await asyncio.sleep(0.01)


async def readiness(office: Office) -> str:
    return (await office.client.get("/readyz", headers=office.headers("operator"))).text


async def _answer(office: Office, role: str, ask: str) -> Any:
    if ask.startswith("/"):
        response = await office.client.get(ask, headers=office.headers(role))
        body = response.json()
        # The place of the next page is sealed anew each time.
        return response.status_code, body.get("items", body) if isinstance(body, dict) else body
    return await office.ask(role, ask)


async def test_who_writes_reads_the_write_on_the_same_process_without_a_word(
    database_url: str, servers: Servers
) -> None:
    await histories.furnish(database_url)
    async with running_office(settings_for(database_url, servers, cache_rows=10_000)) as office:
        await _heard(office)
        for number in range(40):
            changed = await office.data("admin", UPDATE, {"id": DESK, "input": {"notes": f"note {number}"}})
            assert "workstation" in changed["updateWorkstation"]
            for ask in DOCUMENTS[:4]:
                assert f'"notes":"note {number}"' in (await office.post("admin", ask)).text


async def test_a_process_that_starts_holds_at_once_what_others_read_most(start: StartProcess, servers: Servers) -> None:
    secret = secrets.token_urlsafe(32)
    other = SharedFloorCache(servers.redis_url, secret, _nothing, lambda: None, kept_seconds=60)
    async with asyncio.timeout(5):
        while other.is_away:  # noqa: ASYNC110  # it connects in its own time
            await asyncio.sleep(0.01)
    await other.remember_busiest(PLACES[:2])
    await other.close()
    news: list[observe.News] = []
    end = observe.listen(news.append)
    late = await start(secret=SecretStr(secret))
    async with asyncio.timeout(10):
        while not any(isinstance(one, observe.CachesCounted) and one.floors == 2 for one in news):  # noqa: ASYNC110  # it is only told
            await asyncio.sleep(0.05)
    end()
    assert isinstance((await late.browse.workstations_by_place(caller("admin"), PLACES[:1]))[PLACES[0]], tuple)


async def test_a_floor_on_which_a_change_waits_that_cannot_be_read_is_not_held(
    database: Database, database_url: str
) -> None:
    """Of a release with other columns. Nobody fails for it: the database answers until it is past."""
    await histories.furnish(database_url)
    async with leading(database) as leader:
        await leader.number(1000)
    assert await floors.read(database, PLACES[0]) is not None

    async with database.reading() as connection:
        await connection.execute(
            text(
                "INSERT INTO change_log (entity, entity_id, actor, after)"
                " SELECT 'workstation', id, 'x', to_jsonb(w) - 'status' FROM workstations w"
            )
        )

    assert await floors.read(database, PLACES[0]) is None


async def _nothing(_: Place) -> None:
    raise AssertionError("this one reads nothing")
