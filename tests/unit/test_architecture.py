"""What the architecture promises, checked: see docs/architecture.md."""

import ast
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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

from graphql_app.domain.access import Viewer
from graphql_app.graph.api.schema import build, printed
from graphql_app.services.following.follow import Follow
from graphql_app.services.office.arrange import Arrange
from graphql_app.services.office.browse import Browse

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "graphql_app"
SCHEMA = build()


def modules() -> Iterator[tuple[str, ast.Module]]:
    for file in sorted(PACKAGE.rglob("*.py")):
        yield file.relative_to(PACKAGE).as_posix(), ast.parse(file.read_text())


def where(name: str, held_by: str | None = None) -> set[str]:
    """The modules in which the attribute of that name is read (of `held_by`, if that is given)."""
    return {
        module
        for module, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr == name
        and (held_by is None or (isinstance(node.value, ast.Name) and node.value.id == held_by))
    }


USE_CASES = [
    (service, name)
    for service in (Browse, Arrange, Follow)
    for name, _ in inspect.getmembers(service, inspect.isfunction)
    if not name.startswith("_")
]


@pytest.mark.parametrize(("service", "name"), USE_CASES, ids=[f"{s.__name__}.{name}" for s, name in USE_CASES])
def test_every_use_case_is_asked_by_a_viewer(service: type[Any], name: str) -> None:
    parameters = list(inspect.signature(getattr(service, name)).parameters.values())

    assert parameters[1].annotation is Viewer


def test_the_use_cases_were_found() -> None:
    assert {"workstations", "create", "changes"} <= {name for _, name in USE_CASES}


def test_a_use_case_cannot_be_gone_around_by_a_public_attribute() -> None:
    for service in (Browse, Arrange, Follow):
        constructor = ast.parse(inspect.getsource(service)).body[0]
        kept = {
            node.attr
            for node in ast.walk(constructor)
            if isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and isinstance(node.value, ast.Name)
            and node.value.id == "self"
        }
        assert {name for name in kept if not name.startswith("_")} == set(), service.__name__


def test_the_doors_take_nothing_from_the_history_that_is_not_redacted() -> None:
    taken = {
        alias.name
        for module, tree in modules()
        if module.startswith(("graph/", "web/"))
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "graphql_app.services.following.history"
        for alias in node.names
    }

    assert taken <= {"Start"}


def test_only_the_store_commits() -> None:
    assert where("commit") <= {"store/postgres/database.py", "store/postgres/migrations.py"}


def test_only_the_settings_read_the_environment() -> None:
    assert where("environ") | where("getenv") == {"settings/environment.py"}


def test_nothing_is_read_from_the_environment_by_another_name() -> None:
    imported = {
        module
        for module, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and node.module == "os"
        and {alias.name for alias in node.names} & {"environ", "getenv"}
    }

    assert imported == set()


def test_the_import_contracts_hold() -> None:
    # A process of its own: import-linter keeps its settings in a global.
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stdout


# --- the schema ------------------------------------------------------------------------------------------------------


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
