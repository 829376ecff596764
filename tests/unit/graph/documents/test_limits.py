"""What a document may ask for: each measure at its bound and beyond it, and no document that takes long to refuse."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import graphql
import pytest
from graphql import GraphQLError, get_introspection_query, parse
from hypothesis import given
from hypothesis import strategies as st

from graphql_app.domain.errors import Refusal, TooMany
from graphql_app.graph.api.schema import build
from graphql_app.graph.compile.measures import MEASURES
from graphql_app.graph.documents.document import Documents, InvalidDocument
from graphql_app.graph.documents.limits import DocumentLimits, Measure
from graphql_app.graph.documents.sizes import LISTS, is_list
from graphql_app.graph.engine.execution import Execution

SCHEMA = Execution(build(), seconds=1).schema
OPERATIONS = Path(__file__).parents[3] / "clients" / "operations"


def check(text: str, **limits: int) -> None:
    Measure(SCHEMA, DocumentLimits(**limits)).check(parse(text))


def amount(measure: str, text: str) -> int:
    """How much of it the document has: what it says when nothing is allowed."""
    with pytest.raises(TooMany) as refused:
        check(text, **{measure: 0})
    assert refused.value.data["measure"] == measure
    asked: int = refused.value.data["asked"]
    return asked


# --- each measure ----------------------------------------------------------------------------------------------------

AMOUNTS = [
    ("depth", "{ me { employee { department { name } } } }", 4),
    ("depth", "{ me { ...V } } fragment V on Viewer { ... { employee { name } } }", 3),
    ("aliases", "{ a: me { subject } b: me { it: subject } }", 3),
    ("aliases", "{ a: me { ...V } b: me { ...V } } fragment V on Viewer { x: subject y: roles }", 6),
    ("directives", "query @skip(if: true) { me @skip(if: true) { ... @include(if: true) { subject } } }", 3),
    ("directives", "{ ...F @skip(if: true) me { ...V } } fragment F on Query { me { ...V } }"
     " fragment V on Viewer { subject @skip(if: false) }", 3),
    ("nodes", "{ me { subject roles } }", 3),
    ("nodes", "{ a: me { ...V } b: me { ...V } } fragment V on Viewer { subject }", 6),
    ("nodes", "fragment Unused on Query { me { subject } } { me { subject } }", 4),
    ("comparisons", "{ me { subject } me { subject } me { subject } }", 6),
    ("comparisons", "{ me { subject } ... { me { subject } } }", 2),
    ("cost", "{ me { subject roles } }", 12),
    ("cost", "query A { me { subject } } query B { me { subject scopes } }", 12),
]  # fmt: skip


@pytest.mark.parametrize(("measure", "text", "much"), AMOUNTS)
def test_a_document_of_just_so_much_is_taken_and_of_more_is_refused(measure: str, text: str, much: int) -> None:
    check(text, **{measure: much})
    with pytest.raises(TooMany) as refused:
        check(text, **{measure: much - 1})

    assert refused.value.data == {"measure": measure, "limit": much - 1, "asked": much}
    assert f"{much}" in refused.value.message
    assert f"{much - 1}" in refused.value.message


def test_every_measure_is_tried() -> None:
    assert {measure for measure, _, _ in AMOUNTS} == set(MEASURES)


def test_the_same_fields_cost_the_same_whatever_fragments_they_are_in() -> None:
    plain = "{ workstations(first: 7) { nodes { id name } edges { cursor } totalCount } }"
    parted = (
        "{ ...Q } fragment Q on Query { workstations(first: 7) { ...C ... on WorkstationConnection { totalCount } } }"
        " fragment C on WorkstationConnection { nodes { ...W name } edges { cursor } } fragment W on Node { id }"
    )

    assert amount("cost", plain) == amount("cost", parted)


# --- sizes of lists multiply -----------------------------------------------------------------------------------------


def page(arguments: str, variables: str = "") -> int:
    """How many items the page is taken to have: each costs two, itself and its id; three are not of the page."""
    cost = amount(
        "cost",
        f"query {variables} {{ workstations{arguments} {{ nodes {{ id }} totalCount pageInfo {{ hasNextPage }} }} }}",
    )
    items, rest = divmod(cost - 4, 2)
    assert not rest
    return items


@pytest.mark.parametrize(
    ("arguments", "variables", "items"),
    [
        ("", "", 50),
        ("(first: 3)", "", 3),
        ("(last: 7)", "", 7),
        ("(first: 0)", "", 0),
        ("(first: null)", "", 50),
        ("(first: -1)", "", 0),
        ("(first: 100000)", "", 500),
        (f"(first: {'9' * 5000})", "", 500),
        ("(first: $n)", "($n: Int)", 500),
        ("(first: $n)", "($n: Int = 5)", 500),  # the default says nothing of what is given
        ('(after: "x")', "", 50),
    ],
)
def test_a_page_is_as_long_as_its_arguments_allow(arguments: str, variables: str, items: int) -> None:
    assert page(arguments, variables) == items


def test_a_list_without_a_size_is_taken_to_be_as_long_as_is_stated() -> None:
    floors, workstations = LISTS["Query.floors"], LISTS["Floor.workstations"]

    assert amount("cost", "{ floors { number workstations { id } } }") == floors * (2 + workstations * 2)


@pytest.mark.parametrize("name", LISTS)
def test_a_stated_size_is_of_a_list_that_there_is(name: str) -> None:
    type_name, field = name.split(".")

    assert is_list(graphql.assert_object_type(SCHEMA.type_map[type_name]).fields[field])


def test_as_many_ids_are_as_many_nodes() -> None:
    assert amount("cost", '{ nodes(ids: ["a", "b", "c"]) { id } }') == 6
    assert amount("cost", "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }") == 2 * LISTS["Query.nodes"]


# --- who is never refused --------------------------------------------------------------------------------------------

FIELDS = graphql.assert_object_type(SCHEMA.type_map["Workstation"]).fields
WORKSTATION = " ".join(name for name in FIELDS if name not in ("department", "employee"))
ORDINARY = {
    "introspection": get_introspection_query(),
    "GraphiQL's introspection": get_introspection_query(
        specified_by_url=True, directive_is_repeatable=True, schema_description=True, input_value_deprecation=True
    ),
    "the largest page of everything": "query ($n: Int) { workstations(first: $n) { totalCount pageInfo { endCursor }"
    f" edges {{ cursor node{{ {WORKSTATION} department {{ id name }} employee {{ id name employeeNumber }} }} }} }} }}",
    "every floor with all of its workstations": f"{{ floors {{ id building number name cursor stats {{ total }}"
    f" workstations {{ {WORKSTATION} department {{ id name }} employee {{ id name }} }} }} }}",
    **{file.stem: file.read_text() for file in OPERATIONS.glob("*.graphql")},
}


@pytest.mark.parametrize("what", ORDINARY)
def test_an_ordinary_document_is_far_from_every_limit(what: str) -> None:
    limits = DocumentLimits()
    half = {name: getattr(limits, name) // 2 for name in MEASURES}

    check(ORDINARY[what], **half)


def test_what_the_clients_of_the_tests_ask_is_valid_all_at_once() -> None:
    write_coalescer = "\n".join(file.read_text() for file in OPERATIONS.glob("*.graphql"))

    assert graphql.validate(SCHEMA, parse(write_coalescer)) == []
    check(write_coalescer)


# --- what is no valid document ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "{ nothing { nothing(first: 3) { nothing } } }",
        "{ ...Nothing ... on Nothing { x } }",
        "fragment F on Nothing { x }",
        "subscription { nothing }",
        "{ me(first: [1, {a: $b}]) { subject { x } } }",
        "type T { a: Int }",
        "fragment F on Query { me { subject } } fragment F on Query { me { subject } }",
    ],
)
def test_what_does_not_fit_the_schema_is_measured_all_the_same(text: str) -> None:
    check(text)


CIRCLES = {
    "of itself": "{ ...A } fragment A on Query { ...A }",
    "of two": "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }",
    "through a field": "{ me { ...A } } fragment A on Viewer { employee { ...B } } fragment B on X { y { ...A } }",
    "that nothing spreads": "{ me { subject } } fragment A on Query { ... { ...A } }",
}


@pytest.mark.parametrize("how", CIRCLES)
def test_fragments_that_spread_each_other_are_refused_before_they_are_followed(how: str) -> None:
    with pytest.raises(GraphQLError, match="Cannot spread fragment 'A' within itself"):
        check(CIRCLES[how])


# --- nothing takes long ----------------------------------------------------------------------------------------------


def spreads(count: int, body: Callable[[int], str], last: str, type_name: str, root: str) -> str:
    chain = " ".join(f"fragment F{n} on {type_name} {{ {body(n + 1)} }}" for n in range(count))
    return f"{root} {chain} fragment F{count} on {type_name} {{ {last} }}"


def each(count: int, text: str) -> str:
    return " ".join(text.replace("#", str(n)) for n in range(count))


HOSTILE = {
    "one field again and again": "{ me { " + "subject " * 1990 + "} }",
    "one object again and again": "{ " + "me { subject } " * 490 + "}",
    "one field as often as is allowed": "{ me { " + "subject " * 99 + "} }",
    "one object as often as is allowed": "{ " + "me { subject roles } " * 57 + "}",
    "one field with large arguments": "{ " + ("node(id: [" + "1 " * 90 + "]) { id } ") * 19 + "}",
    "aliases": "{ " + each(330, "a#: me { subject }") + " }",
    "twice each, 120 times": spreads(120, lambda n: f"...F{n} ...F{n}", "__typename", "Query", "{ ...F0 }"),
    "twice each in fields": spreads(
        60, lambda n: f"a: ofType {{ ...F{n} }} b: ofType {{ ...F{n} }}", "name", "__Type",
        "{ __schema { types { ...F0 } } }"
    ),
    "every one below it": spreads(16, lambda n: each(17 - n, f"...F{n}"), "__typename", "Query", "{ ...F0 }"),
    "a long chain": spreads(250, lambda n: f"...F{n}", "__typename", "Query", "{ ...F0 }"),
    "fragments side by side": "{ " + each(100, "...F#") + " } " + each(100, "fragment F# on Query { a#: __typename }"),
    "fragments that nothing spreads": "{ me { subject } } " + each(170, "fragment F# on Query { me { subject } }"),
    "one fragment in many operations": each(60, "query Q#($x: ID!) { ...F }")
    + " fragment F on Query { node(id: [" + "$x " * 900 + "]) { id } }",
    "variables": "query (" + each(450, "$v#: ID") + ") { nodes(ids: [" + each(90, "$v#") + "]) { id } }",
    "fields that there are not": "{ " + each(1990, "f#") + " }",
    "long names that there are not": "{ " + each(90, "x" * 600 + "#") + " }",
    "an endless name": "{ " + "x" * 60_000 + " }",
    "input fields that there are not": "{ workstations(filter: {" + each(600, "x#: 1") + "}) { totalCount } }",
    "one argument again and again": "{ workstations(" + "first: 1 " * 600 + ") { totalCount } }",
    "directives": "{ me " + "@skip(if: true) " * 300 + "{ subject } }",
    "directives that there are not": "{ me " + "@x " * 600 + "{ subject } }",
    "a long list": "{ nodes(ids: [" + "1 " * 1900 + "]) { id } }",
    "a long number": "{ node(id: " + "1" * 60_000 + ") { id } }",
    "a long page": "{ workstations(first: " + "1" * 60_000 + ") { totalCount } }",
    "a long text": '{ node(id: "' + "\\u0041" * 9000 + '") { id } }',
    "a long block": '{ node(id: """' + "\n x" * 20_000 + '""") { id } }',
    "comments": "#\n" * 1990 + "{ me { subject } }",
    "definitions of types": each(280, "type T# { a: Int }"),
    "deep introspection": "{ __schema { types { " + "fields { type { " * 60 + "name" + " } }" * 60 + " } } }",
    "every type at one place": "{ node(id: 1) { " + each(90, "... on Workstation { id }") + " } }",
    "deep inline fragments": "{ " + "... { " * 150 + "__typename" + " }" * 151,
}  # fmt: skip


@pytest.mark.parametrize("how", HOSTILE)
def test_no_document_blocks_the_loop_for_long(how: str) -> None:
    """Below 50 ms of this thread on a machine of its own; twice that here, where others work too."""
    text = HOSTILE[how]
    assert len(text) <= DocumentLimits().bytes
    taken = []
    for _ in range(3):
        documents = Documents(SCHEMA, DocumentLimits(), kept=10)
        began = time.thread_time()
        with suppress(InvalidDocument, Refusal):
            documents.get(text)
        taken.append(time.thread_time() - began)

    assert min(taken) < 0.1


@given(st.integers(1, 40), st.integers(1, 4))
def test_a_fragment_is_measured_once_however_often_it_is_spread(length: int, times: int) -> None:
    text = spreads(length, lambda n: each(times, f"...F{n}"), "__typename", "Query", "{ ...F0 }")

    # Each fragment is there as often as it unfolds, and at the end of each there is one field.
    unfolded = sum(times**n for n in range(length + 1)) + times**length
    assert amount("nodes", text) == min(unfolded, 10**9)
