"""The schema is the one that is committed, whatever is imported first, and every word of it is described."""

import subprocess
import sys

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    is_introspection_type,
    is_specified_scalar_type,
)

from graphql_app.graph.api.schema import build, printed
from tests.source import ROOT

SCHEMA = build()


def test_the_schema_on_disk_is_the_schema_of_the_code() -> None:
    assert (ROOT / "schema.graphql").read_text() == printed(SCHEMA)


def test_the_schema_is_the_same_in_whatever_order_its_modules_are_imported() -> None:
    program = (
        "import graphql_app.graph.api.{first}\n"
        "from graphql_app.graph.api.schema import build, printed\n"
        "print(printed(build()))"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", program.format(first=first)], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        for first in ("types", "inputs")
    }

    assert len(texts) == 1


def types() -> list[GraphQLNamedType]:
    return [
        found
        for name, found in SCHEMA._schema.type_map.items()
        if not (is_introspection_type(found) or is_specified_scalar_type(found) or name.startswith("__"))
    ]


@pytest.mark.parametrize("found", types(), ids=str)
def test_every_type_and_field_and_argument_of_the_schema_is_described(found: GraphQLNamedType) -> None:
    silent = [] if found.description else [found.name]
    if isinstance(found, (GraphQLObjectType, GraphQLInterfaceType, GraphQLInputObjectType)):
        for name, field in found.fields.items():
            silent += [] if field.description else [f"{found.name}.{name}"]
            for argument, taken in getattr(field, "args", {}).items():
                silent += [] if taken.description else [f"{found.name}.{name}({argument})"]
    if isinstance(found, GraphQLEnumType):
        silent += [f"{found.name}.{name}" for name, value in found.values.items() if not value.description]

    assert silent == []
