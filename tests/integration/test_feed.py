"""From the commit to the subscriber: nothing is lost, twice, out of order, stalled, or shown to who may not see it."""

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, TypeAlias

import asyncpg
import orjson
import pytest
from graphql import GraphQLError
from pydantic import SecretStr

from graphql_app.app.running import Parts, running
from graphql_app.domain import change, identifiers
from graphql_app.domain.access import Viewer
from graphql_app.domain.caller import Caller
from graphql_app.domain.errors import UnknownCursor
from graphql_app.embedded import Servers
from graphql_app.graph.api.context import Context
from graphql_app.live.feed import leader as feed
from graphql_app.live.feed import relay
from graphql_app.live.feed.mailbox import PARTS_MOST
from graphql_app.rest.changes import Polls, followed
from graphql_app.services.cursors import FeedCursors
from graphql_app.services.following import snapshots, streams
from graphql_app.store.log import outbox
from graphql_app.store.log import retention as housekeeping
from graphql_app.store.postgres.database import Database
from graphql_app.store.postgres.migrations import upgrade
from tests import histories
from tests.conftest import disposable
from tests.graphql_client import settings_for
from tests.histories import FLOOR, ROLLED_BACK, SUBSCRIPTION, Recorder, Scene, check, committed, level_at
from tests.pace import Pace
from tests.statements import statements

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
VISITOR = Scene("visitor", "总部A座", 3)
LEADERS = (
    "SELECT pid FROM pg_locks l JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()"
    " WHERE locktype = 'advisory' AND granted"
)


class Process:
    """All of graphql_app but its doors, as one server process has it."""

    def __init__(self, parts: Parts, secret: str) -> None:
        self.engine = parts.engine
        self.secret = secret

    async def follow(
        self, recorder: Recorder, after: str | None = None, document: str = SUBSCRIPTION
    ) -> Callable[[], None]:
        """Subscribes, from the cursor or with a snapshot. Returns what ends it."""
        viewer = Viewer("test", (recorder.scene.role,), recorder.scene.view, None, None, time.time() + 600)
        operation = self.engine.documents.get(document).operation(None)
        variables = recorder.scene.variables | ({"after": after} if after is not None else {})
        return await self.engine.subscribing.join(
            operation, variables, Context(Caller(viewer), self.engine.services), recorder
        )


StartProcess: TypeAlias = Callable[..., Awaitable[Process]]


@pytest.fixture
async def psql(database_url: str) -> AsyncIterator[Connection]:
    await histories.furnish(database_url)
    connection = await asyncpg.connect(database_url)
    yield connection
    connection.terminate()


@pytest.fixture
async def start(database_url: str, servers: Servers, psql: Connection) -> AsyncIterator[StartProcess]:
    """Starts processes of one installation over the furnished office; batching is off unless told."""
    secret = secrets.token_urlsafe(32)
    async with AsyncExitStack() as stack:

        async def start(**settings: Any) -> Process:
            given = settings_for(database_url, servers, secret=SecretStr(secret), **settings)
            process = Process(await stack.enter_async_context(running(given)), secret)
            await committed(database_url)  # what is in the office has its revisions, and so is in every snapshot
            return process

        yield start


async def leader(psql: Connection) -> int:
    """The backend that numbers, once there is one."""
    async with asyncio.timeout(60):
        while (pid := await psql.fetchval(LEADERS)) is None:  # noqa: ASYNC110  # only the database knows
            await asyncio.sleep(0.01)
    return int(pid)


async def written(url: str, writers: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
    await asyncio.gather(*(histories.write(url, number, seconds, clock) for number in range(writers)))


# --- nothing lost, nothing twice, nothing out of order ---------------------------------------------------------------


async def test_eight_writers_at_once_are_told_exactly(start: StartProcess, database_url: str, pace: Pace) -> None:
    process = await start()
    recorders = [Recorder(FLOOR), Recorder(VISITOR), Recorder(Scene("admin"))]
    for recorder in recorders:
        await process.follow(recorder)
        await recorder.until(lambda payload: payload.complete)
    await written(database_url, 8, 1.5, pace.seconds)
    await histories.told(recorders, database_url)
    truth = await committed(database_url)
    truth.check()
    assert len(truth.log) > 300
    for recorder in recorders:
        check(recorder, truth, process.secret, every_version=True)
        assert not any(
            str(state["notes"]).startswith(ROLLED_BACK) for p in recorder.payloads for state in p.workstations.values()
        )


async def test_with_batching_each_payload_is_exact_and_the_last_state_arrives(
    start: StartProcess, database_url: str
) -> None:
    process = await start(batch_window_ms=100)
    recorders = [Recorder(FLOOR), Recorder(VISITOR), Recorder(Scene("admin"))]
    for recorder in recorders:
        await process.follow(recorder)
    await written(database_url, 8, 1.5)
    await histories.told(recorders, database_url)
    truth = await committed(database_url)
    for recorder in recorders:
        check(recorder, truth, process.secret)
        changes = [payload for payload in recorder.payloads if payload.kind == "CHANGES"]
        assert any(payload.merged for payload in changes)
        assert len(changes) < 80, "one and a half seconds in windows of 0.1 s, each at most 50 workstations"


async def test_an_open_transaction_stalls_nobody_and_arrives_after_its_commit(
    start: StartProcess, database_url: str, psql: Connection, pace: Pace
) -> None:
    process = await start()
    recorder = Recorder(FLOOR)
    await process.follow(recorder)
    async with psql.transaction():
        for workstation_id in histories.SET_ASIDE:
            await psql.execute("UPDATE workstations SET notes = 'held open' WHERE id = $1", workstation_id)
        writing = asyncio.create_task(written(database_url, 4, 3.0))
        while not writing.done():
            notes = f"at {time.monotonic()}"
            async with pace.within(1):
                await histories.mark(database_url, notes)
                await recorder.until_notes(notes, seconds=60)
            await asyncio.sleep(0.1)
        await writing
        held = [p for p in recorder.payloads if set(histories.SET_ASIDE) & set(p.workstations) and p.kind == "CHANGES"]
        assert held == []
    await histories.told([recorder], database_url)
    truth = await committed(database_url)
    truth.check()
    check(recorder, truth, process.secret, every_version=True)


async def test_a_transaction_of_thousands_of_changes_is_told_exactly(
    start: StartProcess, database_url: str, psql: Connection
) -> None:
    """More than the feed numbers at once."""
    process = await start()
    recorder = Recorder(FLOOR)
    await process.follow(recorder)
    await recorder.until(lambda payload: payload.complete)
    async with psql.transaction():
        await psql.execute(
            "INSERT INTO workstations (name, x_position, y_position, building, floor_number, notes)"
            " SELECT 'crowd ' || i, i, i, '总部A座', 3, 'crowd' FROM generate_series(1, 600) i"
        )
        for number in range(3):
            await psql.execute("UPDATE workstations SET x_position = x_position + $1", number + 1)
    await histories.told([recorder], database_url)
    check(recorder, await committed(database_url), process.secret, every_version=True)


async def test_a_small_change_does_not_wait_until_a_large_transaction_is_told(
    start: StartProcess, database_url: str, psql: Connection
) -> None:
    process = await start()
    recorder, elsewhere = Recorder(FLOOR), Recorder(Scene("admin"))
    for one in (recorder, elsewhere):
        await process.follow(one)
        await one.until(lambda payload: payload.complete)
    await psql.execute(
        "INSERT INTO workstations (name, x_position, y_position, building, floor_number)"
        " SELECT 'crowd ' || i, i, i, 'Riverside', 1 FROM generate_series(1, 6000) i"
    )
    await histories.mark(database_url, "meanwhile")
    small = await recorder.until_notes("meanwhile")
    await histories.told([recorder, elsewhere], database_url)
    truth = await committed(database_url)
    truth.check()
    assert histories.revision_of(small, FLOOR, process.secret) < truth.head - 3000
    for one in (recorder, elsewhere):
        check(one, truth, process.secret)


async def test_more_states_at_once_than_a_mailbox_keeps_apart_are_merged_and_said_to_be(
    start: StartProcess, database_url: str, psql: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, most in ((feed, "AT_ONCE_MOST"), (relay, "DELIVERED_AT_ONCE")):  # else they come in several turns
        monkeypatch.setattr(module, most, 2 * PARTS_MOST)
    process = await start()
    recorder = Recorder(FLOOR)
    await process.follow(recorder)
    await recorder.until(lambda payload: payload.complete)
    async with psql.transaction():
        for number in range(PARTS_MOST + 100):
            await psql.execute("UPDATE workstations SET notes = $1 WHERE id = 12", f"{number}")
    await histories.told([recorder], database_url)
    check(recorder, await committed(database_url), process.secret)
    assert any(payload.merged for payload in recorder.payloads)


async def test_a_rename_reaches_everybody_who_is_shown_the_name(
    start: StartProcess, database_url: str, psql: Connection
) -> None:
    process = await start()
    recorders = [Recorder(FLOOR), Recorder(VISITOR), Recorder(Scene("admin", "总部B座", 3))]
    for recorder in recorders:
        await process.follow(recorder)
        await recorder.until(lambda payload: payload.complete)
    await psql.execute("UPDATE departments SET name = 'R&D' WHERE id = 1")
    await psql.execute("UPDATE floors SET name = 'third' WHERE building = '总部A座' AND number = 3")
    await psql.execute("UPDATE buildings SET name = '总部B座' WHERE name = '总部A座'")
    await recorders[2].until(lambda payload: len(payload.workstations) == 40)
    await recorders[0].until(lambda payload: len(payload.removed) == 40)
    await recorders[1].until(lambda payload: len(payload.removed) == 40)
    truth = await committed(database_url)
    for recorder in recorders:
        check(recorder, truth, process.secret, every_version=True)


# --- snapshot, then changes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("window_ms", [0, 50])
async def test_who_connects_during_a_burst_has_no_hole_after_the_snapshot(
    start: StartProcess, psql: Connection, database_url: str, window_ms: int, pace: Pace
) -> None:
    process = await start(batch_window_ms=window_ms, snapshot_part=15)
    writing = asyncio.create_task(written(database_url, 4, 2.0, pace.seconds))
    choice, recorders = random.Random(7), []
    while not writing.done():
        recorder = Recorder(choice.choice((FLOOR, VISITOR, Scene("admin"), Scene("visitor", "Riverside", 1))))
        recorders.append(recorder)
        await process.follow(recorder)
        await asyncio.sleep(choice.uniform(0, 0.06))
    await writing
    await psql.execute(  # a new one, as all that were there may have gone
        "INSERT INTO workstations (name, x_position, y_position, building, floor_number, notes)"
        " VALUES ('the last', 1, 1, 'Riverside', 1, 'the end')"
    )
    elsewhere = [recorder for recorder in recorders if recorder.scene.building == "Riverside"]
    await asyncio.gather(*(recorder.until_notes("the end") for recorder in elsewhere))
    # Who is everywhere is told of the one above before.
    on_floor = [recorder for recorder in recorders if recorder.scene.building != "Riverside"]
    await histories.told(on_floor, database_url, "and here")
    truth = await committed(database_url)
    assert len(recorders) > 30
    for recorder in recorders:
        if window_ms:
            check(recorder, truth, process.secret)
        else:
            level = level_at(recorder, truth, process.secret)
            assert sum(payload.kind == "CHANGES" for payload in recorder.payloads[: level + 1]) < 5, "level at once"
            check(recorder, truth, process.secret, every_version=True, level_at=level)


async def test_a_snapshot_that_is_read_part_by_part_while_others_write_is_of_one_moment(
    start: StartProcess, psql: Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "READ_MOST", 7)
    monkeypatch.setattr(snapshots, "SMALL_MOST", 7)
    process = await start(batch_window_ms=0, snapshot_part=5)
    scenes = (Scene("admin"), Scene("visitor"), Scene("admin"))
    writing = asyncio.create_task(written(database_url, 4, 2.0))
    recorders: list[Recorder] = []
    with statements() as sent:
        while not writing.done():
            recorders.append(Recorder(scenes[len(recorders) % 3]))
            await process.follow(recorders[-1])
            await asyncio.sleep(0.05)
    await writing
    await histories.told(recorders, database_url)
    truth = await committed(database_url)
    for recorder in recorders:
        level = level_at(recorder, truth, process.secret)
        check(recorder, truth, process.secret, every_version=True, level_at=level)
    parts = [payload for payload in recorders[0].payloads if payload.kind == "SNAPSHOT"]
    assert [part.complete for part in parts] == [False] * (len(parts) - 1) + [True]
    assert len(parts) > 5
    assert any("idle_in_transaction" in one for one in sent)


async def test_hundreds_who_come_at_once_in_a_burst_are_given_a_few_snapshots_between_them(
    start: StartProcess, psql: Connection, database_url: str
) -> None:
    process = await start()
    recorders = [Recorder(scene) for scene in (FLOOR, VISITOR, Scene("admin")) for _ in range(100)]
    writing = asyncio.create_task(written(database_url, 2, 2.0))
    await asyncio.sleep(0.3)
    with statements() as sent:
        await asyncio.gather(*(process.follow(recorder) for recorder in recorders))
        await asyncio.gather(*(recorder.until(lambda payload: payload.complete) for recorder in recorders))
    reads = [one for one in sent if one.startswith("SELECT") and "FROM workstations" in one]
    assert 0 < len(reads) < 20
    await writing
    await histories.told(recorders, database_url)
    truth = await committed(database_url)
    for recorder in recorders:
        check(recorder, truth, process.secret)


async def test_fifty_who_are_shown_the_same_in_different_ways_are_given_a_few_snapshots_between_them(
    start: StartProcess, psql: Connection, database_url: str
) -> None:
    process = await start(snapshot_part=15)
    recorders = {Recorder(Scene("admin")): f"a{number}: kind kind" for number in range(50)}
    writing = asyncio.create_task(written(database_url, 2, 2.0))
    with statements() as sent:
        for recorder, shown in recorders.items():
            await process.follow(recorder, document=SUBSCRIPTION.replace("kind", shown))
        await asyncio.gather(*(recorder.until(lambda payload: payload.complete) for recorder in recorders))
    reads = [one for one in sent if one.startswith("SELECT") and "FROM workstations" in one]
    assert 0 < len(reads) < 20
    await writing
    await histories.told(list(recorders), database_url)
    truth = await committed(database_url)
    for recorder in recorders:
        check(recorder, truth, process.secret)


def _nothing_was_merged(recorder: Recorder) -> bool:
    return not any(payload.merged for payload in recorder.payloads)


async def test_who_breaks_off_at_any_moment_resumes_with_nothing_lost_and_nothing_twice(
    start: StartProcess, database_url: str
) -> None:
    processes = [await start(), await start(batch_window_ms=30)]
    recorders = [Recorder(scene) for scene in (FLOOR, VISITOR, Scene("admin")) for _ in range(4)]
    writing = asyncio.create_task(written(database_url, 4, 2.0))

    async def live(recorder: Recorder, number: int) -> None:
        choice = random.Random(number)
        while True:
            leave = await choice.choice(processes).follow(recorder, recorder.cursor)
            if writing.done():
                return
            await asyncio.sleep(choice.uniform(0, 0.2))
            leave()
            await asyncio.sleep(choice.choice((0, 0.05)))

    await asyncio.gather(writing, *(live(recorder, number) for number, recorder in enumerate(recorders)))
    await histories.told(recorders, database_url)
    truth = await committed(database_url)
    for recorder in recorders:
        assert [p.kind for p in recorder.payloads[:1]] == ["SNAPSHOT"]
        # On a busy machine somebody may break off each time before anything arrives, until it is all in the snapshot.
        assert {p.kind for p in recorder.payloads[1:]} <= {"CHANGES"}
        check(recorder, truth, processes[0].secret)


async def test_any_cursor_of_the_past_leads_to_exactly_what_came_after_it(
    start: StartProcess, database_url: str
) -> None:
    """From memory, and from the log by a process that remembers little."""
    processes = [await start(), await start(recent_changes=10)]
    first = Recorder(FLOOR)
    await processes[0].follow(first)
    await written(database_url, 4, 1.0)
    await histories.told([first], database_url)
    truth = await committed(database_url)
    for number in range(40):
        upto = random.Random(number).randrange(len(first.payloads) - 1)
        resumed = first.upto(upto + 1)
        leave = await processes[number % 2].follow(resumed, first.payloads[upto].cursor)
        await resumed.until_notes("the end")
        leave()
        assert len(resumed.payloads) == upto + 2, "all that came after it comes as one"
        check(resumed, truth, processes[0].secret)


CAMPUS = """
INSERT INTO buildings (name) VALUES ('Campus');
INSERT INTO floors (building, number) SELECT 'Campus', i FROM generate_series(1, 100) i;
INSERT INTO workstations (name, x_position, y_position, building, floor_number)
    SELECT 'C' || i, 0, 0, 'Campus', 1 + i % 100 FROM generate_series(1, 200) i;
"""
OWN = 3


class Work:
    """What catching up takes: changes that are decoded, and how many of them each catch-up merges."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.decoded = 0
        self.merged: list[int] = []
        decode = outbox.decoded

        def decoded(records: Any) -> Any:
            found = decode(records)
            self.decoded += len(found)
            return found

        def merged(changes: Any) -> Any:
            self.merged.append(len(changes))
            return change.merge(changes)

        monkeypatch.setattr(outbox, "decoded", decoded)
        monkeypatch.setattr(streams, "merge", merged)


async def missed_by_all(psql: Connection, database_url: str) -> None:
    """4,000 changes on a hundred floors, and a few on the one that is followed."""
    for number in range(20):
        await psql.execute("UPDATE workstations SET x_position = $1 WHERE building = 'Campus'", number + 1)
    for number in range(OWN):
        await psql.execute("UPDATE workstations SET notes = $1 WHERE id = 10", f"own {number}")
    await committed(database_url)


async def test_who_comes_back_merges_what_their_floor_missed_and_not_what_everybody_did(
    start: StartProcess, psql: Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await psql.execute(CAMPUS)
    process = await start()
    old = await cursor_now(process)
    await missed_by_all(psql, database_url)
    work = Work(monkeypatch)
    recorder = Recorder(FLOOR)
    await process.follow(recorder, old)

    assert (await recorder.until_notes(f"own {OWN - 1}")).kind == "CHANGES"
    assert (work.decoded, work.merged) == (0, [OWN])


async def test_beyond_memory_the_log_is_read_of_their_floor_alone_and_is_no_reason_for_a_resync(
    start: StartProcess, psql: Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await psql.execute(CAMPUS)
    process = await start(recent_changes=10, catch_up_most=50)
    old = await cursor_now(process)
    await psql.execute("UPDATE workstations SET floor_number = 4 WHERE id = 11")
    await missed_by_all(psql, database_url)
    work = Work(monkeypatch)
    recorder = Recorder(FLOOR)
    await process.follow(recorder, old)

    told = await recorder.until_notes(f"own {OWN - 1}")
    assert (told.kind, told.removed) == ("CHANGES", [11])
    assert (work.decoded, work.merged) == (OWN + 1, [OWN + 1])


async def test_a_process_that_is_new_decodes_what_was_missed_once_for_all_who_come_to_it(
    start: StartProcess, psql: Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await psql.execute(CAMPUS)
    process = await start()
    recorders = [Recorder(FLOOR), *(Recorder(Scene("admin", "Campus", number)) for number in range(1, 101))]
    for recorder in recorders:
        leave = await process.follow(recorder)
        await recorder.until(lambda payload: payload.complete)
        leave()
    await missed_by_all(psql, database_url)
    known = await psql.fetchval("SELECT count(*) FROM change_log")
    work = Work(monkeypatch)
    restarted = await start()
    for recorder in recorders:
        await restarted.follow(recorder, recorder.cursor)
    await histories.mark(database_url, "the end")
    await recorders[0].until_notes("the end")
    for recorder in recorders[1:]:
        await recorder.until(lambda payload: payload.kind != "SNAPSHOT")

    truth = await committed(database_url)
    assert work.decoded <= known + 2, "each change once, and the mark by both processes"
    assert sorted(work.merged)[-101:] == [OWN, *[40] * 100]
    for recorder in recorders:
        assert {payload.kind for payload in recorder.payloads} == {"SNAPSHOT", "CHANGES"}
        check(recorder, truth, process.secret)


async def test_a_new_filter_for_the_same_person_starts_where_it_should(start: StartProcess, database_url: str) -> None:
    """Subscriptions without a snapshot begin at the moment of asking: nothing older, nothing missing."""
    process = await start()
    writing = asyncio.create_task(written(database_url, 4, 1.5))
    recorders = []
    operation = process.engine.documents.get(SUBSCRIPTION).operation(None)
    while not writing.done():
        recorder = Recorder(FLOOR)
        viewer = Viewer("test", ("admin",), FLOOR.view, None, None, time.time() + 600)
        context = Context(Caller(viewer), process.engine.services)
        await process.engine.subscribing.join(operation, FLOOR.variables | {"snapshot": False}, context, recorder)
        recorders.append(recorder)
        await asyncio.sleep(0.05)
    await writing
    await histories.told(recorders, database_url)
    truth = await committed(database_url)
    for recorder in recorders:
        check(recorder, truth, process.secret)


# --- cursors that lead nowhere ---------------------------------------------------------------------------------------


async def resynced(process: Process, after: str, scene: Scene = FLOOR) -> str:
    """The reason of the RESYNC that this cursor leads to; it must come whole."""
    recorder = Recorder(scene)
    leave = await process.follow(recorder, after)
    payload = await recorder.until(lambda payload: payload.complete)
    leave()
    assert (payload.kind, len(payload.workstations)) == ("RESYNC", 40)
    assert payload.reason is not None
    return payload.reason


async def cursor_now(process: Process, scene: Scene = FLOOR) -> str:
    recorder = Recorder(scene)
    leave = await process.follow(recorder)
    payload = await recorder.until(lambda payload: payload.complete)
    leave()
    return payload.cursor


async def test_a_cursor_older_than_the_log_is_a_resync(
    start: StartProcess, database: Database, psql: Connection
) -> None:
    process = await start(recent_changes=1)  # what is in memory can still be told
    old = await cursor_now(process)
    await psql.execute("UPDATE workstations SET notes = 'a' WHERE id = 1")
    await psql.execute("UPDATE workstations SET notes = 'b' WHERE id = 1")
    await committed(database.url)
    async with database.reading() as connection:
        assert await housekeeping.prune_log(connection, 0, 1000) > 0
    assert "older than the change log" in await resynced(process, old)
    assert "older" not in await cursor_now(process)


@pytest.mark.parametrize("recent_changes", [1000, 1], ids=["from memory", "from the log"])
async def test_a_cursor_of_exactly_where_the_log_begins_still_resumes(
    start: StartProcess, database: Database, psql: Connection, recent_changes: int
) -> None:
    process = await start(recent_changes=recent_changes)
    recorder = Recorder(FLOOR)
    leave = await process.follow(recorder)
    await recorder.until(lambda payload: payload.complete)
    leave()
    async with database.reading() as connection:
        await housekeeping.prune_log(connection, 0, 1000)
    for number in range(3):
        await psql.execute("UPDATE workstations SET notes = $1 WHERE id = 10", f"{number}")
    await committed(database.url)
    await process.follow(recorder, recorder.cursor)
    payload = await recorder.until_notes("2")
    assert (payload.kind, list(payload.workstations)) == ("CHANGES", [10])


async def test_a_cursor_of_another_filter_or_view_is_a_resync(start: StartProcess) -> None:
    process = await start()
    assert "another filter" in await resynced(process, await cursor_now(process, Scene("admin", "Riverside", 1)))
    assert "another filter" in await resynced(process, await cursor_now(process, VISITOR))
    assert "another filter" in await resynced(process, await cursor_now(process, FLOOR), VISITOR)


async def test_a_cursor_of_what_has_not_happened_is_of_another_history(start: StartProcess) -> None:
    """As after a restore that lost the last of it, and kept the epoch."""
    process = await start()
    cursors = FeedCursors(process.secret)
    head = cursors.decode(await cursor_now(process), FLOOR.matching, FLOOR.view).head
    ahead = cursors.encode(head._replace(revision=head.revision + 100), FLOOR.matching, FLOOR.view)
    assert "another history" in await resynced(process, ahead)


async def test_the_cursor_of_a_part_of_a_snapshot_is_a_resync(start: StartProcess) -> None:
    process = await start(snapshot_part=15)
    recorder = Recorder(FLOOR)
    leave = await process.follow(recorder)
    await recorder.until(lambda payload: payload.complete)
    leave()
    assert [payload.complete for payload in recorder.payloads] == [False, False, True]
    whole = await start()
    await resynced(whole, recorder.payloads[0].cursor)
    resumed = Recorder(FLOOR)
    await whole.follow(resumed, recorder.payloads[2].cursor)
    assert (await resumed.until(lambda payload: True)).kind == "CHANGES"


async def test_a_cursor_that_was_not_made_here_is_refused(start: StartProcess) -> None:
    process = await start()
    good = await cursor_now(process)
    for garbage in (
        "",
        "x",
        "工位",
        good[:-4],
        good + "AAAA",
        good[:-2] + ("A" if good[-2] != "A" else "B") + good[-1],
    ):
        with pytest.raises(GraphQLError) as refused:
            await process.follow(Recorder(FLOOR), garbage)
        assert isinstance(refused.value.original_error, UnknownCursor), garbage


async def test_another_history_is_a_resync_for_those_who_return_and_for_those_who_listen(
    start: StartProcess, psql: Connection, database_url: str, pace: Pace
) -> None:
    """After a restore or a promotion the numbers mean something else."""
    processes = [await start(), await start()]
    recorders = [Recorder(FLOOR), Recorder(FLOOR)]
    for process, recorder in zip(processes, recorders, strict=True):
        await process.follow(recorder)
        await recorder.until(lambda payload: payload.complete)
    old = recorders[0].cursor
    assert old is not None
    await psql.execute("UPDATE feed_head SET history = 'what it was'")
    await psql.execute("SELECT pg_terminate_backend($1)", await leader(psql))
    async with pace.within(4):
        for recorder in recorders:
            assert (await recorder.until(lambda payload: payload.kind == "RESYNC", seconds=60)).reason
    assert "another history" in await resynced(processes[1], old)
    await histories.told(recorders, database_url)
    truth = await committed(database_url)
    for recorder in recorders:
        check(recorder, truth, processes[0].secret)


async def test_a_change_that_cannot_be_read_is_a_resync_and_holds_up_nothing(
    start: StartProcess, psql: Connection, database_url: str
) -> None:
    """Of a release with other columns: an image without what this one asks of it."""
    processes = [await start(), await start(redis_url="redis://127.0.0.1:1/0")]
    recorders = [Recorder(FLOOR), Recorder(FLOOR)]
    for process, recorder in zip(processes, recorders, strict=True):
        await process.follow(recorder)
        await recorder.until(lambda payload: payload.complete)
    old = recorders[0].cursor
    await psql.execute(
        "INSERT INTO change_log (entity, entity_id, actor, before, after)"
        " SELECT 'workstation', id, 'x', to_jsonb(w) - 'status', to_jsonb(w) - 'status' FROM workstations w"
        " WHERE id = 10"
    )
    for recorder in recorders:
        assert (await recorder.until(lambda payload: payload.kind == "RESYNC")).reason
    await psql.execute("UPDATE workstations SET notes = 'afterwards' WHERE id = 10")
    for recorder in recorders:
        assert (await recorder.until_notes("afterwards")).kind == "CHANGES"
    late = Recorder(FLOOR)
    await processes[0].follow(late, old)
    assert (await late.until_notes("afterwards")).kind == "RESYNC"


async def test_who_was_away_for_too_many_changes_is_given_a_resync(
    start: StartProcess, psql: Connection, database_url: str
) -> None:
    process = await start(recent_changes=10, catch_up_most=50)
    old = await cursor_now(process)
    recorder = Recorder(FLOOR)
    leave = await process.follow(recorder)
    for number in range(3):
        await psql.execute("UPDATE workstations SET x_position = x_position + $1", number + 1)
    await histories.told([recorder], database_url)
    leave()
    assert "too much has changed" in await resynced(process, old)


@pytest.mark.parametrize(("changes", "kind"), [(40, "CHANGES"), (500, "RESYNC")])
async def test_beyond_memory_the_log_is_read_in_parts_unless_a_snapshot_is_less(
    start: StartProcess, psql: Connection, database_url: str, changes: int, kind: str
) -> None:
    process = await start(recent_changes=10, catch_up_most=20)
    desks = await psql.fetchval("SELECT count(*) FROM workstations")
    assert 45 < desks < 500
    everything = Scene()
    old = await cursor_now(process, everything)
    recorder = Recorder(FLOOR)
    await process.follow(recorder)
    for number in range(changes // 10):
        await psql.execute("UPDATE workstations SET notes = $1 WHERE id BETWEEN 1 AND 10", f"{number}")
    await histories.told([recorder], database_url)
    late = Recorder(everything)
    await process.follow(late, old)

    await histories.told([late], database_url)
    assert late.payloads[0].kind == kind


# --- the leader ------------------------------------------------------------------------------------------------------


async def test_only_one_of_two_processes_leads(start: StartProcess, psql: Connection, database_url: str) -> None:
    processes = [await start(), await start()]
    recorders = [Recorder(FLOOR), Recorder(FLOOR)]
    for process, recorder in zip(processes, recorders, strict=True):
        await process.follow(recorder)
        await recorder.until(lambda payload: payload.complete)
    first = await leader(psql)
    writing = asyncio.create_task(written(database_url, 4, 2.0))
    while not writing.done():
        assert [pid for (pid,) in await psql.fetch(LEADERS)] == [first]
        await asyncio.sleep(0.02)
    await writing
    await histories.told(recorders, database_url)
    truth = await committed(database_url)
    truth.check()
    for recorder in recorders:
        check(recorder, truth, processes[0].secret, every_version=_nothing_was_merged(recorder))


async def test_a_leader_that_is_killed_is_followed_by_another_within_3_seconds(
    start: StartProcess, psql: Connection, database_url: str, pace: Pace
) -> None:
    processes = [await start(), await start()]
    recorders = [Recorder(FLOOR), Recorder(FLOOR)]
    for process, recorder in zip(processes, recorders, strict=True):
        await process.follow(recorder)
        await recorder.until(lambda payload: payload.complete)
    writing = asyncio.create_task(written(database_url, 4, 4.0))
    for _ in range(3):
        await asyncio.sleep(0.5)
        killed = await leader(psql)
        assert await psql.fetchval("SELECT pg_terminate_backend($1, 15000)", killed)
        notes = f"after {killed}"
        async with pace.within(3):
            await histories.mark(database_url, notes)
            await asyncio.gather(*(recorder.until_notes(notes, seconds=60) for recorder in recorders))
    await writing
    await histories.told(recorders, database_url)
    truth = await committed(database_url)
    truth.check()
    for recorder in recorders:
        check(recorder, truth, processes[0].secret, every_version=_nothing_was_merged(recorder))


async def test_numbers_stay_dense_while_the_log_is_pruned(
    start: StartProcess, psql: Connection, database_url: str, database: Database, pace: Pace
) -> None:
    """Both write the one row of feed_head."""
    process = await start()
    recorder = Recorder(Scene("admin"))
    await process.follow(recorder)
    await recorder.until(lambda payload: payload.complete)
    writing = asyncio.create_task(written(database_url, 4, 2.0, pace.seconds))
    pruned = 0
    while not writing.done():
        async with database.reading() as connection:
            pruned += await housekeeping.prune_log(connection, 0.1 / 3600, 20)
    await writing
    await histories.told([recorder], database_url)
    assert pruned > 100
    head, kept_from = await psql.fetchrow("SELECT revision, kept_from FROM feed_head") or (0, 0)
    kept = [revision for (revision,) in await psql.fetch("SELECT revision FROM change_log ORDER BY revision")]
    assert kept == list(range(kept_from + 1, head + 1))
    assert {payload.kind for payload in recorder.payloads} == {"SNAPSHOT", "CHANGES"}
    held: dict[int, histories.Shown] = {}
    for payload in recorder.payloads:
        held.update(payload.workstations)
        for workstation_id in payload.removed:
            del held[workstation_id]
    rows = await psql.fetch("SELECT id, version, notes FROM workstations")
    assert {i: (state["version"], state["notes"]) for i, state in held.items()} == {
        row["id"]: (row["version"], row["notes"]) for row in rows
    }


async def test_a_restart_of_postgresql_is_survived_by_all_who_listen(pace: Pace) -> None:
    secret = secrets.token_urlsafe(32)
    with disposable() as own:
        url = own.servers.database_url
        database = Database(url)
        await upgrade(database.engine)
        await database.close()
        await histories.furnish(url)
        async with AsyncExitStack() as stack:
            recorders = []
            for _ in range(2):
                parts = await stack.enter_async_context(
                    running(settings_for(url, own.servers, secret=SecretStr(secret)))
                )
                await committed(url)
                recorders += [Recorder(FLOOR), Recorder(VISITOR)]
                for recorder in recorders[-2:]:
                    await Process(parts, secret).follow(recorder)
                    await recorder.until(lambda payload: payload.complete)
            await written(url, 2, 0.5)
            await asyncio.to_thread(own.postgres.stop)
            await asyncio.to_thread(own.postgres.start)
            await written(url, 2, 0.5)
            async with pace.within(5):
                await histories.told(recorders, url, seconds=60)
            truth = await committed(url)
        truth.check()
        for recorder in recorders:
            assert {payload.kind for payload in recorder.payloads} == {"SNAPSHOT", "CHANGES"}
            check(recorder, truth, secret)


# --- what may not be seen --------------------------------------------------------------------------------------------


async def test_a_move_is_not_sent_to_a_view_without_coordinates(
    start: StartProcess, psql: Connection, database_url: str
) -> None:
    process = await start(progress_seconds=0.2)
    visitor, admin = Recorder(VISITOR), Recorder(FLOOR)
    for recorder in (visitor, admin):
        await process.follow(recorder)
        await recorder.until(lambda payload: payload.complete)
    await psql.execute("UPDATE workstations SET x_position = x_position + 1, width = 99 WHERE id BETWEEN 10 AND 20")
    await admin.until(lambda payload: len(payload.workstations) == 11)
    await visitor.until(lambda payload: payload.kind == "PROGRESS")
    await visitor.until(lambda payload: payload.kind == "PROGRESS" and payload is visitor.payloads[-1])
    assert [payload for payload in visitor.payloads if payload.kind == "CHANGES"] == []
    await psql.execute("UPDATE workstations SET x_position = 0, notes = 'seen' WHERE id = 12")
    seen = await visitor.until_notes("seen")
    assert list(seen.workstations) == [12]
    await histories.told([visitor, admin], database_url)
    truth = await committed(database_url)
    check(visitor, truth, process.secret, every_version=True)
    check(admin, truth, process.secret, every_version=True)


async def test_a_resumed_view_without_coordinates_is_not_told_of_a_move_either(
    start: StartProcess, psql: Connection, database_url: str
) -> None:
    process = await start()
    visitor = Recorder(VISITOR)
    leave = await process.follow(visitor)
    await visitor.until(lambda payload: payload.complete)
    leave()
    await psql.execute("UPDATE workstations SET x_position = x_position + 1 WHERE id BETWEEN 10 AND 20")
    await committed(database_url)
    await process.follow(visitor, visitor.cursor)
    payload = await visitor.until(lambda payload: payload.kind == "CHANGES")
    assert (payload.workstations, payload.removed) == ({}, [])


async def test_a_status_that_comes_back_within_a_window_leaves_no_stale_version(
    start: StartProcess, psql: Connection, database_url: str
) -> None:
    """Whoever is shown the version gives it back as expectedVersion: a stale one is a conflict with nobody."""
    process = await start(batch_window_ms=300)
    admin, visitor = Recorder(FLOOR), Recorder(VISITOR)
    for recorder in (admin, visitor):
        await process.follow(recorder)
        await recorder.until(lambda payload: payload.complete)
    await histories.mark(database_url, "opens the window")
    await asyncio.gather(*(recorder.until_notes("opens the window") for recorder in (admin, visitor)))
    await psql.execute("UPDATE workstations SET status = 'reserved' WHERE id = 12")
    await psql.execute("UPDATE workstations SET status = 'available' WHERE id = 12")
    await histories.told([admin, visitor], database_url)
    truth = await committed(database_url)
    check(visitor, truth, process.secret)
    check(admin, truth, process.secret)


# --- at the worst moment ---------------------------------------------------------------------------------------------


async def test_who_joins_while_a_payload_is_being_made_is_not_given_it_twice(
    start: StartProcess, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = await start()
    execution = process.engine.execution
    event = execution.event

    choice = random.Random(1)

    async def slowly(*given: Any) -> bytes:
        await asyncio.sleep(choice.choice((0, 0.02)))
        return await event(*given)

    monkeypatch.setattr(execution, "event", slowly)
    writing = asyncio.create_task(written(database_url, 2, 2.0))
    recorders = []
    while not writing.done():
        recorders.append(Recorder(FLOOR))
        await process.follow(recorders[-1])
        await asyncio.sleep(0.03)
    await writing
    await histories.told(recorders, database_url)
    truth = await committed(database_url)
    for recorder in recorders:
        check(recorder, truth, process.secret)


async def test_what_is_pruned_while_it_is_being_read_is_a_resync_and_no_hole(
    start: StartProcess, database: Database, psql: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is far behind reads the log while another prunes it."""
    await start()
    behind = await start(redis_url="redis://127.0.0.1:1/0")
    recorder = Recorder(FLOOR)
    await behind.follow(recorder)
    await recorder.until(lambda payload: payload.complete)
    read = outbox.changes_between

    async def pruned_meanwhile(connection: Any, after: int, last: int, *of: Any) -> Any:
        async with database.reading() as other:
            await housekeeping.prune_log(other, 0, 1000)
        return await read(connection, after, last, *of)

    monkeypatch.setattr(outbox, "changes_between", pruned_meanwhile)
    await psql.execute("UPDATE workstations SET notes = 'missed' WHERE id = 10")
    assert (await recorder.until_notes("missed")).kind == "RESYNC"


async def test_what_is_pruned_while_somebody_resumes_is_a_resync_and_no_hole(
    start: StartProcess, database: Database, psql: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = await start(recent_changes=1)
    recorder = Recorder(FLOOR)
    leave = await process.follow(recorder)
    await recorder.until(lambda payload: payload.complete)
    leave()
    for number in range(3):
        await psql.execute("UPDATE workstations SET notes = $1 WHERE id = 10", f"missed {number}")
    await committed(database.url)
    read = outbox.changes_between

    async def pruned_meanwhile(connection: Any, after: int, last: int, *of: Any) -> Any:
        async with database.reading() as other:
            await housekeeping.prune_log(other, 0, 1000)
        return await read(connection, after, last, *of)

    monkeypatch.setattr(outbox, "changes_between", pruned_meanwhile)
    await process.follow(recorder, recorder.cursor)
    assert (await recorder.until_notes("missed 2")).kind == "RESYNC"


async def test_a_poll_that_is_overtaken_while_it_catches_up_says_what_it_has_and_the_next_one_is_a_resync_and_whole(
    start: StartProcess, database_url: str, psql: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = await start(recent_changes=1, catch_up_most=5)
    old = await cursor_now(process)
    watching = Recorder(FLOOR)
    await process.follow(watching)
    for number in range(3):
        await psql.execute("UPDATE workstations SET notes = $1 WHERE id = 10", f"{number}")
    await watching.until_notes("2")
    read = outbox.changes_between

    async def overtaken(connection: Any, after: int, last: int, *of: Any) -> Any:
        monkeypatch.undo()
        found = await read(connection, after, last, *of)
        await psql.execute("DELETE FROM workstations WHERE id = 11")
        await psql.execute("UPDATE workstations SET notes = 'later' WHERE id BETWEEN 12 AND 40")
        await watching.until_notes("later")
        return found

    monkeypatch.setattr(outbox, "changes_between", overtaken)
    viewer = Viewer("test", ("admin",), FLOOR.view, None, None, time.time() + 600)
    polls, cursor, answers = Polls(process.engine.sessions), old, []
    services = process.engine.services
    for _ in range(2):
        async with followed(
            services.follow, services.identify, process.engine.admission, Caller(viewer), FLOOR.matching, cursor
        ) as inbox:
            answers.append(orjson.loads(await polls.answer(inbox, 5)))
        cursor = answers[-1]["cursor"]
    caught_up, answer = answers
    assert (caught_up["kind"], [shown["notes"] for shown in caught_up["workstations"]]) == ("CHANGES", ["2"])
    rows = await psql.fetch("SELECT id FROM workstations WHERE building = '总部A座' AND floor_number = 3 ORDER BY id")
    told = sorted(identifiers.row(shown["id"], "Workstation") for shown in answer["workstations"])
    assert (answer["kind"], told) == ("RESYNC", [row["id"] for row in rows])
    resumed = Recorder(FLOOR)
    await process.follow(resumed, answer["cursor"])
    assert (await resumed.until(lambda payload: True)).workstations == {}


@pytest.mark.parametrize("after", [False, True], ids=["snapshot", "live"])
async def test_who_follows_the_same_by_rest_is_given_the_very_same_bytes(
    start: StartProcess, psql: Connection, after: bool
) -> None:
    process = await start()
    viewer = Viewer("test", ("admin",), FLOOR.view, None, None, time.time() + 600)
    follow, identify, admission = (
        process.engine.services.follow,
        process.engine.services.identify,
        process.engine.admission,
    )
    async with AsyncExitStack() as stack:
        inboxes = [
            await stack.enter_async_context(
                followed(follow, identify, admission, Caller(viewer).named(name), FLOOR.matching, None)
            )
            for name in ("ada", "bob")
        ]
        payloads = [await inbox.take(5) for inbox in inboxes]
        if after:
            await psql.execute("UPDATE workstations SET notes = 'shared' WHERE id = 12")
            payloads = [await inbox.take(5) for inbox in inboxes]

    assert payloads[0] is payloads[1]
    assert orjson.loads(payloads[0].body)["kind"] == ("CHANGES" if after else "SNAPSHOT")
