"""The disk of the database is full: nothing is stored, reads go on, and all else does when there is room."""

import asyncio
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import histories
from tests.acceptance.conftest import Server, StartServer
from tests.acceptance.following import EVERYWHERE, VISITOR, joined, metric
from tests.clusters import cluster
from tests.conftest import with_database
from tests.histories import FLOOR

FULL_SECONDS = 8.0
BACK_SECONDS = 8.0
SIZE = "48m"
BLOCK = bytes(64 * 1024)
CREATE = (
    "mutation($name: String!, $notes: String!) { createWorkstation(input: {name: $name, xPosition: 1, yPosition: 1,"
    ' notes: $notes, building: "总部A座", floorNumber: 3}) { __typename } }'
)


class Disk:
    """A small file system: a directory that is full when it is told to be."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self) -> None:
        with self._ballast.open("ab", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(BLOCK)
            except OSError:
                pass

    def make_room(self) -> None:
        self._ballast.unlink()


@contextmanager
def disk() -> Iterator[Disk]:
    """In memory, and gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="graphql-app-disk-") as directory:
        Path(directory).chmod(0o711)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0711", "none", directory], check=True)
        try:
            yield Disk(Path(directory))
        finally:
            subprocess.run(["umount", "--lazy", directory], check=True)


@pytest.fixture
def small() -> Iterator[tuple[Disk, str]]:
    """A disk, and the URL of a database of which all tables are on it. The write-ahead log is elsewhere: where that
    cannot be written PostgreSQL ends, as any server does that is away."""
    with cluster() as own, disk() as one:
        place = one.path / "tables"
        place.mkdir(0o700)
        own.account.own(place)
        asyncio.run(
            own.execute(f"CREATE TABLESPACE small LOCATION '{place}'", "CREATE DATABASE office TABLESPACE small")
        )
        yield one, with_database(own.url, "office")
        own.stop()
        shutil.rmtree(place)


async def asked(server: Server, document: str, **variables: str) -> Any:
    async with httpx.AsyncClient() as http:
        body = {"query": document, "variables": variables}
        return (await http.post(f"{server.url}/graphql", json=body, headers=server.headers(), timeout=30)).json()


async def created(server: Server) -> Any:
    """What becomes of one that takes a block or two, since it cannot be compressed."""
    return await asked(server, CREATE, name=secrets.token_hex(8), notes=secrets.token_urlsafe(1400))


def what_became(answer: Any) -> str:
    if "errors" in answer:
        return str(answer["errors"][0]["extensions"]["code"])
    return str(answer["data"]["createWorkstation"]["__typename"])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
async def test_a_full_disk_refuses_writes_in_words_once_in_the_log_and_is_over_when_there_is_room(
    start_server: StartServer, small: tuple[Disk, str]
) -> None:
    disk, url = small
    server = start_server(DATABASE_URL=url)
    await histories.furnish(url)
    async with AsyncExitStack() as stack:
        recorders = [client.recorder for client in await joined(stack, server, FLOOR, VISITOR, EVERYWHERE)]
        await histories.told(recorders, url, "before")
        disk.fill()
        answers: list[Any] = []
        end = time.monotonic() + FULL_SECONDS
        while time.monotonic() < end:
            answers += await asyncio.gather(*(created(server) for _ in range(20)))
            assert "errors" not in await asked(server, "{ departments { name } }")
        became = Counter(map(what_became, answers))
        assert became["UNAVAILABLE"] > 50, became
        assert set(became) <= {"UNAVAILABLE", "WorkstationChanged"}
        refused = next(answer for answer in answers if what_became(answer) == "UNAVAILABLE")
        assert "The disk of the database is full." in refused["errors"][0]["message"]
        async with httpx.AsyncClient() as http:
            readiness = await http.get(f"{server.url}/readyz", timeout=15)
        assert (readiness.status_code, "its disk is full" in readiness.text) == (200, True), readiness.text

        disk.make_room()
        freed_at = time.monotonic()
        while what_became(await created(server)) != "WorkstationChanged":
            assert time.monotonic() - freed_at < BACK_SECONDS
            await asyncio.sleep(0.1)
        await histories.told(recorders, url, "there is room", BACK_SECONDS)
        await asyncio.sleep(6)
        assert what_became(await created(server)) == "WorkstationChanged"
        assert all(payload.kind != "RESYNC" for recorder in recorders for payload in recorder.payloads)
    log = server.log.read_text()
    assert log.count("the database takes no writes: its disk is full, or fails") == 1
    assert log.count("the database takes writes again") == 1
    assert "Traceback" not in log
    assert metric(server, "graphql_app_incidents_total") == 0
    assert len(log.splitlines()) < 80, log
