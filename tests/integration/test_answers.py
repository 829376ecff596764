"""Finished answers are shared by all who ask the same with the same view, and are never older than what is known."""

import asyncio
import random
import secrets
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import pytest_asyncio
from httpx import Response
from pydantic import SecretStr

from graphql_app.domain.access import ROLES
from graphql_app.embedded import Servers
from graphql_app.graph.engine.execution import Execution
from graphql_app.testing import new_key
from tests.graphql_client import (
    A_01,
    A_02,
    C_01,
    HQ,
    LOBBY,
    PERSONNEL,
    RESEARCH,
    WEI,
    WEI_KEY,
    Office,
    Socket,
    fresh_database,
    numbered,
    running_office,
    seed,
    settings_for,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

FLOOR = (
    "query ($building: String!, $number: Int!) { floor(building: $building, number: $number) { name"
    " workstations { id name status xPosition employeeId version employee { name employeeNumber } department { name } }"
    " stats { available occupied } } }"
)
LOBBY_ASKED = {"building": HQ, "number": 1}
SET_STATUS = (
    "mutation ($id: ID!, $status: WorkstationStatus!) { setWorkstationStatus(id: $id, status: $status)"
    " { ... on WorkstationChanged { receipt } } }"
)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["by ASGI", "by connection"])
async def servers_of_two(
    request: pytest.FixtureRequest, servers: Servers, template: str
) -> AsyncIterator[tuple[Office, Office]]:
    """Two processes of one installation: the first keeps answers, the second does not."""
    shared: dict[str, Any] = {
        "secret": SecretStr(secrets.token_urlsafe(32)),
        "token_private_key": SecretStr(new_key()),
    }
    async with (
        fresh_database(servers, template) as url,
        running_office(settings_for(url, servers, **shared), is_connected=request.param == "by connection") as warm,
        running_office(settings_for(url, servers, answers_bytes=0, **shared)) as cold,
    ):
        yield warm, cold


@pytest_asyncio.fixture(loop_scope="module")
async def both(servers_of_two: tuple[Office, Office]) -> tuple[Office, Office]:
    await seed(servers_of_two[0].database)
    await level(servers_of_two[0])
    return servers_of_two


@pytest.fixture
def office(both: tuple[Office, Office]) -> Office:
    return both[0]


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kinds of the operations that were executed, rather than answered from memory."""
    run = Execution.run
    executed: list[str] = []

    async def counted(self: Execution, operation: Any, *rest: Any) -> Any:
        executed.append(operation.kind)
        return await run(self, operation, *rest)

    monkeypatch.setattr(Execution, "run", counted)
    return executed


async def level(office: Office) -> None:
    """Waits until the server has heard of everything."""
    await numbered(office.database)
    async with asyncio.timeout(10):
        while not await is_level(office):  # noqa: ASYNC110  # asked over HTTP
            await asyncio.sleep(0.005)


async def is_level(office: Office) -> bool:
    answer = await office.client.get("/readyz", headers=office.headers("operator"))
    detail: str = answer.json()["checks"]["feed"]["detail"]
    return detail.endswith(" 0 behind")


async def by_get(office: Office, role: str, query: str, *, tag: str | None = None, **headers: str) -> Response:
    given = {**office.headers(role), **headers} | ({"If-None-Match": tag} if tag else {})
    return await office.client.get("/graphql", params={"query": query}, headers=given)


# --- what is shared --------------------------------------------------------------------------------------------------


async def test_who_asks_the_same_with_the_same_view_is_given_the_same_answer(
    office: Office, executed: list[str]
) -> None:
    first = await office.data("admin", FLOOR, LOBBY_ASKED)
    others = [
        await office.client.post(
            "/graphql",
            content=orjson.dumps({"variables": dict(reversed(LOBBY_ASKED.items())), "query": FLOOR, "extensions": {}}),
            headers={
                "Authorization": f"Bearer {office.token('admin', subject=who)}",
                "Content-Type": "application/json",
            },
        )
        for who in ("ada", "wei")
    ]

    assert [other.json()["data"] for other in others] == [first, first]
    assert executed == ["query"]


async def test_another_view_is_given_an_answer_of_its_own(office: Office, executed: list[str]) -> None:
    shown = {role: await office.data(role, FLOOR, LOBBY_ASKED) for role in ("admin", "visitor", "hr", "facilities")}

    assert len(executed) == 4
    seated = {role: data["floor"]["workstations"][0] for role, data in shown.items()}
    assert [seated[role]["employeeId"] for role in seated] == ["E-1001", None, "E-1001", None]
    assert [seated[role]["xPosition"] for role in seated] == [10.5, None, None, 10.5]
    assert [seated[role]["version"] for role in seated] == [1, None, None, 1]


@pytest.mark.parametrize(
    "query",
    [
        "{ me { subject } }",
        "{ me { subject } floors { number } }",
        "query { ...F } fragment F on Query { ... { me { subject } } floors { number } }",
        "{ alias: me { subject } }",
        f'{{ node(id: "{A_01}") {{ id }} }}',
        f'{{ nodes(ids: ["{A_01}"]) {{ id }} }}',
        "{ notifications { nodes { title } } }",
    ],
)
async def test_what_may_be_of_the_person_is_executed_for_each(office: Office, executed: list[str], query: str) -> None:
    answers = []
    for who in ("ada", "wei"):
        token = office.token("visitor", subject=who)
        answer = await office.client.post(
            "/graphql", json={"query": query}, headers={"Authorization": f"Bearer {token}"}
        )
        answers.append(answer.json())

    assert executed == ["query", "query"]
    assert "errors" not in answers[0]
    if "subject" in query:
        assert answers[0] != answers[1]


async def test_those_who_ask_at_the_same_time_are_answered_by_one_execution(
    office: Office, executed: list[str]
) -> None:
    answers = await asyncio.gather(*(office.data("visitor", FLOOR, LOBBY_ASKED) for _ in range(20)))

    assert executed == ["query"]
    assert all(answer == answers[0] for answer in answers)


async def test_an_answer_with_errors_is_not_kept(office: Office, executed: list[str]) -> None:
    for _ in range(2):
        assert (await office.refusal("visitor", "{ workstations(first: 10000) { nodes { id } } }"))["message"]

    assert executed == ["query", "query"]


async def test_events_carry_a_kept_answer_as_well(office: Office, executed: list[str]) -> None:
    await office.data("visitor", "{ floors { number } }")

    answer = await office.post("visitor", "{ floors { number } }", accept="text/event-stream")

    assert answer.text.startswith('event: next\ndata: {"data":{"floors":')
    assert executed == ["query"]


async def test_sockets_are_given_the_answer_that_http_is_and_each_view_its_own(
    office: Office, executed: list[str]
) -> None:
    by_http = {role: await office.data(role, FLOOR, LOBBY_ASKED) for role in ("admin", "visitor")}
    for role, data in by_http.items():
        async with office.socket(role) as socket:
            for id in ("1", '"'):
                socket.subscribe(FLOOR, LOBBY_ASKED, id)
                answer = await socket.receive()
                assert (answer["id"], answer["payload"]["data"]) == (id, data)
                assert await socket.receive() == {"id": id, "type": "complete"}

    assert executed == ["query", "query"]


# --- what makes one untrue -------------------------------------------------------------------------------------------

# What another program does -> a query whose answer it changes.
CHANGES: dict[str, tuple[str, str]] = {
    "a status": ("UPDATE workstations SET status = 'maintenance' WHERE id = 2", FLOOR),
    "a new desk": (
        "INSERT INTO workstations (name, building, floor_number, x_position, y_position)"
        f" VALUES ('New', '{HQ}', 1, 1, 1)",
        FLOOR,
    ),
    "a desk that goes": ("DELETE FROM workstations WHERE id = 2", FLOOR),
    "a desk that moves in": (f"UPDATE workstations SET building = '{HQ}', floor_number = 1 WHERE id = 4", FLOOR),
    "a desk that moves out": ("UPDATE workstations SET building = 'Annex', floor_number = -1 WHERE id = 1", FLOOR),
    "an occupant's name": ("UPDATE employees SET name = 'Wei' WHERE id = 1", FLOOR),
    "a department's name": ("UPDATE departments SET name = 'R&D' WHERE id = 1", FLOOR),
    "a floor's name": ("UPDATE floors SET name = 'Entrance' WHERE id = 1", FLOOR),
    "a floor's name in the list": ("UPDATE floors SET name = 'Entrance' WHERE id = 1", "{ floors { name } }"),
    "a new floor": (f"INSERT INTO floors (building, number, name) VALUES ('{HQ}', 3, '')", "{ floors { number } }"),
    "a building's name": ("UPDATE buildings SET name = 'Tower' WHERE name = 'Annex'", "{ floors { building } }"),
    "one desk": (
        "UPDATE workstations SET notes = 'x' WHERE id = 1",
        f'{{ workstations(filter: {{ids: ["{A_01}"]}}) {{ nodes {{ notes }} }} }}',
    ),
    "the figures": (
        "UPDATE workstations SET status = 'maintenance' WHERE id = 2",
        "{ workstationStats { maintenance } }",
    ),
    "a page": (
        "UPDATE workstations SET name = '0' WHERE id = 4",
        "{ workstations(orderBy: [{field: NAME}], first: 2) { nodes { name } totalCount } }",
    ),
    "a filtered page": (
        "UPDATE workstations SET status = 'available' WHERE id = 4",
        "{ workstations(filter: {statuses: [AVAILABLE]}) { nodes { name } totalCount } }",
    ),
    "a department in the list": ("UPDATE departments SET name = 'R&D' WHERE id = 1", "{ departments { name } }"),
    "an employee in the list": (
        "UPDATE employees SET name = 'Wei' WHERE id = 1",
        "{ employees { nodes { name department { name } } } }",
    ),
    "an employee's department in the list": (
        "UPDATE departments SET name = 'R&D' WHERE id = 1",
        "{ employees { nodes { name department { name } } } }",
    ),
}


@pytest.mark.parametrize("what", CHANGES)
async def test_a_change_by_anybody_makes_the_answers_untrue_that_show_it(
    both: tuple[Office, Office], executed: list[str], what: str
) -> None:
    warm, cold = both
    change, query = CHANGES[what]
    asked = LOBBY_ASKED if query == FLOOR else {}
    before = await warm.data("admin", query, asked)
    assert await warm.data("admin", query, asked) == before
    assert executed == ["query"], "it was kept"

    await warm.sql(change)
    await level(warm)

    after = await warm.data("admin", query, asked)
    assert after == await cold.data("admin", query, asked)
    assert after != before


async def test_a_change_elsewhere_leaves_an_answer_as_it_is(office: Office, executed: list[str]) -> None:
    queries = [
        f'{{ floor(building: "{HQ}", number: 1) {{ name workstations {{ name }} stats {{ total }} }} }}',
        f'{{ workstations(filter: {{ids: ["{A_01}"]}}) {{ nodes {{ name }} }} }}',
        f'{{ workstations(filter: {{building: "{HQ}"}}) {{ totalCount }} }}',
    ]
    for query in queries:
        await office.data("admin", query)

    await office.sql("UPDATE workstations SET status = 'available' WHERE id = 4")  # in the other building
    await level(office)
    for query in queries:
        await office.data("admin", query)

    assert executed == ["query"] * 3


async def test_the_answer_about_one_desk_is_made_anew_each_time(office: Office, executed: list[str]) -> None:
    for _ in range(2):
        await office.data("admin", f'{{ workstation(id: "{A_01}") {{ name }} }}')

    assert executed == ["query", "query"]


async def test_an_own_write_is_seen_at_once_by_everybody_on_that_process(office: Office) -> None:
    for status in ("MAINTENANCE", "AVAILABLE") * 10:
        await office.data("visitor", FLOOR, LOBBY_ASKED)
        await office.data("facilities", SET_STATUS, {"id": A_02, "status": status})
        seen = await office.data("visitor", FLOOR, LOBBY_ASKED)
        assert seen["floor"]["workstations"][1]["status"] == status


async def test_whoever_shows_a_receipt_is_shown_the_write_though_another_answer_is_kept(
    both: tuple[Office, Office],
) -> None:
    warm, cold = both
    for status in ("MAINTENANCE", "AVAILABLE") * 10:
        await warm.data("visitor", FLOOR, LOBBY_ASKED)
        done = await cold.data("facilities", SET_STATUS, {"id": A_02, "status": status})
        receipt = done["setWorkstationStatus"]["receipt"]
        seen = await warm.data("visitor", FLOOR, LOBBY_ASKED, x_min_cursor=receipt)
        assert seen["floor"]["workstations"][1]["status"] == status


async def test_a_cursor_that_was_kept_still_leads_to_everything_after_it(office: Office) -> None:
    query = f'{{ floor(building: "{HQ}", number: 1) {{ cursor workstations {{ name }} }} }}'
    await office.data("visitor", query)
    await office.sql("UPDATE workstations SET notes = 'elsewhere' WHERE id = 4")
    await level(office)
    cursor = (await office.data("visitor", query))["floor"]["cursor"]
    await office.sql("UPDATE workstations SET notes = 'here' WHERE id = 2")
    await level(office)  # else it may come in the second payload

    async with office.socket("visitor") as socket:
        socket.subscribe(
            "subscription ($f: WorkstationFilter, $after: Cursor) { workstationChanges(filter: $f, after: $after)"
            " { kind workstations { id notes } } }",
            {"f": {"building": HQ, "floorNumber": 1}, "after": cursor},
        )
        feed = (await socket.payload())["data"]["workstationChanges"]

    assert feed == {"kind": "CHANGES", "workstations": [{"id": A_02, "notes": "here"}]}


# --- ETag ------------------------------------------------------------------------------------------------------------

FLOORS = "{ floors { number name } }"


@pytest.mark.parametrize("which", [0, 1], ids=["kept", "not kept"])
async def test_a_get_is_answered_with_an_etag_and_later_with_304_while_it_is_true(
    both: tuple[Office, Office], which: int
) -> None:
    office = both[which]
    first = await by_get(office, "visitor", FLOORS)
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == "private, no-cache"
    assert {"Accept", "Authorization"} <= set(first.headers["vary"].replace(" ", "").split(","))

    for given in (tag, f'"x", {tag}', tag.removeprefix("W/"), "*"):
        again = await by_get(office, "visitor", FLOORS, tag=given)
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)

    await office.sql("UPDATE floors SET name = 'Entrance' WHERE id = 1")
    await level(office)
    changed = await by_get(office, "visitor", FLOORS, tag=tag)
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag


async def test_the_etag_of_a_view_tells_nothing_of_what_it_is_not_shown(office: Office) -> None:
    query = f'{{ workstation(id: "{A_01}") {{ name xPosition version }} }}'
    tag = (await by_get(office, "visitor", query)).headers["etag"]
    seeing = (await by_get(office, "admin", query)).headers["etag"]

    await office.sql("UPDATE workstations SET x_position = 99 WHERE id = 1")
    await level(office)

    assert (await by_get(office, "visitor", query, tag=tag)).status_code == 304
    assert (await by_get(office, "admin", query, tag=seeing)).status_code == 200


async def test_an_etag_of_another_view_is_none(office: Office) -> None:
    query = f'{{ workstation(id: "{A_01}") {{ xPosition }} }}'
    tag = (await by_get(office, "admin", query)).headers["etag"]

    answer = await by_get(office, "visitor", query, tag=tag)

    assert (answer.status_code, answer.json()["data"]) == (200, {"workstation": {"xPosition": None}})


@pytest.mark.parametrize(
    "query", ["{ me { subject } }", "{ nothing }", "{ workstations(first: 10000) { nodes { id } } }"]
)
async def test_what_is_personal_or_has_errors_has_no_etag(office: Office, query: str) -> None:
    answer = await by_get(office, "visitor", query)

    assert "etag" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"


# --- whatever is asked, in whatever order, while things change -------------------------------------------------------

DOCUMENTS: list[tuple[str, dict[str, Any]]] = [
    *[(FLOOR, {"building": building, "number": number}) for building, number in ((HQ, 1), (HQ, 2), ("Annex", -1))],
    ("{ floors { number name stats { total available } workstations { name xPosition } } }", {}),
    *[
        ("query ($id: ID!) { workstation(id: $id) { name status version employeeId department { name } } }", {"id": id})
        for id in (A_01, A_02, C_01)
    ],
    (
        "query ($f: WorkstationFilter) { workstations(filter: $f, first: 3) { totalCount"
        " nodes { name xPosition employee { employeeNumber } } } }",
        {"f": {"statuses": ["AVAILABLE"]}},
    ),
    (
        "query ($f: WorkstationFilter) { workstations(filter: $f) { totalCount nodes { name employeeId } } }",
        {"f": {"departmentIds": [RESEARCH, PERSONNEL]}},
    ),
    ("{ workstations(orderBy: [{field: X_POSITION}]) { nodes { name } } }", {}),  # refused to some
    ('{ workstations(filter: {employeeNumber: "E-1001"}) { nodes { name } } }', {}),  # the same
    ("{ workstationStats(groupBy: DEPARTMENT) { key total occupied } }", {}),
    ("{ departments { name } employees { nodes { name employeeNumber department { name } } } }", {}),
    ("{ me { subject scopes employeeNumber employee { name } } }", {}),
    (f'{{ node(id: "{WEI}") {{ ... on Employee {{ name employeeNumber }} }} }}', {}),
    (
        f'{{ nodes(ids: ["{LOBBY}", "{A_01}"])'
        " { id ... on Floor { name } ... on Workstation { name version } } }",
        {},
    ),
]
WAYS = ["POST", "POST", "GET", "socket"]
WRITES = [
    "UPDATE workstations SET status = (ARRAY['available','maintenance','reserved'])[1 + {n} % 3]"
    " WHERE id = 1 + {n} % 5",
    "UPDATE workstations SET x_position = {n} WHERE id = 1 + {n} % 5",
    "UPDATE workstations SET employee_id = 1 + {n} % 2, status = 'occupied' WHERE id = 3 + {n} % 3",
    "UPDATE workstations SET department_id = 1 + {n} % 2 WHERE id = 1 + {n} % 5",
    "UPDATE workstations SET building = '" + HQ + "', floor_number = 1 + {n} % 2 WHERE id = 4",
    "UPDATE workstations SET building = NULL, floor_number = NULL WHERE id = 4",
    "UPDATE employees SET name = 'Name {n}' WHERE id = 1 + {n} % 2",
    "UPDATE employees SET employee_number = 'E-{n}' WHERE id = 2",
    "UPDATE departments SET name = 'Department {n}' WHERE id = 1 + {n} % 2",
    "UPDATE floors SET name = 'Floor {n}' WHERE id = 1 + {n} % 3",
    "INSERT INTO workstations (name, building, floor_number, x_position, y_position)"
    " VALUES ('New {n}', '" + HQ + "', 2, 1, 1)",
    "DELETE FROM workstations WHERE id > 5",
]


@pytest.mark.parametrize("seed_of_chance", range(4))
async def test_whatever_is_asked_by_whomever_while_things_change_a_kept_answer_is_the_true_one(
    both: tuple[Office, Office], seed_of_chance: int
) -> None:
    warm, cold = both
    chance = random.Random(seed_of_chance)
    tokens = {role: warm.token(role, employee=WEI_KEY, number="E-OWN") for role in ROLES}

    async def ask(office: Office, role: str, query: str, variables: dict[str, Any], how: str) -> Any:
        headers = {"Authorization": f"Bearer {tokens[role]}"}
        asked = {"query": query, "variables": variables}
        if how == "socket":
            socket = Socket(office.app, {"host": "office.test", **headers})
            await socket.open()
            socket.subscribe(query, variables)
            message = await socket.receive()
            await socket.close()
            return message["payload"] if message["type"] == "next" else {"errors": message["payload"]}
        if how == "GET":
            params = {"query": query, "variables": orjson.dumps(variables).decode()}
            return (await office.client.get("/graphql", params=params, headers=headers)).json()
        return (await office.client.post("/graphql", json=asked, headers=headers)).json()

    def anything() -> tuple[str, str, dict[str, Any]]:
        return chance.choice(list(ROLES)), *chance.choice(DOCUMENTS)

    async def reading(times: int) -> None:
        for _ in range(times):
            await ask(warm, *anything(), chance.choice(WAYS))

    async def writing(times: int) -> None:
        for _ in range(times):
            await warm.sql(chance.choice(WRITES).format(n=chance.randrange(1000)))

    for _ in range(4):
        await asyncio.gather(*(reading(12) for _ in range(4)), writing(8))
        await level(warm)
        for _ in range(40):
            asked, how = anything(), chance.choice(WAYS)
            assert await ask(warm, *asked, how) == await ask(cold, *asked, "POST"), (asked, how)


ZONES = "query ($building: String!, $number: Int!) { floor(building: $building, number: $number) { name timeZone } }"


async def test_the_time_zone_of_a_floor_is_its_buildings_also_after_that_was_changed(
    office: Office, executed: list[str]
) -> None:
    shown = []
    for zone in ("Asia/Shanghai", "Europe/Lisbon"):
        await office.sql(f"UPDATE buildings SET time_zone = '{zone}' WHERE name = '{HQ}'")
        await level(office)
        for _ in range(2):
            shown.append((await office.data("visitor", ZONES, LOBBY_ASKED))["floor"]["timeZone"])

    assert shown == ["Asia/Shanghai", "Asia/Shanghai", "Europe/Lisbon", "Europe/Lisbon"]
    assert len(executed) == 2, "the second answer of each is the first, from memory"
