"""When a finished answer is kept, when it is given out, and when it goes."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, cast
from uuid import UUID

import pytest
from graphql import GraphQLNamedType, GraphQLObjectType, get_named_type, is_composite_type, parse
from graphql.language.ast import FragmentDefinitionNode, OperationDefinitionNode

from graphql_app import observe
from graphql_app.domain.change import Change, Head
from graphql_app.domain.filters import WorkstationFilter
from graphql_app.domain.workstation import Place
from graphql_app.graph.api.schema import build
from graphql_app.graph.api.selection import root_fields
from graphql_app.graph.compile.executor import Plans
from graphql_app.graph.documents.document import Operation
from graphql_app.graph.engine.request import OperationRequest
from graphql_app.graph.engine.response_cache import (
    OVERHEAD_BYTES,
    SHAREABLE,
    Answer,
    ResponseCache,
    ResponseKey,
    can_be_shared,
)
from graphql_app.live.feed.hub import Hub
from graphql_app.live.feed.staleness import Staleness
from graphql_app.services.reads import reads, reads_floors, reads_workstations
from tests.clock import settle
from tests.examples import change, view, workstation

EPOCH = UUID(int=7)
HERE, THERE = Place("HQ", 1), Place("HQ", 2)
ON_THERE = workstation(id=2, floor_number=2)
SOMETHING = cast("Operation", None)  # what is executed is up to the double below


class Executing:
    """A double of Execution: reads the floor that the variables name, and takes as long as the test wants."""

    def __init__(self) -> None:
        self.begun = 0
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.body: dict[str, Any] = {"data": {}}
        self.read: Callable[[], None] = lambda: reads_floors(HERE)

    async def run(self, *_: object) -> dict[str, Any]:
        self.begun += 1
        self.read()
        await self.may_end.wait()
        return self.body


class World:
    """Answers and all that they stand on, at revision 0, with the feed just heard."""

    def __init__(self, **bounds: Any) -> None:
        self.now = 0.0
        self.hub = Hub(recent=10)
        self.staleness = Staleness(clock=lambda: self.now)
        self.executing = Executing()
        self.answers = ResponseCache(
            cast("Any", self.executing),
            cast("Any", None),
            self.hub,
            self.staleness,
            clock=lambda: self.now,
            **{"bytes_most": 1_000_000, "seconds_most": 60, **bounds},
        )
        for listener in (self.staleness, self.answers):
            self.hub.listen(listener)
        self.hub.restart(Head(EPOCH, 0))
        self.staleness.heard()

    def deliver(self, *changes: Change[Any]) -> None:
        self.hub.deliver(changes, Head(EPOCH, changes[-1].revision))

    async def make(self, name: str = "a", role: str = "visitor") -> Answer:
        asked = OperationRequest(name, None, {})
        return await self.answers.make(key(name, role), SOMETHING, asked)

    def cached(self, name: str = "a", role: str = "visitor") -> Answer | None:
        return self.answers.cached(key(name, role))


def key(name: str, role: str = "visitor") -> ResponseKey:
    return ResponseKey((name, None, b""), view(role))


@pytest.fixture
def world() -> World:
    return World()


async def test_an_answer_is_kept_for_its_view_alone(world: World) -> None:
    made = await world.make(role="visitor")

    assert world.cached(role="visitor") is made
    assert world.cached(role="admin") is None


async def test_a_change_of_what_was_read_drops_it_and_another_one_does_not(world: World) -> None:
    await world.make()

    world.deliver(change(None, ON_THERE, 1))
    assert world.cached() is not None
    world.deliver(change(None, workstation(), 2))
    assert world.cached() is None


@pytest.mark.parametrize(
    ("revisions", "kept"), [([ON_THERE], True), ([ON_THERE, workstation()], False), ([ON_THERE] * 11, False)]
)
async def test_what_happened_while_it_was_made_counts(world: World, revisions: list[Any], kept: bool) -> None:
    # Eleven are more than the hub remembers: who knows whether one of them mattered?
    world.executing.may_end.clear()
    making = asyncio.create_task(world.make())
    await settle()
    for revision, state in enumerate(revisions, 1):
        world.deliver(change(None, state, revision))
    world.executing.may_end.set()
    await making

    assert (world.cached() is not None) is kept


MOVED = change(workstation(), workstation(x_position=99.0, version=2), 1)


@pytest.mark.parametrize(("role", "kept"), [("visitor", True), ("hr", True), ("employee", False), ("admin", False)])
async def test_what_a_view_cannot_see_drops_nothing_of_its_own(world: World, role: str, kept: bool) -> None:
    """Made anew, it would have other cursors and another ETag, and take longer: three ways to tell of the change."""
    await world.make(role=role)

    world.deliver(MOVED)

    assert (world.cached(role=role) is not None) is kept


async def test_what_a_view_cannot_see_does_not_count_while_its_answer_is_made_either(world: World) -> None:
    world.executing.may_end.clear()
    making = asyncio.create_task(world.make())
    await settle()
    world.deliver(MOVED)
    world.executing.may_end.set()
    await making

    assert world.cached() is not None


async def test_a_version_is_seen_by_those_who_write(world: World) -> None:
    await world.make(role="facilities")

    world.deliver(change(workstation(), workstation(employee_id="E-9", version=2), 1))

    assert world.cached(role="facilities") is None


async def test_what_is_made_while_one_is_kept_does_not_replace_it(world: World) -> None:
    kept = await world.make()
    await world.make()

    assert world.cached() is kept


async def test_an_answer_of_another_history_is_not_kept(world: World) -> None:
    world.executing.may_end.clear()
    making = asyncio.create_task(world.make())
    await settle()
    world.hub.restart(Head(UUID(int=8), 0))
    world.staleness.heard()
    world.executing.may_end.set()
    await making

    assert world.cached() is None


async def test_a_new_history_drops_all(world: World) -> None:
    await world.make()
    world.hub.restart(Head(UUID(int=8), 0))
    world.staleness.heard()

    assert world.cached() is None


async def test_nothing_is_given_out_or_kept_while_the_feed_is_silent(world: World) -> None:
    made = await world.make()
    world.now += 10

    assert world.cached() is None
    await world.make("b")

    world.staleness.heard()
    assert world.cached() is made
    assert world.cached("b") is None


async def test_where_this_process_wrote_nothing_is_given_out_until_the_write_comes_back(world: World) -> None:
    await world.make()
    world.executing.read = lambda: reads_workstations(WorkstationFilter(name_contains="x"))
    await world.make("anywhere")
    world.executing.read = lambda: reads("department")
    await world.make("departments")

    world.staleness.wrote(5, [THERE])
    assert [world.cached(name) is not None for name in ("a", "anywhere", "departments")] == [True, False, True]
    world.staleness.wrote(6, [HERE])
    assert world.cached() is None
    world.staleness.settled(7)
    assert world.cached() is not None


async def test_an_answer_with_errors_is_not_kept(world: World) -> None:
    world.executing.body = {"data": None, "errors": [{"message": "no"}]}

    assert (await world.make()).has_errors
    assert world.cached() is None


async def test_those_who_ask_at_the_same_time_share_an_execution_unless_something_happened_between(
    world: World,
) -> None:
    world.executing.may_end.clear()
    first = [asyncio.create_task(world.make()) for _ in range(3)]
    await settle()
    assert world.executing.begun == 1

    world.deliver(change(None, workstation(), 1))
    later = asyncio.create_task(world.make())
    await settle()
    assert world.executing.begun == 2

    world.executing.may_end.set()
    assert len({id(answer) for answer in await asyncio.gather(*first)}) == 1
    assert await later is world.cached()


async def test_who_wrote_a_moment_ago_does_not_join_those_who_began_before(world: World) -> None:
    world.executing.may_end.clear()
    before = asyncio.create_task(world.make())
    await settle()
    world.staleness.wrote(5, [HERE])
    after = asyncio.create_task(world.make())
    await settle()
    world.executing.may_end.set()
    await asyncio.gather(before, after)

    assert world.executing.begun == 2


async def test_who_asked_first_may_go_away(world: World) -> None:
    world.executing.may_end.clear()
    first, second = asyncio.create_task(world.make()), asyncio.create_task(world.make())
    await settle()
    first.cancel()
    world.executing.may_end.set()

    assert (await second).body == b'{"data":{}}'


async def test_the_least_recently_used_goes_when_there_is_no_room() -> None:
    world = World(bytes_most=16 * 2 * OVERHEAD_BYTES)
    for number in range(15):
        await world.make(str(number))
    assert world.cached("0") is not None
    for number in range(15, 40):
        assert world.cached("0") is not None
        await world.make(str(number))

    kept = [name for name in map(str, range(40)) if world.cached(name) is not None]
    assert "0" in kept
    assert kept[1:] == [str(number) for number in range(40 - len(kept) + 1, 40)]
    assert 25 < len(kept) < 32


async def test_an_answer_that_would_take_all_the_room_is_not_kept() -> None:
    world = World(bytes_most=16 * OVERHEAD_BYTES)
    world.executing.body = {"data": "x" * OVERHEAD_BYTES}
    await world.make()

    assert world.cached() is None


async def test_an_old_answer_goes_though_nothing_changed(world: World) -> None:
    await world.make()
    world.now += 59
    world.staleness.heard()
    world.answers.tidy()
    assert world.cached() is not None

    world.now += 2
    world.staleness.heard()
    world.answers.tidy()
    assert world.cached() is None


async def test_what_became_of_answers_is_counted(world: World) -> None:
    news: list[observe.News] = []
    end = observe.listen(news.append)
    await world.make()
    world.cached()
    world.deliver(change(None, workstation(), 1))
    await world.make("b")
    world.answers.tidy()
    end()

    (counted,) = news
    assert isinstance(counted, observe.AnswersCounted)
    assert (counted.hits, counted.misses, counted.dropped, counted.evicted, counted.kept) == (1, 2, 1, 0, 1)
    assert counted.bytes > OVERHEAD_BYTES


async def test_nothing_is_left_of_an_answer_that_goes(world: World) -> None:
    for number in range(5):
        await world.make(str(number))
    world.deliver(change(None, workstation(), 1))

    assert (world.answers._kept.currsize, list(world.answers._interests), len(world.answers._kept)) == (0, [], 0)


# --- which operations ------------------------------------------------------------------------------------------------

SCHEMA = build()._schema


def operation(text: str) -> Operation:
    document = parse(text)
    (node, *_) = (one for one in document.definitions if isinstance(one, OperationDefinitionNode))
    fragments = {one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)}
    roots = frozenset(root_fields(fragments, node))
    return Operation(document, node, node.operation.value, roots, [], "", frozenset(), Plans(document))


@pytest.mark.parametrize(
    ("text", "shareable"),
    [
        ("{ floors { id } }", True),
        ("{ a: floors { id } __typename __schema { types { name } } }", True),
        ("{ ... on Query { ...F } } fragment F on Query { departments { id } }", True),
        ("{ floors { id } me { subject } }", False),
        ("{ ... { ...F } } fragment F on Query { ... on Query { floors: me { subject } } }", False),
        ("{ me @skip(if: true) { subject } floors { id } }", False),
        ("{ node(id: 1) { id } }", False),
        ("mutation { floors }", False),
        ("subscription { floors }", False),
    ],
)
def test_an_operation_can_be_shared_that_asks_for_nothing_of_the_person(text: str, shareable: bool) -> None:
    assert can_be_shared(operation(text)) is shareable


def below(types: Iterable[GraphQLNamedType]) -> set[str]:
    """The composite types that can be asked for in these types, and in those below them."""
    found: set[str] = set()
    pending = list(types)
    while pending:
        current = pending.pop()
        if not is_composite_type(current) or current.name in found:
            continue
        found.add(current.name)
        pending += [get_named_type(field.type) for field in getattr(current, "fields", {}).values()]
    return found


def test_whoever_adds_to_what_can_be_shared_makes_sure_that_it_says_what_it_reads() -> None:
    """A resolver that is new here: does it read through `services/reads`, and show nothing of the person who asks?

    If so, it belongs into this list. If not, its root field does not belong into SHAREABLE.
    """
    query = SCHEMA.query_type
    assert query is not None
    types = below(get_named_type(field.type) for name, field in query.fields.items() if name in SHAREABLE)
    resolved = {
        f"{name}.{field_name}"
        for name in types
        if isinstance(found := SCHEMA.type_map[name], GraphQLObjectType)
        for field_name, field in found.fields.items()
        if field.resolve is not None and not getattr(field.resolve, "_is_default", False)
    }

    assert resolved == {
        "Building.floors",
        "Building.id",
        "Department.employees",
        "Department.id",
        "Department.version",
        "Department.workstations",
        "Employee.id",
        "Employee.version",
        "Employee.workstation",
        "Floor.cursor",
        "Floor.id",
        "Floor.stats",
        "Floor.timeZone",
        "Floor.version",
        "Floor.workstations",
        "Workstation.equipment",
        "Workstation.id",
        "WorkstationStats.available",
        "WorkstationStats.maintenance",
        "WorkstationStats.occupied",
        "WorkstationStats.reserved",
    }
