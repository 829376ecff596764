"""Names in another normal form, by every way in: they mean what is there, and make no second one of it."""

from io import BytesIO
from typing import Any

import orjson
import pytest
import pytest_asyncio

from graphql_app.domain.caller import by_command
from graphql_app.domain.importing import ImportOutcome
from graphql_app.services.importing.files import ImportFile
from graphql_app.services.importing.importing import Importing
from tests.accounts import LOGIN, PASSWORD, add_account, ask, login, signed_in
from tests.graphql_client import Office, numbered, seed

pytestmark = pytest.mark.asyncio(loop_scope="module")

NFC, NFD = "Café", "Cafe\u0301"
HIDDEN = "Café\u200b"
CHANGED = "{ __typename ... on WorkstationChanged { workstation { id name } } ... on Refusal { code message } }"
CREATE = f"mutation ($input: CreateWorkstationInput!) {{ it: createWorkstation(input: $input) {CHANGED} }}"
EDIT = f"""mutation ($id: ID!, $input: UpdateWorkstationInput!) {{
    it: updateWorkstation(id: $id, input: $input) {CHANGED} }}"""
FEED = """subscription ($b: String!) {
    workstationChanges(filter: {building: $b}, snapshot: false) { workstations { name } } }"""


@pytest_asyncio.fixture(loop_scope="module")
async def office(server: Office) -> Office:
    await server.sql("DELETE FROM accounts")
    await server.sql("DELETE FROM login_failures")
    await seed(server.database)
    await server.sql("INSERT INTO buildings (name) VALUES (:name)", name=NFC)
    await server.sql("INSERT INTO floors (building, number) VALUES (:name, 1)", name=NFC)
    await add_account(server, "josé", "facilities")
    await numbered(server.database)
    return server


def desk(name: str, building: str = NFC) -> dict[str, Any]:
    return {"name": name, "building": building, "floorNumber": 1, "xPosition": 1, "yPosition": 1}


async def created(office: Office, name: str, building: str = NFC) -> Any:
    return (await office.data("admin", CREATE, {"input": desk(name, building)}))["it"]


async def names(office: Office) -> list[str]:
    of_place = "SELECT array_agg(name ORDER BY id) FROM workstations WHERE building = :name"
    return list(await office.sql(of_place, name=NFC) or [])


async def test_graphql_takes_no_second_desk_of_a_name_that_looks_the_same(office: Office) -> None:
    first, again, hidden = [await created(office, name) for name in (NFC, NFD, HIDDEN)]

    assert (first["__typename"], again["__typename"]) == ("WorkstationChanged", "NameTaken")
    assert (hidden["__typename"], "U+200B" in hidden["message"]) == ("InvalidInput", True)
    other = (await created(office, "Other", NFD))["workstation"]["id"]  # that building
    renamed = (await office.data("admin", EDIT, {"id": other, "input": {"name": NFD}}))["it"]
    assert renamed["__typename"] == "NameTaken"
    assert await names(office) == [NFC, "Other"]


async def test_rest_takes_none_either(office: Office) -> None:
    headers = office.headers("admin")
    answers = [
        (await office.client.post("/api/workstations", json=desk(name, NFD), headers=headers))
        for name in (NFD, NFC, HIDDEN)
    ]

    assert [answer.status_code for answer in answers] == [201, 409, 400]
    assert answers[0].json()["name"] == NFC
    assert await names(office) == [NFC]


async def imported(office: Office, content: dict[str, Any]) -> Any:
    document = orjson.dumps(content)
    source = ImportFile("office.json", "json", BytesIO(document), len(document))
    return await Importing(office.database).take(by_command("test"), source)


async def test_an_import_finds_what_its_names_mean(office: Office) -> None:
    await created(office, NFC)
    row = {"building": NFD, "floor_number": 1, "x_position": 5, "y_position": 5}
    report = await imported(
        office,
        {
            "buildings": [{"name": NFD}],
            "departments": [{"name": NFD}],
            "workstations": [{**row, "name": NFD, "department": NFC}],
        },
    )

    assert report.outcome is ImportOutcome.WRITTEN
    assert await names(office) == [NFC]
    assert await office.sql("SELECT count(*) FROM buildings WHERE name LIKE 'Caf%'") == 1
    twice = await imported(office, {"workstations": [{**row, "name": NFC}, {**row, "name": NFD}]})
    hidden = await imported(office, {"workstations": [{**row, "name": HIDDEN}]})
    assert [twice.outcome, hidden.outcome] == [ImportOutcome.REFUSED, ImportOutcome.REFUSED]
    assert "in the file already" in twice.problems[0].reason
    assert "U+200B" in hidden.problems[0].reason


ASKED = {
    "a floor": "{ floor(building: $b, number: 1) { building } }",
    "floors": "{ floors(building: $b) { building } }",
    "a filter": "{ workstations(filter: {building: $b}) { nodes { building } } }",
    "a part of a name": "{ workstations(filter: {nameContains: $b}) { nodes { building } } }",
    "counts": "{ workstationStats(filter: {building: $b}, groupBy: BUILDING) { key } }",
}


@pytest.mark.parametrize("what", ASKED)
async def test_what_is_asked_for_by_a_name_is_found_in_whatever_form(office: Office, what: str) -> None:
    await created(office, NFC)
    query = f"query ($b: String!) {ASKED[what]}"

    composed, apart = [await office.data("admin", query, {"b": name}) for name in (NFC, NFD)]

    assert NFC in orjson.dumps(composed).decode()
    assert composed == apart


async def test_who_follows_a_place_is_told_by_whatever_form_of_its_name(office: Office) -> None:
    async with office.socket("admin") as socket:
        socket.subscribe(FEED, {"b": NFD})
        assert (await socket.payload())["data"]["workstationChanges"]["workstations"] == []
        await created(office, NFC)
        assert (await socket.payload())["data"]["workstationChanges"]["workstations"] == [{"name": NFC}]


@pytest.mark.parametrize("name", ["josé", "JOSE\u0301", "jose\u0301", "ｊｏｓé"])
async def test_an_account_is_one_in_whatever_form_it_is_typed(office: Office, name: str) -> None:
    answer = await login(office, name)

    assert signed_in(answer)
    assert answer["viewer"]["subject"] == "josé"


async def test_the_failures_of_one_account_are_counted_together(office: Office) -> None:
    subjects = []
    for name in ("josé", "jose\u0301", "ｊｏｓé"):
        await login(office, name, "wrong")
        subjects.append(await office.sql("SELECT array_agg(subject ORDER BY subject) FROM login_failures"))

    assert subjects[0] == subjects[1] == subjects[2]


async def test_a_password_is_right_in_whatever_form_it_is_typed(office: Office) -> None:
    assert signed_in(await login(office, "josé", PASSWORD.replace("correct", "ｃｏｒｒｅｃｔ")))
    assert not signed_in((await ask(office, LOGIN, {"name": "josé", "password": "ｗｒｏｎｇ"}))["data"]["login"])
