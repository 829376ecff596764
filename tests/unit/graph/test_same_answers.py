"""Operations here are answered as graphql-core alone answers them: the same data, the same errors at the same paths."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest
from graphql import (
    DocumentNode,
    ExecutionResult,
    Executor,
    OperationDefinitionNode,
    OperationType,
    parse,
    validate,
)
from graphql.execution import execute_root_selection_set, execute_subscription_event
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphql_app.aio import cooperative as turns
from graphql_app.aio.cooperative import CooperativeScheduler
from graphql_app.aio.deferred import Deferred
from graphql_app.domain.access import GUARDED, ROLES, Scope, View, may_see, redact
from graphql_app.domain.change import Batch, Kind, Notice
from graphql_app.domain.errors import Conflict, InvalidInput, NotFound
from graphql_app.domain.workstation import Counts, Department, Employee, Floor, Place, Status, WholeFloor, Workstation
from graphql_app.graph.api.context import Context
from graphql_app.graph.api.feeds import FloorStatus, WorkstationFeed
from graphql_app.graph.api.schema import build
from graphql_app.graph.compile.executor import PlannedExecutor, Plans
from graphql_app.graph.documents.document import Operation
from graphql_app.graph.engine.execution import BadVariables, Execution, shared_caller
from graphql_app.services.listing import Listing
from graphql_app.services.office.table import Table
from graphql_app.store.schema.rows import BEHIND, SELECTED
from tests.examples import ADA, RESEARCH, THEN, WEI, view, workstation
from tests.generated import ODDITIES, VARIABLES, Data, documents, twisted

# graphql-core drops the coroutines of fields beside one that fails, on either path.
pytestmark = [
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
EXECUTION = Execution(build(), seconds=1)
SCHEMA = EXECUTION.schema
TWISTS, OFFICES = 4, 4
TIMES = 3  # the first is not planned, the second plans, the third follows the plan


class Always(dict[Any, Any]):
    """Has one value, under every key."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self._value = value

    def get(self, key: Any, default: Any = None) -> Any:
        return self._value


def _answering(value: Any) -> Callable[..., Awaitable[Any]]:
    async def use_case(*_: Any, **__: Any) -> Any:
        if isinstance(value, Exception):
            raise value
        return value

    return use_case


REFUSALS = [NotFound("none"), Conflict("taken", key="k"), InvalidInput("no", field="id"), ValueError("a bug")]


def services(data: Data) -> Any:
    """Use cases that answer with what is made now, whatever they are asked."""

    def case(answer: Any) -> Any:
        return _answering(data.random.choice(REFUSALS) if data.one_in(8) else answer)

    rows, one = data.list_of(data.workstation), data.optional(data.workstation)
    browse = SimpleNamespace(
        floors=case(data.list_of(data.floor)),
        floors_by_place=case(Always(data.optional(data.floor))),
        whole_floors=case(Always(data.optional(data.whole_floor))),
        floors_by_id=case(Always(data.optional(data.floor))),
        workstations=case(_listing(data, data.workstation)),
        workstation_counts=case(data.list_of(data.counts)),
        workstation=case(one),
        workstations_by_place=case(Always(rows)),
        counts_by_place=case(Always(data.counts())),
        departments=case(data.list_of(data.department)),
        departments_by_id=case(Always(data.optional(data.department))),
        employees=case(_listing(data, data.employee)),
        employees_by_key=case(Always(data.optional(data.employee))),
        own_employee=case(data.optional(data.employee)),
    )
    changed = case(SimpleNamespace(workstation=one, receipt=data.mostly("12")))
    arrange = SimpleNamespace(**dict.fromkeys(("create", "edit", "delete", "set_status", "assign", "release"), changed))
    follow = SimpleNamespace(floors=case(Always(SimpleNamespace(cursor="here", workstations=rows))))
    return SimpleNamespace(browse=browse, arrange=arrange, follow=follow)


def _listing(data: Data, make: Callable[[], Any]) -> Listing[Any]:
    nodes, cursors = [make() for _ in range(data.random.randrange(4))], [data.mostly("cursor") for _ in range(4)]
    shown: Listing[Any] = Listing(
        nodes, lambda _: cursors.pop(), has_next=True, has_previous=data.mostly(False), total_count=data.mostly(7)
    )
    return shown


def event(data: Data) -> object:
    if data.one_in(3):
        place, notice = Place(data.mostly("HQ"), data.mostly(1)), data.mostly(Notice.NO_SUCH_FLOOR)
        return FloorStatus(counts=data.counts(), place=place, notice=notice)
    batch = Batch(Kind.CHANGES, 1, data.list_of(data.workstation), data.list_of(lambda: 5), merged=data.mostly(True))
    return WorkstationFeed(batch=batch, cursor=data.mostly("here"))


def _shown(data: Any) -> Any:
    """The data as JSON shows it: a projection leaves a moment for the serialiser to write."""
    if isinstance(data, dict):
        return {key: _shown(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_shown(value) for value in data]
    return data.isoformat() if isinstance(data, datetime) else data


def _told(result: ExecutionResult) -> list[Any]:
    return [(error.message, error.path, error.locations) for error in result.errors or ()]


async def _answered(executor: Executor[Any], event: Any, kind: OperationType) -> ExecutionResult:
    result: Any
    if kind is OperationType.SUBSCRIPTION:
        result = execute_subscription_event(executor.build_per_event_executor(event))
    else:
        result = execute_root_selection_set(executor)
    return cast(ExecutionResult, result if isinstance(result, ExecutionResult) else await result)


async def _compare(
    document: DocumentNode,
    kind: OperationType,
    of: Callable[[], Context],
    shown: object,
    given: Any,
    plans: Plans,
    times: int = TIMES,
) -> None:
    alone = Executor.build(SCHEMA, document, context_value=of(), raw_variable_values=given)
    assert isinstance(alone, Executor)
    expected = await _answered(alone, shown, kind)
    for _ in range(times):
        if kind is OperationType.SUBSCRIPTION:
            planned = PlannedExecutor.build(
                SCHEMA,
                document,
                context_value=of(),
                raw_variable_values=given,
                plans=plans,
                scheduler=CooperativeScheduler(),
            )
            assert isinstance(planned, PlannedExecutor)
            answer = await EXECUTION.shown(planned, shown, of())
        else:
            answer = await EXECUTION.result(_operation(document, plans), given, of())
        assert repr(_shown(answer.data)) == repr(_shown(expected.data))
        if plans.is_large:  # in turns, of two errors that make one place null it may come to the other first
            assert bool(answer.errors) == bool(expected.errors)
        else:
            assert _told(answer) == _told(expected)


def _operation(document: DocumentNode, plans: Plans) -> Operation:
    (node,) = (one for one in document.definitions if isinstance(one, OperationDefinitionNode))
    return Operation(document, node, node.operation.value, frozenset(), [], "", frozenset(), plans)


@pytest.fixture(autouse=True, scope="module")
def endless_turns() -> Iterator[None]:
    """In turns, errors may come in another order; and on a slow machine a turn is over after a few rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(turns, "TURN_SECONDS", 3600)
        yield


@contextmanager
def short_turns() -> Iterator[None]:
    """Each is over with the first item of a list."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(turns, "TURN_SECONDS", 0)
        yield


async def check(plain: DocumentNode, kind: OperationType, seed: int) -> None:
    """Several twists of the document, each with several offices."""
    data = Data(Random(seed))  # no secret
    for _ in range(TWISTS):
        document = twisted(SCHEMA, plain, kind, data.random)
        if validate(SCHEMA, document):
            continue
        for _ in range(OFFICES):
            seen = View(frozenset(data.random.sample(list(Scope), data.random.randrange(len(Scope)))))
            given = {name: data.one_in(2) for name in VARIABLES}
            of = partial(Context, shared_caller(seen), services(data))
            await _compare(document, kind, of, event(data), given, Plans(document))
            with short_turns():
                await _compare(document, kind, of, event(data), given, Plans(document, is_large=True))


DOCUMENTS = {kind: documents(SCHEMA, kind) for kind in OperationType}
SEEDS = st.integers(0, 2**32)
QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large, HealthCheck.large_base_example]


def quiet(examples: int) -> settings:
    return settings(max_examples=examples, deadline=None, suppress_health_check=QUIET)


@quiet(40)
@given(document=DOCUMENTS[OperationType.QUERY], seed=SEEDS)
async def test_a_query_is_answered_the_same(document: DocumentNode, seed: int) -> None:
    await check(document, OperationType.QUERY, seed)


@quiet(15)
@given(document=DOCUMENTS[OperationType.MUTATION], seed=SEEDS)
async def test_a_mutation_is_answered_the_same(document: DocumentNode, seed: int) -> None:
    await check(document, OperationType.MUTATION, seed)


@quiet(30)
@given(document=DOCUMENTS[OperationType.SUBSCRIPTION], seed=SEEDS)
async def test_an_event_is_shown_the_same(document: DocumentNode, seed: int) -> None:
    await check(document, OperationType.SUBSCRIPTION, seed)


EVERY_FIELD = parse("""
    query ($id: ID! = "V29ya3N0YXRpb246MQ==") {
        floors { id building number name workstations { ...All } stats { key total available occupied } }
        workstation(id: $id) { ...All }
    }
    fragment All on Workstation {
        id name status building floorNumber floorName notes equipment createdAt xPosition yPosition width height
        employeeId version updatedAt
        department { id name }
        employee { id name employeeNumber department { id name } }
    }
""")
REGULAR: list[Any] = [
    workstation(employee=ADA),
    RESEARCH,
    ADA,
    Floor(3, "HQ", 1, "Lobby"),
    Counts(None, dict.fromkeys(Status, 1)),
]
ATTRIBUTES = [(one, name) for one in REGULAR for name in one.__dataclass_fields__]


def holding(changed: Any) -> Any:
    """An office in which one thing is not as it should be."""
    parts = {type(one).__name__: one for one in REGULAR}
    parts[type(changed).__name__] = changed
    if isinstance(changed, (Employee, Department)):
        parts["Workstation"] = workstation(**{type(changed).__name__.lower(): changed})
    desks, counted = [workstation(id=2), parts["Workstation"], workstation(id=4)], parts["Counts"]
    browse = SimpleNamespace(
        floors=_answering([parts["Floor"]]),
        workstations_by_place=_answering(Always(desks)),
        workstation=_answering(parts["Workstation"]),
        counts_by_place=_answering(Always(counted)),
    )
    return SimpleNamespace(browse=browse)


@pytest.mark.parametrize(("regular", "name"), ATTRIBUTES, ids=[f"{type(o).__name__}.{n}" for o, n in ATTRIBUTES])
async def test_whatever_one_attribute_holds_is_told_the_same(regular: Any, name: str) -> None:
    plans = Plans(EVERY_FIELD)
    for role in ("admin", "visitor"):
        context = partial(Context, shared_caller(view(role)), holding(regular))
        await _compare(EVERY_FIELD, OperationType.QUERY, context, None, {}, plans)
    for oddity in ODDITIES:
        office = holding(replace(regular, **{name: oddity}))
        for role in ("admin", "visitor"):
            context = partial(Context, shared_caller(view(role)), office)
            await _compare(EVERY_FIELD, OperationType.QUERY, context, None, {}, plans, times=1)


ONE = parse("""
    query ($id: ID! = "V29ya3N0YXRpb246MQ==", $unused: Int) { here: workstation(id: $id) { ...All __typename } }
    fragment All on Workstation {
        id name status building floorNumber floorName notes equipment createdAt xPosition yPosition width height
        employeeId version updatedAt department { id name } employee { id name employeeNumber department { id name } }
    }
""")
SET = parse("""
    mutation ($id: ID!, $status: WorkstationStatus!, $seen: Int, $late: Int = 5) {
        setWorkstationStatus(id: $id, status: $status, expectedVersion: $seen) {
            __typename
            ... on WorkstationChanged { receipt workstation { id name status version } }
            ... on Conflict { code message allowed current { id version } }
            ... on Refusal { message }
        }
    }
""")
ID = "V29ya3N0YXRpb246MQ=="
GIVEN: list[dict[str, Any]] = [
    {"id": ID, "status": "RESERVED"},
    {"id": ID, "status": "RESERVED", "seen": 4, "late": 6, "nothing": 7},
    {"id": ID, "status": "RESERVED", "seen": None, "late": None, "unused": None},
    {"id": "no id", "status": "AVAILABLE", "unused": 1},
    {"id": 5, "status": "AVAILABLE", "seen": 4.0},
    {"id": ID, "status": "reserved"},
    {"id": ID, "status": "RESERVED", "seen": 2**31},
    {"id": ID, "status": "RESERVED", "seen": "4", "unused": "1"},
    {"id": ID, "status": ["RESERVED"], "unused": True},
    {"id": None, "status": None},
    {},
]
RESULTS: list[Any] = [
    workstation(employee=ADA),
    workstation(name=None),
    workstation(x_position=float("nan"), version="5"),
    None,
    *REFUSALS,
]


@pytest.mark.parametrize("given", GIVEN, ids=repr)
@pytest.mark.parametrize("result", RESULTS, ids=repr)
@pytest.mark.parametrize("document", [ONE, SET], ids=["query", "mutation"])
async def test_an_operation_of_one_field_is_answered_the_same_whatever_is_given_and_found(
    document: DocumentNode, given: dict[str, Any], result: Any
) -> None:
    calls: list[Any] = []

    async def use_case(*asked: Any) -> Any:
        calls.append(asked[1:])
        if isinstance(result, Exception):
            raise result
        return result if document is ONE else SimpleNamespace(workstation=result, receipt="12")

    def deferred(*_: Any) -> Any:
        return at_hand() if is_there else Deferred(asyncio.get_running_loop().create_future, lambda _: at_hand())

    def at_hand() -> Any:
        if isinstance(result, Exception):
            raise result
        return result

    is_there = True

    services: Any = SimpleNamespace(
        browse=SimpleNamespace(workstation=use_case, deferred_workstation=deferred),
        arrange=SimpleNamespace(set_status=use_case),
    )

    def context() -> Context:
        return Context(shared_caller(view("admin")), services)

    regular = {"id": ID, "status": "RESERVED"}
    plans, kind = Plans(document), OperationType.QUERY
    for _ in range(2):
        await EXECUTION.result(_operation(document, plans), regular, context())
    assert plans.shortcuts
    alone = Executor.build(SCHEMA, document, context_value=context(), raw_variable_values=given)
    if isinstance(alone, list):
        with pytest.raises(BadVariables) as problem:
            await EXECUTION.result(_operation(document, plans), given, context())
        assert [str(error) for error in problem.value.errors] == [str(error) for error in alone]
        return
    calls.clear()
    expected = await _answered(alone, None, kind)
    before = list(calls)
    answer = await EXECUTION.result(_operation(document, plans), given, context())

    assert repr(_shown(answer.data)) == repr(_shown(expected.data))
    assert _told(answer) == _told(expected)
    assert repr(calls) == repr(before * 2), "the use case was called with the same, and but once"
    for is_there in (True, False):  # noqa: B007  # said by soon()
        outcome = EXECUTION.deferred_outcome(_operation(document, plans), given, context())
        if document is ONE and given == GIVEN[0] and result is RESULTS[0]:
            assert outcome is not None
        if isinstance(outcome, Deferred):
            outcome = outcome.make(outcome.start())
        if outcome is not None:
            answer = await EXECUTION.result(_operation(document, plans), given, context(), outcome)
            assert repr(_shown(answer.data)) == repr(_shown(expected.data))
            assert _told(answer) == _told(expected)


PAGE = parse("""
    query ($b: String, $x: Float = 0.5, $where: [WorkstationStatus!], $order: [WorkstationOrder!], $first: Int) {
        workstations(
            filter: {building: $b, xMin: $x, statuses: $where, ids: []}, orderBy: $order, first: $first
        ) { totalCount nodes { id name } edges { cursor node { status } } pageInfo { hasNextPage endCursor } }
    }
""")
OF_A_PAGE: list[dict[str, Any]] = [
    {"b": "HQ", "where": ["AVAILABLE"], "first": 2},
    {"b": "HQ", "where": "AVAILABLE", "order": {"field": "NAME"}, "x": 1},
    {"b": "HQ", "where": [], "order": [{"field": "NAME", "direction": "DESC"}, {"field": "ID"}], "x": 1.0},
    {"b": None, "where": None, "order": None, "x": None, "first": None},
    {"x": True},
    {"x": float("nan")},
    {"where": ["available"]},
    {"where": [None]},
    {"order": [{"direction": "DESC"}]},
    {"order": [{"field": "NAME", "by": 1}]},
    {"first": 2**70},
    {"b": "half a character \ud800"},
    {"b": "x" * 600},
    {},
]


@pytest.mark.parametrize("given", OF_A_PAGE, ids=lambda given: repr(given)[:60].encode("ascii", "replace").decode())
async def test_arguments_that_are_objects_and_lists_are_the_same_however_often_they_are_given(
    given: dict[str, Any],
) -> None:
    calls: list[Any] = []

    async def page(*asked: Any, **named: Any) -> Any:
        calls.append((asked[1:], named))
        return Listing([workstation()], lambda _: "cursor", has_next=True, has_previous=False, total_count=7)

    def context() -> Context:
        services: Any = SimpleNamespace(browse=SimpleNamespace(workstations=page))
        return Context(shared_caller(view("admin")), services)

    plans = Plans(PAGE)
    for _ in range(2):
        await EXECUTION.result(_operation(PAGE, plans), OF_A_PAGE[0], context())
    assert plans.shortcuts
    alone = Executor.build(SCHEMA, PAGE, context_value=context(), raw_variable_values=given)
    if isinstance(alone, list):
        for _ in range(TIMES):
            with pytest.raises(BadVariables) as problem:
                await EXECUTION.result(_operation(PAGE, plans), given, context())
            assert [str(error) for error in problem.value.errors] == [str(error) for error in alone]
        return
    calls.clear()
    expected = await _answered(alone, None, OperationType.QUERY)
    before = list(calls)
    for _ in range(TIMES):
        calls.clear()
        answer = await EXECUTION.result(_operation(PAGE, plans), given, context())
        assert (answer.data, _told(answer)) == (expected.data, _told(expected))
        assert repr(calls) == repr(before)


FLOOR_MAP = parse("""
    query { floor(building: "HQ", number: 1) { name workstations { ...All } again: workstations { id: name status } } }
    fragment All on Workstation {
        __typename id name status building floorNumber floorName notes equipment createdAt xPosition yPosition width
        height employeeId version updatedAt
        department { id name }
        employee { id name employeeNumber department { id name } }
    }
""")


def with_floor(rows: Any) -> Any:
    """Use cases of an office whose floor comes with these."""
    floor = WholeFloor(3, "HQ", 1, "Lobby", rows)
    return SimpleNamespace(browse=SimpleNamespace(whole_floors=_answering({Place("HQ", 1): floor})))


def row(desk: Workstation) -> tuple[Any, ...]:
    """As the database would give it, with columns behind that are not of the desk."""
    person = desk.employee
    department = person and person.department
    labels = {
        "floor": desk.floor_name,
        "department": desk.department and {"id": desk.department.id, "name": desk.department.name},
        "employee": person
        and {
            "key": str(person.key),
            "name": person.name,
            "number": person.employee_number,
            "department": department and {"id": department.id, "name": department.name},
        },
    }
    held: dict[str, Any] = {name: getattr(desk, name, None) for name in SELECTED}
    held["labels"] = b"\x01" + orjson.dumps(labels)
    for name in ("created_at", "updated_at"):
        held[name] = held[name] and sent(held[name])
    return (*held.values(), *["behind"] * BEHIND)


def sent(moment: datetime) -> bytes:
    """As PostgreSQL sends it: microseconds since 2000."""
    return ((moment - datetime(2000, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)).to_bytes(8, signed=True)


IN_ROWS: list[dict[str, Any]] = [
    {},
    {"employee": ADA, "employee_id": ADA.employee_number, "status": Status.OCCUPIED},
    {"employee": WEI, "employee_id": WEI.employee_number, "department": None, "floor_name": None},
    {"building": None, "floor_number": None, "notes": None, "equipment": None},
    {"x_position": float("nan")},
    {"height": float("inf"), "notes": "x"},
    {"equipment": "[1e400]", "created_at": THEN.replace(microsecond=1)},
    {"created_at": datetime(1, 1, 1, tzinfo=UTC), "updated_at": datetime.max.replace(tzinfo=UTC)},
    {"name": None},
]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("changes", [[one] for one in IN_ROWS] + [IN_ROWS[:4], IN_ROWS, []], ids=repr)
async def test_a_table_is_shown_as_its_objects_are(role: str, changes: list[dict[str, Any]]) -> None:
    desks = [workstation(id=number, **one) for number, one in enumerate(changes, 1)]
    hidden: dict[str, Any] = {
        name: None for name in GUARDED["Workstation"] if not may_see(view(role), "Workstation", name)
    }
    table = Table([row(replace(desk, **hidden)) for desk in desks], view(role))
    await _agree(table, [redact(view(role), desk) for desk in desks], role)


async def test_a_table_of_one_floor_is_shown_as_if_every_row_told_where_it_is() -> None:
    desks = [workstation(id=number, building="Annex", floor_number=0) for number in (1, 2)]
    untold = [row(replace(desk, building=None, floor_number=None)) for desk in desks]
    table = Table(untold, view("admin"), Place("Annex", 0))
    await _agree(table, desks, "admin")
    await _agree(table[1:], desks[1:], "admin")


async def _agree(table: Table, objects: list[Workstation], role: str) -> None:
    """The table is of these, and shown as they are."""
    assert list(table) == objects

    def office(rows: Any) -> Context:
        return Context(shared_caller(view(role)), with_floor(rows))

    alone = Executor.build(SCHEMA, FLOOR_MAP, context_value=office(objects))
    assert isinstance(alone, Executor)
    expected = await _answered(alone, None, OperationType.QUERY)
    plans = Plans(FLOOR_MAP)
    for _ in range(TIMES):
        planned = PlannedExecutor.build(
            SCHEMA, FLOOR_MAP, context_value=office(table), plans=plans, scheduler=CooperativeScheduler()
        )
        assert isinstance(planned, PlannedExecutor)
        answer = await _answered(planned, None, OperationType.QUERY)
        assert repr(_shown(answer.data)) == repr(_shown(expected.data))
        assert _told(answer) == _told(expected)


async def test_a_regular_table_is_shown_without_making_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    plans = Plans(FLOOR_MAP)
    table = Table([row(workstation())], view("visitor"))
    for iterated in (Table.__iter__, None):
        monkeypatch.setattr(Table, "__iter__", iterated)
        context = Context(shared_caller(view("visitor")), with_floor(table))
        planned = PlannedExecutor.build(
            SCHEMA, FLOOR_MAP, context_value=context, plans=plans, scheduler=CooperativeScheduler()
        )
        assert isinstance(planned, PlannedExecutor)

        assert not (await _answered(planned, None, OperationType.QUERY)).errors
