"""Coming back with a cursor: nothing lost and nothing twice, or a RESYNC at once that says why."""

import asyncio
import random
import time
from contextlib import AsyncExitStack

import asyncpg
import pytest

from graphql_app.store.log import retention as housekeeping
from graphql_app.store.postgres.database import Database
from tests import histories
from tests.acceptance.conftest import Server, StartServer
from tests.acceptance.following import EVERYWHERE, VISITOR, Client, Connection, joined
from tests.acceptance.test_transports import by_events, by_graphql_events, by_poll, by_socket, write
from tests.histories import FLOOR, check, committed

CHANGES = 10_000
SUBSCRIBERS = 20
WRITERS = 5


@pytest.mark.conformance
@pytest.mark.timeout(240)
async def test_sockets_that_are_dropped_at_random_lose_nothing_and_hear_nothing_twice(
    start_server: StartServer, psql: Connection, database_url: str, secret: str
) -> None:
    servers = [start_server(), start_server()]
    scenes = [(FLOOR, VISITOR, EVERYWHERE, FLOOR)[number % 4] for number in range(SUBSCRIBERS)]
    drops = 0
    async with AsyncExitStack() as stack:
        clients = await joined(stack, servers[0], *scenes)
        writing = asyncio.gather(
            *(histories.write_changes(database_url, n, CHANGES // WRITERS) for n in range(WRITERS))
        )

        async def live(client: Client, choice: random.Random) -> None:
            nonlocal drops
            while not writing.done():
                await asyncio.sleep(choice.uniform(0.5, 2.5))
                await client.drop()
                drops += 1
                await client.join(choice.choice(servers))

        await asyncio.gather(writing, *(live(client, random.Random(n)) for n, client in enumerate(clients)))
        await histories.told([client.recorder for client in clients], database_url)
    truth = await committed(database_url)
    truth.check()
    assert len(truth.log) > CHANGES
    assert drops > 2 * SUBSCRIBERS
    for client in clients:
        assert {payload.kind for payload in client.recorder.payloads[1:]} <= {"CHANGES", "PROGRESS"}
        check(client.recorder, truth, secret)


# --- cursors that lead nowhere any more, on every transport ----------------------------------------------------------


async def resynced_everywhere(server: Server, cursor: str) -> set[str]:
    """The reasons that the transports give for the RESYNC that this cursor leads to, within a second each."""
    reasons = set()
    for transport in (by_socket, by_events, by_graphql_events):
        began = time.monotonic()
        async with transport(server, cursor) as feeds:
            reasons.add(whole(await anext(feeds), began))
    began = time.monotonic()
    reasons.add(whole(await by_poll(server, cursor), began))
    return reasons


def whole(feed: dict[str, object], began: float) -> str:
    assert time.monotonic() - began < 1
    assert (feed["kind"], feed["complete"]) == ("RESYNC", True)
    workstations = feed["workstations"]
    assert isinstance(workstations, list)
    assert len(workstations) == 100
    return str(feed["reason"])


@pytest.mark.usefixtures("office")
async def test_a_cursor_older_than_the_log_is_a_resync_within_a_second_on_every_transport(
    start_server: StartServer, database: Database
) -> None:
    server = start_server(GRAPHQL_APP_RECENT_CHANGES="1")  # what is in memory can still be told
    old = (await by_poll(server, None))["cursor"]
    await write(database.url, 2)
    assert len((await by_poll(server, old))["workstations"]) > 0, "not too old yet"
    await committed(database.url)
    async with database.reading() as connection:
        assert await housekeeping.prune_log(connection, 0, 1000) > 0
    assert await resynced_everywhere(server, old) == {"the cursor is older than the change log"}


@pytest.mark.usefixtures("office")
async def test_a_cursor_of_another_epoch_is_a_resync_within_a_second_on_every_transport(
    start_server: StartServer, database_url: str
) -> None:
    before = start_server()
    old = (await by_poll(before, None))["cursor"]
    before.stop()
    connection = await asyncpg.connect(database_url)
    # What docs/operations.md says to do after a restore in place.
    await connection.execute("UPDATE feed_head SET epoch = gen_random_uuid()")
    await connection.close()
    assert await resynced_everywhere(start_server(), old) == {"the cursor belongs to another history"}


@pytest.mark.usefixtures("office")
async def test_the_log_is_pruned_to_the_hours_that_are_configured_and_its_cursors_are_told(
    start_server: StartServer, database_url: str
) -> None:
    server = start_server(GRAPHQL_APP_LOG_HOURS=str(2 / 3600), GRAPHQL_APP_RECENT_CHANGES="1")
    old = (await by_poll(server, None))["cursor"]
    await write(database_url, 2)
    connection = await asyncpg.connect(database_url)
    async with asyncio.timeout(30):
        while await connection.fetchval("SELECT count(*) FROM change_log"):  # noqa: ASYNC110  # only the database knows
            await asyncio.sleep(0.1)
    await connection.close()
    began = time.monotonic()
    assert whole(await by_poll(server, old), began) == "the cursor is older than the change log"
