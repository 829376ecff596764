"""What no client should send: each is a 4xx that says what is wrong, and holds up nobody else."""

import asyncio
import gzip
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
import pytest_asyncio

from graphql_app import observe
from graphql_app.embedded import Servers
from graphql_app.graph.engine.request import OperationRequest
from graphql_app.graph.http.negotiation import LEGACY, RESPONSE
from graphql_app.graph.http.requests import from_query
from tests.graphql_client import Office, fresh_database, running_office, seed, settings_for

pytestmark = pytest.mark.asyncio(loop_scope="module")

LONGEST_BLOCK_SECONDS = 0.1  # promised are 0.05, measured on a machine of its own

FLOORS = "query ($building: String, $filter: WorkstationFilter, $number: Int = 1)"
FLOORS += "{ floors(building: $building) { id } workstations(filter: $filter) { nodes { id } }"
FLOORS += ' floor(building: "x", number: $number) { id } }'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def office(servers: Servers, template: str) -> AsyncIterator[Office]:
    async with fresh_database(servers, template) as url, running_office(settings_for(url, servers)) as office:
        await seed(office.database)
        yield office


class Surprises:
    """What went wrong on the server's side, and for how long nobody else was served."""

    def __init__(self) -> None:
        self.incidents: list[observe.News] = []
        self.longest_seconds = 0.0

    async def watch(self) -> None:
        """The longest turn of the loop, in seconds of work: other programs on the machine do not count."""
        while True:
            before = time.thread_time()
            await asyncio.sleep(0)
            self.longest_seconds = max(self.longest_seconds, time.thread_time() - before)

    def listen(self, news: observe.News) -> None:
        if isinstance(news, observe.Unexpected):
            self.incidents.append(news)


@asynccontextmanager
async def surprises() -> AsyncIterator[Surprises]:
    """Fails when there is one."""
    found = Surprises()
    watching = asyncio.create_task(found.watch())
    end = observe.listen(found.listen)
    try:
        yield found
    finally:
        end()
        watching.cancel()
    assert found.incidents == []
    assert found.longest_seconds < LONGEST_BLOCK_SECONDS


def body(**given: Any) -> bytes:
    return orjson.dumps({"query": FLOORS, **given})


def variables(json: bytes) -> bytes:
    return b'{"query": ' + orjson.dumps(FLOORS) + b', "variables": ' + json + b"}"


UNREADABLE: dict[str, bytes] = {
    "nothing": b"",
    "a byte order mark": b"\xef\xbb\xbf" + body(),
    "UTF-16": body().decode().encode("utf-16"),
    "20,000 lists deep": variables(b'{"x": ' + b"[" * 20_000 + b"]" * 20_000 + b"}"),
    "20,000 objects deep": b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
    "20,000 lists, never closed": b"[" * 20_000,
    "a number of 5,000 digits": variables(b'{"number": ' + b"9" * 5_000 + b"}"),
    "a number beyond all numbers": variables(b'{"number": 1e999}'),
    "NaN": variables(b'{"number": NaN}'),
    "Infinity": variables(b'{"number": -Infinity}'),
    "half a character": variables(b'{"building": "\\ud800"}'),
    "half a character, raw": variables(b'{"building": "\xed\xa0\x80"}'),
    "half a character in the document": b'{"query": "{ floors(building: \\"\\udc00\\") { id } }"}',
    "text after the end": body() + b"{}",
}


@pytest.mark.parametrize("media", [RESPONSE, LEGACY])
@pytest.mark.parametrize("what", UNREADABLE)
async def test_what_cannot_be_read_is_a_400_that_says_so(office: Office, what: str, media: str) -> None:
    headers = {**office.headers("visitor"), "Content-Type": "application/json", "Accept": media}

    async with surprises():
        answer = await office.client.post("/graphql", content=UNREADABLE[what], headers=headers)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
    assert len(answer.content) < 1000


BEYOND: dict[str, tuple[bytes, tuple[str, int, int]]] = {
    "1,000 lists deep": (
        variables(b'{"x": ' + b"[" * 1_000 + b"]" * 1_000 + b"}"),
        ("variables", 200, 201),
    ),
    "40,000 empty lists": (variables(b'{"x": [' + b"[]," * 40_000 + b"[]]}"), ("variables", 10_000, 40_002)),
    "20,000 variables": (
        variables(b"{" + b",".join(b'"%x":1' % i for i in range(11_000)) + b"}"),
        ("variables", 10_000, 11_000),
    ),
    "a batch": (b"[" + body() + b"," + body() + b"]", ("operations of one request", 1, 2)),
    "a long document": (
        orjson.dumps({"query": "{ floors { id } } #" + "x" * 70_000}),
        ("bytes", 65_536, 70_019),
    ),
    "many tokens": (orjson.dumps({"query": "{" + " id" * 3000 + "}"}), ("tokens", 2000, 2001)),
}


@pytest.mark.parametrize("what", BEYOND)
async def test_what_is_beyond_a_limit_says_which_and_what_was_asked(office: Office, what: str) -> None:
    content, (measure, limit, asked) = BEYOND[what]
    headers = {**office.headers("visitor"), "Content-Type": "application/json", "Accept": RESPONSE}

    async with surprises():
        answer = await office.client.post("/graphql", content=content, headers=headers)

    assert answer.status_code == 400
    told = answer.json()["errors"][0]["extensions"]
    assert (told["code"], told["measure"], told["limit"]) == ("TOO_MANY", measure, limit)
    assert asked <= told["asked"] <= asked + 100
    assert len(answer.content) < 1000


UNRUNNABLE: dict[str, dict[str, Any]] = {
    "an unknown operation": {"operationName": "Other"},
    "several operations without a name": {"query": "query A { floors { id } } query B { floors { id } }"},
    "no operation": {"query": "fragment F on Query { floors { id } }"},
    "an empty document": {"query": ""},
    "a text for a number": {"variables": {"number": "1"}},
    "a list for a number": {"variables": {"number": [1]}},
    "a fraction for a number": {"variables": {"number": 1.5}},
    "a number beyond 32 bits": {"variables": {"number": 2**31}},
    "a number beyond 64 bits": {"variables": {"number": 1e30}},
    "null where there must be something": {
        "query": 'query ($n: Int!) { floor(building: "x", number: $n) { id } }',
        "variables": {"n": None},
    },
    "an unknown part of a filter": {"variables": {"filter": {"colour": "red"}}},
    "an unknown status": {"variables": {"filter": {"statuses": ["BROKEN"]}}},
    "a long unknown status": {"variables": {"filter": {"statuses": ["A" * 60_000]}}},
    "9,000 wrong ids": {"variables": {"filter": {"ids": [[]] * 9_000}}},
    "4,000 unknown parts": {"variables": {"filter": {f"x{i}": 1 for i in range(4_000)}}},
    "a literal of 5,000 digits": {"query": '{ floor(building: "x", number: ' + "9" * 5_000 + ") { id } }"},
    "half a character as a literal": {"query": '{ floors(building: "\\uD800") { id } }'},
    "half a character as a long literal": {"query": '{ floors(building: "\\u{D800}") { id } }'},
    "700 selections deep": {"query": "{ floors { workstations " * 350 + "{ id" + "} }" * 350 + "}"},
    "700 braces": {"query": "{" * 700},
    "a name of 60,000 letters": {"query": "{ " + "x" * 60_000 + " }"},
    "a document that is too large": {"query": "{ floors { id } } " + "#" * 70_000},
    "too many tokens": {"query": "{ floors {" + " id" * 5_000 + " } }"},
}


@pytest.mark.parametrize(("media", "status"), [(RESPONSE, 400), (LEGACY, 200)])
@pytest.mark.parametrize("what", UNRUNNABLE)
async def test_what_cannot_run_is_a_400_but_for_clients_of_the_older_media_type(
    office: Office, what: str, media: str, status: int
) -> None:
    headers = {**office.headers("visitor"), "Content-Type": "application/json", "Accept": media}

    async with surprises():
        answer = await office.client.post("/graphql", content=body(**UNRUNNABLE[what]), headers=headers)

    assert answer.status_code == status
    assert "data" not in answer.json()
    for error in answer.json()["errors"]:
        assert error["extensions"]["code"] in ("BAD_REQUEST", "INVALID_INPUT", "TOO_MANY"), error


REFUSED_FIELDS: dict[str, tuple[dict[str, str], int]] = {
    "text": ({"Content-Type": "text/plain"}, 415),
    "a form": ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
    "GraphQL as such": ({"Content-Type": "application/graphql"}, 415),
    "something like JSON": ({"Content-Type": "application/json5"}, 415),
    "two media types": ({"Content-Type": "application/json, text/plain"}, 415),
    "UTF-16": ({"Content-Type": "application/json; charset=utf-16"}, 415),
    "Latin-1": ({"Content-Type": 'application/json; charset="ISO-8859-1"'}, 415),
    "gzip": ({"Content-Encoding": "gzip"}, 415),
    "an unknown encoding": ({"Content-Encoding": "x"}, 415),
    "an image wanted": ({"Accept": "image/png"}, 406),
    "no token": ({"Authorization": ""}, 401),
    "half a token": ({"Authorization": "Bearer \xff"}, 401),
}


@pytest.mark.parametrize("what", REFUSED_FIELDS)
async def test_what_the_header_fields_say_wrongly_has_a_status_of_its_own(office: Office, what: str) -> None:
    wrong, status = REFUSED_FIELDS[what]
    given = {**office.headers("visitor"), "Content-Type": "application/json", **wrong}
    fields = [(name.encode(), value.encode("latin-1")) for name, value in given.items()]
    content = gzip.compress(body()) if what == "gzip" else body()

    async with surprises():
        answer = await office.client.post("/graphql", content=content, headers=fields)

    assert answer.status_code == status
    assert answer.json()["errors"][0]["message"]


@pytest.mark.parametrize("doubled", ["Authorization", "Content-Type"])
async def test_a_header_field_that_is_said_twice_is_not_half_heeded(office: Office, doubled: str) -> None:
    given = {**office.headers("visitor"), "Content-Type": "application/json"}
    fields = [(name.encode(), value.encode()) for name, value in given.items()]
    fields.append((doubled.encode(), b"something else"))

    answer = await office.client.post("/graphql", content=body(), headers=fields)

    assert answer.status_code == {"Authorization": 401, "Content-Type": 415}[doubled]


async def test_a_client_may_say_in_several_fields_what_it_accepts(office: Office) -> None:
    given = {**office.headers("visitor"), "Content-Type": "application/json", "Accept": "text/html"}
    fields = [*given.items(), ("Accept", RESPONSE)]

    answer = await office.client.post("/graphql", content=body(), headers=fields)

    assert answer.headers["content-type"] == f"{RESPONSE}; charset=utf-8"


QUERY_STRINGS = {
    "no query": "variables={}",
    "variables that are no JSON": "query={floors{id}}&variables={",
    "variables that are a list": "query={floors{id}}&variables=[]",
    "extensions that are a number": "query={floors{id}}&extensions=5",
    "half a character": "query={floors{id}}&operationName=%ff",
    "half a character, encoded": "query=%ed%a0%80",
    "a thousand fields": "query={floors{id}}" + "&x=1" * 1000,
    "20,000 lists": "query={floors{id}}&variables=" + "[" * 20_000,
}


@pytest.mark.parametrize("what", QUERY_STRINGS)
async def test_a_query_string_that_says_nothing_is_a_400(office: Office, what: str) -> None:
    async with surprises():
        answer = await office.client.get(f"/graphql?{QUERY_STRINGS[what]}", headers=office.headers("visitor"))

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


async def test_a_query_string_may_be_written_in_utf_8_as_it_is(office: Office) -> None:
    # As curl sends what it is given.
    asked = from_query('query={floor(building:"总部大楼",number:1){number}}'.encode())
    assert isinstance(asked, OperationRequest)

    assert await office.data("visitor", asked.query) == {"floor": {"number": 1}}


async def test_a_body_of_5_mb_is_refused_before_it_is_read(office: Office) -> None:
    headers = {**office.headers("visitor"), "Content-Type": "application/json"}
    content = body(extensions={"x": "x" * 5_000_000})
    read = 0

    async def in_parts() -> AsyncIterator[bytes]:
        nonlocal read
        for start in range(0, len(content), 65_536):
            read += 65_536
            yield content[start : start + 65_536]

    async with surprises():
        announced = await office.client.post("/graphql", content=content, headers=headers)
        unannounced = await office.client.post("/graphql", content=in_parts(), headers=headers)

    assert (announced.status_code, unannounced.status_code) == (413, 413)
    assert read <= office.settings.request_bytes + 2 * 65_536


async def test_of_a_key_that_is_given_twice_the_last_counts_as_everywhere_in_json(office: Office) -> None:
    headers = {**office.headers("visitor"), "Content-Type": "application/json"}
    content = b'{"query": "{ nothing }", "query": "{ __typename }"}'

    answer = await office.client.post("/graphql", content=content, headers=headers)

    assert answer.json() == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize("number", ["1e999", "1" * 5_000, "-1e999"])
async def test_a_literal_beyond_all_numbers_is_no_surprise(office: Office, number: str) -> None:
    async with surprises():
        answer = await office.ask("admin", f"{{ workstations(filter: {{ xMin: {number} }}) {{ nodes {{ id }} }} }}")

    for error in answer.get("errors", ()):
        assert error["extensions"]["code"] in ("BAD_REQUEST", "INVALID_INPUT"), error


async def test_equipment_may_be_nested_as_deeply_as_variables_may(office: Office) -> None:
    create = (
        "mutation ($equipment: JSON)"
        ' { createWorkstation(input: {name: "Deep", xPosition: 1, yPosition: 1, equipment: $equipment})'
        " { ... on WorkstationChanged { workstation { equipment } } } }"
    )
    nested: list[Any] = []
    for _ in range(190):
        nested = [nested]

    async with surprises():
        answer = await office.ask("facilities", create, {"equipment": nested})

    assert answer == {"data": {"createWorkstation": {"workstation": {"equipment": nested}}}}


async def test_a_mistake_costs_its_own_request_only(office: Office) -> None:
    good = office.data("visitor", "{ floors { number } }")
    bad = [
        office.ask("visitor", query) for query in ("{", "{ nothing }", "{ floors { id }", "query A { floors { id } }")
    ]

    async with surprises():
        answers = await asyncio.gather(*bad, good, *[office.ask("visitor", "{") for _ in range(3)])

    assert {"errors" in answer for answer in answers[:3]} == {True}
    assert len(answers[4]["floors"]) == 3
