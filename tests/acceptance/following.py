"""Clients that follow server processes, what is done to the office meanwhile, and who of the processes leads."""

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from itertools import pairwise
from typing import TypeAlias

import asyncpg
import httpx
import psutil

from graphql_app.domain.identifiers import global_id
from tests import histories
from tests.acceptance.conftest import Server
from tests.histories import Recorder, Scene, connected

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
VISITOR = Scene("visitor", "总部A座", 3)
EVERYWHERE = Scene("admin")
LEADER = (
    "SELECT a.pid, a.client_port FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
    " JOIN pg_stat_activity a USING (pid)"
    " WHERE d.datname = current_database() AND locktype = 'advisory' AND granted"
)


class Client:
    """Follows a scene through one server process after the other, always from its last cursor."""

    def __init__(self, scene: Scene, *, patient: bool = False) -> None:
        self.recorder = Recorder(scene)
        self._patient = patient
        self._stack = AsyncExitStack()

    async def join(self, server: Server) -> None:
        token = server.token(self.recorder.scene.role)
        self._socket = await self._stack.enter_async_context(connected(server.ws_url, token, patient=self._patient))
        await self._socket.subscribe(self.recorder)

    async def leave(self) -> None:
        await self._stack.aclose()

    async def ended(self) -> int:
        """Waits until the server ends the connection. Returns the close code; 1006 if there was none."""
        await self._socket.ended.wait()
        return self._socket.socket.close_code or 1006

    async def come_back(self, server: Server) -> None:
        """Joins the server again whenever the connection ends; never returns."""
        while True:
            await self.ended()
            await self.leave()
            await self.join(server)

    async def drop(self) -> None:
        """Breaks off in the middle of whatever was going on, with no word to the server."""
        self._socket.socket.transport.abort()
        await self.leave()


async def joined(stack: AsyncExitStack, server: Server, *scenes: Scene, patient: bool = False) -> list[Client]:
    """Clients of the server, each with its snapshot."""
    clients = [Client(scene, patient=patient) for scene in scenes]
    for client in clients:
        stack.push_async_callback(client.leave)
        await client.join(server)
    for client in clients:
        await client.recorder.until(lambda payload: payload.complete)
    return clients


async def leading(psql: Connection, servers: Sequence[Server]) -> Server:
    """The server process that numbers, once there is one."""
    async with asyncio.timeout(5):
        while True:
            row = await psql.fetchrow(LEADER)
            for server in servers:
                if row is not None and server.process.poll() is None and row["client_port"] in ports(server):
                    return server
            await asyncio.sleep(0.02)


def ports(server: Server) -> set[int]:
    return {connection.laddr.port for one in processes(server) for connection in one.net_connections("tcp")}


def processes(server: Server) -> list[psutil.Process]:
    """The process that was started, and then its workers if it has any."""
    first = psutil.Process(server.process.pid)
    return [first, *first.children(recursive=True)]


async def mutate(server: Server, number: int, seconds: float) -> int:
    """Somebody at work through the API. Returns how many mutations were done."""
    choice, done = random.Random(number), 0
    end = time.monotonic() + seconds
    documents = (
        "mutation($id: ID!, $text: String!) { updateWorkstation(id: $id, input: {notes: $text}) { __typename } }",
        "mutation($id: ID!) { setWorkstationStatus(id: $id, status: MAINTENANCE) { __typename } }",
        "mutation($id: ID!) { setWorkstationStatus(id: $id, status: AVAILABLE) { __typename } }",
        "mutation($id: ID!) { updateWorkstation(id: $id, input: {xPosition: 5}) { __typename } }",
        "mutation($text: String!) { createWorkstation(input: {name: $text, xPosition: 1, yPosition: 1, notes: $text,"
        ' building: "总部A座", floorNumber: 3}) { __typename } }',
        "mutation($id: ID!) { deleteWorkstation(id: $id) { __typename } }",
    )
    async with httpx.AsyncClient(base_url=server.url, headers=server.headers()) as http:
        while time.monotonic() < end:
            (document,) = choice.choices(documents, (8, 4, 4, 4, 1, 1))
            given = {
                "id": global_id("Workstation", choice.randrange(5, 60)),
                "text": f"m{number}.{time.monotonic_ns()}",
            }
            variables = {name: value for name, value in given.items() if f"${name}:" in document}
            answer = (await http.post("/graphql", json={"query": document, "variables": variables})).json()
            assert "errors" not in answer, answer
            (result,) = answer["data"].values()
            done += result["__typename"] in ("WorkstationChanged", "WorkstationDeleted")
    return done


async def work(url: str, seconds: float, writers: int = 3) -> None:
    await asyncio.gather(*(histories.write(url, number, seconds) for number in range(writers)))


def gap_most(recorder: Recorder, since: float, until: float) -> float:
    """The longest time in which nothing arrived."""
    times = [since, *(p.received_at for p in recorder.payloads if since < p.received_at < until), until]
    return max(later - earlier for earlier, later in pairwise(times))


def metric(server: Server, name: str) -> float:
    """The value of a metric, with its labels in the name if it has any; 0 while it has none."""
    text = httpx.get(f"{server.url}/metrics", headers=server.headers("operator")).text
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(f"{name} "))
