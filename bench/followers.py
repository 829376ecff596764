"""Who follows floors, goes away and comes back with a cursor. Each socket is closed as the protocol has it."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

DOCUMENT = """subscription ($floor: Int!, $after: Cursor) {
  workstationChanges(filter: {building: "A", floorNumber: $floor}, after: $after) {
    kind cursor complete removed workstations { id name version xPosition }
  }
}"""
AWAY_SECONDS_MOST = 3.0
RETRY_SECONDS = 0.2


@dataclass(slots=True)
class Crowd:
    """What all have in common: where the server is by now, when each change was committed, and what they were told."""

    ws_url: str
    token: str
    committed: Mapping[int, float]  # by mark
    kinds: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)  # from the commit, or from coming back if that was later
    returns: list[float] = field(default_factory=list)  # from coming back to the first payload

    def forget(self) -> None:
        self.kinds.clear()
        self.latencies.clear()
        self.returns.clear()


class Follower:
    """One of the crowd. What it holds must be what the database has, whatever it went through; see `is_level`."""

    def __init__(self, crowd: Crowd, floor: int) -> None:
        self.floor = floor
        self.held: dict[str, int] = {}  # versions, by name
        self.is_level = asyncio.Event()
        self._crowd = crowd
        self._cursor: str | None = None

    async def run(self, mean_stay_seconds: float | None = None) -> None:
        """Follows, and comes back whenever the connection ends; never returns. `mean_stay_seconds`: for so long, on
        average, before it goes away by itself."""
        while True:
            stay = random.expovariate(1 / mean_stay_seconds) if mean_stay_seconds else None
            try:
                async with asyncio.timeout(stay):
                    await self._follow()
            except TimeoutError:
                await asyncio.sleep(random.uniform(0, AWAY_SECONDS_MOST))
            except (OSError, ConnectionClosed, InvalidHandshake, InvalidMessage):
                await asyncio.sleep(RETRY_SECONDS)

    async def _follow(self) -> None:
        came = time.time()
        self.is_level.clear()
        # Left in any way, its close handshake is made: what is half-open would cost the server more than who is there.
        async with connect(
            self._crowd.ws_url,
            subprotocols=["graphql-transport-ws"],  # type: ignore[list-item]  # a NewType of str
            compression=None,
            ping_interval=None,
            open_timeout=60,
        ) as socket:
            await self._subscribe(socket)
            while True:
                message = json.loads(await socket.recv())
                if message["type"] == "next":
                    self._take(message["payload"]["data"]["workstationChanges"], came)
                elif message["type"] != "ping":
                    raise SystemExit(f"the server sent {message}")

    async def _subscribe(self, socket: ClientConnection) -> None:
        init = {"type": "connection_init", "payload": {"authorization": f"Bearer {self._crowd.token}"}}
        variables = {"floor": self.floor, "after": self._cursor}
        await socket.send(json.dumps(init))
        await socket.recv()
        payload = {"query": DOCUMENT, "variables": variables}
        await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))

    def _take(self, feed: Mapping[str, Any], came: float) -> None:
        now, crowd = time.time(), self._crowd
        crowd.kinds[feed["kind"]] += 1
        if feed["kind"] in ("SNAPSHOT", "RESYNC"):
            self.held = {state["name"]: state["version"] for state in feed["workstations"]}
        else:
            for state in feed["workstations"]:
                if state["version"] <= self.held.get(state["name"], 0):
                    raise SystemExit(f"{state} was told twice")
                self.held[state["name"]] = state["version"]
                made = crowd.committed.get(int(state["xPosition"]), now)
                crowd.latencies.append(now - max(made, came))
        if feed["complete"]:
            self._cursor = feed["cursor"]
        if not self.is_level.is_set():
            crowd.returns.append(now - came)
            self.is_level.set()


@contextmanager
def following(
    followers: list[Follower], mean_stay_seconds: float | None = None
) -> Iterator[list["asyncio.Task[None]"]]:
    tasks = [asyncio.create_task(one.run(mean_stay_seconds)) for one in followers]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()


async def gone(tasks: list["asyncio.Task[None]"]) -> None:
    """Ends them, and returns when all sockets are closed. Raises what one of them raised."""
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError):
            await task


async def all_level(followers: list[Follower], seconds: float = 120) -> None:
    async with asyncio.timeout(seconds):
        await asyncio.gather(*(one.is_level.wait() for one in followers))
