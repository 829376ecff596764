"""What many do at once with few desks, held against rules that share no code with the server."""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import orjson
import pytest
import pytest_asyncio
from sqlalchemy import text

from graphql_app.domain.caller import by_command
from tests.graphql_client import A_02, ADA_KEY, B_01, WEI_KEY, Office, numbered
from tests.integration.test_reservations import CANCEL, CHANGE, CHECK_IN, CHECK_OUT, RESERVE, Clock, act, between

pytestmark = pytest.mark.asyncio(loop_scope="module")

DESKS = (A_02, B_01)
PEOPLE = (("employee", ADA_KEY), ("employee", WEI_KEY))
STEPS = 40
# Written down once more, from the specification: what may follow what.
FOLLOWS = {
    None: {"confirmed", "due"},
    "confirmed": {"due", "checked_in", "completed", "released", "cancelled", "replaced"},
    "due": {"checked_in", "completed", "released", "cancelled"},
    "checked_in": {"completed"},
}
KEEPS = {"held", "confirmed", "due", "checked_in"}


@pytest_asyncio.fixture(loop_scope="module")
async def clock(office: Office) -> AsyncIterator[Clock]:
    moved = Clock(office)
    await moved.set(datetime.fromisoformat("2027-03-01T08:00:00+00:00"))
    yield moved
    await moved.reset()


async def somebody(office: Office, clock: Clock, seed: int, taken: list[Any]) -> None:
    """Does one thing after another; keeps the refusals that name a time."""
    choice = random.Random(seed)
    own: list[str] = []
    person = PEOPLE[seed % 2]
    for _ in range(STEPS):
        start = clock.now + timedelta(minutes=15 * choice.randrange(0, 40))
        when = between(start, start + timedelta(minutes=15 * choice.randrange(1, 9)))
        desk = choice.choice(DESKS)
        if not own or choice.random() < 0.4:
            answer = await act(office, person, RESERVE, id=desk, when=when)
        else:
            query = choice.choice((CHANGE, CHANGE, CANCEL, CHECK_IN, CHECK_IN, CHECK_OUT))
            more = {"when": when, "workstationId": desk} if query is CHANGE else {}
            answer = await act(office, person, query, id=choice.choice(own), **more)
        if answer["__typename"] == "ReservationChanged":
            own.append(answer["reservation"]["id"])
        elif answer.get("takenFrom"):
            taken.append((desk, answer["takenFrom"], answer["takenUntil"]))
        assert answer["__typename"] != "Forbidden"


async def time_passes(clock: Clock) -> None:
    while True:
        await asyncio.sleep(0.05)
        await clock.forward(timedelta(minutes=5))


@pytest.mark.parametrize("seed", range(3))
async def test_no_two_keep_a_desk_at_one_time_at_any_revision(office: Office, clock: Clock, seed: int) -> None:
    taken: list[Any] = []
    passing = asyncio.create_task(time_passes(clock))
    try:
        await asyncio.gather(*(somebody(office, clock, 100 * seed + number, taken) for number in range(6)))
    finally:
        passing.cancel()
    await numbered(office.database)

    rows = await office.database.fetch(
        text("SELECT before, after FROM change_log WHERE entity = 'reservation' ORDER BY revision")
    )
    images = [tuple(one if not isinstance(one, str) else orjson.loads(one) for one in row) for row in rows]
    last_delete = max((place for place, (_, after) in enumerate(images) if after is None), default=-1)
    images = images[last_delete + 1 :]
    assert len(images) > STEPS, "nothing happened"
    follow_the_table(images)
    keep_apart(images)
    every_refusal_names_a_row(images, taken)
    assert await office.database.scalar(text("SELECT count(*) FROM reservations WHERE next_at < '2027-01-01'")) == 0
    async with office.database.writing(by_command("test")) as transaction:
        await transaction.connection.execute(text("DELETE FROM reservations"))


def follow_the_table(images: list[Any]) -> None:
    for before, after in images:
        was, now = before and before["state"], after["state"]
        assert was == now or now in FOLLOWS[was], (was, now)


def keep_apart(images: list[Any]) -> None:
    """Replays the log, and looks at each desk after each change."""
    present: dict[int, Any] = {}
    for _, after in images:
        present[after["id"]] = after
        desks = defaultdict(list)
        for one in present.values():
            if one["state"] in KEEPS:
                desks[one["workstation_id"]].append((moment(one["starts_at"]), moment(one["ends_at"])))
        for spans in desks.values():
            assert all(one[1] <= other[0] for one, other in pairwise(sorted(spans))), spans


def every_refusal_names_a_row(images: list[Any], taken: list[Any]) -> None:
    seen = {(moment(after["starts_at"]), moment(after["ends_at"])) for _, after in images if after["state"] in KEEPS}
    assert {(moment(start), moment(end)) for _, start, end in taken} <= seen
    assert taken


def moment(value: str) -> datetime:
    return datetime.fromisoformat(value)
