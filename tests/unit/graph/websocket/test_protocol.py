"""graphql-transport-ws, message by message, over a wire that only remembers what was written."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import fields, replace
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest

from graphql_app.domain.access import ROLES, Viewer
from graphql_app.domain.errors import Unauthenticated
from graphql_app.domain.workstation import Department
from graphql_app.graph.api.context import Services
from graphql_app.graph.api.schema import build
from graphql_app.graph.documents.document import Documents
from graphql_app.graph.documents.limits import DocumentLimits
from graphql_app.graph.documents.persisted import Persisted
from graphql_app.graph.engine.engine import Engine
from graphql_app.graph.engine.execution import Execution
from graphql_app.graph.engine.subscriptions import SubscriptionExecution
from graphql_app.graph.websocket.protocol import Connection
from graphql_app.graph.websocket.wire import REASON_BYTES_MOST, Rules, fitting
from graphql_app.live.admission.limiter import Limiter
from graphql_app.live.admission.limits import Limits
from graphql_app.live.sessions.sessions import Sessions
from graphql_app.services.following.cohorts import Payload, Subscriber
from graphql_app.services.identity.admission import Admission
from graphql_app.services.identity.identify import Identify
from graphql_app.services.identity.issuer import KeyUnknown
from graphql_app.services.identity.keys import KeyRing
from graphql_app.services.office.browse import Browse
from graphql_app.testing import new_key
from tests.clock import Clock, settle

IDENTIFY = Identify(KeyRing.read(new_key()), issuer="us", audience="us", roles=ROLES)
TOKEN = f"Bearer {IDENTIFY.issue('ada', ['visitor'], seconds=3600)}"
EXECUTION = Execution(build(), seconds=5)
DOCUMENTS = Documents(EXECUTION.schema, DocumentLimits(), kept=100)
FEED = "subscription { workstationChanges { cursor } }"


class Wire:
    """Remembers what it is given."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.closed_with: tuple[int, str] | None = None
        self.is_congested = False

    def write(self, frame: bytes) -> None:
        assert self.closed_with is None, "nothing is sent after a close"
        self.frames.append(frame)

    def offer(self, prefix: bytes, payload: Payload) -> bool:
        if not self.is_congested:
            self.write(prefix + payload.body + b"}")
        return not self.is_congested

    async def drained(self) -> None:
        raise NotImplementedError

    def close(self, code: int, reason: str) -> None:
        assert self.closed_with is None, "a socket is closed once"
        self.closed_with = (code, reason)


class Departments:
    """Stands for services/office/browse: `{ departments { name } }` waits until the test lets it go on."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.cancelled = 0

    async def departments(self, viewer: Viewer) -> list[Department]:
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return [Department(1, "Research")]


RULES = Rules(
    init_seconds=10, operations_most=3, message_bytes_most=1000, stall_seconds=10, ping_seconds=10, compresses=False
)
SLOW = "{ departments { name } }"
SUBSCRIBE = {"id": "1", "type": "subscribe", "payload": {"query": SLOW}}


class Joined:
    """Stands for graph/engine/subscriptions: remembers who joined and left, or fails with what the test gives it."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.subscribers: list[Subscriber] = []
        self.left = 0
        self._failure = failure

    async def join(self, _: object, __: object, ___: object, subscriber: Subscriber) -> Callable[[], None]:
        if self._failure is not None:
            raise self._failure
        self.subscribers.append(subscriber)

        def leave() -> None:
            self.left += 1

        return leave


class Talk:
    """One client in conversation with the server."""

    def __init__(self, connection: Connection, wire: Wire, browse: Departments, cohorts: Joined) -> None:
        self.connection = connection
        self.wire = wire
        self.browse = browse
        self.cohorts = cohorts

    async def say(self, message: object) -> None:
        """Sends a message (a text as it is, everything else as JSON) and lets the server do all that it can."""
        self.connection.receive(message if isinstance(message, (str, bytes)) else orjson.dumps(message).decode())
        await settle()

    async def subscribe(self, id: str, query: str, **payload: Any) -> None:
        await self.say({"id": id, "type": "subscribe", "payload": {"query": query, **payload}})

    def heard(self) -> list[Any]:
        """What the server said since this was asked last."""
        messages = [orjson.loads(frame) for frame in self.wire.frames]
        self.wire.frames.clear()
        return messages

    @property
    def is_open(self) -> bool:
        return self.wire.closed_with is None


@asynccontextmanager
async def strangers(
    header: str | None = None, cohorts: Joined | None = None, most: int = 3, identify: Identify = IDENTIFY
) -> AsyncIterator[Talk]:
    """A socket on which nobody has said anything yet."""
    browse, joined, wire = Departments(), cohorts or Joined(), Wire()
    services = Services(identify, cast(Browse, browse), *[cast(Any, None)] * (len(fields(Services)) - 2))
    persisted = Persisted(DOCUMENTS, {}, only_trusted=False, registered_bytes=0)
    admission = Admission(Limits(Limiter(cast(Any, None), [], [], processes=1)), identify)
    engine = Engine(
        services, DOCUMENTS, persisted, EXECUTION, cast(SubscriptionExecution, joined), Sessions(0), admission
    )
    async with asyncio.TaskGroup() as tasks:
        connection = Connection(wire, engine, replace(RULES, operations_most=most), header, tasks)
        try:
            yield Talk(connection, wire, browse, joined)
        finally:
            connection.closed()


@asynccontextmanager
async def talking(cohorts: Joined | None = None, most: int = 3) -> AsyncIterator[Talk]:
    """A socket with connection_init behind it."""
    async with strangers(TOKEN, cohorts, most) as talk:
        await talk.say({"type": "connection_init"})
        assert talk.heard() == [{"type": "connection_ack"}]
        yield talk


# --- getting to know each other --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "init"),
    [
        (TOKEN, {}),
        (TOKEN, {"payload": None}),
        (TOKEN, {"payload": {}}),
        (None, {"payload": {"authorization": TOKEN}}),
        (None, {"payload": {"Authorization": TOKEN}}),
        ("Bearer wrong", {"payload": {"authorization": TOKEN}}),
    ],
)
async def test_a_token_in_the_payload_or_in_the_header_is_acknowledged(
    header: str | None, init: dict[str, Any]
) -> None:
    async with strangers(header) as talk:
        await talk.say({"type": "connection_init", **init})

        assert talk.heard() == [{"type": "connection_ack"}]


@pytest.mark.parametrize(
    ("header", "payload"),
    [
        (None, {}),
        ("Bearer wrong", {}),
        (TOKEN, {"authorization": "Bearer wrong"}),
        (TOKEN, {"authorization": 7}),
        (TOKEN, {"authorization": None}),
    ],
)
async def test_without_a_good_token_the_socket_is_closed_as_forbidden(header: str | None, payload: object) -> None:
    async with strangers(header) as talk:
        await talk.say({"type": "connection_init", "payload": payload})

        assert talk.wire.closed_with is not None
        assert talk.wire.closed_with[0] == 4403
        assert talk.heard() == []


async def test_a_second_connection_init_closes_the_socket() -> None:
    async with talking() as talk:
        await talk.say({"type": "connection_init"})

        assert talk.wire.closed_with == (4429, "Too many initialisation requests")


class OfIssuer:
    """Stands for Identify: the issuer of the token has to be asked for its key, until the test says so."""

    def __init__(self, answer: Viewer | Exception) -> None:
        self.answer = answer
        self.go_on = asyncio.Event()

    def from_header(self, _: str | None) -> Viewer:
        raise KeyUnknown("not known yet")

    async def arriving(self, _: str | None) -> Viewer:
        await self.go_on.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def watch(self, _: Viewer, __: Callable[[], None]) -> Callable[[], None]:
        return lambda: None  # who is of another issuer has no account here


ADA = IDENTIFY.from_header(TOKEN)


async def test_a_client_whose_key_is_asked_for_is_acknowledged_when_it_is_known() -> None:
    identify = OfIssuer(ADA)
    async with strangers(TOKEN, identify=cast(Identify, identify)) as talk:
        await talk.say({"type": "connection_init"})
        early = talk.heard()
        identify.go_on.set()
        await settle()

        assert (early, talk.heard()) == ([], [{"type": "connection_ack"}])


@pytest.mark.parametrize(
    ("answer", "closed_with"),
    [
        (KeyUnknown("no such key"), (4403, "no such key")),
        (RuntimeError("geheim"), (4500, "Internal server error")),
    ],
)
async def test_a_client_whose_key_is_asked_for_in_vain_is_closed(
    answer: Exception, closed_with: tuple[int, str]
) -> None:
    identify = OfIssuer(answer)
    async with strangers(TOKEN, identify=cast(Identify, identify)) as talk:
        await talk.say({"type": "connection_init"})
        identify.go_on.set()
        await settle()

        assert talk.wire.closed_with == closed_with


@pytest.mark.parametrize(("message", "code"), [({"type": "connection_init"}, 4429), (SUBSCRIBE, 4401)])
async def test_who_goes_on_before_the_key_is_known_is_closed_as_anybody_else(message: Any, code: int) -> None:
    identify = OfIssuer(ADA)
    async with strangers(TOKEN, identify=cast(Identify, identify)) as talk:
        await talk.say({"type": "connection_init"})
        await talk.say(message)
        identify.go_on.set()
        await settle()

        assert talk.wire.closed_with is not None
        assert talk.wire.closed_with[0] == code
        assert talk.heard() == []


async def test_whoever_says_nothing_is_closed_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    async with strangers() as talk:
        await clock.pass_by(9.9)
        early = talk.is_open
        await clock.pass_by(0.2)

        assert early
        assert talk.wire.closed_with == (4408, "Connection initialisation timeout")


async def test_pings_do_not_put_off_the_end_of_whoever_does_not_say_who_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    async with strangers() as talk:
        for _ in range(11):
            await clock.pass_by(0.99)
            if talk.is_open:
                await talk.say({"type": "ping"})

        assert talk.wire.closed_with == (4408, "Connection initialisation timeout")


async def test_a_socket_ends_with_its_token() -> None:
    token = f"Bearer {IDENTIFY.issue('ada', ['visitor'], seconds=2)}"
    async with strangers(token) as talk:
        await talk.say({"type": "connection_init"})
        talk.connection.look()
        early = talk.is_open
        await asyncio.sleep(2.1)
        talk.connection.look()

        assert early
        assert talk.wire.closed_with == (4401, "The token has expired")


async def test_a_login_that_is_over_closes_its_socket_as_unauthorised(monkeypatch: pytest.MonkeyPatch) -> None:
    def is_over(viewer: Viewer) -> Viewer:
        raise Unauthenticated("This login is over; log in again.")

    async with talking() as talk:
        monkeypatch.setattr(IDENTIFY, "present", is_over)
        talk.connection._changed()

        assert talk.wire.closed_with == (4401, "This login is over; log in again.")


async def test_a_process_that_stops_says_so_to_every_socket() -> None:
    async with talking() as talk:
        talk.connection.drain()

        assert talk.wire.closed_with == (1012, "The service restarts; come back with your last cursor")


async def test_whoever_asks_before_the_acknowledgement_is_closed_as_unauthorised() -> None:
    async with strangers(TOKEN) as talk:
        await talk.subscribe("1", "{ me { subject } }")

        assert talk.wire.closed_with == (4401, "Unauthorized")


@pytest.mark.parametrize("more", [{}, {"payload": {"n": 1}}, {"payload": {"text": "工位"}}, {"payload": None}])
async def test_a_ping_is_answered_with_its_own_payload(more: dict[str, Any]) -> None:
    async with strangers() as talk:  # even before anybody is known
        await talk.say({"type": "ping", **more})

        assert talk.heard() == [{"type": "pong", **more}]


async def test_whoever_floods_the_socket_with_messages_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphql_app.graph.websocket.protocol.time", SimpleNamespace(monotonic=lambda: 1000.5))
    async with strangers() as talk:
        for _ in range(RULES.messages_per_second):
            talk.connection.receive('{"type": "pong"}')
        before = talk.is_open
        talk.connection.receive('{"type": "pong"}')

        assert before
        assert talk.wire.closed_with == (1008, "More than 1000 messages in one second")


async def test_messages_of_another_second_count_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = (n / 600 for n in range(2500))
    monkeypatch.setattr("graphql_app.graph.websocket.protocol.time", SimpleNamespace(monotonic=lambda: next(moments)))
    async with strangers() as talk:
        for _ in range(2500):
            talk.connection.receive('{"type": "pong"}')

        assert talk.is_open


@pytest.mark.parametrize("more", [{}, {"payload": {"n": 1}}])
async def test_a_pong_is_not_answered(more: dict[str, Any]) -> None:
    async with talking() as talk:
        await talk.say({"type": "pong", **more})

        assert (talk.heard(), talk.is_open) == ([], True)


# --- messages of the wrong shape -------------------------------------------------------------------------------------


def asking(**changes: Any) -> dict[str, Any]:
    return {"id": "1", "type": "subscribe", "payload": {"query": "{ me { subject } }"}, **changes}


MISSHAPEN: list[object] = [
    b'{"type": "ping"}',
    "",
    "nonsense",
    "{",
    "[" * 100_000,
    '{"type": "ping"} {"type": "ping"}',
    "null",
    "5",
    '"ping"',
    "[]",
    '[{"type": "ping"}]',
    {},
    {"type": None},
    {"type": 5},
    {"type": ["ping"]},
    {"type": ""},
    {"type": "Ping"},
    {"type": "start"},  # of the older protocol
    {"type": "next", "id": "1"},  # the server's
    {"type": "_init"},
    {"type": "工" * 1000},
    {"type": "ping", "payload": 1},
    {"type": "pong", "payload": ["x"]},
    {"type": "complete"},
    {"type": "complete", "id": ""},
    {"type": "complete", "id": 1},
    {"type": "complete", "id": None},
    {"type": "complete", "id": ["1"]},
    asking(id=None),
    asking(id=""),
    asking(id=1),
    asking(id={"a": 1}),
    asking(id=["1"]),
    asking(payload=None),
    asking(payload="{ me { subject } }"),
    asking(payload=[]),
    asking(payload={}),
    asking(payload={"query": None}),
    asking(payload={"query": ["{ me { subject } }"]}),
    asking(payload={"query": "{ me { subject } }", "operationName": 5}),
    asking(payload={"query": "{ me { subject } }", "variables": []}),
    asking(payload={"query": "{ me { subject } }", "variables": "{}"}),
    asking(payload={"query": "{ me { subject } }", "extensions": 1}),
    {"id": "1", "type": "subscribe"},
    {"type": "subscribe", "payload": {"query": "{ me { subject } }"}},
]


@pytest.mark.parametrize("message", MISSHAPEN, ids=lambda message: repr(message)[:60])
async def test_a_message_of_the_wrong_shape_closes_the_socket_and_says_why(message: object) -> None:
    async with talking() as talk:
        await talk.say(message)

        assert talk.wire.closed_with is not None
        code, reason = talk.wire.closed_with
        assert code == 4400
        assert 0 < len(reason.encode()) <= REASON_BYTES_MOST


@pytest.mark.parametrize("payload", [5, "token", ["token"], True])
async def test_a_connection_init_whose_payload_is_no_object_is_a_message_of_the_wrong_shape(payload: object) -> None:
    async with strangers(TOKEN) as talk:
        await talk.say({"type": "connection_init", "payload": payload})

        assert talk.wire.closed_with is not None
        assert talk.wire.closed_with[0] == 4400


async def test_what_comes_after_a_close_is_ignored() -> None:
    async with talking() as talk:
        await talk.say("nonsense")
        closed_with = talk.wire.closed_with
        await talk.say({"type": "ping"})
        await talk.say("more nonsense")

        assert (talk.heard(), talk.wire.closed_with) == ([], closed_with)


@pytest.mark.parametrize("reason", ["short", "x" * 200, "工" * 100, "é" * 100])
def test_a_reason_is_cut_to_what_a_close_frame_carries_without_cutting_a_character(reason: str) -> None:
    cut = fitting(reason)

    assert len(cut.encode()) <= REASON_BYTES_MOST
    assert reason.startswith(cut)


# --- operations ------------------------------------------------------------------------------------------------------


async def test_a_query_is_answered_once_and_completed() -> None:
    async with talking() as talk:
        await talk.subscribe("a", "{ me { subject } }")

        assert talk.heard() == [
            {"id": "a", "type": "next", "payload": {"data": {"me": {"subject": "ada"}}}},
            {"id": "a", "type": "complete"},
        ]


async def test_an_id_may_be_used_again_once_its_operation_is_complete() -> None:
    async with talking() as talk:
        await talk.subscribe("a", "{ me { subject } }")
        await talk.subscribe("a", "{ me { subject } }")

        assert [message["type"] for message in talk.heard()] == ["next", "complete"] * 2


@pytest.mark.parametrize("query", ["{ me { subject } }", "{ nonsense }", "{"])
async def test_an_id_may_be_used_again_the_moment_its_end_is_heard(query: str) -> None:
    """By a client as near as that: its next message is read before the loop comes round."""
    async with talking() as talk:
        again = asking(id="a", payload={"query": query})
        write = talk.wire.write

        def write_and_answer(frame: bytes) -> None:
            write(frame)
            if orjson.loads(frame)["type"] in ("complete", "error") and len(talk.wire.frames) < 6:
                talk.connection.receive(orjson.dumps(again).decode())

        talk.wire.write = write_and_answer  # type: ignore[method-assign]
        await talk.say(again)
        await settle()

        assert talk.is_open
        assert len(talk.heard()) == 6


async def test_variables_and_the_name_of_the_operation_are_heeded() -> None:
    async with talking() as talk:
        query = "query A { me { roles } } query B($full: Boolean!) { me { subject roles @include(if: $full) } }"
        await talk.subscribe("a", query, operationName="B", variables={"full": False})

        assert talk.heard()[0]["payload"] == {"data": {"me": {"subject": "ada"}}}


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({"query": "{"}, "BAD_REQUEST"),
        ({"query": "{ nothing }"}, "BAD_REQUEST"),
        ({"query": "query ($n: Int!) { me { subject @include(if: true) } }"}, "BAD_REQUEST"),
        ({"query": "query ($b: Boolean!) { me { subject @include(if: $b) } }"}, "BAD_REQUEST"),
        ({"query": "query ($b: Boolean!) { me { subject @include(if: $b) } }", "variables": {"b": 1}}, "BAD_REQUEST"),
        ({"query": "{ me { subject } }", "operationName": "Other"}, "INVALID_INPUT"),
        ({"query": "{ me { subject } } " + "#" * 70_000}, "TOO_MANY"),
        ({"query": "{ me { subject } }", "variables": {"of no use": [1] * 10_001}}, "TOO_MANY"),
        ({"query": "{ me { subject } }", "variables": {"deep": nested(201)}}, "TOO_MANY"),
    ],
)
async def test_an_operation_that_cannot_run_is_an_error_of_its_own_and_the_socket_stays(
    payload: dict[str, Any], code: str
) -> None:
    async with talking() as talk:
        await talk.say({"id": "a", "type": "subscribe", "payload": payload})

        (message,) = talk.heard()
        assert (message["id"], message["type"]) == ("a", "error")
        assert message["payload"][0]["extensions"]["code"] == code
        assert talk.is_open


async def test_an_id_that_is_in_use_closes_the_socket() -> None:
    async with talking() as talk:
        await talk.subscribe("a", SLOW)
        await talk.subscribe("a", SLOW)

        assert talk.wire.closed_with == (4409, "Subscriber for a already exists")


@pytest.mark.parametrize("id", ["x" * 1000, "工" * 1000])
async def test_the_reason_for_closing_fits_its_frame_however_long_the_id_is(id: str) -> None:
    async with talking() as talk:
        await talk.subscribe(id, FEED)
        await talk.subscribe(id, FEED)

        assert talk.wire.closed_with is not None
        assert talk.wire.closed_with[0] == 4409
        assert len(talk.wire.closed_with[1].encode()) <= REASON_BYTES_MOST


async def test_more_operations_than_a_socket_carries_are_refused_and_the_socket_stays() -> None:
    async with talking(most=2) as talk:
        await talk.subscribe("a", FEED)
        await talk.subscribe("b", SLOW)
        await talk.subscribe("c", "{ me { subject } }")

        (message,) = talk.heard()
        assert (message["id"], message["type"]) == ("c", "error")
        said = {"code": "TOO_MANY", "measure": "operations of one socket", "limit": 2, "asked": 3}
        assert message["payload"][0]["extensions"] == said
        assert talk.is_open


@pytest.mark.parametrize("query", [FEED, SLOW])
async def test_a_completed_operation_makes_room_for_another(query: str) -> None:
    async with talking(most=1) as talk:
        await talk.subscribe("a", query)
        await talk.say({"id": "a", "type": "complete"})
        await talk.subscribe("b", "{ me { subject } }")

        assert [(message["id"], message["type"]) for message in talk.heard()] == [("b", "next"), ("b", "complete")]


async def test_complete_cancels_what_runs_and_nothing_is_said_of_it_any_more() -> None:
    async with talking() as talk:
        await talk.subscribe("a", SLOW)
        await talk.say({"id": "a", "type": "complete"})
        talk.browse.go_on.set()
        await settle()

        assert (talk.browse.cancelled, talk.heard(), talk.is_open) == (1, [], True)


async def test_complete_ends_a_subscription() -> None:
    async with talking() as talk:
        await talk.subscribe("a", FEED)
        await talk.say({"id": "a", "type": "complete"})

        assert (talk.cohorts.left, talk.heard(), talk.is_open) == (1, [], True)


async def test_complete_of_what_is_over_or_never_was_is_ignored() -> None:
    async with talking() as talk:
        await talk.say({"id": "never", "type": "complete"})

        assert (talk.heard(), talk.is_open) == ([], True)


async def test_operations_of_one_socket_run_side_by_side() -> None:
    async with talking() as talk:
        await talk.subscribe("slow", SLOW)
        await talk.subscribe("fast", "{ me { subject } }")
        before = [message["id"] for message in talk.heard()]
        talk.browse.go_on.set()
        await settle()

        assert (before, [message["id"] for message in talk.heard()]) == (["fast", "fast"], ["slow", "slow"])


async def test_a_payload_of_the_cohort_is_framed_with_the_id_of_the_subscription() -> None:
    async with talking() as talk:
        await talk.subscribe('with "quotes" 工', FEED)
        offered = talk.cohorts.subscribers[0].offer(Payload(b'{"data":{"n":1}}', None))

        assert offered
        assert talk.heard() == [{"id": 'with "quotes" 工', "type": "next", "payload": {"data": {"n": 1}}}]


async def test_a_client_that_does_not_read_is_offered_nothing_more() -> None:
    async with talking() as talk:
        await talk.subscribe("a", FEED)
        talk.wire.is_congested = True

        assert not talk.cohorts.subscribers[0].offer(Payload(b"{}", None))
        assert talk.heard() == []


async def test_a_subscription_that_cannot_go_on_is_an_error_of_its_own_and_the_others_stay() -> None:
    async with talking() as talk:
        await talk.subscribe("a", FEED)
        await talk.subscribe("b", FEED)
        talk.cohorts.subscribers[0].failed(RuntimeError("the password is geheim"))

        (message,) = talk.heard()
        assert (message["id"], message["type"]) == ("a", "error")
        assert (talk.cohorts.left, talk.is_open) == (1, True)
        assert talk.cohorts.subscribers[1].offer(Payload(b"{}", None))


async def test_what_fails_after_it_was_left_is_not_taken_for_another_of_the_same_id() -> None:
    """As when it failed in the very moment in which the client completes it and uses the id anew."""
    async with talking() as talk:
        await talk.subscribe("a", FEED)
        await talk.say({"id": "a", "type": "complete"})
        await talk.subscribe("a", FEED)
        first, second = talk.cohorts.subscribers
        first.failed(RuntimeError("of the first"))

        assert (talk.cohorts.left, talk.heard()) == (1, [])
        assert second.offer(Payload(b"{}", None))
        await talk.subscribe("a", FEED)
        assert talk.wire.closed_with == (4409, "Subscriber for a already exists")


async def test_what_fails_while_it_opens_is_told_once_and_opens_no_more() -> None:
    class Opens(Joined):
        async def join(self, *of: Any) -> Callable[[], None]:
            self.subscribers.append(of[-1])
            await opened.wait()
            return await super().join(*of)

    opened = asyncio.Event()
    async with talking(Opens()) as talk:
        await talk.subscribe("a", FEED)
        talk.cohorts.subscribers[0].failed(RuntimeError("geheim"))
        opened.set()
        await settle()

        assert [(message["id"], message["type"]) for message in talk.heard()] == [("a", "error")]
        assert talk.cohorts.left == len(talk.cohorts.subscribers) - 1
        await talk.subscribe("a", "{ me { subject } }")
        assert [message["type"] for message in talk.heard()] == ["next", "complete"]


async def test_what_nobody_planned_for_is_masked_and_given_an_id() -> None:
    async with talking(Joined(RuntimeError("the password is geheim"))) as talk:
        await talk.subscribe("a", FEED)

        (message,) = talk.heard()
        error = message["payload"][0]
        assert error["extensions"]["code"] == "INTERNAL"
        assert error["extensions"]["id"] in error["message"]
        assert "geheim" not in orjson.dumps(message).decode()
        assert talk.is_open


@pytest.mark.parametrize("end", ["the client is gone", "the server closes"])
async def test_everything_ends_with_the_socket(end: str) -> None:
    async with talking() as talk:
        await talk.subscribe("a", FEED)
        await talk.subscribe("b", SLOW)
        if end == "the client is gone":
            talk.connection.closed()
        else:
            await talk.say("nonsense")
        await settle()

        assert (talk.cohorts.left, talk.browse.cancelled, talk.heard()) == (1, 1, [])


async def test_a_subscription_that_opens_while_the_socket_closes_is_left_again() -> None:
    class Late(Joined):
        async def join(self, *of: Any) -> Callable[[], None]:
            await settle()  # as a resolver would, that asks the database where the cursor stands
            return await super().join(*of)

    async with talking(Late()) as talk:
        talk.connection.receive(orjson.dumps({"id": "a", "type": "subscribe", "payload": {"query": FEED}}).decode())
        await asyncio.sleep(0)
        talk.connection.closed()
        await settle()
        await settle()

        assert talk.cohorts.left == len(talk.cohorts.subscribers)
