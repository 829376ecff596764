"""Filters, pages and columns in SQL: they say what the domain says, miss nothing, and fetch no more than is asked."""

import re
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Callable
from dataclasses import fields
from datetime import UTC, datetime
from random import Random
from typing import Any, cast
from uuid import UUID

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from graphql_app.domain.filters import WorkstationFilter
from graphql_app.domain.paging import Order, OrderField
from graphql_app.domain.workstation import Employee, Place, Status, Workstation
from graphql_app.embedded import Servers
from graphql_app.graph.api.context import Context, Services
from graphql_app.graph.api.schema import build
from graphql_app.graph.documents.document import Documents
from graphql_app.graph.documents.limits import DocumentLimits
from graphql_app.graph.engine.execution import Execution
from graphql_app.services.cursors import PageCursors
from graphql_app.services.listing import Paging
from graphql_app.services.office.arrange import Arrange
from graphql_app.services.office.browse import Browse
from graphql_app.services.office.table import Table
from graphql_app.store import office as queries
from graphql_app.store.postgres.database import Database
from graphql_app.store.schema import rows
from tests.examples import caller, view
from tests.graphql_client import fresh_database
from tests.statements import statements

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROWS = 240
CURSORS = PageCursors("a secret of thirty-two characters")
ADMIN = caller("admin")
# What makes texts hard to compare: case, LIKE's own characters, quotes, letters that fold into others elsewhere.
PIECES = [
    "A",
    "a",
    "z",
    "Z",
    "%",
    "_",
    "\\",
    "\\\\",
    "'",
    '"',
    " ",
    "工位",
    "甲",
    "É",
    "é",
    "İ",
    "ı",
    "ß",
    "ſ",
    "s",
]


def invented(random: Random, most: int) -> str:
    return "".join(random.choice(PIECES) for _ in range(random.randint(1, most)))


async def load(database: Database, rows: int) -> None:
    """Three buildings, eight floors, departments, employees, and workstations with many equal and null values."""
    random = Random(7)
    async with database.engine.begin() as connection:

        async def insert(statement: str, values: list[dict[str, Any]]) -> None:
            await connection.execute(text(statement), values)

        buildings = ["总部大楼", "Annex", "annex"]
        places = [(building, number) for building in buildings for number in (-1, 1, 2)][:8]
        await insert("INSERT INTO buildings (name) VALUES (:name)", [{"name": name} for name in buildings])
        await insert(
            "INSERT INTO floors (building, number) VALUES (:building, :number)",
            [{"building": building, "number": number} for building, number in places],
        )
        await insert("INSERT INTO departments (name) VALUES (:name)", [{"name": name} for name in ("研发", "HR", "hr")])
        await insert(
            "INSERT INTO employees (employee_number, name, department_id) VALUES (:number, :name, :department)",
            [
                {"number": f"E-{n}", "name": invented(random, 3), "department": random.choice([1, 2, 3, None])}
                for n in range(30)
            ],
        )
        await insert(
            "INSERT INTO workstations (name, building, floor_number, status, department_id, employee_id, x_position,"
            " y_position, equipment, created_at) VALUES (:name, :building, :floor, :status, :department, :employee, :x,"
            " :y, :equipment, timestamptz '2026-01-01' + :age * interval '1 microsecond')",
            [invented_row(random, n, places) for n in range(rows)],
        )


def invented_row(random: Random, number: int, places: list[tuple[str, int]]) -> dict[str, Any]:
    building, floor = random.choice([*places, (None, None)])
    return {
        # Mostly alike, so that pages end between equal names; unique on a floor by the end of it.
        "name": f"{invented(random, 2)}{'' if building is None else number}",
        "building": building,
        "floor": floor,
        "status": random.choice(list(Status)).value,
        "department": random.choice([1, 2, 3, None]),
        "employee": random.choice([None, random.randint(1, 30)]),
        "x": random.choice([0, 0.1, 0.3, 1.5, -7.25, 99_999_999.99, round(random.uniform(-50, 50), 2)]),
        "y": random.choice([0, 10, 20]),
        "equipment": random.choice([None, '"' + invented(random, 3).replace("\\", "\\\\").replace('"', '\\"') + '"']),
        "age": random.randint(0, 20),
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def loaded(servers: Servers, template: str) -> AsyncIterator[Database]:
    async with fresh_database(servers, template) as url:
        database = Database(url)
        await load(database, ROWS)
        yield database
        await database.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def everything(loaded: Database) -> list[Workstation]:
    async with loaded.reading() as connection:
        return list(map(rows.selected, await queries.matching_workstations(connection, WorkstationFilter())))


# --- the filter ------------------------------------------------------------------------------------------------------

texts = st.lists(st.sampled_from(PIECES), max_size=3).map("".join)
numbers = st.sampled_from([0.0, -0.0, 0.1, 0.1 + 0.2, 0.3, 1.5, -7.25, 99_999_999.99, 1e300, -1e300]) | st.floats(
    -60, 60
)
ids = st.integers(-1, ROWS + 2)


PARTS: dict[str, st.SearchStrategy[Any]] = {
    "ids": st.frozensets(ids, max_size=200) | st.frozensets(ids, max_size=3).map(frozenset(range(ROWS)).difference),
    "building": st.sampled_from(["总部大楼", "Annex", "annex", "ANNEX", ""]),
    "floor_number": st.sampled_from([-1, 0, 1, 2]),
    "department_ids": st.frozensets(st.integers(0, 4)),
    "statuses": st.frozensets(st.sampled_from(Status)),
    "name_contains": texts,
    "equipment_contains": texts,
    "x_min": numbers,
    "x_max": numbers,
    "y_min": numbers,
    "y_max": numbers,
    "employee_number": st.integers(-1, 31).map(lambda n: f"E-{n}") | st.just("e-1"),
}


@st.composite
def filters(draw: st.DrawFn) -> WorkstationFilter:
    """A few parts at a time: of all together nothing would ever be found."""
    names = draw(st.frozensets(st.sampled_from(sorted(PARTS)), max_size=3))
    return WorkstationFilter(**{name: draw(PARTS[name]) for name in sorted(names)})


async def found(database: Database, matching: WorkstationFilter) -> list[int]:
    async with database.reading() as connection:
        return [row["id"] for row in await queries.matching_workstations(connection, matching, {"id"})]


async def test_the_rows_are_as_hard_to_tell_apart_as_they_should_be(everything: list[Workstation]) -> None:
    assert len(everything) == ROWS
    assert any(w.building is None for w in everything)
    assert any(w.equipment is None for w in everything)
    assert len({w.name for w in everything if w.building is None}) < sum(w.building is None for w in everything)


@settings(max_examples=300, deadline=None)
@given(matching=filters())
async def test_sql_and_memory_never_disagree_about_a_filter(
    loaded: Database, everything: list[Workstation], matching: WorkstationFilter
) -> None:
    assert await found(loaded, matching) == [w.id for w in everything if matching.matches(w)]


@settings(max_examples=100, deadline=None)
@given(part=texts | st.text(max_size=3).filter(lambda part: "\x00" not in part))
@pytest.mark.parametrize("field", ["name_contains", "equipment_contains"])
async def test_sql_and_memory_never_disagree_about_a_text(
    loaded: Database, everything: list[Workstation], field: str, part: str
) -> None:
    matching = WorkstationFilter(**{field: part})  # type: ignore[arg-type]  # both are texts

    assert await found(loaded, matching) == [w.id for w in everything if matching.matches(w)]


async def test_sql_and_memory_never_disagree_about_an_employee(loaded: Database, everything: list[Workstation]) -> None:
    seated = {w.employee.key for w in everything if w.employee}
    for key in [*seated, UUID(int=0)]:
        matching = WorkstationFilter(employee_key=key)
        assert await found(loaded, matching) == [w.id for w in everything if matching.matches(w)]


@settings(max_examples=50, deadline=None)
@given(matching=filters())
async def test_a_count_is_the_count_of_what_is_found(loaded: Database, matching: WorkstationFilter) -> None:
    async with loaded.reading() as connection:
        count = await queries.count_workstations(connection, matching)
        (whole,) = await queries.workstation_counts(connection, matching, None)

    assert count == whole.total == len(await found(loaded, matching))


@pytest.mark.parametrize("group", ["building", "floor", "department"])
async def test_the_groups_of_a_count_add_up_to_the_whole(
    loaded: Database, everything: list[Workstation], group: str
) -> None:
    async with loaded.reading() as connection:
        groups = await queries.workstation_counts(connection, WorkstationFilter(), group)

    keys: dict[str, Callable[[Workstation], str | None]] = {
        "building": lambda w: w.building,
        "floor": lambda w: w.building and f"{w.building} / {w.floor_number}",
        "department": lambda w: w.department.name if w.department else None,
    }
    expected: dict[str | None, dict[Status, int]] = {}
    for w in everything:
        expected.setdefault(keys[group](w), dict.fromkeys(Status, 0))[w.status] += 1
    assert {counts.key: counts.by_status for counts in groups} == expected


# --- pages -----------------------------------------------------------------------------------------------------------


def browse(database: Database) -> Browse:
    return Browse(database, CURSORS, page_most=500)


async def walk(database: Database, orders: list[Order], size: int, *, backward: bool) -> list[int]:
    """The ids on all pages one after the other, in the order of the list."""
    ids: list[int] = []
    cursor: str | None = None
    for _ in range(ROWS):
        paging = Paging(last=size, before=cursor) if backward else Paging(first=size, after=cursor)
        page = await browse(database).workstations(ADMIN, WorkstationFilter(), orders, paging, {"id"})
        here = [w.id for _, w in page.edges]
        ids = here + ids if backward else ids + here
        if not (page.has_previous_page if backward else page.has_next_page):
            return ids
        cursor = page.edges[0 if backward else -1][0]
    raise AssertionError("the pages never end")


ORDERS = [[Order(field, descending)] for field in OrderField for descending in (False, True)]
ORDERS += [
    [],
    [Order(OrderField.BUILDING), Order(OrderField.FLOOR_NUMBER, True), Order(OrderField.NAME)],
    [Order(OrderField.STATUS, True), Order(OrderField.X_POSITION), Order(OrderField.STATUS)],
    [Order(OrderField.BUILDING, True), Order(OrderField.FLOOR_NUMBER, True)],
    [Order(OrderField.STATUS), Order(OrderField.BUILDING), Order(OrderField.NAME, True)],
]


def written(orders: list[Order]) -> str:
    return ", ".join(f"{order.field.value} {'desc' if order.descending else 'asc'}" for order in orders) or "none"


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize("orders", ORDERS, ids=written)
async def test_pages_visit_every_row_exactly_once_and_in_order(
    loaded: Database, orders: list[Order], backward: bool
) -> None:
    whole = await browse(loaded).workstations(ADMIN, WorkstationFilter(), orders, Paging(first=500), {"id"})

    visited = await walk(loaded, orders, 17, backward=backward)

    assert len(visited) == len(set(visited)) == ROWS
    assert visited == [w.id for _, w in whole.edges]


@pytest.mark.parametrize("orders", ORDERS, ids=written)
async def test_the_order_is_that_of_postgresql(loaded: Database, orders: list[Order]) -> None:
    last = Order(OrderField.ID, bool(orders) and orders[-1].descending)  # of equals, in the direction of the last field
    written_out = ", ".join(f"{o.field.value} {'DESC' if o.descending else 'ASC'}" for o in [*orders, last])
    expected = [row["id"] for row in await loaded.fetch(text(f"SELECT id FROM workstations ORDER BY {written_out}"))]

    page = await browse(loaded).workstations(ADMIN, WorkstationFilter(), orders, Paging(first=500), {"id"})

    assert [w.id for _, w in page.edges] == expected


@pytest.mark.parametrize("size", [0, 1, ROWS - 1, ROWS, ROWS + 1])
async def test_a_page_knows_whether_there_is_more(loaded: Database, size: int) -> None:
    page = await browse(loaded).workstations(ADMIN, WorkstationFilter(), [], Paging(first=size), {"id"})

    assert len(page.edges) == min(size, ROWS)
    assert (page.has_previous_page, page.has_next_page) == (False, size < ROWS)


@pytest.mark.parametrize("size", [0, 1, 100, ROWS])
@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
async def test_every_page_knows_how_many_there_are_on_all_of_them(
    loaded: Database, everything: list[Workstation], size: int, backward: bool
) -> None:
    for matching in (WorkstationFilter(), WorkstationFilter(statuses=frozenset({Status.RESERVED}))):
        expected = sum(map(matching.matches, everything))
        cursor, sizes = None, list[int]()
        for _ in range(4):  # more than there are: the last are empty
            paging = Paging(last=size, before=cursor) if backward else Paging(first=size, after=cursor)
            page = await browse(loaded).workstations(ADMIN, matching, [], paging, {"id"}, is_counted=True)
            assert page.total_count == expected
            cursor = (page.start_cursor if backward else page.end_cursor) or cursor
            sizes.append(len(page.nodes))
        assert sum(sizes) == min(4 * size, expected)


async def test_a_cursor_is_the_same_wherever_on_its_page_it_is_shown(loaded: Database) -> None:
    page = await browse(loaded).workstations(ADMIN, WorkstationFilter(), [], Paging(first=5), {"id"})

    assert [page.end_cursor, page.start_cursor] == [page.edges[-1].cursor, page.edges[0].cursor]
    assert page.edges == page.edges


async def test_a_page_between_two_cursors_stays_between_them(loaded: Database) -> None:
    whole = (await browse(loaded).workstations(ADMIN, WorkstationFilter(), [], Paging(first=20), {"id"})).edges

    between = await browse(loaded).workstations(
        ADMIN, WorkstationFilter(), [], Paging(first=50, after=whole[3][0], before=whole[9][0]), {"id"}
    )

    assert [w.id for _, w in between.edges] == [w.id for _, w in whole[4:9]]


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize("field", [OrderField.ID, OrderField.NAME, OrderField.X_POSITION, OrderField.BUILDING])
async def test_pages_neither_skip_nor_repeat_a_row_while_others_come_and_go(
    servers: Servers, template: str, field: OrderField, backward: bool
) -> None:
    random = Random(11)
    async with fresh_database(servers, template) as url:
        database = Database(url, pool=1)
        await load(database, 60)
        there = set(await found(database, WorkstationFilter()))
        stayed, visited, cursor = set(there), list[int](), None
        while True:
            paging = Paging(last=7, before=cursor) if backward else Paging(first=7, after=cursor)
            page = await browse(database).workstations(ADMIN, WorkstationFilter(), [Order(field)], paging, {"id"})
            visited += [w.id for _, w in page.edges]
            if not (page.has_previous_page if backward else page.has_next_page):
                break
            cursor = page.edges[0 if backward else -1][0]
            # The row that the cursor names may go too.
            gone = {random.choice(sorted(there)), page.edges[0 if backward else -1][1].id}
            async with database.engine.begin() as connection:
                await connection.execute(text("DELETE FROM workstations WHERE id = ANY (:ids)"), {"ids": list(gone)})
                for _ in range(3):
                    row = {"name": invented(random, 2), "x": random.randint(-50, 50)}
                    await connection.execute(
                        text("INSERT INTO workstations (name, x_position, y_position) VALUES (:name, :x, 0)"), row
                    )
            there -= gone
            stayed -= gone
            if len(visited) > 500:
                raise AssertionError("the pages never end")
        await database.close()

    assert len(visited) == len(set(visited))
    assert stayed <= set(visited)


async def test_page_cursors_show_nothing_of_the_row(loaded: Database) -> None:
    orders = [Order(OrderField.X_POSITION), Order(OrderField.NAME)]
    page = await browse(loaded).workstations(ADMIN, WorkstationFilter(), orders, Paging(first=50))

    for cursor, w in page.edges:
        content = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        assert w.name.encode() not in content or len(w.name) < 4  # three bytes can be there by chance
        assert str(w.x_position).encode() not in content or len(str(w.x_position)) < 4


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
async def test_pages_of_employees_visit_everybody_exactly_once(loaded: Database, backward: bool) -> None:
    everybody = await browse(loaded).employees(ADMIN, Paging(first=500))
    visited: list[Employee] = []
    cursor = None
    for _ in range(31):
        paging = Paging(last=4, before=cursor) if backward else Paging(first=4, after=cursor)
        page = await browse(loaded).employees(ADMIN, paging)
        here = [employee for _, employee in page.edges]
        visited = here + visited if backward else visited + here
        if not (page.has_previous_page if backward else page.has_next_page):
            break
        cursor = page.edges[0 if backward else -1][0]

    assert len(visited) == 30
    assert visited == [employee for _, employee in everybody.edges]


@settings(max_examples=60, deadline=None)
@given(department=st.none() | st.integers(0, 4), part=st.none() | texts)
async def test_employees_are_found_by_department_and_part_of_the_name(
    loaded: Database, department: int | None, part: str | None
) -> None:
    everybody = [e for _, e in (await browse(loaded).employees(ADMIN, Paging(first=500))).edges]

    page = await browse(loaded).employees(ADMIN, Paging(first=500), department, part)

    def folded(value: str) -> str:
        return re.sub("[A-Z]", lambda letter: letter[0].lower(), value)

    assert [e for _, e in page.edges] == [
        e
        for e in everybody
        if (department is None or (e.department is not None and e.department.id == department))
        and (part is None or folded(part) in folded(e.name))
    ]


# --- statements ------------------------------------------------------------------------------------------------------


EXECUTION = Execution(build(), seconds=10)
DOCUMENTS = Documents(EXECUTION.schema, DocumentLimits(), kept=100)


async def asked(database: Database, query: str, **variables: Any) -> Any:
    nobody = cast(Any, None)
    services = Services(nobody, browse(database), Arrange(database, nobody), *[nobody] * (len(fields(Services)) - 3))
    operation = DOCUMENTS.get(query).operation(None)
    answer = await EXECUTION.run(operation, variables, Context(ADMIN, services))
    assert "errors" not in answer, answer
    return answer["data"]


LEVELS = {
    '{ floor(building: "Annex", number: 1) { id workstations { name department { name } employee { name } } } }': 1,
    '{ floor(building: "Annex", number: 1) { workstations { __typename } } }': 1,
    '{ floor(building: "Annex", number: 1) { ...F } } fragment F on Floor { workstations { name } }': 1,
    '{ floor(building: "Annex", number: 1) { workstations { name } stats { total } } }': 2,
    '{ floor(building: "Annex", number: 99) { workstations { name } } }': 1,
    '{ a: floor(building: "Annex", number: 1) { workstations { id } }'
    ' b: floor(building: "annex", number: 2) { workstations { id } } }': 1,
    "{ floors { name workstations { name department { name } employee { name department { name } } } } }": 2,
    "{ floors { stats { total available } } }": 2,
    "{ floors { workstations { id } stats { total } } }": 3,
    "{ workstations(first: 200) { nodes { name department { name } employee { name } } } }": 1,
    "{ workstations(first: 200) { edges { cursor node { name } } nodes { notes } pageInfo { endCursor } } }": 1,
    "{ workstations(first: 200) { totalCount nodes { id } } }": 1,
    '{ workstations(filter: {nameContains: "no such name"}) { totalCount nodes { id } } }': 1,
    '{ a: floor(building: "Annex", number: 1) { id } b: floor(building: "annex", number: 2) { id } }': 1,
    "{ employees(first: 30) { nodes { name department { name } } } }": 1,
    "{ departments { id name } }": 1,
    "{ me { subject } }": 0,
}


@pytest.mark.parametrize("query", LEVELS)
async def test_each_level_of_a_query_is_one_statement_however_many_rows_there_are(loaded: Database, query: str) -> None:
    with statements() as sent:
        await asked(loaded, query)

    assert len(sent) == LEVELS[query], sent


async def test_a_floor_and_its_workstations_are_the_same_together_as_one_by_one(
    loaded: Database, everything: list[Workstation]
) -> None:
    async with loaded.reading() as connection:
        await connection.execute(text("INSERT INTO floors (building, number) VALUES ('Annex', 50)"))  # an empty one
        places = [floor.place for floor in await queries.all_floors(connection)]
        whole = await queries.whole_floors(connection, [*places, Place("nowhere", 1)])
        floors = await queries.floors_by_place(connection, places)
        groups = await queries.workstations_by_place(connection, places)
        await connection.execute(text("DELETE FROM floors WHERE number = 50"))

    assert {place: floor for place, (floor, _) in whole.items()} == floors
    assert {place: list(Table(rows, view("admin"), place)) for place, (_, rows) in whole.items()} == groups
    assert [w for w in everything if w.place is not None] == sorted(
        (w for group in groups.values() for w in group), key=lambda w: w.id
    )
    assert groups[Place("Annex", 50)] == []


MOMENTS = {
    "infinity": datetime.max.replace(tzinfo=UTC),
    "-infinity": datetime.min.replace(tzinfo=UTC),
    "4000-01-01 BC": datetime.min.replace(tzinfo=UTC),
    "2026-11-25 01:02:03.000004+01": datetime(2026, 11, 25, 0, 2, 3, 4, tzinfo=UTC),
}


@pytest.mark.parametrize("written", MOMENTS)
async def test_a_moment_that_python_cannot_hold_is_the_nearest(loaded: Database, written: str) -> None:
    change = text("UPDATE workstations SET created_at = CAST(:moment AS text)::timestamptz WHERE id = 1")
    async with loaded.reading() as connection:
        # As an old database has it.
        await connection.execute(text("ALTER TABLE workstations DROP CONSTRAINT IF EXISTS workstations_moments_check"))
        await connection.execute(change, {"moment": written})
        shown = (await queries.workstations_by_id(connection, [1]))[1].created_at
        await connection.execute(change, {"moment": "now"})

    assert shown == MOMENTS[written]


async def test_what_the_view_may_not_see_is_not_fetched(loaded: Database) -> None:
    with statements() as sent:
        listing = await browse(loaded).workstations(caller("visitor"), WorkstationFilter(), [], Paging(first=50))

    assert not re.findall(r"workstations\.(?:x_position|y_position|width|height|version|updated_at)", sent[0])
    assert all((w.x_position, w.version, w.employee_id) == (None, None, None) for _, w in listing.edges)


async def test_many_nodes_of_several_types_are_one_statement_a_type(loaded: Database) -> None:
    page = await asked(
        loaded,
        "{ workstations(first: 30) { nodes { id } } floors { id } departments { id } employees { nodes { id } } }",
    )
    found = [page["workstations"]["nodes"], page["floors"], page["departments"], page["employees"]["nodes"]]
    ids = [one["id"] for group in found for one in group]

    with statements() as sent:
        nodes = (await asked(loaded, "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=ids))["nodes"]

    assert [node["id"] for node in nodes] == ids
    assert len(sent) == 4, sent


COLUMNS = {
    "{ workstations { nodes { name } } }": {"name"},
    "{ workstations { nodes { __typename id } } }": set(),
    "{ workstations { nodes { ...W } } } fragment W on Workstation { notes }": {"notes"},
    "{ workstations { edges { node { version } } nodes { label: equipment } } }": {"version", "equipment"},
    "{ workstations { nodes { department { name } } } }": {"labels"},
    "{ workstations { nodes { employee { name } employeeId floorName } } }": {"labels"},
    "{ workstations(orderBy: {field: X_POSITION}) { nodes { id } } }": {"x_position"},
    "{ workstations { pageInfo { hasNextPage } } }": set(),
}


@pytest.mark.parametrize("query", COLUMNS)
async def test_only_the_columns_that_are_asked_for_are_fetched(loaded: Database, query: str) -> None:
    with statements() as sent:
        await asked(loaded, query)

    (statement,) = sent
    fetched = set(re.findall(r"workstations\.(\w+)", statement.split("FROM")[0]))
    assert fetched == {"id", "building", "floor_number", "status"} | COLUMNS[query]
