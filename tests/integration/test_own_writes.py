"""Whoever shows a receipt is shown the write, on every process and by every door."""

import secrets
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from graphql_app.embedded import Servers
from graphql_app.testing import new_key
from tests.graphql_client import A_01, MAIN, Office, running_office, seed, settings_for

SET_STATUS = """
mutation Set($id: ID!, $status: WorkstationStatus!) {
  setWorkstationStatus(id: $id, status: $status) { ... on WorkstationChanged { receipt } }
}
"""
READ = "query Read($id: ID!) { workstation(id: $id) { status } }"
FLOOR = '{ floor(building: "总部大楼", number: 1) { cursor workstations { id status } } }'
CURSOR = '{ floor(building: "总部大楼", number: 1) { cursor } }'


@pytest.fixture
async def processes(database_url: str, servers: Servers) -> AsyncIterator[tuple[Office, Office]]:
    """Two processes of one installation."""
    shared = {"secret": SecretStr(secrets.token_urlsafe(32)), "token_private_key": SecretStr(new_key())}
    one = settings_for(database_url, servers, cache_rows=10_000, **shared)
    async with running_office(one) as first, running_office(one) as second:
        await seed(first.database)
        yield first, second


async def written(office: Office, status: str) -> str:
    answer = await office.data("facilities", SET_STATUS, {"id": A_01, "status": status})
    receipt: str = answer["setWorkstationStatus"]["receipt"]
    return receipt


async def test_a_write_is_seen_at_once_on_another_process(processes: tuple[Office, Office]) -> None:
    first, second = processes
    for status in ("MAINTENANCE", "AVAILABLE", "RESERVED", "AVAILABLE") * 5:
        receipt = await written(first, status)
        seen = await second.data("visitor", READ, {"id": A_01}, x_min_cursor=receipt)
        assert seen["workstation"]["status"] == status
        shown = await second.client.get(
            f"/api/workstations/{A_01}", headers={**second.headers("visitor"), "X-Min-Cursor": receipt}
        )
        assert shown.json()["status"] == status
        first, second = second, first


async def test_a_floor_with_its_cursor_holds_the_write_too(processes: tuple[Office, Office]) -> None:
    first, second = processes
    for status in ("MAINTENANCE", "AVAILABLE") * 5:
        receipt = await written(first, status)
        floor = (await second.data("visitor", FLOOR, x_min_cursor=receipt))["floor"]
        assert next(desk for desk in floor["workstations"] if desk["id"] == A_01)["status"] == status
        first, second = second, first


async def test_a_cursor_of_a_feed_is_taken_too(processes: tuple[Office, Office]) -> None:
    first, second = processes
    cursor = (await first.data("visitor", CURSOR))["floor"]["cursor"]
    assert (await second.data("visitor", READ, {"id": A_01}, x_min_cursor=cursor))["workstation"] is not None


async def test_what_is_neither_is_refused_with_what_to_send(processes: tuple[Office, Office]) -> None:
    office, _ = processes
    answer = await office.ask("visitor", READ, {"id": A_01}, x_min_cursor="7")
    assert answer["errors"][0]["extensions"]["code"] == "INVALID_INPUT"
    assert "X-Min-Cursor" in answer["errors"][0]["message"]
    refused = await office.client.get("/api/workstations", headers={**office.headers("visitor"), "X-Min-Cursor": "7"})
    assert (refused.status_code, refused.json()["code"]) == (400, "INVALID_INPUT")


RENAME = """
mutation ($id: ID!, $name: String!) {
  updateBuilding(id: $id, input: {name: $name}) { ... on BuildingChanged { receipt } ... on Refusal { message } }
}
"""
REGISTER = "{ buildings { name floors { building } } floors { building } }"


async def test_who_renames_a_building_reads_the_new_name_at_once_with_or_without_the_receipt(
    processes: tuple[Office, Office],
) -> None:
    """Also where the answer was at hand a moment ago, and where a floor is kept in memory."""
    first, second = processes
    for turn in range(10):
        name = f"Tower {turn}"
        for office in processes:
            await office.data("visitor", REGISTER)
        done = (await first.data("facilities", RENAME, {"id": MAIN, "name": name}))["updateBuilding"]
        here = await first.data("visitor", REGISTER)
        there = await second.data("visitor", REGISTER, x_min_cursor=done["receipt"])
        for shown in (here, there):
            assert {one["name"] for one in shown["buildings"]} == {name, "Annex"}
            assert {one["building"] for one in shown["floors"]} == {name, "Annex"}
