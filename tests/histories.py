"""Histories: what was committed, what each client was told, and whether the two are the same story.

The truth is the change log alone, replayed here by rules of its own, with nothing taken from the code that is tested
but the reading of cursors. After every complete payload the client must hold exactly what the log says of the payload's
revision: then nothing was lost, nothing came out of order, and nothing was shown that is hidden.
"""

import asyncio
import random
import time
from base64 import b64decode
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from graphql_app.domain.access import ROLES, View
from graphql_app.domain.change import BETWEEN_MOST
from graphql_app.domain.filters import WorkstationFilter
from graphql_app.services.cursors import FeedCursors
from graphql_app.services.following import cohorts

SUBSCRIPTION = """
subscription Follow($filter: WorkstationFilter, $after: Cursor, $snapshot: Boolean! = true) {
  workstationChanges(filter: $filter, after: $after, snapshot: $snapshot) {
    kind cursor merged complete reason removed
    workstations {
      id name status notes building floorNumber floorName xPosition version employeeId
      department { name } employee { name }
    }
  }
}
"""
# What a role is not shown, in the words of the document above.
HIDDEN = {"admin": (), "visitor": ("xPosition", "version", "employeeId")}

Shown = Mapping[str, Any]
Answer = bytes | str | Mapping[str, Any]  # what a `next` message carries


# --- what was committed ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Logged:
    """One row of the change log, about a workstation."""

    revision: int
    workstation_id: int
    version: int
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


def shown(image: Mapping[str, Any], role: str) -> Shown:
    """An image of the log as the document shows it to the role."""
    labels = image["labels"]
    employee, department = labels["employee"], labels["department"]
    answer = {
        "name": image["name"],
        "status": image["status"].upper(),
        "notes": image["notes"],
        "building": image["building"],
        "floorNumber": image["floor_number"],
        "floorName": labels["floor"],
        "xPosition": image["x_position"],
        "version": image["version"],
        "employeeId": employee and employee["number"],
        "department": department and {"name": department["name"]},
        "employee": employee and {"name": employee["name"]},
    }
    return answer | dict.fromkeys(HIDDEN[role])


@dataclass(frozen=True, slots=True)
class Scene:
    """What a client follows: as whom, and where. Nowhere in particular is everywhere."""

    role: str = "admin"
    building: str | None = None
    floor: int | None = None

    @property
    def variables(self) -> dict[str, Any]:
        return {"filter": {"building": self.building, "floorNumber": self.floor}} if self.building else {}

    @property
    def matching(self) -> WorkstationFilter:
        return WorkstationFilter(building=self.building, floor_number=self.floor)

    @property
    def view(self) -> View:
        return View(ROLES[self.role])

    def sees(self, image: Mapping[str, Any] | None) -> Shown | None:
        """The workstation as it is shown in this scene, if it is."""
        if image is None or (self.building is not None and (image["building"], image["floor_number"]) != self._place):
            return None
        return shown(image, self.role)

    @property
    def _place(self) -> tuple[str | None, int | None]:
        return self.building, self.floor


@dataclass(frozen=True, slots=True)
class Committed:
    """The whole log of workstations since the database was made, and the rows that it led to."""

    revisions: Sequence[int]  # of all that was logged
    log: Sequence[Logged]
    rows: Mapping[int, Mapping[str, Any]]
    head: int

    def check(self) -> None:
        """The log itself: revisions are dense, per workstation each change begins where the last one ended, and all
        of it together makes the rows."""
        assert self.revisions == list(range(1, self.head + 1)), "revisions are not dense"
        state: dict[int, Mapping[str, Any]] = {}
        for entry in self.log:
            assert entry.before == state.get(entry.workstation_id), f"revision {entry.revision} follows another state"
            if entry.after is None:
                del state[entry.workstation_id]
            else:
                state[entry.workstation_id] = entry.after
        assert state == self.rows, "the log does not lead to the rows"


async def committed(url: str) -> Committed:
    """All that was committed, once the feed has numbered all of it."""
    connection = await asyncpg.connect(url)
    try:
        await _all_numbered(connection)
        async with connection.transaction(isolation="repeatable_read"):
            found = await connection.fetch("SELECT * FROM change_log ORDER BY revision")
            rows = await connection.fetch("SELECT id, to_jsonb(w) AS row FROM workstations w")
            head = await connection.fetchval("SELECT revision FROM feed_head")
    finally:
        await connection.close()
    log = [
        Logged(row["revision"], int(row["entity_id"]), row["version"], _json(row["before"]), _json(row["after"]))
        for row in found
        if row["entity"] == "workstation"
    ]
    return Committed(
        [row["revision"] for row in found], log, {row["id"]: orjson.loads(row["row"]) for row in rows}, head
    )


async def _all_numbered(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    async with asyncio.timeout(15):
        while await connection.fetchval("SELECT count(*) FROM change_log WHERE revision IS NULL"):  # noqa: ASYNC110  # only the database knows
            await asyncio.sleep(0.01)


def _json(text: str | None) -> Any:
    return None if text is None else orjson.loads(text)


# --- what a client was told ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Payload:
    kind: str
    cursor: str
    workstations: Mapping[int, Shown]
    removed: Sequence[int]
    merged: bool
    complete: bool
    reason: str | None
    received_at: float


def parsed(answer: Answer, received_at: float) -> Payload:
    body = orjson.loads(answer) if isinstance(answer, (bytes, str)) else answer
    assert "errors" not in body, body
    feed = body["data"]["workstationChanges"]
    states = {_row(state["id"]): {k: v for k, v in state.items() if k != "id"} for state in feed["workstations"]}
    assert len(states) == len(feed["workstations"]), "a workstation is twice in one payload"
    removed = [_row(one) for one in feed["removed"]]
    return Payload(
        feed["kind"],
        feed["cursor"],
        states,
        removed,
        feed["merged"],
        feed["complete"],
        feed["reason"],
        received_at,
    )


def _row(global_id: str) -> int:
    return int(b64decode(global_id).decode().removeprefix("Workstation:"))


class Recorder:
    """A client's history, in the order of arrival, over however many connections."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self._answers: list[tuple[Answer, float]] = []
        self._payloads: list[Payload] = []
        self._arrived = asyncio.Event()

    def record(self, answer: Answer) -> None:
        self._answers.append((answer, time.monotonic()))
        self._arrived.set()

    def upto(self, count: int) -> "Recorder":
        """Another client with the first so many payloads of this one."""
        other = Recorder(self.scene)
        other._answers = self._answers[:count]
        return other

    @property
    def payloads(self) -> list[Payload]:
        for answer, received_at in self._answers[len(self._payloads) :]:
            self._payloads.append(parsed(answer, received_at))
        return self._payloads

    @property
    def cursor(self) -> str | None:
        """Where to resume: of the last payload that was complete."""
        return next((payload.cursor for payload in reversed(self.payloads) if payload.complete), None)

    async def until(self, holds: Callable[[Payload], bool], seconds: float = 15) -> Payload:
        """Waits for a payload of that kind; those that came already count."""
        looked_at = 0
        async with asyncio.timeout(seconds):
            while True:
                self._arrived.clear()
                for payload in self.payloads[looked_at:]:
                    if holds(payload):
                        return payload
                looked_at = len(self._payloads)
                await self._arrived.wait()

    async def until_notes(self, notes: str, seconds: float = 15) -> Payload:
        """Waits until a workstation with these notes arrives."""
        return await self.until(lambda p: any(state["notes"] == notes for state in p.workstations.values()), seconds)

    # What services/following/cohorts asks of a Subscriber, for those that are in the same process.

    def offer(self, payload: cohorts.Payload) -> bool:
        self.record(payload.body)
        return True

    async def drained(self) -> None:
        raise AssertionError("this one always reads")

    def forget(self) -> None:
        """All that was offered is recorded."""

    def failed(self, error: Exception) -> None:
        raise AssertionError(f"the subscription failed: {error!r}")


# --- whether the two are the same story ------------------------------------------------------------------------------


class Truth:
    """The log, replayed for one scene up to any later revision."""

    def __init__(self, committed: Committed, scene: Scene) -> None:
        self.states: dict[int, Shown] = {}
        self.touched: set[int] = set()
        self.logged: Counter[int] = Counter()  # changes since forget(), by workstation
        self.steps: Counter[int] = Counter()  # those of them that can be noticed in this scene
        self._scene = scene
        self._coming = iter(committed.log)
        self._next = next(self._coming, None)

    def advance(self, revision: int) -> None:
        while self._next is not None and self._next.revision <= revision:
            workstation_id, state = self._next.workstation_id, self._scene.sees(self._next.after)
            self.touched.add(workstation_id)
            self.logged[workstation_id] += 1
            self.steps[workstation_id] += state != self.states.get(workstation_id)
            if state is None:
                self.states.pop(workstation_id, None)
            else:
                self.states[workstation_id] = state
            self._next = next(self._coming, None)

    def forget(self) -> None:
        """The client was told of all that came so far."""
        for seen in (self.touched, self.logged, self.steps):
            seen.clear()


def check(
    recorder: Recorder, committed: Committed, secret: str, *, every_version: bool = False, level_at: int = 0
) -> None:
    """Raises AssertionError unless the client was told exactly what was committed, up to the end of the log: under
    cursors that only grow, nothing lost, twice or out of order, and states skipped only where `merged` says so.

    `every_version`: not only what it came to, but each state on the way; for one connection and a window of 0. Who
    joined in a burst is told so from its payload number `level_at` on.
    """
    truth = Truth(committed, recorder.scene)
    held: dict[int, Shown] = {}
    revision, was_complete = 0, True
    assert recorder.payloads, "nothing arrived"
    for number, payload in enumerate(recorder.payloads):
        where = f"payload {number} ({payload.kind}) of {len(recorder.payloads)}"
        before, revision = revision, revision_of(payload, recorder.scene, secret)
        news = {*payload.workstations, *payload.removed}
        # Whatever tells something moves the cursor on; parts of one snapshot, and payloads that tell nothing, need not.
        grew = revision > before or (revision == before and not (news and payload.kind == "CHANGES"))
        assert grew, f"{where}: from revision {before} to {revision} with news of {sorted(news)}"
        if number == 0 and payload.kind == "CHANGES":
            # It asked for no snapshot: it knows whatever there was.
            truth.advance(revision)
            held = dict(truth.states)
            truth.forget()
            continue
        if payload.kind in ("SNAPSHOT", "RESYNC") and was_complete:
            truth.touched.update(held)
            held.clear()
        _apply(payload, held, where)
        was_complete = payload.complete
        truth.touched.update(payload.workstations, payload.removed)
        if payload.complete:
            truth.advance(revision)
            for workstation_id in truth.touched:
                told, true = held.get(workstation_id), truth.states.get(workstation_id)
                assert told == true, f"{where}: at revision {revision}, {workstation_id} is {true}, was told {told}"
            if payload.kind == "CHANGES" and all(truth.logged[one] <= BETWEEN_MOST for one in news):
                several = {one for one in news if truth.steps[one] > 1}
                assert payload.merged == bool(several), f"{where}: merged is {payload.merged}, several: {several}"
            truth.forget()
    truth.advance(committed.head)
    lost = {i for i in truth.touched if held.get(i) != truth.states.get(i)}
    assert not lost, f"after revision {revision} of {committed.head} nothing was heard of {sorted(lost)}"
    if every_version:
        _check_every_version(recorder, committed, secret, level_at)


def level_at(recorder: Recorder, committed: Committed, secret: str) -> int:
    """The number of the last payload that told several changes as one: it was `merged`, or a workstation came and went
    within it, of which nothing is told. So is told who joins in a burst, until it stands where the others stand."""
    truth, last = Truth(committed, recorder.scene), 0
    for number, payload in enumerate(recorder.payloads):
        before = dict(truth.states)
        truth.advance(revision_of(payload, recorder.scene, secret))
        came_and_went = any(
            steps > 1 and truth.states.get(one) == before.get(one) for one, steps in truth.steps.items()
        )
        if payload.kind in ("SNAPSHOT", "RESYNC") or payload.merged or came_and_went:
            last = number
        truth.forget()
    return last


def revision_of(payload: Payload, scene: Scene, secret: str) -> int:
    position = FeedCursors(secret).decode(payload.cursor, scene.matching, scene.view)
    assert position.is_for_this == payload.complete, "a cursor is good for its own filter and view, once all is told"
    return position.head.revision


def _apply(payload: Payload, held: dict[int, Shown], where: str) -> None:
    if payload.kind == "PROGRESS":
        assert not payload.workstations, where
        assert not payload.removed, where
    for workstation_id, state in payload.workstations.items():
        known = held.get(workstation_id)
        assert state != known, f"{where}: {workstation_id} twice: {state}"
        if known is not None and state["version"] is not None:
            assert state["version"] > known["version"], f"{where}: {workstation_id} goes back to {state}"
        held[workstation_id] = state
    for workstation_id in payload.removed:
        assert workstation_id in held, f"{where}: {workstation_id} was removed, and never there"
        del held[workstation_id]


def _check_every_version(recorder: Recorder, committed: Committed, secret: str, level_at: int) -> None:
    first, *later = recorder.payloads[level_at:]
    start = revision_of(first, recorder.scene, secret)
    told: defaultdict[int, list[Shown | None]] = defaultdict(list)
    for payload in later:
        if payload.kind == "SNAPSHOT":
            continue  # another part of the first
        assert payload.kind in ("CHANGES", "PROGRESS"), f"a {payload.kind} is not a change: {payload.reason}"
        for workstation_id, state in payload.workstations.items():
            told[workstation_id].append(state)
        for workstation_id in payload.removed:
            told[workstation_id].append(None)
    true: defaultdict[int, list[Shown | None]] = defaultdict(list)
    for entry in committed.log:
        was, now = recorder.scene.sees(entry.before), recorder.scene.sees(entry.after)
        if entry.revision > start and was != now:
            true[entry.workstation_id].append(now)
    assert told == true


# --- what is done to the office --------------------------------------------------------------------------------------

OFFICE = """
INSERT INTO buildings (name) VALUES ('总部A座'), ('Riverside');
INSERT INTO floors (building, number, name) VALUES ('总部A座', 3, '三楼'), ('总部A座', 4, ''), ('Riverside', 1, '');
INSERT INTO departments (name) VALUES ('研发'), ('Sales');
INSERT INTO employees (employee_number, name, department_id)
    SELECT 'E' || i, '员工' || i, 1 + i % 2 FROM generate_series(1, 20) i;
INSERT INTO workstations (name, x_position, y_position, building, floor_number, department_id, notes)
    SELECT 'A3-' || i, i, i, '总部A座', 3, 1 + i % 2, 'made' FROM generate_series(1, 40) i;
INSERT INTO workstations (name, x_position, y_position, building, floor_number, department_id, notes)
    SELECT 'R1-' || i, i, i, 'Riverside', 1, 1 + i % 2, 'made' FROM generate_series(1, 20) i;
"""
FLOOR = Scene("admin", "总部A座", 3)
MARKER = 1  # the workstation that nobody changes but mark()
SET_ASIDE = (2, 3, 4)  # for a long transaction
ROLLED_BACK = "rolled back"

# By weight. $1 is a workstation, $2 a text that is never the same twice.
_STATEMENTS = (
    (
        8,
        "UPDATE workstations SET status = (ARRAY['available', 'occupied', 'maintenance', 'reserved'])[1 + (length($2)"
        " + version) % 4], notes = $2 WHERE id = $1",
    ),
    (4, "UPDATE workstations SET x_position = x_position + 1 WHERE id = $1 AND $2 <> ''"),
    (2, "UPDATE workstations SET employee_id = 1 + version % 20, notes = $2 WHERE id = $1"),
    (2, "UPDATE workstations SET department_id = 1 + version % 2, notes = $2 WHERE id = $1"),
    (2, "UPDATE workstations SET building = '总部A座', floor_number = 3 + version % 2, notes = $2 WHERE id = $1"),
    (1, "UPDATE workstations SET building = NULL, floor_number = NULL, notes = $2 WHERE id = $1"),
    (1, "DELETE FROM workstations WHERE id = $1 AND $2 <> ''"),
    (
        2,
        "INSERT INTO workstations (name, x_position, y_position, building, floor_number, notes)"
        " VALUES ($2::text, $1, 0, '总部A座', 3, $2::text)",
    ),
)


async def furnish(url: str) -> None:
    """An office of 60 workstations, 40 of them on FLOOR."""
    connection = await asyncpg.connect(url)
    await connection.execute(OFFICE)
    await connection.close()


async def write(url: str, number: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
    """One of several writers: transactions of all kinds that are open for 0 to 20 ms, a fifth of them rolled back."""
    choice = random.Random(number)
    connection = await asyncpg.connect(url)
    end = clock() + seconds
    count = 0
    while clock() < end:
        count += 1
        is_kept = choice.random() > 0.2
        transaction = connection.transaction()
        await transaction.start()
        try:
            # In the order of ids, as whoever locks several rows does.
            for workstation_id in sorted(choice.sample(range(5, 80), choice.choice((1, 1, 1, 2, 5)))):
                (statement,) = choice.choices([s for _, s in _STATEMENTS], [weight for weight, _ in _STATEMENTS])
                text = f"{number}.{count}.{workstation_id}" if is_kept else f"{ROLLED_BACK} {number}.{count}"
                await connection.execute(statement, workstation_id, text)
            await asyncio.sleep(choice.choice((0, 0, 0.005, 0.02)) * choice.random())
        except (asyncpg.DeadlockDetectedError, asyncpg.UniqueViolationError):
            is_kept = False
        await (transaction.commit() if is_kept else transaction.rollback())
    await connection.close()


async def write_changes(url: str, number: int, changes: int) -> None:
    """One of several writers: so many single-row commits, as fast as they go, on workstations of its own."""
    choice = random.Random(number)
    connection = await asyncpg.connect(url)
    own = list(range(5 + 9 * number, 14 + 9 * number))
    for count in range(changes):
        chosen = choice.randrange(len(own))
        text = f"{number}.{count}"
        if choice.random() < 0.02:
            await connection.execute("DELETE FROM workstations WHERE id = $1", own[chosen])
            own[chosen] = await connection.fetchval(
                "INSERT INTO workstations (name, x_position, y_position, building, floor_number, notes)"
                " VALUES ($1::text, 0, 0, '总部A座', 3, $1::text) RETURNING id",
                text,
            )
            continue
        (statement,) = choice.choices([s for _, s in _STATEMENTS[:6]], [weight for weight, _ in _STATEMENTS[:6]])
        await connection.execute(statement, own[chosen], text)
    await connection.close()


async def mark(url: str, notes: str) -> None:
    """A change that nobody else makes."""
    connection = await asyncpg.connect(url)
    await connection.execute("UPDATE workstations SET notes = $2 WHERE id = $1", MARKER, notes)
    await connection.close()


async def told(recorders: Iterable[Recorder], url: str, notes: str = "the end", seconds: float = 15) -> None:
    """Marks the end, and waits until everybody has heard of it. All else is numbered by then, so that who has been told
    of the mark has been told of all before it: it might have passed a large transaction."""
    connection = await asyncpg.connect(url)
    await _all_numbered(connection)
    await connection.close()
    await mark(url, notes)
    await asyncio.gather(*(recorder.until_notes(notes, seconds) for recorder in recorders))


# --- clients over a socket -------------------------------------------------------------------------------------------


@dataclass(slots=True)
class SocketClient:
    """A client of graphql-transport-ws by hand, with one subscription on each of its recorders."""

    socket: ClientConnection
    patient: bool = False  # asks again when it is told that the server cannot answer now
    recorders: dict[str, Recorder] = field(default_factory=dict)
    failures: list[Any] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def subscribe(self, recorder: Recorder) -> None:
        """Follows the recorder's scene, from its last cursor if it has one."""
        operation_id = str(len(self.recorders) + 1)
        self.recorders[operation_id] = recorder
        variables = recorder.scene.variables | ({"after": recorder.cursor} if recorder.cursor else {})
        payload = {"query": SUBSCRIPTION, "variables": variables}
        await self._send({"id": operation_id, "type": "subscribe", "payload": payload})

    async def read(self) -> None:
        """Records what arrives, until the connection ends."""
        with suppress(ConnectionClosed):
            while True:
                message = orjson.loads(await self.socket.recv())
                if message["type"] == "next":
                    self.recorders[message["id"]].record(message["payload"])
                elif self.patient and message["payload"][0]["extensions"]["code"] == "UNAVAILABLE":
                    await asyncio.sleep(0.1)
                    await self.subscribe(self.recorders[message["id"]])
                else:
                    self.failures.append(message)
        self.ended.set()

    async def _send(self, message: Mapping[str, Any]) -> None:
        await self.socket.send(orjson.dumps(message).decode())


@asynccontextmanager
async def connected(
    ws_url: str, token: str, *, reading: bool = True, patient: bool = False, **options: Any
) -> AsyncIterator[SocketClient]:
    """A client that has been let in. `reading`: it records in the background."""
    async with connect(
        ws_url,
        subprotocols=["graphql-transport-ws"],  # type: ignore[list-item]  # a NewType of str
        compression=None,
        max_size=None,
        ping_interval=None,
        close_timeout=1,
        **options,
    ) as socket:
        await socket.send(
            orjson.dumps({"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}}).decode()
        )
        assert orjson.loads(await socket.recv()) == {"type": "connection_ack"}
        client = SocketClient(socket, patient)
        task = asyncio.create_task(client.read()) if reading else None
        try:
            yield client
        finally:
            if task is not None:
                task.cancel()
        assert client.failures == [], client.failures
