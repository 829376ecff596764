"""What following takes of the memory: of one subscription with a long filter, and of all that one user follows."""

import asyncio
import gc
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from graphql_app.domain import identifiers
from graphql_app.domain.identifiers import global_id
from graphql_app.embedded import Servers
from tests.graphql_client import Office, Socket, fresh_database, running_office, seed, settings_for

pytestmark = pytest.mark.asyncio(loop_scope="module")

FOLLOW = """subscription ($filter: WorkstationFilter!) {
    workstationChanges(filter: $filter, snapshot: false) { kind workstations { id status } } }"""
IDS_MOST = 500
KILOBYTES_MOST = 160


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def office(servers: Servers, template: str) -> AsyncIterator[Office]:
    async with (
        fresh_database(servers, template) as url,
        running_office(settings_for(url, servers, user_followed_values=2000)) as office,
    ):
        await seed(office.database)
        yield office


def ids(number: int, many: int = IDS_MOST) -> list[str]:
    """So many that nobody else asks for."""
    return [global_id("Workstation", 1_000_000 + number * many + n) for n in range(many)]


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def taken() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


async def follow(socket: Socket, number: int, **matching: Any) -> Any:
    socket.subscribe(FOLLOW, {"filter": matching}, id=str(number))
    return await socket.receive()


async def test_a_subscription_of_500_ids_takes_little_more_than_its_ids(office: Office, traced: None) -> None:
    async with office.socket("admin") as warm:
        await follow(warm, 0, ids=ids(100, 1), statuses=["AVAILABLE", "OCCUPIED"])
        async with office.socket("visitor") as socket:
            for number in range(3):  # what all ids are remembered in is bounded, and none of theirs
                for one in ids(number):
                    identifiers.row(one, "Workstation")
            before = taken()
            for number in range(3):
                assert (await follow(socket, number, ids=ids(number), statuses=["AVAILABLE", "OCCUPIED"]))[
                    "type"
                ] == "next"
            await asyncio.sleep(0.1)
            kilobytes = (taken() - before) / 3 / 1024
    assert kilobytes < KILOBYTES_MOST


async def test_what_one_user_follows_is_bounded_by_the_values_of_their_filters(office: Office) -> None:
    async with office.socket("hr") as one, office.socket("hr") as other, office.socket("operator") as somebody_else:
        for number in range(3):
            assert (await follow(one, number, ids=ids(number)))["type"] == "next"
        assert (await follow(other, 3, ids=ids(3)))["type"] == "next"

        refused = await follow(other, 4, statuses=["AVAILABLE"])
        assert (refused["id"], refused["type"]) == ("4", "error")
        extensions = refused["payload"][0]["extensions"]
        assert (extensions["code"], extensions["measure"]) == ("TOO_MANY", "values followed by one user")
        assert (extensions["limit"], extensions["asked"]) == (2000, 2001)

        assert (await follow(other, 5, building="Riverside", floorNumber=1))["type"] == "next"
        assert (await follow(somebody_else, 1, ids=ids(9)))["type"] == "next"
        one.send({"id": "0", "type": "complete"})
        one.send({"type": "ping"})
        assert (await one.receive())["type"] == "pong"
        assert (await follow(other, 6, statuses=["AVAILABLE"]))["type"] == "next"


async def test_what_was_followed_counts_no_more_when_its_socket_is_gone(office: Office) -> None:
    for _ in range(3):
        async with office.socket("facilities") as socket:
            for number in range(4):
                assert (await follow(socket, number, ids=ids(number)))["type"] == "next"
