"""Large answers are made in turns, between which everybody else is served."""

import asyncio
import time
from typing import Any

import pytest

from graphql_app.aio import cooperative as turns
from graphql_app.aio.cooperative import CooperativeScheduler
from graphql_app.graph.documents.document import Documents
from graphql_app.graph.documents.limits import DocumentLimits
from tests.examples import workstation
from tests.unit.graph.compile.test_executor import EXECUTION, context, operation

DESKS = [workstation(id=n) for n in range(2000)]
LARGE = "{ floors { workstations { " + " ".join(f"a{n}: createdAt" for n in range(45)) + " } } }"


class Bystander:
    """Somebody who wants a moment of the loop now and then, and counts those it gets."""

    def __init__(self) -> None:
        self.moments = 0
        self.longest_seconds = 0.0

    async def __call__(self) -> None:
        while True:
            before = time.thread_time()
            await asyncio.sleep(0)
            self.longest_seconds = max(self.longest_seconds, time.thread_time() - before)
            self.moments += 1


async def beside(work: Any) -> tuple[Any, Bystander]:
    bystander = Bystander()
    standing = asyncio.create_task(bystander())
    answer = await work
    standing.cancel()
    return answer, bystander


async def test_an_answer_of_90000_values_holds_up_nobody_for_long() -> None:
    """10 ms on a machine of its own, most of them to compile the projection; with slack, as others work here too."""
    answer, bystander = await beside(EXECUTION.run(operation(LARGE), {}, context(DESKS)))

    assert len(answer["data"]["floors"][0]["workstations"]) == 2000
    assert bystander.moments > 2
    assert bystander.longest_seconds < 0.05


async def test_what_is_made_at_once_may_take_several_turns_when_it_is_not_plain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The schema itself is left to graphql-core."""
    monkeypatch.setattr(turns, "TURN_SECONDS", 0)
    answer, bystander = await beside(EXECUTION.run(operation("{ __schema { types { name } } }"), {}, context([])))

    names = [one["name"] for one in answer["data"]["__schema"]["types"]]
    assert {"Workstation", "Query"} <= set(names)
    assert bystander.moments > len(names) / 2


async def test_executions_share_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "TURN_SECONDS", 0)
    shared = CooperativeScheduler()

    assert not shared.is_over()  # it has begun
    assert shared.is_over()
    await shared.next()
    assert shared.is_over()


async def test_an_operation_that_is_ended_in_the_middle_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "TURN_SECONDS", 0)
    before = asyncio.all_tasks()
    running = asyncio.create_task(EXECUTION.run(operation(LARGE), {}, context(DESKS)))
    for _ in range(20):
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert asyncio.all_tasks() == before


@pytest.mark.parametrize(
    ("text", "is_large"),
    [
        ("{ me { subject } }", False),
        ('{ floor(building: "x", number: 1) { workstations { id name status xPosition } } }', False),
        ("{ workstations(first: 500) { nodes { id name status } } }", False),
        (LARGE, True),
    ],
)
def test_what_is_large_is_known_before_it_is_executed(text: str, is_large: bool) -> None:
    found = Documents(EXECUTION.schema, DocumentLimits(), kept=9).get(text).operation(None)

    assert found.plans.is_large == is_large


class Maker:
    """Makes letters, each of which takes longer than a turn."""

    def __init__(self, shared: CooperativeScheduler) -> None:
        self.made: list[str] = []
        self._shared = shared

    async def make(self, letter: str, count: int) -> list[str]:
        return await self._shared.all(self._one(letter) for _ in range(count))

    def _one(self, letter: str) -> str:
        self.made.append(letter)
        time.sleep(2 * turns.TURN_SECONDS)
        return letter


async def test_whoever_has_more_to_make_goes_on_behind_all_others_that_wait() -> None:
    maker = Maker(CooperativeScheduler())

    made = await asyncio.gather(*[maker.make(letter, count) for letter, count in (("a", 4), ("b", 2), ("c", 1))])

    assert made == [["a"] * 4, ["b"] * 2, ["c"]]
    assert "".join(maker.made) == "aabcaba"


async def test_however_many_wait_there_is_no_more_than_one_turn_before_others_are_let_in() -> None:
    maker = Maker(CooperativeScheduler())
    making = asyncio.gather(*[maker.make(letter, 3) for letter in "abcd"])
    steps = []
    while not making.done():
        before = len(maker.made)
        await asyncio.sleep(0)
        steps.append(len(maker.made) - before)

    assert (max(steps), sum(steps)) == (1, 12)


async def test_whoever_goes_away_while_waiting_keeps_nobody_from_their_turn() -> None:
    maker = Maker(CooperativeScheduler())
    first, gone, last = [asyncio.create_task(maker.make(letter, 3)) for letter in "abc"]
    await asyncio.sleep(0)
    gone.cancel()

    assert await first == ["a"] * 3
    assert await last == ["c"] * 3
    with pytest.raises(asyncio.CancelledError):
        await gone
