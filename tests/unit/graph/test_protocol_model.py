"""graphql-transport-ws in conversations of any kind: a machine that says anything, and a model of what must follow."""

import asyncio
from types import SimpleNamespace
from typing import Any, TypeAlias

import hypothesis
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from graphql_app.domain.errors import Unavailable
from graphql_app.graph.websocket.wire import REASON_BYTES_MOST
from graphql_app.services.following.cohorts import Payload
from tests.clock import Clock, settle
from tests.unit.graph.websocket.test_protocol import FEED, MISSHAPEN, SLOW, TOKEN, Joined, Talk, strangers

OPERATIONS_MOST = 2
ME = "{ me { subject } }"
BROKEN = "{ nothing }"
AT_ONCE = {ME: ["next", "complete"], "mutation { __typename }": ["next", "complete"], BROKEN: ["error"], "{": ["error"]}
ENDS = ("complete", "error")

Told: TypeAlias = list[tuple[str, str | None]]  # types and ids of the server's messages

ids = st.sampled_from(["a", "b", "工" * 200])
json = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
wrong = st.sampled_from(MISSHAPEN) | json.filter(lambda said: "type" not in str(said)) | st.binary(max_size=5)


class Members(Joined):
    """Those who have not left, as a cohort has them."""

    async def join(self, *of: Any) -> Any:
        leave = await super().join(*of)
        subscriber = self.subscribers[-1]

        def left() -> None:
            leave()
            self.subscribers.remove(subscriber)

        return left


class Witness:
    """Between the server and its wire: notices what no server may do, and answers an end at once when it is told to."""

    def __init__(self, talk: Talk) -> None:
        self.misdeeds: list[str] = []
        self.unended: set[str] = set()  # ids whose end neither side has told
        self.said_at_the_end: bytes | None = None
        self._talk, self._write = talk, talk.wire.write
        talk.wire.write = self._written  # type: ignore[method-assign]

    def _written(self, frame: bytes) -> None:
        message = orjson.loads(frame)
        id, type = message.get("id"), message["type"]
        if not self._talk.is_open:
            self.misdeeds.append(f"{type} after the close")
        if id is not None and id not in self.unended:
            self.misdeeds.append(f"{type} of {id}, whose end is told")
        if b'"INTERNAL"' in frame:
            self.misdeeds.append(f"an exception: {message}")
        if type in ENDS:
            self.unended.discard(id)
        self._write(frame)
        if type in ENDS and self.said_at_the_end is not None:
            again, self.said_at_the_end = self.said_at_the_end, None
            self.unended.add(id)
            self._talk.connection.receive(again.decode())


class Conversation(RuleBasedStateMachine):
    """One socket. What is active under which id, and whether it is acknowledged or closed, is the model's own count."""

    def __init__(self) -> None:
        super().__init__()
        self.is_acknowledged = False
        self.closed_with: int | None = None
        self.active: dict[str, str] = {}
        self.members = Members()
        self.patches = pytest.MonkeyPatch()
        self.runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self.runner.run(self._begin())

    async def _begin(self) -> None:
        self.clock = Clock(self.patches)
        self.over = asyncio.Event()
        met: asyncio.Future[Talk] = asyncio.get_running_loop().create_future()
        self.held = asyncio.create_task(self._hold(met))
        self.talk = await met
        self.witness = Witness(self.talk)

    async def _hold(self, met: asyncio.Future[Talk]) -> None:
        async with strangers(None, self.members, OPERATIONS_MOST) as talk:
            met.set_result(talk)
            await self.over.wait()

    async def _end(self) -> None:
        self.over.set()
        await self.held

    def teardown(self) -> None:
        try:
            self.runner.run(self._end())
            assert self.members.subscribers == []
        finally:
            self.runner.close()
            self.patches.undo()

    # What the model expects.

    def follows(self, *expected: tuple[str, str | None]) -> None:
        told = [(message["type"], message.get("id")) for message in self.talk.heard()]
        assert sorted(told, key=str) == sorted(() if self.closed_with else expected, key=str)

    def closes(self, code: int) -> None:
        self.closed_with = self.closed_with or code
        self.active.clear()
        self.follows()

    def say(self, message: object) -> None:
        self.runner.run(self.talk.say(message))

    def ask(self, id: str, query: str) -> None:
        self.witness.unended.add(id)
        self.say(asking(id, query))

    # What may happen.

    # Most conversations begin well: what can be said before that is soon said.
    @initialize(begins_well=st.sampled_from([True, True, True, False]))
    def begin(self, begins_well: bool) -> None:
        if begins_well:
            self.init(good=True)

    @precondition(lambda self: len(self.active) == OPERATIONS_MOST or not self.is_acknowledged)
    @rule(good=st.booleans())
    def init(self, good: bool) -> None:
        again = self.is_acknowledged
        self.say({"type": "connection_init", "payload": {"authorization": TOKEN if good else "Bearer x"}})
        if again or not good:
            self.closes(4429 if again else 4403)
        else:
            self.is_acknowledged = self.closed_with is None
            self.follows(("connection_ack", None))

    @rule(payload=st.dictionaries(st.text(max_size=5), json, max_size=2))
    def ping(self, payload: dict[str, Any]) -> None:
        self.say({"type": "ping", "payload": payload})
        self.follows(("pong", None))

    @rule()
    def pong(self) -> None:
        self.say({"type": "pong"})
        self.follows()

    @rule(id=ids, query=st.sampled_from([FEED, SLOW]))
    def subscribe_for_long(self, id: str, query: str) -> None:
        is_refused = self.is_acknowledged and id not in self.active and len(self.active) == OPERATIONS_MOST
        self.ask(id, query)
        if self.may_ask(id):
            self.follows(*[("error", id)] * is_refused)
            if not is_refused:
                self.active[id] = query

    @rule(id=ids, query=st.sampled_from(sorted(AT_ONCE)), again=st.booleans())
    def subscribe_at_once(self, id: str, query: str, again: bool) -> None:
        """And again, by a client as near as that: the moment that it hears of the end."""
        is_refused = len(self.active) == OPERATIONS_MOST
        may_ask = self.is_acknowledged and self.closed_with is None and id not in self.active
        self.witness.said_at_the_end = orjson.dumps(asking(id, query)) if again and may_ask else None
        self.ask(id, query)
        if self.may_ask(id):
            types = ["error"] if is_refused else AT_ONCE[query]
            self.follows(*[(type, id) for type in types * (2 if again else 1)])

    def may_ask(self, id: str) -> bool:
        """Whether the answer is not a close."""
        if self.closed_with is None and self.is_acknowledged and id not in self.active:
            return True
        self.closes(4409 if self.is_acknowledged else 4401)
        return False

    @precondition(lambda self: self.active)
    @rule(first=st.booleans())
    def complete_what_is_active(self, first: bool) -> None:
        self.complete(list(self.active)[0 if first else -1])

    @precondition(lambda self: self.active)
    @rule(query=st.sampled_from([FEED, ME]))
    def use_an_id_that_is_in_use(self, query: str) -> None:
        id = next(iter(self.active))
        self.ask(id, query)
        assert not self.may_ask(id)

    @rule(id=ids)
    def complete(self, id: str) -> None:
        self.active.pop(id, None)
        self.witness.unended.discard(id)
        self.say({"type": "complete", "id": id})
        self.follows()

    # What ends a conversation comes rarely, or none would go on for long.
    @precondition(lambda self: len(self.active) == OPERATIONS_MOST or not self.is_acknowledged)
    @rule(message=wrong)
    def say_what_is_wrong(self, message: object) -> None:
        self.say(message)
        self.closes(4400)

    @rule()
    def news(self) -> None:
        for subscriber in list(self.members.subscribers):
            subscriber.offer(Payload(b'{"data":{}}', None))
        self.follows(*[("next", id) for id, query in self.active.items() if query == FEED])

    @precondition(lambda self: FEED in self.active.values())
    @rule()
    def a_subscription_cannot_go_on(self) -> None:
        id = next(id for id, query in self.active.items() if query == FEED)
        del self.active[id]
        self.members.subscribers[0].failed(Unavailable("The database is away."))
        self.follows(("error", id))

    @rule()
    def the_database_answers(self) -> None:
        self.talk.browse.go_on.set()
        self.runner.run(settle())
        self.talk.browse.go_on.clear()
        slow = [id for id, query in self.active.items() if query == SLOW]
        for id in slow:
            del self.active[id]
        self.follows(*[(type, id) for id in slow for type in ("next", "complete")])

    @precondition(lambda self: SLOW not in self.active.values())  # their deadlines have tests of their own
    @rule()
    def time_passes(self) -> None:
        """More than a client has to say who it is."""
        self.runner.run(self.clock.pass_by(10.1))
        if self.is_acknowledged:
            self.follows()
        else:
            self.closes(4408)

    @precondition(lambda self: len(self.active) == OPERATIONS_MOST)
    @rule()
    def the_token_expires(self) -> None:
        with pytest.MonkeyPatch.context() as patches:
            patches.setattr("graphql_app.graph.websocket.protocol.time", SimpleNamespace(time=lambda: 1e12))
            self.talk.connection.look()
        self.closes(4401)

    # What holds after each of them.

    @invariant()
    def nothing_is_told_of_what_is_over_or_after_the_close(self) -> None:
        assert self.witness.misdeeds == []

    @invariant()
    def it_is_closed_once_with_the_code_of_the_first_reason_and_a_reason_that_fits(self) -> None:
        code, reason = self.talk.wire.closed_with or (None, "open")
        assert code == self.closed_with
        assert 0 < len(reason.encode()) <= REASON_BYTES_MOST

    @invariant()
    def nothing_fails_that_nobody_supervises(self) -> None:
        assert not self.held.done()

    @invariant()
    def a_cohort_has_those_alone_that_still_listen(self) -> None:
        assert len(self.members.subscribers) == list(self.active.values()).count(FEED)


def asking(id: str, query: str) -> dict[str, Any]:
    return {"id": id, "type": "subscribe", "payload": {"query": query}}


def test_any_conversation_goes_as_the_protocol_says() -> None:
    run_state_machine_as_test(
        Conversation,
        settings=settings(
            max_examples=60,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        ),
    )


@given(st.text() | st.binary() | json.map(lambda said: orjson.dumps(said).decode()))
@settings(max_examples=100, deadline=None)
async def test_whatever_is_said_the_socket_answers_or_closes_with_a_reason(message: str | bytes) -> None:
    async with strangers() as talk:
        await talk.say(message)

        assert talk.wire.closed_with is None or (talk.wire.closed_with[0] == 4400 and talk.wire.closed_with[1])


mangled = st.fixed_dictionaries(
    {"type": st.sampled_from(["connection_init", "subscribe", "complete", "ping", "pong"])},
    optional={"id": json, "payload": json | st.fixed_dictionaries({}, optional={
        "query": json | st.just(ME), "variables": json, "operationName": json, "extensions": json, "authorization": json
    })},
)  # fmt: skip


@given(st.lists(mangled, min_size=1, max_size=4))
@settings(max_examples=100, deadline=None)
async def test_messages_of_the_right_type_and_any_shape_end_in_an_answer_or_a_close_code_of_the_protocol(
    messages: list[dict[str, Any]],
) -> None:
    async with strangers(TOKEN) as talk:
        for message in messages:
            await talk.say(message)
        told = talk.heard()

        assert "INTERNAL" not in orjson.dumps(told).decode()
        assert talk.wire.closed_with is None or talk.wire.closed_with[0] in (4400, 4401, 4403, 4409, 4429)
