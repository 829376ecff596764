"""How changes are batched by a running server: the first at once, then together, never late, never out of order."""

import asyncio
import statistics
import time
from contextlib import AsyncExitStack

import asyncpg
import pytest

from tests import histories
from tests.acceptance.conftest import StartServer
from tests.acceptance.following import Connection, joined
from tests.histories import FLOOR, Recorder, check, committed

WINDOW_SECONDS = 0.1
CHANGES_MOST = 50
# A window that were prolonged by every change, or a queue behind it, would grow for as long as the burst goes on.
SLACK_SECONDS = 2.0
BURST_SECONDS = 4.0


async def test_a_change_after_a_quiet_moment_does_not_wait_for_the_window(
    start_server: StartServer, psql: Connection, database_url: str
) -> None:
    """The window is long here, so that a busy machine cannot be taken for it."""
    server = start_server(GRAPHQL_APP_BATCH_WINDOW_MS="2000", GRAPHQL_APP_BATCH_EAGER="0")
    async with AsyncExitStack() as stack:
        (client,) = await joined(stack, server, FLOOR)
        for number in range(2):
            await asyncio.sleep(2.1 * number)  # a quiet moment again
            marked_at = time.monotonic()
            await histories.mark(database_url, f"leading {number}")
            await client.recorder.until_notes(f"leading {number}")
            assert time.monotonic() - marked_at < 1
            await histories.mark(database_url, f"waits for company {number}")
            await client.recorder.until_notes(f"waits for company {number}")
            assert time.monotonic() - marked_at > 1.5


async def test_a_few_changes_within_a_window_go_out_as_they_come(
    start_server: StartServer, psql: Connection, database_url: str
) -> None:
    server = start_server(GRAPHQL_APP_BATCH_WINDOW_MS="2000", GRAPHQL_APP_BATCH_EAGER="3")
    async with AsyncExitStack() as stack:
        (client,) = await joined(stack, server, FLOOR)
        began = time.monotonic()
        for number in range(4):
            await histories.mark(database_url, f"{number}")
            await client.recorder.until_notes(f"{number}")
        assert time.monotonic() - began < 1


async def burst(url: str) -> list[tuple[str, float]]:
    """Single rows one after the other, all of them in one transaction now and then. Returns what was written when."""
    connection = await asyncpg.connect(url)
    written: list[tuple[str, float]] = []
    ends_at = time.monotonic() + BURST_SECONDS
    number = 0
    while time.monotonic() < ends_at:
        number += 1
        text = f"burst {number}"
        if number % 50 == 0:
            await connection.execute("UPDATE workstations SET notes = $1 WHERE floor_number = 3", text)
        else:
            await connection.execute("UPDATE workstations SET notes = $1 WHERE id = $2", text, 5 + number % 30)
        written.append((text, time.monotonic()))
        await asyncio.sleep(0.005)
    await connection.close()
    return written


def delays(recorder: Recorder, written: list[tuple[str, float]]) -> list[float]:
    """How long each state that was told waited. Those that were overtaken were told by what overtook them."""
    arrived: dict[str, float] = {}
    for payload in recorder.payloads:
        for state in payload.workstations.values():
            arrived.setdefault(str(state["notes"]), payload.received_at)
    return [arrived[text] - at for text, at in written if text in arrived]


async def test_a_burst_is_told_in_full_payloads_in_order_and_never_late(
    start_server: StartServer, psql: Connection, database_url: str, secret: str
) -> None:
    await psql.execute(
        "INSERT INTO workstations (name, x_position, y_position, building, floor_number)"
        " SELECT 'crowd ' || i, i, i, '总部A座', 3 FROM generate_series(1, 160) i"
    )
    server = start_server()
    async with AsyncExitStack() as stack:
        (client,) = await joined(stack, server, FLOOR)
        written = await burst(database_url)
        await histories.told([client.recorder], database_url, seconds=WINDOW_SECONDS + SLACK_SECONDS)
    check(client.recorder, await committed(database_url), secret)
    changes = [payload for payload in client.recorder.payloads if payload.kind == "CHANGES"]
    assert max(len(payload.workstations) for payload in changes) == CHANGES_MOST
    waited = delays(client.recorder, written)
    assert max(waited) < WINDOW_SECONDS + SLACK_SECONDS
    assert statistics.median(waited) < 2 * WINDOW_SECONDS
    assert len(changes) < len(written) / 2, "they went together"


@pytest.mark.conformance
async def test_both_bounds_of_a_payload_are_settings(
    start_server: StartServer, psql: Connection, database_url: str, secret: str
) -> None:
    server = start_server(
        GRAPHQL_APP_BATCH_WINDOW_MS="500", GRAPHQL_APP_BATCH_CHANGES="1000", GRAPHQL_APP_BATCH_EAGER="0"
    )
    few = start_server(GRAPHQL_APP_BATCH_CHANGES="7")
    async with AsyncExitStack() as stack:
        clients = [*await joined(stack, server, FLOOR), *await joined(stack, few, FLOOR)]
        await burst(database_url)
        await histories.told([client.recorder for client in clients], database_url)
    truth = await committed(database_url)
    slow, small = ([payload for payload in client.recorder.payloads if payload.kind == "CHANGES"] for client in clients)
    assert len(slow) <= 3 + BURST_SECONDS / 0.5
    assert max(len(payload.workstations) for payload in small) == 7
    for client in clients:
        check(client.recorder, truth, secret)
