"""Every query and mutation of the schema, asked as a client would ask."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio
from graphql import GraphQLUnionType, get_named_type
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphql_app import observe
from graphql_app.domain.identifiers import global_id
from graphql_app.domain.seal import Seal
from graphql_app.domain.workstation import Status
from graphql_app.embedded import Servers
from graphql_app.graph.api.schema import build
from graphql_app.services.office.browse import Browse
from graphql_app.store.postgres.database import Database
from tests.graphql_client import (
    A_01,
    A_02,
    ADA,
    ANNEX,
    B_01,
    BASEMENT,
    C_01,
    HQ,
    LAB,
    LOBBY,
    MAIN,
    NOBODY,
    NONE,
    PERSONNEL,
    RESEARCH,
    SPARE,
    WEI,
    WEI_KEY,
    Office,
    fresh_database,
    numbered,
    running_office,
    seed,
    settings_for,
)

SCHEMA = build()._schema
ZERO = {"available": 0, "occupied": 0, "maintenance": 0, "reserved": 0}


pytestmark = pytest.mark.asyncio(loop_scope="module")


# --- queries ---------------------------------------------------------------------------------------------------------

# Field of Query -> an operation, and its whole answer.
QUERIES: dict[str, tuple[str, Any]] = {
    "floor": (
        f'{{ floor(building: "{HQ}", number: 1)'
        " { id building number name workstations { name } stats { total } } }",
        {
            "id": LOBBY,
            "building": HQ,
            "number": 1,
            "name": "大堂",
            "workstations": [{"name": "A-01"}, {"name": "A-02"}],
            "stats": {"total": 2},
        },
    ),
    "floors": (
        "{ floors { building number stats { total available occupied maintenance reserved } } }",
        [
            {"building": "Annex", "number": -1, "stats": {**ZERO, "total": 1, "maintenance": 1}},
            {"building": HQ, "number": 1, "stats": {**ZERO, "total": 2, "available": 1, "occupied": 1}},
            {"building": HQ, "number": 2, "stats": {**ZERO, "total": 1, "reserved": 1}},
        ],
    ),
    "workstation": (
        f'{{ workstation(id: "{A_01}") {{ __typename id name status building floorNumber floorName notes equipment'
        " xPosition yPosition width height version employeeId department { id name }"
        " employee { id name employeeNumber department { name } } } }",
        {
            "__typename": "Workstation",
            "id": A_01,
            "name": "A-01",
            "status": "OCCUPIED",
            "building": HQ,
            "floorNumber": 1,
            "floorName": "大堂",
            "notes": "by the window",
            "equipment": {"monitors": 2},
            "xPosition": 10.5,
            "yPosition": 20.25,
            "width": 120.0,
            "height": 80.0,
            "version": 1,
            "employeeId": "E-1001",
            "department": {"id": RESEARCH, "name": "Research"},
            "employee": {"id": WEI, "name": "张伟", "employeeNumber": "E-1001", "department": {"name": "Research"}},
        },
    ),
    "workstations": (
        "{ workstations(first: 2, orderBy: [{field: NAME, direction: DESC}])"
        " { totalCount nodes { name } edges { node { status } } pageInfo { hasNextPage hasPreviousPage } } }",
        {
            "totalCount": 5,
            "nodes": [{"name": "Spare"}, {"name": "C-01"}],
            "edges": [{"node": {"status": "AVAILABLE"}}, {"node": {"status": "MAINTENANCE"}}],
            "pageInfo": {"hasNextPage": True, "hasPreviousPage": False},
        },
    ),
    "workstationStats": (
        "{ workstationStats { key total available occupied maintenance reserved } }",
        [{"key": None, "total": 5, "available": 2, "occupied": 1, "maintenance": 1, "reserved": 1}],
    ),
    "departments": (
        "{ departments { id name } }",
        [{"id": RESEARCH, "name": "Research"}, {"id": PERSONNEL, "name": "人事部"}],
    ),
    "buildings": (
        "{ buildings { id name timeZone version floors { number version } } }",
        [
            {"id": ANNEX, "name": "Annex", "timeZone": "UTC", "version": 1, "floors": [{"number": -1, "version": 1}]},
            {
                "id": MAIN,
                "name": HQ,
                "timeZone": "UTC",
                "version": 1,
                "floors": [{"number": 1, "version": 1}, {"number": 2, "version": 1}],
            },
        ],
    ),
    "building": (f'{{ building(id: "{ANNEX}") {{ name timeZone }} }}', {"name": "Annex", "timeZone": "UTC"}),
    "department": (
        f'{{ department(id: "{RESEARCH}") {{ name version employees {{ nodes {{ name workstation {{ name }} }} }}'
        " workstations(last: 1) { totalCount nodes { name } pageInfo { hasPreviousPage } } } }",
        {
            "name": "Research",
            "version": 1,
            "employees": {"nodes": [{"name": "张伟", "workstation": {"name": "A-01"}}]},
            "workstations": {"totalCount": 2, "nodes": [{"name": "A-02"}], "pageInfo": {"hasPreviousPage": True}},
        },
    ),
    "employee": (
        f'{{ employee(id: "{WEI}") {{ name employeeNumber version department {{ name version }} }} }}',
        {"name": "张伟", "employeeNumber": "E-1001", "version": 1, "department": {"name": "Research", "version": 1}},
    ),
    "employees": (
        "{ employees { nodes { id name employeeNumber department { name } } pageInfo { hasNextPage } } }",
        {
            "nodes": [
                {"id": ADA, "name": "Ada Lovelace", "employeeNumber": "E-1002", "department": {"name": "人事部"}},
                {"id": WEI, "name": "张伟", "employeeNumber": "E-1001", "department": {"name": "Research"}},
            ],
            "pageInfo": {"hasNextPage": False},
        },
    ),
    "me": (
        "{ me { subject roles scopes employee { id } employeeNumber } }",
        {
            "subject": "admin",
            "roles": ["admin"],
            "scopes": [
                "admin",
                "coordinates:read",
                "employees:read",
                "employees:write",
                "notifications:write",
                "office:write",
                "reservations:manage",
                "reservations:read",
                "reservations:write",
                "schema:read",
                "server:read",
                "workstations:read",
                "workstations:write",
            ],
            "employee": None,
            "employeeNumber": None,
        },
    ),
    "node": (f'{{ node(id: "{B_01}") {{ __typename id ... on Workstation {{ name }} }} }}', None),
    "nodes": (
        f'{{ nodes(ids: ["{WEI}", "{A_02}"]) {{ __typename id }} }}',
        [{"__typename": "Employee", "id": WEI}, {"__typename": "Workstation", "id": A_02}],
    ),
}
QUERIES["notifications"] = (
    "{ notifications { nodes { title } pageInfo { hasNextPage } } }",
    {"nodes": [], "pageInfo": {"hasNextPage": False}},
)
QUERIES["reservations"] = (
    f'{{ reservations(filter: {{workstationId: "{B_01}"}}) {{ nodes {{ id }} pageInfo {{ hasNextPage }} }} }}',
    {"nodes": [], "pageInfo": {"hasNextPage": False}},
)
QUERIES["auditLog"] = (
    '{ auditLog(filter: {actor: "nobody"}) { nodes { id } pageInfo { hasNextPage } } }',
    {"nodes": [], "pageInfo": {"hasNextPage": False}},
)
QUERIES["node"] = (QUERIES["node"][0], {"__typename": "Workstation", "id": B_01, "name": "B-01"})


async def test_every_query_of_the_schema_is_asked_here() -> None:
    assert SCHEMA.query_type is not None
    assert set(QUERIES) == set(SCHEMA.query_type.fields)


@pytest.mark.parametrize("name", QUERIES)
async def test_a_query_answers(office: Office, name: str) -> None:
    query, expected = QUERIES[name]

    assert (await office.data("admin", query))[name] == expected


NAMES = {A_01: "A-01", A_02: "A-02", B_01: "B-01", C_01: "C-01", SPARE: "Spare"}
FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, [A_01, A_02, B_01, C_01, SPARE]),
    ({"ids": [B_01, NONE]}, [B_01]),
    ({"ids": []}, []),
    ({"building": HQ}, [A_01, A_02, B_01]),
    ({"building": HQ, "floorNumber": 2}, [B_01]),
    ({"departmentIds": [RESEARCH, PERSONNEL]}, [A_01, A_02, C_01]),
    ({"statuses": ["OCCUPIED", "RESERVED"]}, [A_01, B_01]),
    ({"employeeId": WEI}, [A_01]),
    ({"employeeId": NOBODY}, []),
    ({"nameContains": "a-"}, [A_01, A_02]),
    ({"equipmentContains": "DOCK"}, [B_01]),
    ({"xMin": 30, "xMax": 50}, [A_02, B_01]),
    ({"yMin": 20.25, "yMax": 20.25}, [A_01, A_02]),
    ({"employeeNumber": "E-1001"}, [A_01]),
    ({"building": None, "statuses": None}, [A_01, A_02, B_01, C_01, SPARE]),
]


async def test_every_part_of_a_filter_is_heeded(office: Office) -> None:
    query = "query ($f: WorkstationFilter) { workstations(filter: $f) { totalCount nodes { id } } }"
    for matching, expected in FILTERS:
        page = (await office.data("admin", query, {"f": matching}))["workstations"]

        assert [node["id"] for node in page["nodes"]] == expected, matching
        assert page["totalCount"] == len(expected)


async def test_an_enum_may_be_a_variable_of_its_own(office: Office) -> None:
    query = "query ($s: [WorkstationStatus!]) { workstations(filter: {statuses: $s}) { nodes { id } } }"

    assert (await office.data("admin", query, {"s": ["RESERVED"]}))["workstations"]["nodes"] == [{"id": B_01}]


PAGE = """query ($first: Int, $after: String, $last: Int, $before: String) {
    workstations(first: $first, after: $after, last: $last, before: $before) {
        nodes { name } pageInfo { startCursor endCursor hasNextPage hasPreviousPage } } }"""


async def test_a_list_is_paged_forward_by_its_end_cursor(office: Office) -> None:
    names, after = [], None
    for _ in range(3):
        page = (await office.data("visitor", PAGE, {"first": 2, "after": after}))["workstations"]
        names.append([node["name"] for node in page["nodes"]])
        after = page["pageInfo"]["endCursor"]

    assert names == [["A-01", "A-02"], ["B-01", "C-01"], ["Spare"]]
    assert (page["pageInfo"]["hasNextPage"], page["pageInfo"]["hasPreviousPage"]) == (False, True)


async def test_a_list_is_paged_backward_by_its_start_cursor(office: Office) -> None:
    names, before = [], None
    for _ in range(3):
        page = (await office.data("visitor", PAGE, {"last": 2, "before": before}))["workstations"]
        names.append([node["name"] for node in page["nodes"]])
        before = page["pageInfo"]["startCursor"]

    assert names == [["C-01", "Spare"], ["A-02", "B-01"], ["A-01"]]
    assert (page["pageInfo"]["hasNextPage"], page["pageInfo"]["hasPreviousPage"]) == (True, False)


async def test_an_empty_page_has_no_cursors(office: Office) -> None:
    page = (await office.data("visitor", PAGE, {"first": 0}))["workstations"]

    assert page["nodes"] == []
    assert (page["pageInfo"]["startCursor"], page["pageInfo"]["endCursor"]) == (None, None)


async def test_a_cursor_of_another_list_is_refused(office: Office) -> None:
    page = (await office.data("visitor", PAGE, {"first": 1}))["workstations"]
    query = 'query ($after: String) { workstations(filter: {building: "Annex"}, after: $after) { totalCount } }'

    error = await office.refusal("visitor", query, {"after": page["pageInfo"]["endCursor"]})

    assert error["extensions"] == {"code": "INVALID_INPUT", "field": "after"}


TOO_LARGE = [
    "{ workstations(first: 501) { totalCount } }",
    "{ workstations(last: 501) { totalCount } }",
    "{ employees(first: 501) { nodes { id } } }",
]


@pytest.mark.parametrize("query", TOO_LARGE)
async def test_a_page_that_is_too_large_is_refused_and_the_limit_named(office: Office, query: str) -> None:
    error = await office.refusal("visitor", query)

    assert "at most 500, 501 were asked for" in error["message"]
    assert error["extensions"] == {"code": "TOO_MANY", "measure": "rows of a page", "limit": 500, "asked": 501}


async def test_the_largest_page_is_answered(office: Office) -> None:
    assert await office.data("visitor", "{ workstations(first: 500) { totalCount } }")


STATS = {
    "BUILDING": {"Annex": 1, HQ: 3, None: 1},
    "FLOOR": {"Annex / -1": 1, f"{HQ} / 1": 2, f"{HQ} / 2": 1, None: 1},
    "DEPARTMENT": {"Research": 2, "人事部": 1, None: 2},
}


@pytest.mark.parametrize("group", STATS)
async def test_statistics_are_counted_by_group(office: Office, group: str) -> None:
    query = "query ($g: StatsGroup) { workstationStats(groupBy: $g) { key total } }"

    groups = (await office.data("visitor", query, {"g": group}))["workstationStats"]

    assert {one["key"]: one["total"] for one in groups} == STATS[group]


async def test_statistics_heed_the_filter(office: Office) -> None:
    query = '{ workstationStats(filter: {building: "Annex"}) { total maintenance } }'

    assert (await office.data("visitor", query))["workstationStats"] == [{"total": 1, "maintenance": 1}]


async def test_employees_are_found_by_department_and_part_of_the_name(office: Office) -> None:
    query = "query ($d: ID, $n: String) { employees(departmentId: $d, nameContains: $n) { nodes { id } } }"

    async def found(**variables: str) -> list[str]:
        return [node["id"] for node in (await office.data("visitor", query, variables))["employees"]["nodes"]]

    assert (await found(d=RESEARCH), await found(n="LOVE"), await found(d=RESEARCH, n="LOVE")) == ([WEI], [ADA], [])


async def test_floors_may_be_those_of_one_building(office: Office) -> None:
    assert (await office.data("visitor", '{ floors(building: "Annex") { number } }'))["floors"] == [{"number": -1}]


NOTHING_THERE = [
    '{ floor(building: "Nowhere", number: 1) { id } }',
    f'{{ workstation(id: "{NONE}") {{ id }} }}',
    f'{{ node(id: "{NONE}") {{ id }} }}',
    f'{{ node(id: "{NOBODY}") {{ id }} }}',
]


@pytest.mark.parametrize("query", NOTHING_THERE)
async def test_what_is_not_there_is_null(office: Office, query: str) -> None:
    assert list((await office.data("visitor", query)).values()) == [None]


NODES = {A_01: "Workstation", BASEMENT: "Floor", LAB: "Floor", PERSONNEL: "Department", ADA: "Employee"}


@pytest.mark.parametrize("id", NODES)
async def test_anything_with_an_id_can_be_fetched_again(office: Office, id: str) -> None:
    query = "query ($id: ID!) { node(id: $id) { __typename id } }"

    assert (await office.data("visitor", query, {"id": id}))["node"] == {"__typename": NODES[id], "id": id}


async def test_nodes_are_answered_in_the_order_asked_with_null_for_what_is_not_there(office: Office) -> None:
    query = """query ($ids: [ID!]!) { nodes(ids: $ids) { id
        ... on Workstation { name status } ... on Floor { number workstations { id } }
        ... on Department { name } ... on Employee { name department { id } } } }"""

    nodes = (await office.data("visitor", query, {"ids": [ADA, NONE, LAB, A_01, PERSONNEL, A_01]}))["nodes"]

    assert nodes == [
        {"id": ADA, "name": "Ada Lovelace", "department": {"id": PERSONNEL}},
        None,
        {"id": LAB, "number": 2, "workstations": [{"id": B_01}]},
        {"id": A_01, "name": "A-01", "status": "OCCUPIED"},
        {"id": PERSONNEL, "name": "人事部"},
        {"id": A_01, "name": "A-01", "status": "OCCUPIED"},
    ]


async def test_more_nodes_than_a_hundred_are_refused(office: Office) -> None:
    error = await office.refusal("visitor", "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", {"ids": [A_01] * 101})

    assert error["extensions"] == {"code": "TOO_MANY", "measure": "ids", "limit": 100, "asked": 101}


WRONG_IDS = [
    '{ workstation(id: "x") { id } }',
    f'{{ workstation(id: "{LOBBY}") {{ id }} }}',
    '{ node(id: "Um9vbTox") { id } }',  # Room:1
    f'{{ nodes(ids: ["{A_01}", "x", "y"]) {{ id }} }}',
    f'{{ workstations(filter: {{ids: ["{RESEARCH}"]}}) {{ totalCount }} }}',
    f'{{ employees(departmentId: "{A_01}") {{ nodes {{ id }} }} }}',
]


@pytest.mark.parametrize("query", WRONG_IDS)
async def test_what_is_no_id_of_the_type_is_refused_as_input(office: Office, query: str) -> None:
    assert (await office.refusal("visitor", query))["extensions"]["code"] == "INVALID_INPUT"


async def test_one_s_own_record_is_under_me(office: Office) -> None:
    token = office.token("employee", subject="wei", employee=WEI_KEY, number="E-1001")

    me = (
        await office.data(
            "employee",
            "{ me { subject employeeNumber employee { id name } } }",
            authorization=f"Bearer {token}",
        )
    )["me"]

    assert me == {"subject": "wei", "employeeNumber": "E-1001", "employee": {"id": WEI, "name": "张伟"}}


async def test_somebody_who_is_no_employee_any_more_has_no_record(office: Office) -> None:
    token = office.token("employee", subject="gone", employee=UUID(int=0xFF), number="E-9")

    data = await office.data("employee", "{ me { subject employee { id } } }", authorization=f"Bearer {token}")

    assert data["me"] == {"subject": "gone", "employee": None}


async def test_the_cursor_of_a_floor_is_where_its_changes_go_on(office: Office) -> None:
    floor = (await office.data("visitor", f'{{ floor(building: "{HQ}", number: 1) {{ cursor }} }}'))["floor"]
    feed = "subscription ($f: WorkstationFilter, $after: Cursor) { workstationChanges(filter: $f, after: $after)"
    feed += " { kind workstations { name } } }"
    await office.sql("UPDATE workstations SET notes = 'new lamp' WHERE name IN ('A-02', 'B-01')")

    async with office.socket("visitor") as socket:
        socket.subscribe(feed, {"f": {"building": HQ, "floorNumber": 1}, "after": floor["cursor"]})
        heard: list[Any] = []
        while not heard:
            payload = (await socket.payload())["data"]["workstationChanges"]
            assert payload["kind"] == "CHANGES"
            heard += payload["workstations"]

    assert heard == [{"name": "A-02"}]


RENAMES = {
    "a department": ("UPDATE departments SET name = 'Wonders' WHERE id = 1", "department { name }", "Wonders"),
    "an employee": ("UPDATE employees SET name = '张三' WHERE id = 1", "employee { name }", "张三"),
    "the department of an employee": (
        "UPDATE departments SET name = 'Wonders' WHERE id = 1",
        "employee { department { name } }",
        "Wonders",
    ),
    "a floor": ("UPDATE floors SET name = 'Atrium' WHERE number = 1", "floorName", "Atrium"),
    "a building": (f"UPDATE buildings SET name = 'Tower' WHERE name = '{HQ}'", "building", "Tower"),
    "an employee's number": ("UPDATE employees SET employee_number = 'E-7' WHERE id = 1", "employeeId", "E-7"),
}


@pytest.mark.parametrize("what", RENAMES)
async def test_a_name_that_another_program_changes_shows_at_once(office: Office, what: str) -> None:
    statement, selection, expected = RENAMES[what]
    await office.sql(statement)

    shown = (await office.data("admin", f'{{ workstation(id: "{A_01}") {{ {selection} }} }}'))["workstation"]
    while isinstance(shown, dict):
        (shown,) = shown.values()

    assert shown == expected


# --- mutations -------------------------------------------------------------------------------------------------------

OFFICE = ("Building", "Floor", "Department", "Employee")
CHANGE = "WorkstationChanged { receipt workstation { id name status version building floorNumber employee { id } } }"
DELETION = "WorkstationDeleted { id receipt }"
PUBLISHED = "NotificationPublished { receipt notification { id title } }"
DONE = {  # the others: CHANGE
    "deleteWorkstation": DELETION,
    **dict.fromkeys(
        ("createWorkstations", "setWorkstationStatuses"),
        "WorkstationsChanged { receipt workstations { id name status version } }",
    ),
    "publishNotification": PUBLISHED,
    **{
        f"{verb}{kind}": f"{kind}Changed {{ receipt {kind.lower()} {{ id name version }} }}"
        for verb in ("create", "update")
        for kind in OFFICE
    },
    **{f"delete{kind}": "OfficeDeleted { id receipt } ... on InUse { references { kind count } }" for kind in OFFICE},
}
REFUSALS = """
    ... on Refusal { code message index }
    ... on Conflict { allowed currentVersion current { id version } }
    ... on InvalidInput { field }
    ... on Forbidden { scope }"""

# Of each kind of the register: one that nothing refers to, one that something does, and none.
EMPTY = {
    "Building": global_id("Building", 3),
    "Floor": global_id("Floor", 4),
    "Department": global_id("Department", 3),
    "Employee": global_id("Employee", UUID(int=0xA3)),
}
USED = {"Building": MAIN, "Floor": LOBBY, "Department": RESEARCH, "Employee": WEI}
MISSING = {**{kind: global_id(kind, 999) for kind in OFFICE}, "Employee": NOBODY}
UNUSED = (
    "INSERT INTO buildings (name) VALUES ('Empty')",
    f"INSERT INTO floors (building, number) VALUES ('{HQ}', 40)",
    "INSERT INTO departments (name) VALUES ('Empty')",
    f"INSERT INTO employees (public_key, employee_number, name) VALUES ('{UUID(int=0xA3)}', 'E-1003', 'Unseated')",
)

# Field of Mutation -> its variables: declared, and handed on as arguments of the same name.
VARIABLES = {
    "createWorkstation": {"input": "CreateWorkstationInput!"},
    "updateWorkstation": {"id": "ID!", "input": "UpdateWorkstationInput!", "expectedVersion": "Int"},
    "deleteWorkstation": {"id": "ID!", "expectedVersion": "Int"},
    "setWorkstationStatus": {"id": "ID!", "status": "WorkstationStatus!", "expectedVersion": "Int"},
    "assignWorkstation": {"id": "ID!", "employeeId": "ID!", "expectedVersion": "Int"},
    "releaseWorkstation": {"id": "ID!", "expectedVersion": "Int"},
    "createWorkstations": {"input": "[CreateWorkstationInput!]!"},
    "setWorkstationStatuses": {"input": "[WorkstationStatusInput!]!"},
    "publishNotification": {"input": "PublishNotificationInput!"},
    **{f"create{kind}": {"input": f"Create{kind}Input!"} for kind in OFFICE},
    **{f"update{kind}": {"id": "ID!", "input": f"Update{kind}Input!", "expectedVersion": "Int"} for kind in OFFICE},
    **{f"delete{kind}": {"id": "ID!", "expectedVersion": "Int"} for kind in OFFICE},
}
GOOD: dict[str, dict[str, Any]] = {
    "createWorkstation": {"input": {"name": "New", "xPosition": 1, "yPosition": 2}},
    "updateWorkstation": {"id": A_01, "input": {"name": "Newer"}},
    "deleteWorkstation": {"id": A_01},
    "setWorkstationStatus": {"id": A_02, "status": "RESERVED"},
    "assignWorkstation": {"id": A_02, "employeeId": ADA},
    "releaseWorkstation": {"id": A_01},
    "createWorkstations": {"input": [{"name": "New", "xPosition": 1, "yPosition": 2}]},
    "setWorkstationStatuses": {"input": [{"id": A_02, "status": "RESERVED"}]},
    "publishNotification": {"input": {"title": "Fire drill at three"}},
    "createBuilding": {"input": {"name": "Tower", "timeZone": "Asia/Shanghai"}},
    "createFloor": {"input": {"building": "Annex", "number": 3}},
    "createDepartment": {"input": {"name": "Design"}},
    "createEmployee": {"input": {"name": "Grace", "employeeNumber": "E-7", "departmentId": RESEARCH}},
    "updateBuilding": {"id": EMPTY["Building"], "input": {"timeZone": "Europe/Berlin"}},
    "updateFloor": {"id": EMPTY["Floor"], "input": {"name": "Roof"}},
    "updateDepartment": {"id": EMPTY["Department"], "input": {"name": "Staff"}},
    "updateEmployee": {"id": EMPTY["Employee"], "input": {"name": "Nobody"}},
    **{f"delete{kind}": {"id": EMPTY[kind]} for kind in OFFICE},
}
KIND = {f"{verb}{kind}": kind for verb in ("create", "update", "delete") for kind in OFFICE}
WRITER = {  # the others: facilities
    "publishNotification": "operator",
    **{f"{verb}Employee": "hr" for verb in ("create", "update", "delete")},
}


def mutation(name: str) -> str:
    declared = ", ".join(f"${variable}: {type_name}" for variable, type_name in VARIABLES[name].items())
    handed_on = ", ".join(f"{variable}: ${variable}" for variable in VARIABLES[name])
    done = DONE.get(name, CHANGE)
    return f"mutation ({declared}) {{ {name}({handed_on}) {{ __typename ... on {done} {REFUSALS} }} }}"


async def do(office: Office, name: str, role: str | None = None, *, key: str | None = None, **variables: Any) -> Any:
    """The answer of one mutation, by who may do it; what is not given is as in GOOD."""
    role = role or WRITER.get(name, "facilities")
    headers = {} if key is None else {"idempotency_key": key}
    return (await office.data(role, mutation(name), {**GOOD[name], **variables}, **headers))[name]


@dataclass(frozen=True)
class Case:
    """How to provoke one member of a mutation's union."""

    variables: dict[str, Any] = field(default_factory=dict)
    role: str | None = None
    first: dict[str, Any] | None = None  # asked before, with the same idempotency key


CHANGED, GONE, OLD, STRANGER = Case(), Case({"id": NONE}), Case({"expectedVersion": 7}), Case(role="visitor")


def register_cases(kind: str, bad: dict[str, Any], taken: dict[str, Any], other: dict[str, Any]) -> Any:
    """The three changes of a kind: given what cannot be right, the name of another, and another one."""
    updated = {name: value for name, value in taken.items() if name != "departmentId"}
    return {
        f"create{kind}": {
            f"{kind}Changed": CHANGED,
            "InvalidInput": Case({"input": {**GOOD[f"create{kind}"]["input"], **bad}}),
            "NameTaken": Case({"input": {**GOOD[f"create{kind}"]["input"], **taken}}),
            "Conflict": Case(first={"input": {**GOOD[f"create{kind}"]["input"], **other}}),
            "Forbidden": STRANGER,
        },
        f"update{kind}": {
            f"{kind}Changed": CHANGED,
            "NotFound": Case({"id": MISSING[kind]}),
            "InvalidInput": Case({"input": bad}),
            "NameTaken": Case({"input": updated}),
            "Conflict": OLD,
            "Forbidden": STRANGER,
        },
        f"delete{kind}": {
            "OfficeDeleted": CHANGED,
            "NotFound": Case({"id": MISSING[kind]}),
            "InvalidInput": Case({"id": "x"}),
            "InUse": Case({"id": USED[kind]}),
            "Conflict": OLD,
            "Forbidden": STRANGER,
        },
    }


CASES: dict[str, dict[str, Case]] = {
    "createWorkstation": {
        "WorkstationChanged": CHANGED,
        "InvalidInput": Case({"input": {"name": " ", "xPosition": 1, "yPosition": 2}}),
        "NameTaken": Case(
            {"input": {"name": "A-01", "xPosition": 1, "yPosition": 2, "building": HQ, "floorNumber": 1}}
        ),
        "Conflict": Case(first={"input": {"name": "Other", "xPosition": 1, "yPosition": 2}}),
        "Forbidden": STRANGER,
    },
    "updateWorkstation": {
        "WorkstationChanged": CHANGED,
        "NotFound": GONE,
        "InvalidInput": Case({"input": {"width": 0}}),
        "NameTaken": Case({"input": {"name": "A-02"}}),
        "Conflict": OLD,
        "Forbidden": STRANGER,
    },
    "deleteWorkstation": {
        "WorkstationDeleted": CHANGED,
        "NotFound": GONE,
        "InvalidInput": Case({"id": "x"}),
        "Conflict": OLD,
        "Forbidden": STRANGER,
    },
    "setWorkstationStatus": {
        "WorkstationChanged": CHANGED,
        "NotFound": GONE,
        "InvalidInput": Case({"id": LOBBY}),
        "Conflict": Case({"id": C_01, "status": "OCCUPIED"}),
        "Forbidden": STRANGER,
    },
    "assignWorkstation": {
        "WorkstationChanged": CHANGED,
        "NotFound": GONE,
        "InvalidInput": Case({"employeeId": NOBODY}),
        "Conflict": Case({"id": A_01}),
        "Forbidden": STRANGER,
    },
    "releaseWorkstation": {
        "WorkstationChanged": CHANGED,
        "NotFound": GONE,
        "InvalidInput": Case({"id": "x"}),
        "Conflict": OLD,
        "Forbidden": STRANGER,
    },
    "publishNotification": {
        "NotificationPublished": CHANGED,
        "InvalidInput": Case({"input": {"title": " "}}),
        "Conflict": Case(first={"input": {"title": "Another"}}),
        "Forbidden": Case(role="facilities"),
    },
    "createWorkstations": {
        "WorkstationsChanged": CHANGED,
        "InvalidInput": Case({"input": []}),
        "TooMany": Case({"input": [{"name": "New", "xPosition": 1, "yPosition": 2}] * 501}),
        "NameTaken": Case(
            {"input": [{"name": "A-01", "xPosition": 1, "yPosition": 2, "building": HQ, "floorNumber": 1}]}
        ),
        "Conflict": Case(first={"input": [{"name": "Other", "xPosition": 1, "yPosition": 2}]}),
        "Forbidden": STRANGER,
    },
    "setWorkstationStatuses": {
        "WorkstationsChanged": CHANGED,
        "NotFound": Case({"input": [{"id": NONE, "status": "RESERVED"}]}),
        "InvalidInput": Case({"input": [{"id": A_02, "status": "RESERVED"}] * 2}),
        "TooMany": Case({"input": [{"id": A_02, "status": "RESERVED"}] * 501}),
        "Conflict": Case({"input": [{"id": A_02, "status": "RESERVED", "expectedVersion": 7}]}),
        "Forbidden": STRANGER,
    },
    **register_cases("Building", {"timeZone": "Mars/Olympus"}, {"name": HQ}, {"name": "Other"}),
    **register_cases("Floor", {"building": "Nowhere"}, {"building": HQ, "number": 1}, {"number": 9}),
    **register_cases("Department", {"name": " "}, {"name": "Research"}, {"name": "Other"}),
    **register_cases("Employee", {"employeeNumber": "x" * 33}, {"employeeNumber": "E-1001"}, {"name": "Other"}),
}


# In tests/integration/test_accounts.py.
OF_ACCOUNTS = {"login", "refreshToken", "logout", "revokeSessions"}
# In tests/integration/test_reservations.py.
OF_BOOKINGS = {"reserveWorkstation", "changeReservation", "cancelReservation", "checkIn", "checkOut"}


async def test_every_answer_of_every_mutation_is_provoked_here() -> None:
    assert SCHEMA.mutation_type is not None
    members = {}
    for name, of_schema in SCHEMA.mutation_type.fields.items():
        if name in OF_ACCOUNTS | OF_BOOKINGS:
            continue
        union = get_named_type(of_schema.type)
        assert isinstance(union, GraphQLUnionType)
        members[name] = {member.name for member in union.types} - {"ReadOnly"}  # has a test of its own

    assert {name: set(cases) for name, cases in CASES.items()} == members


@pytest_asyncio.fixture(loop_scope="module")
async def spacious(office: Office) -> Office:
    """With one of each kind of the register that nothing refers to."""
    for statement in UNUSED:
        await office.sql(statement)
    await numbered(office.database)
    return office


@pytest.mark.parametrize(("name", "member"), [(name, member) for name, cases in CASES.items() for member in cases])
async def test_a_mutation_answers_what_its_union_promises(spacious: Office, name: str, member: str) -> None:
    case = CASES[name][member]
    if case.first is not None:
        await do(spacious, name, case.role, key="k", **case.first)
    before = await spacious.sql("SELECT count(*) FROM change_log")

    answer = await do(spacious, name, case.role, key="k" if case.first is not None else None, **case.variables)

    assert answer["__typename"] == member, answer
    done = member.endswith(("Changed", "Deleted", "Published"))
    assert await spacious.sql("SELECT count(*) FROM change_log") == before + done
    assert bool(answer.get("receipt")) == done
    assert bool(answer.get("code")) != done


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def frozen(servers: Servers, template: str) -> AsyncIterator[Office]:
    """An office whose database takes no writes."""
    async with fresh_database(servers, template) as url:
        database = Database(url)
        await seed(database)
        async with database.engine.begin() as connection:
            name = url.rsplit("/", 1)[1]
            await connection.exec_driver_sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        await database.close()
        async with running_office(settings_for(url, servers)) as office:
            yield office


@pytest.mark.parametrize("name", VARIABLES)
async def test_a_database_that_takes_no_writes_is_read_only_and_still_read(frozen: Office, name: str) -> None:
    answer = await do(frozen, name)
    read = await frozen.data("visitor", "{ workstations { totalCount } }")

    assert (answer["__typename"], answer["code"]) == ("ReadOnly", "READ_ONLY")
    assert read == {"workstations": {"totalCount": 5}}


async def test_a_new_workstation_is_available_and_has_the_usual_size(office: Office) -> None:
    id = (await do(office, "createWorkstation"))["workstation"]["id"]

    query = (
        f'{{ workstation(id: "{id}") {{ status width height building equipment notes version createdAt updatedAt }} }}'
    )
    shown = (await office.data("facilities", query))["workstation"]
    created_at = datetime.fromisoformat(shown.pop("createdAt"))
    assert datetime.fromisoformat(shown.pop("updatedAt")) == created_at
    assert created_at.tzinfo is not None
    assert shown == {
        "status": "AVAILABLE",
        "width": 120.0,
        "height": 80.0,
        "building": None,
        "equipment": None,
        "notes": None,
        "version": 1,
    }


@pytest.mark.parametrize("equipment", [{"a": [1, 2.5, None, True, "工位"]}, [], "text", 7, False, {"nul": "\x00"}])
async def test_equipment_is_any_json(office: Office, equipment: Any) -> None:
    given = {**GOOD["createWorkstation"]["input"], "equipment": equipment}
    id = (await do(office, "createWorkstation", input=given))["workstation"]["id"]

    shown = await office.data("visitor", f'{{ workstation(id: "{id}") {{ equipment }} }}')

    assert shown["workstation"]["equipment"] == equipment


async def test_what_an_update_leaves_out_stays_and_null_clears(office: Office) -> None:
    query = f'{{ workstation(id: "{A_01}") {{ name notes equipment department {{ id }} xPosition status }} }}'
    before = (await office.data("admin", query))["workstation"]

    await do(office, "updateWorkstation", input={"notes": None, "xPosition": 11.25, "departmentId": PERSONNEL})

    assert (await office.data("admin", query))["workstation"] == {
        **before,
        "notes": None,
        "xPosition": 11.25,
        "department": {"id": PERSONNEL},
    }


async def test_an_update_that_changes_nothing_is_no_new_version(office: Office) -> None:
    for nothing_new in ({}, {"name": "A-01"}, {"notes": "by the window", "xPosition": 10.5}):
        answer = await do(office, "updateWorkstation", input=nothing_new)

        assert (answer["__typename"], answer["workstation"]["version"]) == ("WorkstationChanged", 1)


@pytest.mark.parametrize("place", [(HQ, 2), ("Annex", -1), (None, None)])
async def test_a_workstation_is_moved_to_another_floor_or_to_none(office: Office, place: tuple[Any, Any]) -> None:
    answer = await do(office, "updateWorkstation", input={"building": place[0], "floorNumber": place[1]})

    assert (answer["workstation"]["building"], answer["workstation"]["floorNumber"]) == place


NO_PLACE: list[dict[str, Any]] = [
    {"building": HQ, "floorNumber": 99},
    {"building": "Nowhere", "floorNumber": 1},
    {"building": "b" * 51, "floorNumber": 1},
    {"building": HQ},
    {"floorNumber": 1},
    {"building": None, "floorNumber": 1},
    {"building": HQ, "floorNumber": None},
]


@pytest.mark.parametrize("place", NO_PLACE)
async def test_a_floor_that_does_not_exist_is_invalid_input(office: Office, place: dict[str, Any]) -> None:
    created = await do(office, "createWorkstation", input={**GOOD["createWorkstation"]["input"], **place})
    moved = await do(office, "updateWorkstation", input=place)

    for answer in (created, moved):
        assert answer["__typename"] == "InvalidInput"
        assert answer["field"] == ("building" if place.get("building") == "b" * 51 else "floorNumber")


INVALID: list[tuple[dict[str, Any], str | None]] = [
    ({"name": ""}, "name"),
    ({"name": None}, "name"),
    ({"name": "n" * 101}, "name"),
    ({"name": "a\x00b"}, "name"),
    ({"xPosition": 1e8}, "xPosition"),
    ({"xPosition": None}, "xPosition"),
    ({"yPosition": -1e8}, "yPosition"),
    ({"xPosition": 99_999_999.999}, None),  # rounds up to what the column cannot hold
    ({"width": 0}, "width"),
    ({"height": -1}, "height"),
    ({"height": None}, "height"),
    ({"notes": "n" * 10_001}, "notes"),
    ({"equipment": "e" * 20_000}, "equipment"),
    ({"departmentId": "RGVwYXJ0bWVudDo5OTk="}, "departmentId"),  # Department:999
    ({"departmentId": A_01}, "departmentId"),
]


@pytest.mark.parametrize(("values", "named"), INVALID, ids=lambda given: repr(given)[:40])
async def test_a_value_that_cannot_be_right_is_invalid_input_and_changes_nothing(
    office: Office, values: dict[str, Any], named: str | None
) -> None:
    answer = await do(office, "updateWorkstation", input=values)

    assert (answer["__typename"], answer["field"]) == ("InvalidInput", named)
    assert await office.sql("SELECT version FROM workstations WHERE id = 1") == 1


async def test_a_name_is_unique_on_its_floor_only(office: Office) -> None:
    taken = await do(office, "updateWorkstation", id=A_02, input={"name": "A-01"})
    elsewhere = await do(office, "updateWorkstation", id=B_01, input={"name": "A-01"})
    moved = await do(office, "updateWorkstation", id=B_01, input={"building": HQ, "floorNumber": 1})

    kinds = [answer["__typename"] for answer in (taken, elsewhere, moved)]
    assert kinds == ["NameTaken", "WorkstationChanged", "NameTaken"]
    assert taken["code"] == "NAME_TAKEN"


async def test_two_workstations_that_stand_nowhere_may_have_the_same_name(office: Office) -> None:
    answers = [await do(office, "createWorkstation") for _ in range(2)]

    assert [answer["__typename"] for answer in answers] == ["WorkstationChanged"] * 2


async def test_a_deleted_workstation_is_gone(office: Office) -> None:
    answer = await do(office, "deleteWorkstation")

    assert answer["id"] == A_01
    assert await office.data("visitor", f'{{ node(id: "{A_01}") {{ id }} }}') == {"node": None}


@pytest.mark.parametrize("status", Status)
async def test_a_refused_status_says_which_are_allowed(office: Office, status: Status) -> None:
    answer = await do(office, "setWorkstationStatus", id=C_01, status=status.name)

    if status in (Status.AVAILABLE, Status.MAINTENANCE):
        assert answer["workstation"]["status"] == status.name
    else:
        assert (answer["__typename"], answer["allowed"]) == ("Conflict", ["AVAILABLE"])
        assert answer["current"] == {"id": C_01, "version": 1}


async def test_a_desk_that_becomes_available_loses_its_occupant(office: Office) -> None:
    answer = await do(office, "setWorkstationStatus", id=A_01, status="AVAILABLE")

    assert (answer["workstation"]["status"], answer["workstation"]["employee"]) == ("AVAILABLE", None)


async def test_somebody_is_seated_and_gets_up_again(office: Office) -> None:
    seated = await do(office, "assignWorkstation")
    free = await do(office, "releaseWorkstation", id=A_02)

    assert (seated["workstation"]["status"], seated["workstation"]["employee"]) == ("OCCUPIED", {"id": ADA})
    assert (free["workstation"]["status"], free["workstation"]["employee"]) == ("AVAILABLE", None)


@pytest.mark.parametrize("name", [name for name in VARIABLES if "expectedVersion" in VARIABLES[name]])
async def test_an_expected_version_that_is_past_is_a_conflict_that_carries_the_present_state(
    spacious: Office, name: str
) -> None:
    office, id, kind = spacious, GOOD[name]["id"], KIND.get(name, "Workstation")
    rival = {"notes": "somebody was faster"} if kind == "Workstation" else {"name": "somebody was faster"}
    await do(office, f"update{kind}", id=id, input=rival)

    refused = await do(office, name, expectedVersion=1)
    done = await do(office, name, expectedVersion=2)

    present = {"id": id, "version": 2}
    assert (refused["__typename"], refused["currentVersion"]) == ("Conflict", 2)
    assert refused["current"] == (present if kind == "Workstation" else None)
    assert done["__typename"].endswith(("Changed", "Deleted"))


REFUSED_BY_STATE = {
    "setWorkstationStatus": {"id": C_01, "status": "OCCUPIED"},
    "assignWorkstation": {"id": A_01, "employeeId": ADA},
}


@pytest.mark.parametrize("name", REFUSED_BY_STATE)
async def test_a_conflict_with_the_state_carries_the_state(office: Office, name: str) -> None:
    answer = await do(office, name, **REFUSED_BY_STATE[name])

    assert (answer["__typename"], answer["current"]) == ("Conflict", {"id": REFUSED_BY_STATE[name]["id"], "version": 1})


async def test_of_rivals_who_saw_the_same_version_exactly_one_wins(office: Office) -> None:
    answers = await asyncio.gather(
        *(do(office, "updateWorkstation", input={"notes": f"rival {n}"}, expectedVersion=1) for n in range(8))
    )

    kinds = sorted(answer["__typename"] for answer in answers)
    assert kinds == ["Conflict"] * 7 + ["WorkstationChanged"]


def transaction_of(office: Office, receipt: str) -> int:
    assert office.settings.secret is not None
    return int.from_bytes(Seal(office.settings.secret.get_secret_value(), "receipt").open_text(receipt))


# --- several at once -----------------------------------------------------------------------------------------------


def desk(name: str, **given: Any) -> dict[str, Any]:
    return {"name": name, "xPosition": 1, "yPosition": 2, "building": HQ, "floorNumber": 1, **given}


BAD_AMONG_GOOD = [
    (desk("New", width=0), "InvalidInput"),
    (desk("New", departmentId=A_01), "InvalidInput"),
    (desk("New", departmentId=global_id("Department", 999)), "InvalidInput"),
    (desk("New", floorNumber=77), "InvalidInput"),
    (desk("New", xPosition=1e300), "InvalidInput"),
    (desk("A-01"), "NameTaken"),
    (desk("One"), "NameTaken"),  # the first of them
]


@pytest.mark.parametrize(("bad", "member"), BAD_AMONG_GOOD)
async def test_of_several_that_are_put_up_one_bad_one_is_named_and_none_is_put_up(
    office: Office, bad: dict[str, Any], member: str
) -> None:
    answer = await do(office, "createWorkstations", input=[desk("One"), desk("Two"), bad, desk("Three")])

    assert (answer["__typename"], answer["index"]) == (member, 2)
    assert await office.sql("SELECT count(*) FROM workstations") == 5


WRONG_STATUSES = [
    ({"id": NONE, "status": "RESERVED"}, "NotFound"),
    ({"id": LOBBY, "status": "RESERVED"}, "InvalidInput"),
    ({"id": A_02, "status": "MAINTENANCE"}, "InvalidInput"),  # twice
    ({"id": C_01, "status": "OCCUPIED"}, "Conflict"),
    ({"id": B_01, "status": "AVAILABLE", "expectedVersion": 9}, "Conflict"),
]


@pytest.mark.parametrize(("bad", "member"), WRONG_STATUSES)
async def test_of_several_statuses_one_that_may_not_be_is_named_and_none_is_set(
    office: Office, bad: dict[str, Any], member: str
) -> None:
    good = {"id": A_02, "status": "RESERVED"}
    answer = await do(office, "setWorkstationStatuses", input=[good, bad])

    assert (answer["__typename"], answer["index"]) == (member, 1)
    assert await versions(office) == [1] * 5


async def test_five_hundred_are_put_up_and_changed_in_the_order_asked_for(office: Office) -> None:
    created = await do(office, "createWorkstations", input=[desk(f"N{n}") for n in range(500)])
    ids = [one["id"] for one in reversed(created["workstations"])]
    statuses = ["RESERVED", "MAINTENANCE", "OCCUPIED", "AVAILABLE"]
    asked = [{"id": id, "status": statuses[at % 4]} for at, id in enumerate(ids)]

    done = await do(office, "setWorkstationStatuses", input=asked)

    assert [one["name"] for one in created["workstations"]] == [f"N{n}" for n in range(500)]
    assert [(one["id"], one["status"]) for one in done["workstations"]] == [(one["id"], one["status"]) for one in asked]


async def test_several_that_are_freed_lose_their_occupants(office: Office) -> None:
    await do(office, "setWorkstationStatuses", input=[{"id": A_01, "status": "AVAILABLE"}])

    assert await office.sql("SELECT employee_id FROM workstations WHERE id = 1") is None


async def test_rivals_who_change_the_same_desks_in_other_orders_wait_in_no_circle(office: Office) -> None:
    asked = [{"id": id, "status": "RESERVED"} for id in (A_02, SPARE, B_01)]

    answers = await asyncio.gather(
        *(do(office, "setWorkstationStatuses", input=asked[::step]) for step in (1, -1) for _ in range(5))
    )

    assert {answer["__typename"] for answer in answers} == {"WorkstationsChanged"}


# --- one transaction -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VARIABLES)
async def test_all_of_a_mutation_is_one_transaction_that_says_who_and_on_which_request(
    spacious: Office, name: str
) -> None:
    before = await spacious.sql("SELECT coalesce(max(seq), 0) FROM change_log")

    who = WRITER.get(name, "facilities")
    response = await spacious.post(who, mutation(name), GOOD[name], x_request_id="request-7")

    receipt = response.json()["data"][name]["receipt"]
    async with spacious.database.engine.connect() as connection:
        logged = await connection.exec_driver_sql(
            f"SELECT actor, request_id, transaction_id FROM change_log WHERE seq > {before}"
        )
        assert [tuple(row) for row in logged] == [(who, "request-7", transaction_of(spacious, receipt))]


async def test_each_mutation_of_a_request_is_a_transaction_of_its_own_and_they_run_in_order(office: Office) -> None:
    answer = await office.data(
        "facilities",
        f"""mutation {{
            a: setWorkstationStatus(id: "{A_02}", status: MAINTENANCE) {{ __typename }}
            b: setWorkstationStatus(id: "{A_02}", status: RESERVED) {{ __typename }}
            c: setWorkstationStatus(id: "{A_02}", status: AVAILABLE) {{
                ... on WorkstationChanged {{ workstation {{ version }} }}
            }}
        }}""",
    )

    assert answer == {
        "a": {"__typename": "WorkstationChanged"},
        "b": {"__typename": "Conflict"},
        "c": {"workstation": {"version": 3}},
    }


# --- idempotency keys ------------------------------------------------------------------------------------------------


async def versions(office: Office) -> list[int]:
    async with office.database.engine.connect() as connection:
        return list((await connection.exec_driver_sql("SELECT version FROM workstations ORDER BY id")).scalars())


@pytest.mark.parametrize("name", VARIABLES)
async def test_the_same_key_twice_is_one_change_and_the_same_answer(spacious: Office, name: str) -> None:
    first = await do(spacious, name, key="k")
    after_first = await versions(spacious)
    again = await do(spacious, name, key="k")

    assert await versions(spacious) == after_first
    assert {**again, "receipt": None} == {**first, "receipt": None}


async def test_the_same_key_for_another_request_is_a_conflict_and_does_nothing(office: Office) -> None:
    await do(office, "updateWorkstation", key="k", input={"notes": "one"})
    before = await versions(office)

    answer = await do(office, "updateWorkstation", key="k", input={"notes": "two"})

    assert (answer["__typename"], answer["current"]) == ("Conflict", None)
    assert "make a new one" in answer["message"]
    assert await versions(office) == before


async def test_the_same_key_at_the_same_time_is_one_change(office: Office) -> None:
    answers = await asyncio.gather(*(do(office, "createWorkstation", key="k") for _ in range(8)))

    assert len({answer["workstation"]["id"] for answer in answers}) == 1
    assert await office.sql("SELECT count(*) FROM workstations WHERE name = 'New'") == 1


async def test_the_same_key_of_another_user_is_another_key(office: Office) -> None:
    answers = [await do(office, "createWorkstation", role, key="k") for role in ("facilities", "admin")]

    assert len({answer["workstation"]["id"] for answer in answers}) == 2


async def test_one_key_covers_each_mutation_of_its_request(office: Office) -> None:
    one = (
        'createWorkstation(input: {name: "New", xPosition: 1, yPosition: 2}) { ... on WorkstationChanged { receipt } }'
    )
    for _ in range(2):
        await office.data("facilities", f"mutation {{ a: {one} b: {one} }}", idempotency_key="k")

    assert await office.sql("SELECT count(*) FROM workstations WHERE name = 'New'") == 2


async def test_a_request_that_was_refused_may_be_repeated_with_its_key(office: Office) -> None:
    refused = await do(office, "setWorkstationStatus", key="k", id=C_01, status="OCCUPIED")
    await do(office, "releaseWorkstation", id=C_01)

    done = await do(office, "setWorkstationStatus", key="k", id=C_01, status="OCCUPIED")

    assert [refused["__typename"], done["__typename"]] == ["Conflict", "WorkstationChanged"]


async def test_the_answer_to_a_repeated_request_is_the_workstation_as_it_is_now(office: Office) -> None:
    await do(office, "updateWorkstation", key="k")
    await do(office, "updateWorkstation", input={"name": "Newest"})

    assert (await do(office, "updateWorkstation", key="k"))["workstation"]["name"] == "Newest"


async def test_a_repeated_request_about_what_is_gone_since_says_so(office: Office) -> None:
    await do(office, "updateWorkstation", key="k")
    await do(office, "deleteWorkstation")

    assert (await do(office, "updateWorkstation", key="k"))["__typename"] == "NotFound"


async def test_a_repeated_creation_of_what_is_gone_since_is_a_conflict(office: Office) -> None:
    made = await do(office, "createWorkstation", key="k")
    await do(office, "deleteWorkstation", id=made["workstation"]["id"])

    assert (await do(office, "createWorkstation", key="k"))["__typename"] == "Conflict"


@pytest.mark.parametrize("key", ["", "k" * 300])
async def test_a_key_that_cannot_be_kept_is_refused_and_does_nothing(office: Office, key: str) -> None:
    answer = await office.ask(
        "facilities", mutation("createWorkstation"), GOOD["createWorkstation"], idempotency_key=key
    )

    assert answer["errors"][0]["extensions"]["code"] == "INVALID_INPUT"
    assert await office.sql("SELECT count(*) FROM workstations WHERE name = 'New'") == 0


async def test_a_key_does_nothing_to_a_query(office: Office) -> None:
    for query in ("{ me { subject } }", "{ me { roles } }"):
        assert await office.data("visitor", query, idempotency_key="k")


# --- what nobody planned for -----------------------------------------------------------------------------------------


async def test_an_unexpected_error_is_masked_and_logged_with_the_id_that_the_client_is_given(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("the password is geheim")

    monkeypatch.setattr(Browse, "departments", broken)
    heard: list[observe.News] = []
    stop = observe.listen(heard.append)
    response = await office.post("visitor", "{ departments { name } me { subject } }")
    stop()

    (error,) = response.json()["errors"]
    assert "geheim" not in response.text
    assert error["extensions"]["code"] == "INTERNAL"
    assert error["path"] == ["departments"]
    (incident,) = [news for news in heard if isinstance(news, observe.Unexpected)]
    assert error["extensions"]["id"] == incident.id
    assert incident.id in error["message"]
    assert (str(incident.error), incident.where) == ("the password is geheim", "departments")


async def test_an_operation_that_takes_too_long_is_ended_and_says_so(
    servers: Servers, template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slow(*_: object) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(Browse, "departments", slow)
    async with (
        fresh_database(servers, template) as url,
        running_office(settings_for(url, servers, operation_seconds=0.05)) as office,
    ):
        error = await office.refusal("visitor", "{ departments { name } }")

    assert error["extensions"]["code"] == "UNAVAILABLE"
    assert "longer than 0.05 s" in error["message"]


async def test_a_statement_of_an_operation_that_takes_too_long_is_ended_in_postgresql_too(
    servers: Servers, template: str
) -> None:
    async with (
        fresh_database(servers, template) as url,
        running_office(settings_for(url, servers, operation_seconds=0.3)) as office,
    ):
        await office.data("visitor", "{ departments { name } }")
        holder = await asyncpg.connect(url)
        await holder.execute("BEGIN; LOCK departments IN ACCESS EXCLUSIVE MODE")
        error = await office.refusal("visitor", "{ departments { id } }")
        assert "longer than 0.3 s" in error["message"]

        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        async with asyncio.timeout(2):  # the longest statement would be 10 s
            while await holder.fetchval(waiting):  # noqa: ASYNC110  # PostgreSQL tells nobody
                await asyncio.sleep(0.02)
        await holder.execute("ROLLBACK")
        await holder.close()
        assert await office.data("visitor", "{ departments { id } }") == {"departments": []}


async def test_one_field_that_is_refused_does_not_spoil_the_others(office: Office) -> None:
    answer = await office.ask(
        "visitor", f'{{ bad: workstation(id: "x") {{ id }} good: workstation(id: "{A_01}") {{ id }} }}'
    )

    assert answer["data"] == {"bad": None, "good": {"id": A_01}}
    assert [error["path"] for error in answer["errors"]] == [["bad"]]


texts = st.text(max_size=20) | st.sampled_from(["", "\x00", "%", "\\", "'", "a" * 200, "😀", "\u202e", HQ])
integers = st.integers(-(2**31), 2**31 - 1)
floats = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53)
some_ids = st.sampled_from([A_01, SPARE, NONE, WEI, LOBBY, RESEARCH, ""]) | texts
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | floats | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional={name: st.none() | values for name, values in fields.items()})


# A document -> variables that fit their types, and nothing else about them.
ANYTHING: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "query ($f: WorkstationFilter, $o: [WorkstationOrder!], $n: Int, $a: String, $m: Int, $b: String)"
    " { workstations(filter: $f, orderBy: $o, first: $n, after: $a, last: $m, before: $b) { totalCount nodes { id } }"
    " workstationStats(filter: $f, groupBy: FLOOR) { key } }": some(
        f=some(
            ids=st.lists(some_ids, max_size=3),
            building=texts,
            floorNumber=integers,
            departmentIds=st.lists(some_ids, max_size=3),
            statuses=st.lists(st.sampled_from([status.name for status in Status])),
            employeeId=some_ids,
            nameContains=texts,
            equipmentContains=texts,
            xMin=floats,
            yMax=floats,
            employeeNumber=texts,
        ),
        o=st.lists(st.fixed_dictionaries({"field": st.sampled_from(["NAME", "BUILDING", "X_POSITION"])}), max_size=3),
        n=integers,
        a=texts,
        m=integers,
        b=texts,
    ),
    "query ($d: ID, $n: String, $a: String) { employees(departmentId: $d, nameContains: $n, after: $a)"
    " { nodes { id } } }": some(d=some_ids, n=texts, a=texts),
    "query ($b: String!, $n: Int!) { floors(building: $b) { id } floor(building: $b, number: $n) { id cursor"
    " workstations { id } stats { total } } }": st.fixed_dictionaries({"b": texts, "n": integers}),
    "query ($i: [ID!]!) { nodes(ids: $i) { id ... on Floor { workstations { id } } } }": st.fixed_dictionaries(
        {"i": st.lists(some_ids, max_size=4)}
    ),
    mutation("createWorkstation"): st.fixed_dictionaries(
        {
            "input": st.fixed_dictionaries(
                {"name": texts, "xPosition": floats, "yPosition": floats},
                optional={
                    "width": floats,
                    "building": texts,
                    "floorNumber": integers,
                    "departmentId": some_ids,
                    "equipment": json_values,
                    "notes": texts,
                },
            )
        }
    ),
    mutation("updateWorkstation"): st.fixed_dictionaries(
        {
            "id": some_ids,
            "input": some(
                name=texts, xPosition=floats, height=floats, building=texts, floorNumber=integers, equipment=json_values
            ),
            "expectedVersion": st.none() | integers,
        }
    ),
    mutation("assignWorkstation"): st.fixed_dictionaries({"id": some_ids, "employeeId": some_ids}),
}


@pytest.mark.parametrize("document", ANYTHING, ids=lambda document: document[:40])
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # what one example leaves behind is the next one's
)
@given(data=st.data(), key=st.none() | st.text("abc", min_size=1, max_size=3))
async def test_nothing_that_fits_its_types_is_unexpected(
    office: Office, document: str, data: st.DataObject, key: str | None
) -> None:
    variables = data.draw(ANYTHING[document])

    answer = await office.ask("admin", document, variables, **({} if key is None else {"idempotency_key": key}))

    assert {error["extensions"]["code"] for error in answer.get("errors", [])} <= {"INVALID_INPUT", "TOO_MANY"}
