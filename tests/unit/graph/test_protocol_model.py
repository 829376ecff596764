"""graphql-transport-ws in conversations of any kind, against a model that is small enough to be right."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from graphql_app.services.cohorts import Payload
from tests.clock import settle
from tests.unit.graph.test_protocol import FEED, MISSHAPEN, SLOW, TOKEN, Joined, Talk, strangers

OPERATIONS_MOST = 2
ME = "{ me { subject } }"
BROKEN = "{ nothing }"

# What happens: a client's message, news for the subscribers, or the database that answers what is slow.
Step: TypeAlias = tuple[Any, ...]

ids = st.sampled_from("abc")
json = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
talk_on: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.just("ping"), st.dictionaries(st.text(max_size=5), json, max_size=2)),
    st.tuples(st.just("pong")),
    st.tuples(st.just("subscribe"), ids, st.sampled_from([FEED, SLOW, ME, BROKEN])),
    st.tuples(st.just("complete"), ids),
    st.tuples(st.just("news")),
    st.tuples(st.just("answers")),
)
inits = st.tuples(st.just("init"), st.booleans())
wrong = st.tuples(st.just("wrong"), st.sampled_from(MISSHAPEN) | json.filter(lambda said: "type" not in str(said)))
# Most conversations begin well and go on for a while; some end in what no client should say; some begin with it.
conversations = st.one_of(
    st.builds(lambda middle: [("init", True), *middle], st.lists(talk_on, min_size=10, max_size=30)),
    st.builds(
        lambda middle, end: [("init", True), *middle, end, *middle],
        st.lists(talk_on, max_size=10),
        inits | wrong,
    ),
    st.lists(talk_on | inits | wrong, max_size=5),
)


@dataclass
class Model:
    """What the other side must think of the connection."""

    is_acknowledged: bool = False
    closed_with: int | None = None
    active: dict[str, str] = field(default_factory=dict)

    def close(self, code: int) -> list[tuple[str, str | None]]:
        self.closed_with = code
        self.active.clear()
        return []

    def expected(self, step: Step) -> list[tuple[str, str | None]]:
        """The types and ids of the messages that follow."""
        if self.closed_with is not None:
            return []
        expected: list[tuple[str, str | None]] = []
        match step:
            case ("init", good):
                expected = self.initialised(good)
            case ("ping", _):
                expected = [("pong", None)]
            case ("subscribe", id, query):
                expected = self.subscribed(id, query)
            case ("complete", id):
                self.active.pop(id, None)
            case ("news",):
                expected = [("next", id) for id, query in self.active.items() if query == FEED]
            case ("answers",):
                expected = list(self.answered())
            case ("wrong", _):
                expected = self.close(4400)
        return expected

    def initialised(self, good: bool) -> list[tuple[str, str | None]]:
        if self.is_acknowledged:
            return self.close(4429)
        self.is_acknowledged = good
        return [("connection_ack", None)] if good else self.close(4403)

    def subscribed(self, id: str, query: str) -> list[tuple[str, str | None]]:
        if not self.is_acknowledged:
            return self.close(4401)
        if id in self.active:
            return self.close(4409)
        if len(self.active) == OPERATIONS_MOST or query == BROKEN:
            return [("error", id)]
        if query == ME:
            return [("next", id), ("complete", id)]
        self.active[id] = query
        return []

    def answered(self) -> Iterator[tuple[str, str | None]]:
        for id in [id for id, query in self.active.items() if query == SLOW]:
            del self.active[id]
            yield ("next", id)
            yield ("complete", id)


async def take(talk: Talk, step: Step) -> None:
    match step:
        case ("init", good):
            await talk.say({"type": "connection_init", "payload": {"authorization": TOKEN if good else "Bearer x"}})
        case ("ping" | "pong" as type, *payload):
            await talk.say({"type": type, **({"payload": payload[0]} if payload else {})})
        case ("subscribe", id, query):
            await talk.subscribe(id, query)
        case ("complete", id):
            await talk.say({"type": "complete", "id": id})
        case ("news",):
            for subscriber in talk.cohorts.subscribers:
                subscriber.offer(Payload(b'{"data":{}}', None))
        case ("answers",):
            talk.browse.go_on.set()
            await settle()
            talk.browse.go_on.clear()
        case ("wrong", message):
            await talk.say(message)


class Members(Joined):
    """Those who have not left, as a cohort has them."""

    async def join(self, *of: Any) -> Any:
        leave = await super().join(*of)
        subscriber = self.subscribers[-1]

        def left() -> None:
            leave()
            self.subscribers.remove(subscriber)

        return left


@given(conversations)
@settings(max_examples=100, deadline=None)
async def test_any_conversation_goes_as_the_protocol_says(conversation: list[Step]) -> None:
    model, members = Model(), Members()
    async with strangers(None, members, OPERATIONS_MOST) as talk:
        for step in conversation:
            await take(talk, step)
            told = [(message["type"], message.get("id")) for message in talk.heard()]

            assert sorted(told, key=str) == sorted(model.expected(step), key=str)
            assert (talk.wire.closed_with or (None,))[0] == model.closed_with
            assert len(members.subscribers) == list(model.active.values()).count(FEED)
    assert members.subscribers == []


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
