"""Notifications over server processes: everybody is told of each that is for them once and in order, whoever publishes
it and however often their connection breaks, and of no other."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import httpx
import orjson
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from graphql_app.domain.identifiers import global_id, parse
from graphql_app.domain.seal import Numbers
from tests import histories
from tests.acceptance.conftest import Server, StartServer

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
SUBSCRIPTION = """subscription ($after: Cursor, $building: String, $floor: Int) {
  notifications(after: $after, building: $building, floor: $floor) {
    kind cursor complete reason removed notifications { id title role department { id } building floorNumber }
  } }"""
PUBLISH = """mutation ($input: PublishNotificationInput!) { publishNotification(input: $input) { __typename } }"""

# How they are aimed, in turn: building, floor, department, role.
TARGETS: Sequence[tuple[str | None, int | None, int | None, str | None]] = (
    (None, None, None, None),
    (None, None, 1, None),
    (None, None, None, "hr"),
    ("总部A座", None, None, None),
    ("总部A座", 3, 2, None),
    ("Riverside", 1, None, None),
    (None, None, 2, "hr"),
)


class Person:
    """Somebody who follows what is for them, from one process to the other, always from their last cursor."""

    def __init__(
        self, role: str, employee: UUID | None = None, department: int | None = None, place: Mapping[str, Any] = {}
    ) -> None:
        self.role, self.employee, self.department, self.place = role, employee, department, place
        self.cursor: str | None = None
        self.told: list[int] = []
        self.removed: list[int] = []
        self.kinds: list[str] = []
        self.arrived = asyncio.Event()

    def is_for(self, building: str | None, floor: int | None, department: int | None, role: str | None) -> bool:
        """Written down once more, so that the server's own rule is not asked about itself."""
        if role is not None and role != self.role:
            return False
        if department is not None and department != self.department:
            return False
        if "building" in self.place and building not in (None, self.place["building"]):
            return False
        return "floor" not in self.place or floor in (None, self.place["floor"])

    async def follow(self, server: Server) -> None:
        """Until the connection breaks, or it is cancelled."""
        self._keys = Numbers(server.secret, "notification")
        token = server.identify.issue(
            "somebody", [self.role], seconds=600, employee_key=self.employee, employee_number=None
        )
        async with connect(
            server.ws_url,
            subprotocols=["graphql-transport-ws"],  # type: ignore[list-item]  # a NewType of str
            compression=None,
            close_timeout=0.2,
        ) as socket:
            await socket.send(
                orjson.dumps({"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}}).decode()
            )
            assert orjson.loads(await socket.recv()) == {"type": "connection_ack"}
            variables = {"after": self.cursor, **self.place}
            await socket.send(
                orjson.dumps(
                    {"id": "1", "type": "subscribe", "payload": {"query": SUBSCRIPTION, "variables": variables}}
                ).decode()
            )
            with suppress(ConnectionClosed):
                while True:
                    self._take(orjson.loads(await socket.recv()))

    def _row(self, identifier: str) -> int:
        type_name, key = parse(identifier)
        assert type_name == "Notification"
        return self._keys.open(key)

    def _take(self, message: Any) -> None:
        assert message["type"] == "next", message
        assert "errors" not in message["payload"], message
        feed = message["payload"]["data"]["notifications"]
        self.kinds.append(feed["kind"])
        for one in feed["notifications"]:
            department = one["department"] and one["department"]["id"]
            assert department in (None, global_id("Department", self.department or 0)), one
            assert one["role"] in (None, self.role), one
            self.told.append(self._row(one["id"]))
        self.removed += [self._row(one) for one in feed["removed"]]
        if feed["complete"]:
            self.cursor = feed["cursor"]
        self.arrived.set()

    async def until_begun(self) -> None:
        async with asyncio.timeout(15):
            while self.cursor is None:
                self.arrived.clear()
                await self.arrived.wait()

    async def until_told(self, key: int, seconds: float = 15) -> None:
        async with asyncio.timeout(seconds):
            while key not in self.told:
                self.arrived.clear()
                await self.arrived.wait()


@pytest.fixture
async def psql(database_url: str) -> AsyncIterator[Connection]:
    await histories.furnish(database_url)
    connection = await asyncpg.connect(database_url)
    yield connection
    connection.terminate()


async def publish_by_hand(url: str, seed: int, count: int) -> None:
    """In transactions that are open for a while, a quarter of them rolled back."""
    choice = random.Random(seed)
    connection = await asyncpg.connect(url)
    for turn in range(count):
        transaction = connection.transaction()
        await transaction.start()
        for _ in range(choice.choice((1, 1, 3))):
            await connection.execute(
                "INSERT INTO notifications (title, building, floor_number, department_id, role)"
                " VALUES ('by hand', $1, $2, $3, $4)",
                *TARGETS[(seed + turn) % len(TARGETS)],
            )
        await asyncio.sleep(choice.choice((0, 0.005, 0.02)))
        await (transaction.rollback() if choice.random() < 0.25 else transaction.commit())
    await connection.close()


async def publish_by_mutation(server: Server, count: int) -> None:
    async with httpx.AsyncClient(base_url=server.url, headers=server.headers("operator")) as http:
        for turn in range(count):
            building, floor, department, role = TARGETS[turn % len(TARGETS)]
            given = {
                "title": "by mutation",
                "building": building,
                "floorNumber": floor,
                "departmentId": department and global_id("Department", department),
                "role": role,
            }
            answer = (await http.post("/graphql", json={"query": PUBLISH, "variables": {"input": given}})).json()
            assert answer["data"]["publishNotification"]["__typename"] == "NotificationPublished", answer


async def restless(person: Person, servers: Sequence[Server], choice: random.Random) -> None:
    """Follows, and breaks off at any moment."""
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(choice.uniform(0.05, 0.6)):
                await person.follow(choice.choice(servers))


async def employees(psql: Connection) -> dict[int, UUID]:
    """One of each department."""
    found = await psql.fetch("SELECT DISTINCT ON (department_id) department_id, public_key FROM employees")
    return {row["department_id"]: row["public_key"] for row in found}


async def committed(psql: Connection) -> list[asyncpg.Record]:
    """All notifications that are there, in the order in which the feed numbered them."""
    async with asyncio.timeout(10):
        while await psql.fetchval("SELECT count(*) FROM change_log WHERE revision IS NULL"):  # noqa: ASYNC110  # only the database knows
            await asyncio.sleep(0.01)
    return await psql.fetch(
        "SELECT n.* FROM notifications n JOIN change_log c ON c.entity = 'notification' AND c.entity_id = n.id::text"
        " AND c.before IS NULL ORDER BY c.revision"
    )


async def test_each_is_told_once_and_in_order_to_whom_it_is_for_and_to_nobody_else(
    start_server: StartServer, psql: Connection, database_url: str
) -> None:
    servers = [start_server(), start_server(GRAPHQL_APP_BATCH_WINDOW_MS="0", GRAPHQL_APP_RECENT_CHANGES="100")]
    of = await employees(psql)
    people = [
        Person("visitor"),
        Person("hr"),
        Person("hr", of[2], 2),
        Person("employee", of[1], 1),
        Person("employee", of[1], 1, {"building": "总部A座"}),
        Person("employee", of[2], 2, {"building": "总部A座", "floor": 3}),
        Person("admin", None, None, {"building": "Riverside", "floor": 1}),
    ]
    choice = random.Random(7)
    async with AsyncExitStack() as stack:
        following = [asyncio.create_task(restless(person, servers, choice)) for person in people]
        for task in following:
            stack.callback(task.cancel)
        await asyncio.gather(*(person.until_begun() for person in people))
        await asyncio.gather(
            *(publish_by_hand(database_url, seed, 60) for seed in range(2)),
            publish_by_mutation(servers[0], 60),
            histories.write(database_url, 1, 3),
        )
        last = await psql.fetchval("INSERT INTO notifications (title) VALUES ('the end') RETURNING id")
        await asyncio.gather(*(person.until_told(last) for person in people))
    await asyncio.gather(*following, return_exceptions=True)
    truth = await committed(psql)
    assert len(truth) > 150
    for person in people:
        expected = [
            row["id"]
            for row in truth
            if person.is_for(row["building"], row["floor_number"], row["department_id"], row["role"])
        ]
        assert person.told == expected, f"{person.role} {person.department} {person.place}"
        assert person.removed == []
        assert "RESYNC" not in person.kinds


async def test_a_correction_is_told_and_what_is_taken_back_or_aimed_elsewhere_is_removed(
    start_server: StartServer, psql: Connection
) -> None:
    server = start_server(GRAPHQL_APP_BATCH_WINDOW_MS="0")
    visitor, hr = Person("visitor"), Person("hr")
    tasks = [asyncio.create_task(person.follow(server)) for person in (visitor, hr)]
    await psql.execute("INSERT INTO notifications (title) VALUES ('lift'), ('door'), ('roof')")
    for person in (visitor, hr):
        await person.until_told(3)

    await psql.execute("UPDATE notifications SET title = 'the lift' WHERE id = 1")
    await psql.execute("UPDATE notifications SET role = 'hr' WHERE id = 2")
    await psql.execute("DELETE FROM notifications WHERE id = 3")
    await psql.execute("UPDATE notifications SET expires_at = now() WHERE id = 1")
    await psql.execute("INSERT INTO notifications (title) VALUES ('the end')")
    for person in (visitor, hr):
        await person.until_told(4)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert (visitor.told, visitor.removed) == ([1, 2, 3, 1, 4], [2, 3, 1])
    assert (hr.told, hr.removed) == ([1, 2, 3, 1, 2, 4], [3, 1])


async def test_who_comes_to_belong_elsewhere_is_told_nothing_more_and_starts_anew(
    start_server: StartServer, psql: Connection
) -> None:
    server = start_server(GRAPHQL_APP_BATCH_WINDOW_MS="0")
    employee = (await employees(psql))[1]
    somebody, other = Person("employee", employee, 1), Person("visitor")
    tasks = [asyncio.create_task(person.follow(server)) for person in (somebody, other)]
    await psql.execute("INSERT INTO notifications (title, department_id) VALUES ('first', NULL), ('second', 1)")
    await asyncio.gather(somebody.until_told(2), other.until_told(1))

    await psql.execute("UPDATE employees SET name = 'another name' WHERE public_key = $1", employee)
    async with psql.transaction():
        await psql.execute("UPDATE employees SET department_id = 2 WHERE public_key = $1", employee)
        await psql.execute("INSERT INTO notifications (title, department_id) VALUES ('third', 1), ('fourth', 2)")
    (refused,) = await asyncio.gather(tasks[0], return_exceptions=True)
    assert "CONFLICT" in str(refused)

    assert somebody.told == [1, 2]
    somebody.department, somebody.told = 2, []
    tasks.append(asyncio.create_task(somebody.follow(server)))
    await somebody.until_told(4)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert (somebody.told, somebody.kinds[-1]) == ([1, 4], "RESYNC")
    assert other.told == [1], "nobody else was disturbed"


async def test_who_comes_back_after_much_else_has_happened_is_told_what_they_missed_and_nothing_twice(
    start_server: StartServer, psql: Connection
) -> None:
    server = start_server(GRAPHQL_APP_RECENT_CHANGES="10", GRAPHQL_APP_CATCH_UP_MOST="10")
    person = Person("visitor")
    await psql.execute("INSERT INTO notifications (title) VALUES ('seen')")
    task = asyncio.create_task(person.follow(server))
    await person.until_told(1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    for turn in range(30):
        await psql.execute("UPDATE workstations SET notes = $1 WHERE id = 1", str(turn))
    await psql.execute("INSERT INTO notifications (title) VALUES ('missed')")
    task = asyncio.create_task(person.follow(server))
    await person.until_told(2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert (person.told, person.kinds[-1]) == ([1, 2], "CHANGES")


async def test_over_server_sent_events_too(start_server: StartServer, psql: Connection) -> None:
    server = start_server()
    headers = {**server.headers("visitor"), "Accept": "text/event-stream"}
    await psql.execute("INSERT INTO notifications (title, role) VALUES ('for all', NULL), ('for hr', 'hr')")
    async with (
        httpx.AsyncClient(base_url=server.url, headers=headers, timeout=10) as http,
        http.stream("POST", "/graphql", json={"query": SUBSCRIPTION}) as response,
    ):
        lines = response.aiter_lines()
        seen: list[list[str]] = []
        async for line in lines:
            if line.startswith("data: "):
                feed = orjson.loads(line.removeprefix("data: "))["data"]["notifications"]
                seen.append([one["title"] for one in feed["notifications"]])
                if len(seen) == 2:
                    break
                await psql.execute("INSERT INTO notifications (title, role) VALUES ('hr', 'hr'), ('live', NULL)")

    assert seen == [["for all"], ["live"]]
