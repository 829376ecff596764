"""The rules as one find the same as graphql-core's each for itself: the same errors, in the same order."""

import re
from random import Random

import pytest
from graphql import GraphQLError, OperationType, parse, print_ast, validate
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphql_app.graph.api.schema import build
from graphql_app.graph.documents.validation import SpecifiedRules
from graphql_app.graph.engine.execution import Execution
from tests.generated import documents, twisted

SCHEMA = Execution(build(), seconds=1).schema
TOKEN = re.compile(r'"[^"]*"|\w+|[^\s\w]')
STRANGE = ["nothing", "$nobody", "...", "@skip", "on", "fragment", "query", "id", "1", '"x"', "null", "[", "{", "}"]


def both(text: str) -> tuple[list[GraphQLError], list[GraphQLError]]:
    document = parse(text)
    return validate(SCHEMA, document), validate(SCHEMA, document, [SpecifiedRules])


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), random=st.randoms(use_true_random=False), kind=st.sampled_from(OperationType))
def test_whatever_is_wrong_with_a_document_is_said_in_the_same_words(
    data: st.DataObject, random: Random, kind: OperationType
) -> None:
    document = twisted(SCHEMA, data.draw(documents(SCHEMA, kind)), kind, random)
    whole = TOKEN.findall(print_ast(document))
    for _ in range(8):
        tokens = list(whole)
        for _ in range(random.randrange(3)):
            place = random.randrange(len(tokens))
            tokens[place : place + random.randrange(2)] = [random.choice([*STRANGE, *whole])]
        try:
            theirs, ours = both(" ".join(tokens))
        except GraphQLError:
            continue  # it does not parse
        assert ours == theirs


@pytest.mark.parametrize(
    "text",
    [
        "{ __typename } { __typename }",
        "query a { __typename } query a { __typename }",
        "type T { a: Int } { __typename }",
        "{ nothing }",
        "{ me }",
        "{ __typename { id } }",
        "{ me { subject(x: 1) } }",
        "{ workstation { id } }",
        '{ workstation(id: "a", id: "b") { id } }',
        "{ workstation(id: []) { id } }",
        "{ me { subject @nobody } }",
        "{ me { subject @skip } }",
        "{ me { subject @skip(if: true) @skip(if: true) } }",
        "{ ...a }",
        "fragment a on Query { __typename } { __typename }",
        "fragment a on Query { ...b } fragment b on Query { ...a } { ...a }",
        "fragment a on Query { __typename } fragment a on Query { __typename } { ...a }",
        "fragment a on Nothing { __typename } { ...a }",
        "fragment a on Floor { __typename } { ...a }",
        "fragment a on ID { __typename } { ...a }",
        "query ($a: Int) { __typename }",
        "query ($a: Int, $a: Int) { workstations(first: $a) { totalCount } }",
        "query ($a: Me) { workstations(first: $a) { totalCount } }",
        "{ workstations(first: $a) { totalCount } }",
        "query ($a: String) { workstations(first: $a) { totalCount } }",
        "{ a: me { subject } a: departments { name } }",
        '{ workstations(filter: {building: "a", building: "b"}) { totalCount } }',
        "subscription { workstationChanges { kind } floorStatus { __typename } }",
        "fragment a on Query { me { ...b } } fragment b on Floor { x ...a } { ...a me { nobody { x } } } query b { x }",
    ],
)
def test_each_mistake_is_found_as_by_the_rules_one_by_one(text: str) -> None:
    theirs, ours = both(text)

    assert theirs
    assert ours == theirs
