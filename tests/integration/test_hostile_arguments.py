"""Every argument of the schema and every parameter of REST, with what nobody expects there: each is answered or refused
by its name, and none is an incident."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import orjson
import pytest
import pytest_asyncio
from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLObjectType,
    GraphQLUnionType,
    Undefined,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_list_type,
    is_required_argument,
    is_required_input_field,
)
from httpx import Headers

from graphql_app import observe
from graphql_app.domain.identifiers import global_id
from graphql_app.embedded import Servers
from graphql_app.graph.api.schema import build
from tests.graphql_client import A_02, B_01, HQ, WEI, Office, Socket, fresh_database, running_office, seed, settings_for

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCHEMA = build()._schema

TEXTS = [
    "",
    " ",
    "\x00",
    "a\x00b",
    "\x1b[31m",
    "\r\nX: y",
    "\u202e",
    "é́",
    "%",
    "_",
    "\\",
    "'; --",
    "x" * 5000,
    "💺" * 300,
]
SEALED = ["AAAA", "YWJj", "=" * 8, "+/+/"]
IDS = [
    *TEXTS,
    *(global_id("Workstation", key) for key in (0, 2**31 - 1, 2**31, 2**63, 10**30)),
    global_id("Workstation\x00", 1),
    *map(
        global_id, ("Workstation", "Nothing", "Employee", "AuditEntry", "Notification", "Floor", "Department"), [-1] * 7
    ),
    *map(global_id, ("Employee", "AuditEntry", "Notification", "Floor", "Department"), [2**63 - 1] * 5),
]
INTEGERS = [0, -1, 1, -(2**31), 2**31 - 1, 2**31, 2**53, 2**64, 10**400]
MOMENTS = [
    *("2030-01-01", "2030", "2030-01-01T00:00:00", "2030-01-01T00:00:00+24:00", "2030-01-01T00:00:00+23:59"),
    *("2030-01-01T00:00:00-99:99", "2016-12-31T23:59:60Z", "2030-01-01T24:00:00Z", "9999-12-31T23:59:59.999999Z"),
    *(
        "9999-12-31T23:59:59.9999999Z",
        "9999-12-31T23:59:59-12:00",
        "0001-01-01T00:00:00Z",
        "0001-01-02T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
    ),
    *("0000-01-01T00:00:00Z", "20000-01-01T00:00:00Z", "infinity", "now", "2030-02-30T00:00:00Z", "2030-W01-1T00:00Z"),
]
HOSTILE: Mapping[str, Sequence[Any]] = {
    "String": [*TEXTS, 5, True, ["x"], {"a": 1}],
    "ID": [*IDS, 5, 10**400],
    "Cursor": [*TEXTS, *SEALED, 5, ["x"]],
    "Int": [*INTEGERS, 1.5, "1", True],
    "Float": [*INTEGERS, 1e308, -1e308, 5e-324, 99_999_999.999, "x"],
    "Boolean": [1, "true"],
    "Date": [*MOMENTS, *TEXTS, "0001-01-01", "9999-12-31", 5, 10**30, {}],
    "DateTime": [*MOMENTS, *TEXTS, 5, 10**30, {}],
    "Time": [*MOMENTS, *TEXTS, "00:00", "23:59:59.999999", "24:00", "09:00+14:00", "09:00Z", 5, {}],
    "JSON": [
        *TEXTS,
        *INTEGERS,
        {"\x00": 1},
        1e308,
        json.loads("[" * 64 + "]" * 64),
        json.loads("[" * 65 + "]" * 65),
        json.loads("[" * 190 + "]" * 190),
        {"a": [{"b": "\x00"}]},
        ["x" * 19_990],
    ],
}
# What finds something, by name; for the arguments that are not being tried.
GOOD: Mapping[str, Any] = {
    "id": A_02,
    "ids": [A_02],
    "employeeId": WEI,
    "employeeNumber": "E-9",
    "building": HQ,
    "number": 1,
    "name": "x",
    "title": "x",
    "password": "x",
    "token": "x",
    "xPosition": 1,
    "yPosition": 1,
    "status": "AVAILABLE",
    "field": "NAME",
    "start": "2030-06-03T09:00:00Z",
    "end": "2030-06-03T17:00:00Z",
    "date": "2030-06-03",
    "from": "09:00:00",
    "to": "17:00:00",
    "when": {"day": "2030-06-03"},
    "filter": {"workstationId": A_02},
}


def hostile(of: Any) -> Iterator[Any]:
    """Values for a variable of this type."""
    inner = get_nullable_type(of)
    if is_list_type(inner):
        yield from ([value] for value in hostile(inner.of_type))
        yield from ([], [None], [[]])
    elif isinstance(inner, GraphQLEnumType):
        yield from ("", "NOTHING", 1)
    elif isinstance(inner, GraphQLInputObjectType):
        yield from (objects(inner))
    else:
        yield from HOSTILE[inner.name]
    yield None


def objects(of: GraphQLInputObjectType) -> Iterator[Any]:
    needed = {name: GOOD[name] for name, field in of.fields.items() if is_required_input_field(field)}
    for name, field in of.fields.items():
        yield from ({**needed, name: value} for value in hostile(field.type))


def shown(of: Any) -> str:
    """Something of all that a field leads to."""
    inner = get_named_type(of)
    if is_leaf_type(inner):
        return ""
    if isinstance(inner, GraphQLUnionType):
        return " { __typename ... on Refusal { code message } }"
    deeper = ("nodes", "workstation", "notification", "workstations")
    fields = inner.fields.items() if isinstance(inner, GraphQLObjectType) else ()
    leaves = [name for name, field in fields if is_leaf_type(get_named_type(field.type)) and not field.args]
    below = [f"{name}{shown(field.type)}" for name, field in fields if name in deeper and not field.args]
    return f" {{ {' '.join(['__typename', *leaves, *below])} }}"


def attempts(kind: str, name: str, field: GraphQLField) -> Iterator[tuple[str, dict[str, Any]]]:
    """The field with each argument by variable, in all hostile ways."""
    for argument, found in field.args.items():
        others = [
            f"{other}: {literal(GOOD.get(other), of.type)}"
            for other, of in field.args.items()
            if other != argument and is_required_argument(of)
        ]
        given = ", ".join([f"{argument}: $it", *others])
        declared = found.type if found.default_value is Undefined else get_nullable_type(found.type)
        document = f"{kind} ($it: {declared}) {{ {name}({given}){shown(field.type)} }}"
        for value in hostile(found.type):
            yield document, {"it": value}


def literal(value: Any, of: Any) -> str:
    """As GraphQL writes it; `of` is None where it is any JSON."""
    inner = get_nullable_type(of)
    if isinstance(inner, GraphQLInputObjectType) and value is None:
        value = {name: GOOD[name] for name, field in inner.fields.items() if is_required_input_field(field)}
    if isinstance(value, dict):
        fields = inner.fields if isinstance(inner, GraphQLInputObjectType) else {}
        inside = (
            f"{name if fields else f'a{at}'}: {literal(one, fields[name].type if fields else None)}"
            for at, (name, one) in enumerate(value.items())
        )
        return f"{{{', '.join(inside)}}}"
    if isinstance(value, list):
        below = inner.of_type if is_list_type(inner) else None
        return f"[{', '.join(literal(one, below) for one in value)}]"
    return value if isinstance(inner, GraphQLEnumType) and isinstance(value, str) and value else json.dumps(value)


def written(kind: str, name: str, field: GraphQLField) -> Iterator[tuple[str, dict[str, Any]]]:
    """The same as literals in the document."""
    needed = {other: GOOD.get(other) for other, of in field.args.items() if is_required_argument(of)}
    for argument, found in field.args.items():
        for value in hostile(found.type):
            given = {**needed, argument: value}
            text = ", ".join(f"{key}: {literal(one, field.args[key].type)}" for key, one in given.items())
            yield f"{kind} {{ {name}({text}){shown(field.type)} }}", {}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def office(servers: Servers, template: str) -> AsyncIterator[Office]:
    async with fresh_database(servers, template) as url, running_office(settings_for(url, servers)) as office:
        await seed(office.database)
        yield office


@asynccontextmanager
async def no_incident() -> AsyncIterator[None]:
    found: list[observe.News] = []
    end = observe.listen(lambda news: found.append(news) if isinstance(news, observe.Unexpected) else None)
    try:
        yield
    finally:
        end()
    assert found == []


FIELDS = [
    (kind, name, field)
    for kind, root in (("query", SCHEMA.query_type), ("mutation", SCHEMA.mutation_type))
    for name, field in (root.fields.items() if root is not None else ())
    if field.args
]


@pytest.mark.parametrize("how", [attempts, written])
@pytest.mark.parametrize(("kind", "name", "field"), FIELDS, ids=[name for _, name, _ in FIELDS])
async def test_no_argument_of_graphql_is_an_incident(
    office: Office, kind: str, name: str, field: GraphQLField, how: Any
) -> None:
    async with no_incident():
        for query, variables in how(kind, name, field):
            content = json.dumps({"query": query, "variables": variables})
            headers = {**office.headers("admin"), "Content-Type": "application/json"}
            answer = await office.client.post("/graphql", content=content, headers=headers)
            codes = [error["extensions"]["code"] for error in orjson.loads(answer.content).get("errors", ())]
            assert not {"INTERNAL", "RATE_LIMITED"} & set(codes), (query[:300], str(variables)[:300], answer.text[:500])


SUBSCRIPTIONS = SCHEMA.subscription_type.fields if SCHEMA.subscription_type is not None else {}


@pytest.mark.parametrize("name", SUBSCRIPTIONS)
async def test_no_argument_of_a_subscription_is_an_incident(office: Office, name: str) -> None:
    """Each is answered, or refused by its name, on a socket that goes on."""
    async with no_incident(), office.socket("admin") as socket:
        for at, (query, variables) in enumerate(attempts("subscription", name, SUBSCRIPTIONS[name])):
            payload = {"query": query, "variables": variables}
            try:
                orjson.dumps(payload)
            except TypeError:  # an integer of more than 64 bits, which a client of its own would write
                continue
            socket.send({"id": str(at), "type": "subscribe", "payload": payload})
            socket.send({"id": str(at), "type": "complete"})
            if at % 50 == 49:
                await answered_to_ping(socket)
        await answered_to_ping(socket)


async def answered_to_ping(socket: Socket) -> None:
    socket.send({"type": "ping"})
    while (message := await socket.receive())["type"] != "pong":
        errors = message["payload"] if message["type"] == "error" else message.get("payload", {}).get("errors", [])
        assert "INTERNAL" not in [error["extensions"]["code"] for error in errors], message


PARAMETERS = ("building", "floor", "department", "status", "name", "first", "after", "group", "wait", "nothing")
BODIES = [
    b'{"equipment": NaN}',
    b'{"equipment": [1e400]}',
    b'{"equipment": -Infinity}',
    b'{"equipment": "\\ud800"}',
    b'{"notes": "\\ud800"}',
    b'{"notes": "\\u0000"}',
    b'{"name": "\\ud800"}',
    b'{"xPosition": NaN}',
    b'{"xPosition": 1e400}',
    b'{"floorNumber": %s, "building": "x"}' % (b"9" * 5000),
    b'{"equipment": %s}' % (b"9" * 5000),
    b'{"equipment": %s1%s}' % (b"[" * 253, b"]" * 253),
    b'{"equipment": %s1%s}' % (b"[" * 5000, b"]" * 5000),
    b'{"equipment": %s1%s}' % (b'{"a":' * 193, b"}" * 193),
    b'{"departmentId": "\\ud800"}',
    b"[" * 10_000,
    b"\xff",
]


async def test_no_parameter_of_rest_is_an_incident(office: Office) -> None:
    headers = office.headers("admin")
    async with no_incident():
        for path in ("/api/workstations", "/api/workstations/stats", "/api/changes"):
            for name in PARAMETERS:
                for value in (*TEXTS, *IDS, *SEALED, *map(str, INTEGERS), "nan", "inf", "-0", "1e999"):
                    query = {"wait": "0", name: value} if path == "/api/changes" else {name: value}
                    answer = await office.client.get(path, params=query, headers=headers)
                    assert answer.status_code < 500, (path, query, answer.text)
        for identifier, safe in (
            *((one, "") for one in IDS if one != A_02),
            *((one, "%") for one in ("%ff", "%ed%a0%80")),
        ):
            for method in ("GET", "DELETE"):
                answer = await office.client.request(
                    method, f"/api/workstations/{quote(identifier, safe=safe)}", headers=headers
                )
                assert answer.status_code < 500, (method, identifier, answer.text)


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
async def test_no_body_of_rest_is_an_incident_and_none_changes_anything(office: Office, body: bytes) -> None:
    headers = {**office.headers("admin"), "Content-Type": "application/json"}
    path = f"/api/workstations/{B_01}"
    before = await office.client.get(path, headers=headers)
    async with no_incident():
        for method, address in (("PUT", path), ("POST", "/api/workstations")):
            answer = await office.client.request(method, address, content=body, headers=headers)
            assert 400 <= answer.status_code < 500, answer.text
    assert (await office.client.get(path, headers=headers)).content == before.content


HEADERS = (
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "X-Min-Cursor",
    "X-Request-ID",
    "User-Agent",
    "Last-Event-ID",
)


@pytest.mark.parametrize("name", HEADERS)
async def test_no_header_is_an_incident(office: Office, name: str) -> None:
    create = {"query": 'mutation { createWorkstation(input: {name: "h", xPosition: 1, yPosition: 1}) { __typename } }'}
    path = f"/api/workstations/{B_01}"
    async with no_incident():
        for value in (b"", b"\x00", b"\xff", b"x" * 5000, b'W/"', b"*", b'"a", "b', b"\x1b[31m", b"\xed\xa0\x80"):
            given = office.headers("admin").items()
            headers = Headers([*((key.encode(), one.encode()) for key, one in given), (name.encode(), value)])
            for answer in (
                await office.client.post("/graphql", json=create, headers=headers),
                await office.client.post("/api/workstations", json={"name": "x"}, headers=headers),
                await office.client.put(path, json={"notes": "x"}, headers=headers),
                await office.client.get(path, headers=headers),
                await office.client.get("/api/changes?wait=0", headers=headers),
            ):
                assert answer.status_code < 500, (name, value, answer.text)
                assert b"INTERNAL" not in answer.content
