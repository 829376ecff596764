"""Documents: parsed once, bounded in every direction, and shared by all who ask for the same to be shown."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphql_app.domain.errors import InvalidInput, Refusal, TooMany
from graphql_app.graph.api.schema import build
from graphql_app.graph.documents.document import (
    ERRORS_MOST,
    LARGE_TOKENS,
    Document,
    Documents,
    InvalidDocument,
    Operation,
)
from graphql_app.graph.documents.limits import DocumentLimits
from graphql_app.graph.engine.execution import Execution
from tests.examples import view

SCHEMA = Execution(build(), seconds=1).schema


def documents(*, kept: int = 100, **limits: int) -> Documents:
    return Documents(SCHEMA, DocumentLimits(**limits), kept=kept)


def only(text: str) -> Operation:
    return documents().get(text).operation(None)


# --- once ------------------------------------------------------------------------------------------------------------


def test_the_same_text_is_prepared_once() -> None:
    known = documents()

    assert known.get("{ me { subject } }") is known.get("{ me { subject } }")


def test_what_was_not_asked_for_longest_is_forgotten() -> None:
    known = documents(kept=2)
    first, second, third = (f"{{ me {{ {name}: subject }} }}" for name in "abc")
    before = {text: known.get(text) for text in (first, second)}
    known.get(first)

    known.get(third)

    assert known.get(first) is before[first]
    assert known.get(second) is not before[second]


def test_a_few_large_documents_take_the_room_of_many_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    # Two thousand tokens of two letters each are a megabyte once they are parsed.
    monkeypatch.setattr("graphql_app.graph.documents.document.BYTES_KEPT", 2_000_000)
    known = documents(kept=100)
    texts = [f"query Q{number} {{ nodes(ids: [{'1 ' * 1900}]) {{ id }} }}" for number in range(4)]
    small = [f"query Q{number} {{ floors {{ id }} }}" for number in range(50)]

    first = [known.get(text) for text in texts]
    assert [known.get(text) is one for text, one in zip(texts[2:], first[2:], strict=True)] == [True, True]
    assert known.get(texts[0]) is not first[0]

    kept = [known.get(text) for text in small]
    assert all(known.get(text) is one for text, one in zip(small, kept, strict=True))


def test_an_invalid_document_is_examined_once_too(monkeypatch: pytest.MonkeyPatch) -> None:
    known = documents()
    with pytest.raises(InvalidDocument):
        known.get("{ nothing }")
    monkeypatch.setattr(known, "_prepare", lambda text: pytest.fail(f"{text} was examined again"))

    with pytest.raises(InvalidDocument, match="Cannot query field 'nothing'"):
        known.get("{ nothing }")


INVALID = [
    "",
    "{",
    "}",
    "{ nothing }",
    "query Q($x: Nothing) { me { subject } }",
    "fragment F on Query { me { subject } }",
]


@pytest.mark.parametrize("text", INVALID)
def test_every_refusal_of_a_document_is_an_exception_of_its_own(text: str) -> None:
    known, raised = documents(), []
    for _ in range(2):
        with pytest.raises(InvalidDocument) as refused:
            known.get(text)
        raised.append(refused.value)

    assert raised[0] is not raised[1]
    assert [error.message for error in raised[0].errors] == [error.message for error in raised[1].errors]


# Beside the mistakes it has two tokens, the braces.
@pytest.mark.parametrize(("mistakes", "told"), [(2, 2), (LARGE_TOKENS - 2, ERRORS_MOST), (LARGE_TOKENS - 1, 1)])
def test_of_many_mistakes_the_first_are_told_and_of_a_large_document_one_alone(mistakes: int, told: int) -> None:
    with pytest.raises(InvalidDocument) as refused:
        documents().get("{" + " ".join(f"no{number}" for number in range(mistakes)) + "}")

    messages = [error.message for error in refused.value.errors]
    assert [f"'no{number}'" in message for number, message in enumerate(messages[:told])] == [True] * told
    assert all("Too many validation errors" in message for message in messages[told:])


def test_a_document_that_is_too_deep_is_refused_the_same_way_every_time() -> None:
    known = documents(depth=1)
    for _ in range(2):
        with pytest.raises(TooMany) as refused:
            known.get("{ me { subject } }")
        assert refused.value.data == {"measure": "depth", "limit": 1, "asked": 2}


# --- bounds ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["{ me { subject } }" + " " * 83, "# " + "工" * 33 + "\n{ me { subject } }"])
def test_a_document_of_too_many_bytes_is_refused_and_not_kept(text: str) -> None:
    known = documents(bytes=100)

    with pytest.raises(TooMany, match="larger than 100 bytes"):
        known.get(text)

    assert not len(known._cached)


def test_a_document_of_just_so_many_bytes_is_taken() -> None:
    assert documents(bytes=100).get("{ me { subject } }" + " " * 82)


def test_a_document_of_too_many_tokens_is_refused() -> None:
    with pytest.raises(TooMany, match="more than 10 tokens"):
        documents(tokens=10).get("{ me { subject roles scopes employeeNumber employee { name } } }")


FOUR_DEEP = {
    "plainly": "{ workstations { edges { node { id } } } }",
    "through an inline fragment": "{ workstations { ... { edges { ... on WorkstationEdge { node { id } } } } } }",
    "through fragments": "{ ...A } fragment A on Query { workstations { ...B } }"
    " fragment B on WorkstationConnection { edges { node { ...C } } } fragment C on Workstation { id }",
}


@pytest.mark.parametrize("how", FOUR_DEEP)
def test_levels_are_counted_whatever_they_are_written_in(how: str) -> None:
    assert documents(depth=4).get(FOUR_DEEP[how])
    with pytest.raises(TooMany, match="4 levels deep, the limit is 3"):
        documents(depth=3).get(FOUR_DEEP[how])


def test_introspection_does_not_count_as_depth() -> None:
    nested = "ofType { " * 10 + "name" + " }" * 10

    assert documents(depth=1).get(f"{{ __schema {{ types {{ fields {{ type {{ {nested} }} }} }} }} }}")


def test_the_deepest_operation_of_a_document_counts() -> None:
    with pytest.raises(TooMany, match="3 levels"):
        documents(depth=2).get("query A { me { subject } } query B { me { employee { name } } }")


def spreads(count: int, body: Callable[[int], str], last: str, type_name: str, root: str) -> str:
    """Each fragment spreads the next one twice: unfolded, there are 2 ** count of the last one."""
    chain = " ".join(f"fragment F{n} on {type_name} {{ {body(n + 1)} }}" for n in range(count))
    return f"{root} {chain} fragment F{count} on {type_name} {{ {last} }}"


EXPONENTIAL = {
    "bare": spreads(25, lambda n: f"...F{n} ...F{n}", "__typename", "Query", "{ ...F0 }"),
    "in aliased fields": spreads(
        25, lambda n: f"a:ofType{{...F{n}}} b:ofType{{...F{n}}}", "name", "__Type", '{__type(name:"Query"){...F0}}'
    ),
    "in inline fragments": spreads(25, lambda n: f"...{{...F{n}}} ...{{...F{n}}}", "__typename", "Query", "{ ...F0 }"),
}


@pytest.mark.parametrize("how", EXPONENTIAL)
def test_fragments_that_unfold_exponentially_are_dealt_with_in_no_time(how: str) -> None:
    text = EXPONENTIAL[how]
    assert len(text) < 1600
    began = time.process_time()

    with pytest.raises((TooMany, InvalidDocument)):
        documents().get(text)

    assert time.process_time() - began < 0.05


HOSTILE = {
    "deep selections": "{ a " * 2000,
    "deep selections, closed": "{ a " * 600 + "}" * 600,
    "deep lists": "{ node(id: " + "[" * 2000,
    "deep lists, closed": "{ node(id: " + "[" * 1200 + "]" * 1200 + ") { id } }",
    "deep inline fragments": "{" + "... {" * 800 + " __typename " + "}" * 801,
    "a long chain of fragments": "{ ...F0 } "
    + " ".join(f"fragment F{n} on Query {{ ...F{n + 1} }}" for n in range(550))
    + " fragment F550 on Query { __typename }",
    "a circle of fragments": "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }",
    "a fragment of itself": "{ ...A } fragment A on Query { ...A }",
}


@pytest.mark.parametrize("how", HOSTILE)
def test_a_hostile_document_is_refused_and_breaks_nothing(how: str) -> None:
    with pytest.raises((InvalidDocument, Refusal)):
        documents().get(HOSTILE[how])


@given(st.text())
def test_any_text_is_a_document_or_is_refused(text: str) -> None:
    with suppress(InvalidDocument, Refusal):
        assert documents().get(text).operations


# --- operations ------------------------------------------------------------------------------------------------------

TWO = 'query A { me { subject } } mutation B { releaseWorkstation(id: "x") { __typename } }'


def test_the_only_operation_needs_no_name() -> None:
    assert only("{ me { subject } }").kind == "query"


@pytest.mark.parametrize(("name", "kind"), [("A", "query"), ("B", "mutation")])
def test_one_of_several_operations_is_found_by_its_name(name: str, kind: str) -> None:
    operation = documents().get(TWO).operation(name)

    assert (operation.name, operation.kind) == (name, kind)


def test_several_operations_without_a_name_are_refused() -> None:
    with pytest.raises(InvalidInput, match="say which with `operationName`") as refused:
        documents().get(TWO).operation(None)

    assert refused.value.field == "operationName"


@pytest.mark.parametrize("text", [TWO, "{ me { subject } }", "query A { me { subject } }"])
def test_a_name_that_no_operation_has_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="no operation named 'C'"):
        documents().get(text).operation("C")


# --- what is shown of each event -------------------------------------------------------------------------------------

SHOWN = "{ cursor workstations { id name } }"


def feed(arguments: str = "", *, head: str = "subscription", shown: str = SHOWN, rest: str = "") -> str:
    return f"{head} {{ workstationChanges{arguments} {shown} }} {rest}"


SAME: dict[str, tuple[str, dict[str, Any]]] = {
    "without arguments": (feed(), {}),
    "with a name": (feed(head="subscription Named"), {}),
    "with a cursor": (feed('(after: "abc")'), {}),
    "with another cursor": (feed('(after: "xyz")'), {}),
    "without a snapshot": (feed("(snapshot: false)"), {}),
    "with a filter": (feed('(filter: {building: "HQ"})'), {}),
    "with a cursor in a variable": (feed("(after: $a)", head="subscription ($a: Cursor)"), {"a": "abc"}),
    "with another cursor in a variable": (feed("(after: $a)", head="subscription ($a: Cursor)"), {"a": "xyz"}),
    "with a filter in a variable": (
        feed("(filter: $f)", head="subscription S($f: WorkstationFilter)"),
        {"f": {"floorNumber": 3}},
    ),
    "in other spaces": (feed(shown="{cursor,\n  workstations\n{ id, name }}"), {}),
}


@pytest.mark.parametrize("how", SAME)
def test_subscriptions_that_show_the_same_share_a_key_wherever_they_start(how: str) -> None:
    text, variables = SAME[how]

    assert only(text).shared_key(variables) == only(feed()).shared_key({})


OTHER: dict[str, tuple[str, dict[str, Any]]] = {
    "another field": (feed(shown="{ cursor workstations { id status } }"), {}),
    "an alias": (feed(shown="{ cursor workstations { id label: name } }"), {}),
    "an alias of the root field": (f"subscription {{ changes: workstationChanges {SHOWN} }}", {}),
    "a directive": (feed(shown="{ cursor workstations { id name @skip(if: true) } }"), {}),
    "another root field": ('subscription { floorStatus(building: "HQ", number: 1) { stats { total } } }', {}),
}


@pytest.mark.parametrize("how", OTHER)
def test_subscriptions_that_show_something_else_do_not_share_a_key(how: str) -> None:
    text, variables = OTHER[how]

    assert only(text).shared_key(variables) != only(feed()).shared_key({})


def test_a_variable_in_what_is_shown_is_part_of_the_key() -> None:
    operation = only(
        feed(head="subscription ($full: Boolean!)", shown="{ cursor workstations { id name @include(if: $full) } }")
    )

    assert operation.shared_key({"full": True}) != operation.shared_key({"full": False})


def test_the_default_of_a_variable_in_what_is_shown_is_part_of_the_key() -> None:
    full, short = (
        only(feed(head=f"subscription ($full: Boolean = {default})", shown="{ cursor @include(if: $full) removed }"))
        for default in ("true", "false")
    )

    assert full.shared_key({}) != short.shared_key({})


def test_the_same_fragment_name_with_another_content_is_another_key() -> None:
    one, other = (
        only(feed(shown="{ workstations { ...W } }", rest=f"fragment W on Workstation {{ {field} }}")).shared_key({})
        for field in ("name", "status")
    )

    assert one != other


# --- what is masked --------------------------------------------------------------------------------------------------


def test_the_masked_paths_of_a_view_are_computed_once() -> None:
    operation = only("{ workstations { nodes { xPosition employeeId } } }")

    assert operation.masked(view("visitor")) is operation.masked(view("visitor"))
    assert operation.masked(view("visitor")) == ["workstations.nodes.employeeId", "workstations.nodes.xPosition"]
    assert operation.masked(view("employee")) == ["workstations.nodes.employeeId"]
    assert operation.masked(view("admin")) == []


def test_a_document_lists_its_operations_by_name() -> None:
    document = documents().get(TWO)

    assert isinstance(document, Document)
    assert list(document.operations) == ["A", "B"]
