"""Hidden stays hidden: a walk over all that can be asked, made from the schema, by every role, with canaries in every
guarded field. No answer holds one that its role may not see, and nothing else in it depends on one."""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import orjson
import pytest
import pytest_asyncio
from httpx import Response
from pydantic import SecretStr

from graphql_app.domain import access
from graphql_app.domain.access import GUARDED, ROLES, Scope
from graphql_app.domain.exporting import ExportFormat
from graphql_app.domain.importing import ImportKind
from graphql_app.embedded import Servers
from graphql_app.graph.api.permissions import HasScope
from graphql_app.graph.api.schema import build
from graphql_app.services.office import browse, table
from graphql_app.settings import Settings
from tests.canaries import CANARIES, GUARDING, Canary, heard, plant, readings, unplanted
from tests.graphql_client import (
    A_01,
    A_02,
    ADA,
    HQ,
    LOBBY,
    MAIN,
    RESEARCH,
    WEI,
    Office,
    fresh_database,
    numbered,
    running_office,
    settings_for,
)
from tests.walk import STYLES, Call, calls, reachable, walk

pytestmark = pytest.mark.asyncio(loop_scope="module")

EVERYTHING = frozenset(Scope)
# The shipped roles; one that may do everything but see one thing, for each that is guarded; one that sees nothing
# guarded but may do everything else; and one that may do nothing at all.
SCOPES: dict[str, frozenset[Scope]] = {
    **ROLES,
    **{f"all but {scope}": EVERYTHING - {scope} for scope in sorted(GUARDING)},
    "auditor": EVERYTHING - GUARDING,
    "mover": frozenset({Scope.READ, Scope.WRITE, Scope.ADMIN}),
    "nobody": frozenset[Scope](),
}
OWN = {role: sorted(scopes) for role, scopes in SCOPES.items() if role not in ROLES}
BLIND = [role for role, scopes in SCOPES.items() if scopes and not scopes >= GUARDING]
# The types that mutations answer whoever has a scope with.
ANSWERED = {
    Scope.WRITE: {"WorkstationChanged", "WorkstationDeleted", "Conflict", "NameTaken"},
    Scope.OFFICE: {"BuildingChanged", "FloorChanged", "DepartmentChanged", "InUse"},
    Scope.STAFF: {"EmployeeChanged", "InUse"},
}
WRITERS = [role for role, scopes in SCOPES.items() if scopes & ANSWERED.keys()]


def slowly(roles: list[str], *but: str) -> list[Any]:
    """All of them with `make conformance`, some with `make test`."""
    return [role if role in but else pytest.param(role, marks=pytest.mark.conformance) for role in roles]


def text(value: object) -> str:
    return orjson.dumps(value).decode()


SCHEMA = build()._schema
STRINGS = [text(canary.value(1)) for canary in CANARIES if isinstance(canary.value(1), str)]
NUMBERS = [text(canary.value(3)) for canary in CANARIES if isinstance(canary.value(1), float)]  # some are below
VERSIONS = [text(canary.value(1)) for canary in CANARIES if isinstance(canary.value(1), int)]
MOMENTS = [text(canary.value(1)) for canary in CANARIES if hasattr(canary.value(1), "year")]
assert STRINGS
assert NUMBERS
IDS = [text(one) for one in (A_01, A_02, WEI, ADA, LOBBY, RESEARCH, MAIN, "x")]
# What is tried: the hidden values themselves, so that a filter that told of one would find it.
PROBES = {
    "String": [*STRINGS, text(STRINGS[0][1:7]), '"A-01"'],
    "Float": NUMBERS,
    "Int": ["1", *VERSIONS],
    "DateTime": [*MOMENTS, '"2026-01-01T00:00:00Z"'],
    "ID": IDS,
    "Boolean": ["true", "false"],
    "JSON": ["1"],
    "Cursor": ['"x"'],
    "building": [text(HQ), '"nowhere"'],
    **{key: ["1", "99"] for key in ("number", "floor", "floorNumber")},
    **{key: ["2"] for key in ("first", "last")},
    **{key: ['"x"'] for key in ("after", "before")},
    "ids": [f"[{', '.join(IDS[:-1])}]", IDS[-1]],
    "departmentId": [text(RESEARCH)],
    "actor": ['"admin"', *STRINGS],
    "Date": ['"2030-06-03"'],
    "Time": ['"09:00:00"'],
    # Of these, one thing of several must be given.
    "ReservationFilter": [
        f"{{workstationId: {text(A_02)}}}",
        f"{{building: {text(HQ)}, floor: 1}}",
        "{mine: true}",
    ],
    "WhenInput": [
        '{day: "2030-06-03"}',
        '{local: {date: "2030-06-04", from: "09:00:00", to: "17:00:00"}}',
        '{between: {start: "2030-06-05T09:00:00Z", end: "2030-06-05T17:00:00Z"}}',
    ],
}
# What is written is no canary: else the writer's own would be heard.
WRITTEN = {
    **PROBES,
    "String": ['"written"'],
    "Float": ["5.5"],
    "DateTime": ['"2099-01-01T00:00:00Z"'],
    "id": [*map(text, (A_01, A_02, MAIN, LOBBY, RESEARCH, WEI)), '"x"'],
    "employeeId": [text(ADA), text(WEI)],
    "role": ['"admin"'],
    "level": ["INFO"],
    "name": ['"A-02"', '"written"', text(HQ)],
    "employeeNumber": ['"E-written"', STRINGS[0]],
    "number": ["2", "7"],
    "timeZone": ['"Asia/Tokyo"'],
}
QUERIES = walk(SCHEMA, "query", PROBES)
# As deep as the occupant's department of a workstation that is in the way; beneath, all is as in queries.
MUTATIONS = walk(SCHEMA, "mutation", WRITTEN, ["plain"], deep=4)
SUBSCRIPTIONS = walk(SCHEMA, "subscription", PROBES)

REST = {
    "id": [A_01, WEI, MAIN],
    "building": [HQ],
    "floor": ["1"],
    "department": [RESEARCH],
    "status": ["OCCUPIED"],
    "name": ["A-0", STRINGS[0].strip('"')],
    "first": ["2"],
    "group": ["building", "floor", "department"],
    "kind": [kind.value for kind in ImportKind],
    "format": [form.value for form in ExportFormat],
    "wait": ["0"],
    **{key: ["x"] for key in ("after", "last-event-id", "x-min-cursor")},
    **{key: ["*", '"x"'] for key in ("if-match", "if-none-match")},
    "x-request-id": ["r-1"],
    "idempotency-key": ["k"],
}
BODIES = {
    "POST": '{"name": "written", "xPosition": 5.5, "yPosition": 5.5}',
    "PUT": '{"notes": "written"}',
}


async def test_every_field_of_the_schema_is_walked() -> None:
    met = QUERIES.met | MUTATIONS.met | SUBSCRIPTIONS.met

    assert reachable(SCHEMA) - met == set()
    assert set(STYLES) == {"plain", "aliases", "fragments", "inline", "interface"}


async def test_every_guarded_field_has_its_canary() -> None:
    assert unplanted() == set()
    assert {scope for fields in GUARDED.values() for scope in fields.values()} == GUARDING


async def test_a_canary_is_heard_however_it_is_written() -> None:
    for canary in CANARIES:
        for sound in canary.sounds(2):
            assert heard(b"..." + sound + b"...") == {canary}
    assert heard(b'{"cursor":"eyJ4Ijo3MTAxMDAwMS4yNX0="}') == {CANARIES[0]}
    assert len(list(readings(b"abc"))) == 3


# --- going everywhere ------------------------------------------------------------------------------------------------


class Reply(NamedTuple):
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def content(self) -> bytes:
        """All of it, but for the id of the request, which is chance."""
        shown = [f"{name}: {value}" for name, value in self.headers if name != "x-request-id"]
        return "\n".join(shown).encode() + b"\n" + self.body


Replies = AsyncIterator[tuple[str, Reply]]
READS = ("GET", "HEAD")
SEALED = re.compile(rb"[A-Za-z0-9_-]{40,}")


SECRET = SecretStr("the same for all offices here: ids are sealed with it")


def settings(url: str, servers: Servers) -> Settings:
    """With all caches, and without the limits that would refuse what is asked here."""
    return settings_for(
        url,
        servers,
        roles=OWN,
        secret=SECRET,
        cache_rows=50_000,
        document_cost=10**9,
        document_depth=50,
        document_tokens=20_000,
    )


@asynccontextmanager
async def planted(servers: Servers, template: str, otherwise: frozenset[Scope] = frozenset()) -> AsyncIterator[Office]:
    async with fresh_database(servers, template) as url, running_office(settings(url, servers)) as office:
        await plant(office.database, otherwise)
        await numbered(office.database)
        yield office


Said = dict[str, Reply]  # by what was asked


class World:
    """The office, and what each role was answered there: asked once."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self._read: dict[str, Said] = {}

    async def read(self, role: str) -> Said:
        if role not in self._read:
            self._read[role] = await said(reading(self.office, role))
        return self._read[role]


async def said(replies: Replies) -> Said:
    return {asked: reply async for asked, reply in replies}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(servers: Servers, template: str) -> AsyncIterator[World]:
    """Its caches have been filled by somebody who may see everything."""
    async with planted(servers, template) as office:
        world = World(office)
        await world.read("admin")
        yield world


class Written:
    """What each role was answered that may write: asked once, when the first test wants to know."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._written: dict[str, Said] = {}

    async def by(self, role: str) -> Said:
        if role not in self._written:
            self._written[role] = await said(writing(self._office, role))
        return self._written[role]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def written(servers: Servers, template: str) -> AsyncIterator[Written]:
    async with planted(servers, template) as office:
        yield Written(office)


async def reading(office: Office, role: str, documents: list[str] | None = None) -> Replies:
    """Everything that can be read: GraphQL by POST and by GET, the pages of what has pages, and REST."""
    headers = office.headers(role)
    for document in documents or (one for found in QUERIES.documents.values() for one in found):
        response = await office.client.post("/graphql", json={"query": document}, headers=headers)
        yield f"POST {document}", _reply(response)
        for cursor in _cursors(response)[:2]:
            further = document.replace('"x"', text(cursor))
            if further != document:
                yield (
                    f"PAGE {document}",
                    _reply(await office.client.post("/graphql", json={"query": further}, headers=headers)),
                )
    if documents is not None:
        return
    for found in QUERIES.documents.values():
        response = await office.client.get("/graphql", params={"query": found[0]}, headers=headers)
        yield f"GET {found[0]}", _reply(response)
        if SEALED.search(response.content):  # what is sealed is another text, unless the answer was kept: chance
            continue
        tag = {"if-none-match": response.headers.get("etag", '"none"')}
        again = await office.client.get("/graphql", params={"query": found[0]}, headers={**headers, **tag})
        yield f"GET again {found[0]}", _reply(again)
    for call in calls(office.app.openapi(), REST, BODIES):
        if call.method in READS:
            yield f"{call}", await _called(office, headers, call)


async def writing(office: Office, role: str, otherwise: frozenset[Scope] = frozenset()) -> Replies:
    """Everything that can be changed, each field of the schema in the office as it was planted."""
    headers, may_write = office.headers(role), role in WRITERS
    for documents in MUTATIONS.documents.values():
        if may_write:
            await plant(office.database, otherwise)
        for document in reversed(documents):  # those that are refused for a version first: the rest spoils it
            yield document, _reply(await office.client.post("/graphql", json={"query": document}, headers=headers))
    if may_write:
        await plant(office.database, otherwise)
    for call in calls(office.app.openapi(), REST, BODIES):
        if call.method not in READS:
            yield f"{call}", await _called(office, headers, call)


async def _called(office: Office, headers: dict[str, str], call: Call) -> Reply:
    response = await office.client.request(
        call.method,
        call.path,
        params=call.query,
        headers={**headers, **dict(call.headers), "content-type": "application/json"},
        content=call.body,
    )
    return _reply(response)


def _reply(response: Response) -> Reply:
    return Reply(response.status_code, tuple(sorted(response.headers.items())), response.content)


def _cursors(response: Response) -> list[str]:
    return re.findall(r'"(?:startCursor|cursor)":"([^"]+)"', response.text)


# --- values ----------------------------------------------------------------------------------------------------------


def told(replies: Said) -> set[Canary]:
    return {canary for reply in replies.values() for canary in heard(reply.content)}


def leaks(role: str, replies: Said) -> list[tuple[str, Reply]]:
    """What a role was told that it may not see; or that something broke, which may tell anything."""
    return [
        (asked, reply)
        for asked, reply in replies.items()
        if reply.status >= 500 or any(canary.scope not in SCOPES[role] for canary in heard(reply.content))
    ]


async def test_the_walk_comes_to_every_canary(world: World) -> None:
    assert told(await world.read("admin")) == set(CANARIES)


@pytest.mark.parametrize("role", SCOPES)
async def test_whatever_is_asked_a_role_is_told_nothing_that_it_may_not_see(world: World, role: str) -> None:
    replies = await world.read(role)

    assert leaks(role, replies) == []
    may_read = Scope.READ in SCOPES[role]
    assert told(replies) == {canary for canary in CANARIES if may_read and canary.scope in SCOPES[role]}


@pytest.mark.parametrize("role", WRITERS)
async def test_whatever_is_changed_a_role_is_told_nothing_that_it_may_not_see(written: Written, role: str) -> None:
    replies = await written.by(role)

    assert leaks(role, replies) == []
    assert members(replies) >= set().union(*(ANSWERED[one] for one in SCOPES[role] & ANSWERED.keys()))


@pytest.mark.parametrize("role", [role for role in SCOPES if role not in WRITERS])
async def test_who_may_change_nothing_is_told_nothing_by_trying(world: World, role: str) -> None:
    replies = await said(writing(world.office, role))

    assert leaks(role, replies) == []
    assert members(replies) & set().union(*ANSWERED.values()) == set()


def members(replies: Said) -> set[str]:
    """The types that mutations answered with."""
    found = (re.match(rb'\{"data":\{"it":\{"__typename":"(\w+)"', reply.body) for reply in replies.values())
    return {one[1].decode() for one in found if one}


# --- everything else that a value could show in ----------------------------------------------------------------------

NOW = re.compile(rb"20(?!20)\d\d-\d\d-\d\dT[\d:.]+(?:Z|\+00:00)")  # the office was made in 2020
# Who may read the figures of the server sees that it is another server.
FIGURES = ("/metrics", "/readyz")


def comparable(reply: Reply) -> tuple[int, list[tuple[str, str]], bytes]:
    """What would have to be the same in a world in which only hidden values are others. Of what is sealed, the length:
    the seal is another each time."""
    body = NOW.sub(b"<now>", SEALED.sub(lambda sealed: b"<%d>" % len(sealed[0]), reply.body))
    is_chance = body != reply.body or not body  # a HEAD and a 304 have the tag of the GET, which is compared itself
    headers = [
        (name, "" if is_chance and name == "etag" else SEALED.sub(b"<>", value.encode()).decode())
        for name, value in reply.headers
        if name not in ("x-request-id", "date")
    ]
    return reply.status, headers, body


def differences(here: Said, there: Said) -> list[str]:
    """What was answered otherwise there."""
    assert here.keys() == there.keys()
    return [
        asked
        for asked, reply in here.items()
        if comparable(reply) != comparable(there[asked]) and not any(path in asked for path in FIGURES)
    ]


@pytest.mark.parametrize("role", slowly(BLIND, "visitor", "facilities", "auditor"))
async def test_nothing_that_is_read_depends_on_what_is_hidden(
    world: World, servers: Servers, template: str, role: str
) -> None:
    """No value, order, count, length, error, ETag or status: an office with other hidden values answers the same."""
    here = await world.read(role)
    async with planted(servers, template, GUARDING - SCOPES[role]) as other:
        assert differences(here, await said(reading(other, role))) == []


@pytest.mark.parametrize("role", slowly([role for role in WRITERS if role in BLIND], "facilities"))
async def test_nothing_that_a_change_answers_depends_on_what_is_hidden(
    written: Written, servers: Servers, template: str, role: str
) -> None:
    hidden = GUARDING - SCOPES[role]
    async with planted(servers, template, hidden) as other:
        assert differences(await written.by(role), await said(writing(other, role, hidden))) == []


# --- that all of this can fail ---------------------------------------------------------------------------------------


def open_up(monkeypatch: pytest.MonkeyPatch, canary: Canary) -> None:
    """The permission to see one field, given to everybody."""
    fields = {field: scope for field, scope in GUARDED[canary.type_name].items() if field != canary.field}
    opened: Any = {**GUARDED, canary.type_name: fields}
    if canary.type_name == "Workstation":
        opened["WorkstationImage"] = fields
    monkeypatch.setattr(access, "GUARDED", opened)
    monkeypatch.setattr(HasScope, "permits", lambda *_: True)
    forget()


def forget() -> None:
    for decided in (access.redactor, access.employee_redactor, access.hidden, access.hides, table.labels_for):
        decided.cache_clear()


@pytest.fixture
def undecided() -> Iterator[None]:
    yield
    forget()


@pytest.mark.parametrize("canary", CANARIES, ids=lambda canary: f"{canary.type_name}.{canary.field}")
async def test_a_field_that_is_shown_to_everybody_is_found(
    monkeypatch: pytest.MonkeyPatch, servers: Servers, template: str, canary: Canary, undecided: None
) -> None:
    open_up(monkeypatch, canary)
    documents = [found[0] for found in QUERIES.documents.values()]
    async with planted(servers, template) as office:
        replies = await said(reading(office, "visitor", documents))

    assert told(replies) == {canary}
    assert len(leaks("visitor", replies)) > 1


async def test_a_filter_that_tells_of_what_is_hidden_is_found(
    monkeypatch: pytest.MonkeyPatch, servers: Servers, template: str
) -> None:
    monkeypatch.setattr(browse, "require_fields", lambda *_: None)
    documents = QUERIES.documents["workstations"] + QUERIES.documents["workstationStats"]
    async with (
        planted(servers, template) as one,
        planted(servers, template, GUARDING - SCOPES["visitor"]) as other,
    ):
        found = differences(*[await said(reading(office, "visitor", documents)) for office in (one, other)])

    for told_by in ("xMin", "xMax", "yMin", "yMax", "employeeNumber"):
        assert any(f"{{{told_by}: " in asked for asked in found), told_by
