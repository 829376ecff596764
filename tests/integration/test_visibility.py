"""Canaries in every guarded field: no role is told one that it may not see, by whatever way it asks."""

import re
import struct
import sys
from base64 import b64decode, b64encode, urlsafe_b64decode
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
import pytest_asyncio
from graphql import GraphQLObjectType
from sqlalchemy import text as sql

from graphql_app.domain.access import GUARDED, ROLES, Scope
from graphql_app.embedded import Servers
from graphql_app.graph.api.permissions import HasScope
from graphql_app.graph.api.schema import build, printed
from graphql_app.store.schema.rows import LABELS
from tests.graphql_client import (
    A_01,
    A_02,
    ADA,
    HQ,
    LOBBY,
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

# The shipped roles, and two of an operator's own: who writes without seeing where, and who may do nothing.
SCOPES = {**ROLES, "mover": frozenset({Scope.READ, Scope.WRITE}), "nobody": frozenset[Scope]()}
# May do this and that, but not see a workstation.
UNSEEING = {
    "writer": frozenset({Scope.WRITE}),
    "auditor": frozenset({Scope.ADMIN}),
    "everything but": frozenset(Scope) - {Scope.READ},
}
READERS = [role for role, scopes in SCOPES.items() if Scope.READ in scopes]

# A value that stands nowhere else -> the scope without which nobody is told it.
NUMBERS = (31337.25, 41414.75, 51515.25, 61616.75, 32323.25)
CANARIES: dict[str, Scope] = {
    **{str(number): Scope.COORDINATES for number in NUMBERS},
    **{str(int(number)): Scope.COORDINATES for number in NUMBERS},
    "CANARY-7001": Scope.EMPLOYEES,
    "CANARY-7002": Scope.EMPLOYEES,
    "700133": Scope.WRITE,  # every version begins with it
    "1971-07-0": Scope.WRITE,  # updated_at
}
PLANTED = f"""
UPDATE employees SET employee_number = 'CANARY-700' || id;
UPDATE workstations SET (x_position, y_position, width, height) = {NUMBERS[:4]} WHERE id = 1;
ALTER TABLE workstations DISABLE TRIGGER USER;
UPDATE workstations SET version = 7001330, updated_at = '1971-07-07 07:07:07Z';
ALTER TABLE workstations ENABLE TRIGGER USER
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(servers: Servers, template: str) -> AsyncIterator[Office]:
    own = {role: sorted(scopes) for role, scopes in {**SCOPES, **UNSEEING}.items() if role not in ROLES}
    async with (
        fresh_database(servers, template) as url,
        running_office(settings_for(url, servers, roles=own)) as office,
    ):
        yield office


@pytest_asyncio.fixture(loop_scope="module")
async def office(server: Office) -> Office:
    await seed(server.database)
    async with server.database.engine.begin() as connection:
        for statement in PLANTED.split(";\n"):
            await connection.exec_driver_sql(statement)
    await numbered(server.database)
    return server


def readings(content: bytes) -> Iterator[bytes]:
    """The content, and what every text in it says when it is decoded, twice over."""
    yield content
    for _ in range(2):
        parts = []
        for text in re.findall(rb"[A-Za-z0-9+/_-]{8,}={0,2}", content):
            for decode in (b64decode, urlsafe_b64decode):
                with suppress(ValueError):
                    parts.append(decode(text + b"=" * (-len(text) % 4)))
        content = b"\n".join(parts)
        yield content


def told(content: bytes) -> set[Scope]:
    """The scopes whose canaries are in an answer, written out or hidden in a cursor or an id."""
    found = set()
    for reading in readings(content):
        found |= {scope for canary, scope in CANARIES.items() if canary.encode() in reading}
        if any(struct.pack(form, number) in reading for number in NUMBERS for form in ("<d", ">d")):
            found.add(Scope.COORDINATES)
    return found


async def test_a_canary_is_heard_wherever_it_sits() -> None:
    hidden = b64decode(b"eyJ4IjozMTMzNy4yNX0=")  # {"x":31337.25}
    assert told(hidden) == told(b'{"cursor":"eyJ4IjozMTMzNy4yNX0="}') == {Scope.COORDINATES}
    assert told(b'{"id":"' + b64encode(b"Employee:CANARY-7001") + b'"}') == {Scope.EMPLOYEES}
    assert told(b'{"version":7001330}') == {Scope.WRITE}
    assert told(b'{"id":"V29ya3N0YXRpb246MQ=="}') == set()


# --- every way to a workstation --------------------------------------------------------------------------------------

# What is asked of each, by its path in the answer -> the scope it needs.
ASKED = (
    "id name left: xPosition yPosition width height employeeId version updatedAt employee { id name employeeNumber }"
)
DESK: dict[str, Scope] = {
    "left": Scope.COORDINATES,
    "yPosition": Scope.COORDINATES,
    "width": Scope.COORDINATES,
    "height": Scope.COORDINATES,
    "employeeId": Scope.EMPLOYEES,
    "version": Scope.WRITE,
    "updatedAt": Scope.WRITE,
    "employee.employeeNumber": Scope.EMPLOYEES,
}
PERSON = {"employeeNumber": Scope.EMPLOYEES}
FRAGMENT = f"fragment Desk on Workstation {{ {ASKED} }}"


@dataclass(frozen=True)
class Way:
    """An operation, and the paths at which it comes upon a workstation (or an employee)."""

    query: str
    paths: list[str]
    shows: dict[str, Scope]

    def masked(self, role: str) -> list[str]:
        hidden = [field for field, scope in self.shows.items() if scope not in SCOPES[role]]
        return sorted(f"{path}.{field}" for path in self.paths for field in hidden)

    def tells(self, role: str) -> set[Scope]:
        return set(self.shows.values()) & SCOPES[role]


def desk(query: str, *paths: str) -> Way:
    return Way(f"{query} {FRAGMENT}" if "...Desk" in query else query, list(paths), DESK)


WAYS: dict[str, Way] = {
    "by its id": desk(f'{{ workstation(id: "{A_01}") {{ ...Desk }} }}', "workstation"),
    "without a fragment": desk(f'{{ workstation(id: "{A_01}") {{ {ASKED} }} }}', "workstation"),
    "under an alias": desk(f'{{ a: workstation(id: "{A_01}") {{ ...Desk }} }}', "a"),
    "twice": desk(f'{{ a: workstation(id: "{A_01}") {{ ...Desk }} b: node(id: "{A_01}") {{ ...Desk }} }}', "a", "b"),
    "in a list": desk("{ workstations { nodes { ...Desk } } }", "workstations.nodes"),
    "in edges": desk("{ workstations { edges { cursor node { ...Desk } } } }", "workstations.edges.node"),
    "as a node": desk(f'{{ node(id: "{A_01}") {{ ...Desk }} }}', "node"),
    "among nodes": desk(f'{{ nodes(ids: ["{WEI}", "{A_01}", "{LOBBY}"]) {{ ...Desk }} }}', "nodes"),
    "on its floor": desk(
        f'{{ floor(building: "{HQ}", number: 1) {{ workstations {{ ...Desk }} }} }}', "floor.workstations"
    ),
    "on its floor, as of a cursor": desk(
        f'{{ floor(building: "{HQ}", number: 1) {{ cursor workstations {{ ...Desk }} }} }}', "floor.workstations"
    ),
    "on all floors": desk("{ floors { workstations { ...Desk } stats { total } } }", "floors.workstations"),
    "on a floor that is a node": desk(
        f'{{ node(id: "{LOBBY}") {{ ... on Floor {{ workstations {{ ...Desk }} }} }} }}', "node.workstations"
    ),
    "through fragments within fragments": desk(
        f'{{ ... on Query {{ ...Q }} }} fragment Q on Query {{ it: node(id: "{A_01}") {{ ... on Node {{ ...N }} }} }}'
        " fragment N on Node { ... { ... on Workstation @include(if: true) { ...Desk } } }",
        "it",
    ),
    "by each field twice": desk(
        f'{{ workstation(id: "{A_01}") {{ ...Desk ... on Workstation {{ ...Desk }} ...Desk }} }}', "workstation"
    ),
    "as an employee": Way(f'{{ node(id: "{WEI}") {{ ... on Employee {{ employeeNumber }} }} }}', ["node"], PERSON),
    "among employees": Way(
        "{ employees { nodes { name employeeNumber } edges { cursor node { employeeNumber } } } }",
        ["employees.edges.node", "employees.nodes"],
        PERSON,
    ),
}


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("role", READERS)
async def test_a_query_tells_a_role_what_it_may_see_and_nothing_else(office: Office, role: str, how: str) -> None:
    way = WAYS[how]

    response = await office.post(role, way.query)

    assert "errors" not in response.json(), response.text
    assert told(response.content) == way.tells(role)
    assert response.json().get("extensions", {}).get("masked", []) == way.masked(role)


@pytest.mark.parametrize("how", WAYS)
async def test_a_role_without_any_scope_is_told_nothing(office: Office, how: str) -> None:
    response = await office.post("nobody", WAYS[how].query)

    assert {error["extensions"]["code"] for error in response.json()["errors"]} == {"FORBIDDEN"}
    assert told(response.content) == set()


@pytest.mark.parametrize("how", WAYS)
async def test_what_the_services_redact_the_schema_need_not(
    office: Office, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HasScope, "permits", lambda *_: True)
    asked_anew = f"{WAYS[how].query} # with a plan of its own, which keeps what was decided"

    assert told((await office.post("visitor", asked_anew)).content) == set()


@pytest.mark.parametrize("how", WAYS)
async def test_what_the_services_forgot_to_redact_the_schema_still_hides(
    office: Office, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_to_redact(monkeypatch)

    assert told((await office.post("visitor", WAYS[how].query)).content) == set()


@pytest.mark.parametrize("how", WAYS)
async def test_without_both_locks_it_would_be_told(office: Office, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the two tests before do not hold a door that has become a wall."""
    forget_to_redact(monkeypatch)
    monkeypatch.setattr(HasScope, "permits", lambda *_: True)
    asked_anew = f"{WAYS[how].query} # a plan that was made before keeps what was decided then"

    assert told((await office.post("visitor", asked_anew)).content) == WAYS[how].tells("admin")


def forget_to_redact(monkeypatch: pytest.MonkeyPatch) -> None:
    forgotten: dict[str, Any] = {
        "redact": lambda _, whole: whole,
        "redact_employee": lambda _, whole: whole,
        "redactor": lambda _: lambda whole: whole,
        "seen": lambda _, fields: fields,
        "labels_for": lambda _: LABELS,
    }
    users = [module for name, module in sys.modules.items() if name.startswith("graphql_app.")]
    for name, forgets in forgotten.items():
        for module in users:
            if hasattr(module, name):
                monkeypatch.setattr(module, name, forgets)


INDIRECT = {
    "statistics": "{ workstationStats(groupBy: FLOOR) { key total occupied } }",
    "counts": "{ workstations { totalCount pageInfo { startCursor endCursor } } }",
    "cursors by name": "{ workstations(orderBy: [{field: NAME}]) { edges { cursor } } }",
    "cursors by creation": "{ workstations(orderBy: [{field: CREATED_AT}]) { edges { cursor } } }",
    "cursors of employees": "{ employees { edges { cursor } } }",
    "ids": "{ workstations { nodes { id employee { id } department { id } } } floors { id cursor } }",
    "a floor's figures": f'{{ floor(building: "{HQ}", number: 1) {{ stats {{ total occupied }} }} }}',
    "the schema": "{ __schema { types { name description fields { name description } } } }",
    "an error": '{ workstation(id: "x") { xPosition } }',
}


@pytest.mark.parametrize("what", INDIRECT)
@pytest.mark.parametrize("role", SCOPES)
async def test_what_does_not_ask_for_a_guarded_field_tells_none(office: Office, role: str, what: str) -> None:
    assert told((await office.post(role, INDIRECT[what])).content) == set()


async def test_not_even_cursors_of_a_guarded_order_can_be_read(office: Office) -> None:
    for order in ("X_POSITION", "Y_POSITION", "UPDATED_AT"):
        query = f"{{ workstations(orderBy: [{{field: {order}}}]) {{ edges {{ cursor }} pageInfo {{ endCursor }} }} }}"

        assert told((await office.post("admin", query)).content) == set()


# Input that would tell of a guarded field -> the scope it needs.
GUARDED_INPUT: dict[str, Scope] = {
    "filter: {xMin: 31337}": Scope.COORDINATES,
    "filter: {xMax: 31338}": Scope.COORDINATES,
    "filter: {yMin: 0}": Scope.COORDINATES,
    "filter: {yMax: 0}": Scope.COORDINATES,
    'filter: {employeeNumber: "CANARY-7001"}': Scope.EMPLOYEES,
    "orderBy: [{field: X_POSITION}]": Scope.COORDINATES,
    "orderBy: [{field: NAME}, {field: Y_POSITION, direction: DESC}]": Scope.COORDINATES,
    "orderBy: [{field: UPDATED_AT}]": Scope.WRITE,
}


@pytest.mark.parametrize("given", GUARDED_INPUT)
@pytest.mark.parametrize("role", READERS)
async def test_filtering_or_ordering_by_a_guarded_field_needs_its_scope(office: Office, role: str, given: str) -> None:
    queries = [f"{{ workstations({given}) {{ totalCount nodes {{ id }} }} }}"]
    if given.startswith("filter"):
        queries.append(f"{{ workstationStats({given}) {{ total }} }}")
    for query in queries:
        answer = await office.ask(role, query)

        if GUARDED_INPUT[given] in SCOPES[role]:
            assert "errors" not in answer
        else:
            assert answer["data"] is None
            assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
            assert answer["errors"][0]["extensions"]["scope"] == GUARDED_INPUT[given]


@pytest.mark.parametrize("given", [given for given in GUARDED_INPUT if given.startswith("filter")])
async def test_a_subscription_by_a_guarded_field_needs_its_scope_too(office: Office, given: str) -> None:
    async with office.socket("visitor") as socket:
        socket.subscribe(f"subscription {{ workstationChanges({given}) {{ kind }} }}")
        message = await socket.receive()

    assert (message["type"], message["payload"][0]["extensions"]["code"]) == ("error", "FORBIDDEN")


# --- one's own -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", SCOPES)
async def test_one_s_own_employee_number_is_told_whoever_one_is(office: Office, role: str) -> None:
    token = office.token(role, subject="wei", employee=WEI_KEY, number="CANARY-7001")

    me = await office.data(role, "{ me { employeeNumber } }", authorization=f"Bearer {token}")

    assert me == {"me": {"employeeNumber": "CANARY-7001"}}


# --- mutations -------------------------------------------------------------------------------------------------------

REFUSED = "... on Refusal { code message } ... on Conflict { allowed current { ...Desk } }"
CHANGED = f"{{ __typename ... on WorkstationChanged {{ receipt workstation {{ ...Desk }} }} {REFUSED} }}"
DELETED = f"{{ __typename ... on WorkstationDeleted {{ id receipt }} {REFUSED} }}"

# An operation on the first workstation -> the member of its union that a writer is answered with.
MUTATIONS: dict[str, tuple[str, str]] = {
    "an edit": (f'it: updateWorkstation(id: "{A_01}", input: {{notes: "n"}}) {CHANGED}', "WorkstationChanged"),
    "a status": (f'it: setWorkstationStatus(id: "{A_01}", status: MAINTENANCE) {CHANGED}', "WorkstationChanged"),
    "an assignment": (f'it: assignWorkstation(id: "{A_01}", employeeId: "{WEI}") {CHANGED}', "WorkstationChanged"),
    "a release": (f'it: releaseWorkstation(id: "{A_01}") {CHANGED}', "WorkstationChanged"),
    "a past version": (
        f'it: updateWorkstation(id: "{A_01}", input: {{notes: "n"}}, expectedVersion: 1) {CHANGED}',
        "Conflict",
    ),
    "a past version, deleting": (f'it: deleteWorkstation(id: "{A_01}", expectedVersion: 1) {DELETED}', "Conflict"),
    "a status that cannot be": (f'it: setWorkstationStatus(id: "{A_01}", status: RESERVED) {CHANGED}', "Conflict"),
    "somebody in the way": (f'it: assignWorkstation(id: "{A_01}", employeeId: "{ADA}") {CHANGED}', "Conflict"),
    "a name that is taken": (f'it: updateWorkstation(id: "{A_01}", input: {{name: "A-02"}}) {CHANGED}', "NameTaken"),
    "a deletion": (f'it: deleteWorkstation(id: "{A_01}") {DELETED}', "WorkstationDeleted"),
}


@pytest.mark.parametrize("what", MUTATIONS)
@pytest.mark.parametrize("role", SCOPES)
async def test_the_answer_of_a_mutation_tells_a_role_what_it_may_see_and_nothing_else(
    office: Office, role: str, what: str
) -> None:
    operation, member = MUTATIONS[what]

    response = await office.post(role, f"mutation {{ {operation} }} {FRAGMENT}")

    answer = response.json()["data"]["it"]
    if Scope.WRITE not in SCOPES[role]:
        assert (answer["__typename"], told(response.content)) == ("Forbidden", set())
        return
    assert answer["__typename"] == member, answer
    shown = answer.get("workstation") or answer.get("current")
    tells = set(DESK.values()) & SCOPES[role] if shown else set()
    if shown and shown["employee"] is None:  # a release: there is no number left to tell
        tells.discard(Scope.EMPLOYEES)
    assert told(response.content) == tells
    paths = ["it.current"] if "Deleted" in operation else ["it.current", "it.workstation"]
    assert response.json().get("extensions", {}).get("masked", []) == Way("", paths, DESK).masked(role)


async def test_a_repeated_request_tells_no_more_than_the_first(office: Office) -> None:
    operation = f"mutation {{ {MUTATIONS['an edit'][0]} }} {FRAGMENT}"

    answers = [await office.post("mover", operation, idempotency_key="k") for _ in range(2)]

    assert [told(answer.content) for answer in answers] == [{Scope.WRITE}] * 2


@pytest.mark.parametrize("role", ["mover", "facilities"])
async def test_an_error_of_the_database_repeats_nothing_of_the_row(office: Office, role: str) -> None:
    moved = f'updateWorkstation(id: "{A_01}", input: {{building: "{HQ}", floorNumber: 99}}) {CHANGED}'
    hidden = await office.post(role, f"mutation {{ it: {moved} }} {FRAGMENT}")

    assert hidden.json()["data"]["it"]["__typename"] == "InvalidInput"
    assert told(hidden.content) == set()


CREATION = f'it: createWorkstation(input: {{name: "A-09", xPosition: 1, yPosition: 1}}) {CHANGED}'
UNSEEN: dict[str, str] = {
    **{what: f"mutation {{ {operation} }} {FRAGMENT}" for what, (operation, _) in MUTATIONS.items()},
    "a creation": f"mutation {{ {CREATION} }} {FRAGMENT}",
    "a notification": (
        'mutation { it: publishNotification(input: {title: "t"}) {'
        f" __typename ... on NotificationPublished {{ receipt }} {REFUSED.replace('...Desk', 'id')} }} }}"
    ),
    "the audit log": "{ auditLog { nodes { id before { name } after { name } } } }",
}


@pytest.mark.parametrize("what", UNSEEN)
@pytest.mark.parametrize("role", UNSEEING)
async def test_who_may_not_read_is_shown_no_row_by_what_they_may_do(office: Office, role: str, what: str) -> None:
    before = await office.database.fetch(sql("SELECT to_jsonb(w) AS row FROM workstations w ORDER BY id"))

    answer = (await office.post(role, UNSEEN[what])).json()

    refused = (answer.get("data") or {}).get("it") or answer["errors"][0]["extensions"]
    assert "FORBIDDEN" in (refused.get("code"), refused.get("__typename", "").upper())
    assert told(orjson.dumps(answer)) == set()
    assert await office.database.fetch(sql("SELECT to_jsonb(w) AS row FROM workstations w ORDER BY id")) == before


@pytest.mark.parametrize("role", UNSEEING)
async def test_who_may_not_read_does_nothing_over_rest(office: Office, role: str) -> None:
    headers, path = office.headers(role), f"/api/workstations/{A_01}"
    new = {"name": "A-09", "xPosition": 1, "yPosition": 1}

    answers = [
        await office.client.put(path, json={"notes": "n"}, headers=headers),
        await office.client.put(path, json={"notes": "n"}, headers={**headers, "If-Match": '"past"'}),
        await office.client.post("/api/workstations", json=new, headers=headers),
        await office.client.delete(path, headers=headers),
    ]

    assert [answer.status_code for answer in answers] == [403] * 4
    assert set().union(*(told(answer.content) for answer in answers)) == set()


# --- guesses ---------------------------------------------------------------------------------------------------------

GUARDED_INPUTS = [name for name, scope in GUARDED["Workstation"].items() if scope is Scope.COORDINATES]
STATE = "SELECT version, updated_at, x_position, (SELECT max(seq) FROM change_log) FROM workstations WHERE id = 1"


@pytest.mark.parametrize("key", [None, "k"])
@pytest.mark.parametrize("is_right", [True, False])
@pytest.mark.parametrize("name", GUARDED_INPUTS)
async def test_a_guess_at_what_one_may_not_see_is_not_written_and_so_tells_nothing(
    office: Office, name: str, is_right: bool, key: str | None
) -> None:
    """Where it is right nothing would change: no version, no moment, no entry of the log, no payload, no ETag."""
    (row,) = await office.database.fetch(sql("SELECT * FROM workstations WHERE id = 1"))
    guess = float(row[name]) if is_right else 7.0
    given = f"{camel(name)}: {guess}"
    before = await office.database.fetch(sql(STATE))
    edit = f'mutation {{ it: updateWorkstation(id: "{A_01}", input: {{{given}, notes: "n"}}) {CHANGED} }} {FRAGMENT}'
    more: dict[str, Any] = {} if key is None else {"idempotency_key": key}

    graphql = (await office.post("mover", edit, **more)).json()["data"]["it"]
    rest = await office.client.put(
        f"/api/workstations/{A_01}", json={camel(name): guess}, headers=office.headers("mover")
    )

    assert (graphql["__typename"], graphql["message"]) == (
        "Forbidden",
        f"Changing {camel(name)} needs the scope coordinates:read.",
    )
    assert (rest.status_code, rest.json()["field"], rest.headers.get("ETag")) == (403, camel(name), None)
    assert await office.database.fetch(sql(STATE)) == before


async def test_who_does_not_see_where_desks_stand_may_still_put_one_up(office: Office) -> None:
    answer = await office.post("mover", f"mutation {{ {CREATION} }} {FRAGMENT}")

    assert answer.json()["data"]["it"]["__typename"] == "WorkstationChanged"


# --- subscriptions ---------------------------------------------------------------------------------------------------

FEED = f"subscription {{ feed: workstationChanges {{ kind cursor removed workstations {{ ...Desk }} }} }} {FRAGMENT}"


async def news(socket: Socket) -> Any:
    """The next payload; its canaries are looked for by whoever asked."""
    return await socket.payload()


def words(payload: Any) -> bytes:
    return bytes(orjson.dumps(payload))


@pytest.mark.parametrize("role", READERS)
async def test_a_subscription_tells_a_role_what_it_may_see_and_nothing_else(office: Office, role: str) -> None:
    way = desk(FEED, "feed.workstations")
    async with office.socket(role) as socket:
        socket.subscribe(FEED)
        snapshot = await news(socket)
        await office.sql("UPDATE workstations SET notes = 'seen by all' WHERE id = 1")
        change = await news(socket)
        await office.sql("DELETE FROM workstations WHERE id = 1")
        deletion = await news(socket)

    assert [payload["data"]["feed"]["kind"] for payload in (snapshot, change, deletion)] == [
        "SNAPSHOT",
        "CHANGES",
        "CHANGES",
    ]
    for payload in (snapshot, change):
        assert told(words(payload)) == way.tells(role)
    assert (deletion["data"]["feed"]["removed"], told(words(deletion))) == ([A_01], set())
    for payload in (snapshot, change, deletion):
        assert payload.get("extensions", {}).get("masked", []) == way.masked(role)


PRESENT = {"people": Scope.EMPLOYEES, "people.employeeNumber": Scope.EMPLOYEES}
WHO = f"""subscription {{ feed: presence(building: "{HQ}", floor: 1) {{
    building floorNumber count partial people {{ id name employeeNumber department {{ name }} }} }} }}"""


@pytest.mark.parametrize("role", READERS)
async def test_presence_tells_names_and_numbers_only_to_who_may_see_them(office: Office, role: str) -> None:
    headers = {"authorization": f"Bearer {office.token('employee', subject='wei', employee=WEI_KEY)}"}
    watching = f'subscription {{ floorStatus(building: "{HQ}", number: 1) {{ number }} }}'
    wei = Socket(office.app, {"host": "office.test", **headers})
    await wei.open()
    wei.subscribe(watching)
    await news(wei)
    async with office.socket(role) as socket:
        socket.subscribe(WHO)
        payload = await news(socket)
    await wei.close()

    shown = payload["data"]["feed"]
    assert (shown["building"], shown["floorNumber"]) == (HQ, 1)
    assert shown["count"] >= 2, "they, and whoever asks; those of the test before may linger"
    assert payload.get("extensions", {}).get("masked", []) == Way("", ["feed"], PRESENT).masked(role)
    assert told(words(payload)) == {Scope.EMPLOYEES} & SCOPES[role]
    if Scope.EMPLOYEES in SCOPES[role]:
        assert [(one["id"], one["name"]) for one in shown["people"]] == [(WEI, "张伟")]
    else:
        assert shown["people"] is None
        assert "张伟" not in str(payload)


HIDDEN_CHANGES = {
    Scope.COORDINATES: f"UPDATE workstations SET x_position = {NUMBERS[4]} WHERE id = 1",
    Scope.EMPLOYEES: "UPDATE employees SET employee_number = 'CANARY-7002-B' WHERE id = 1",
}


@pytest.mark.parametrize("scope", HIDDEN_CHANGES)
@pytest.mark.parametrize("role", READERS)
async def test_a_change_of_hidden_fields_is_not_told_at_all(office: Office, role: str, scope: Scope) -> None:
    async with office.socket(role) as socket:
        socket.subscribe(FEED)
        await news(socket)
        await office.sql(HIDDEN_CHANGES[scope])
        await office.sql("UPDATE workstations SET notes = 'seen by all' WHERE id = 2")
        heard: list[str] = []
        while A_02 not in heard:
            payload = await news(socket)
            heard += [w["id"] for w in payload["data"]["feed"]["workstations"]]
            assert told(words(payload)) <= SCOPES[role]

    assert (A_01 in heard) == (scope in SCOPES[role])


async def test_a_resumed_subscription_tells_no_more_than_one_that_never_stopped(office: Office) -> None:
    async with office.socket("visitor") as socket:
        socket.subscribe(FEED)
        cursor = (await news(socket))["data"]["feed"]["cursor"]
    await office.sql(HIDDEN_CHANGES[Scope.COORDINATES])
    await office.sql("UPDATE workstations SET notes = 'seen by all' WHERE id = 2")

    resumed = FEED.replace("workstationChanges", f'workstationChanges(after: "{cursor}")')
    heard: list[str] = []
    async with office.socket("visitor") as socket:
        socket.subscribe(resumed)
        while A_02 not in heard:
            payload = await news(socket)
            heard += [w["id"] for w in payload["data"]["feed"]["workstations"]]
            assert told(words(payload)) == set()

    assert A_01 not in heard


async def test_a_cursor_of_somebody_who_sees_more_opens_nothing(office: Office) -> None:
    async with office.socket("admin") as socket:
        socket.subscribe(FEED)
        cursor = (await news(socket))["data"]["feed"]["cursor"]

    async with office.socket("visitor") as socket:
        socket.subscribe(FEED.replace("workstationChanges", f'workstationChanges(after: "{cursor}")'))
        payload = await news(socket)

    assert payload["data"]["feed"]["kind"] == "RESYNC"
    assert told(words(payload)) == set()


async def test_who_sees_less_does_not_share_an_execution_with_who_sees_more(office: Office) -> None:
    async with office.socket("admin") as admin, office.socket("visitor") as visitor, office.socket("hr") as hr:
        sockets = {"admin": admin, "visitor": visitor, "hr": hr}
        for socket in sockets.values():
            socket.subscribe(FEED)
            await news(socket)
        await office.sql("UPDATE workstations SET notes = 'seen by all' WHERE id = 1")

        for role, socket in sockets.items():
            assert told(words(await news(socket))) == set(DESK.values()) & SCOPES[role]


# --- the other doors -------------------------------------------------------------------------------------------------

PATHS = [
    "/api/workstations",
    f"/api/workstations/{A_01}",
    "/api/workstations/stats",
    "/api/changes?wait=0",
    "/api/export/workstations",
    "/api/export/workstations?format=json",
    "/api/openapi.json",
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("role", READERS)
async def test_the_rest_doors_tell_a_role_what_it_may_see_and_nothing_else(
    office: Office, role: str, path: str
) -> None:
    response = await office.client.get(path, headers=office.headers(role))

    assert response.status_code == 200, response.text
    shows = "stats" not in path and "openapi" not in path
    unwritten = {Scope.WRITE} if "export" in path else set()  # a file has no versions
    assert told(response.content) == ((set(DESK.values()) & SCOPES[role]) - unwritten if shows else set())


# --- the printed schema ----------------------------------------------------------------------------------------------


def camel(name: str) -> str:
    return re.sub("_(.)", lambda letter: letter[1].upper(), name)


async def test_the_printed_schema_marks_exactly_the_guarded_fields() -> None:
    marked: dict[str, dict[str, str]] = {}
    for type_name, body in re.findall(r"^type (\w+)[^{]*\{(.*?)^\}", printed(build()), re.DOTALL | re.MULTILINE):
        found = re.findall(r'^  (\w+).*?@guarded\(scope: "([^"]+)"\)', body, re.MULTILINE)
        if found:
            marked[type_name] = dict(found)

    assert marked == {
        type_name: {camel(name): str(scope) for name, scope in guarded.items()}
        for type_name, guarded in GUARDED.items()
    }


async def test_every_guarded_field_is_nullable() -> None:
    schema = build()._schema
    for type_name, guarded in GUARDED.items():
        found = schema.get_type(type_name)
        assert isinstance(found, GraphQLObjectType)
        assert not [name for name in guarded if str(found.fields[camel(name)].type).endswith("!")]


async def test_every_guarded_field_is_asked_for_here() -> None:
    asked = {field.rpartition(".")[2] for field in {**DESK, **PRESENT}} - {"left"} | {"xPosition"}

    assert asked == {camel(name) for guarded in GUARDED.values() for name in guarded}
