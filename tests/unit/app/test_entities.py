"""One registry: whatever handles changes finds each entity in it, and nothing else names them."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

from graphql import GraphQLInterfaceType

import graphql_app
from graphql_app.app.entities import SNAPSHOT_ROWS
from graphql_app.domain import topics
from graphql_app.domain.entity import LoginRole
from graphql_app.graph.api.nodes import NODES
from graphql_app.graph.api.schema import build
from graphql_app.live.sessions import accounts
from graphql_app.store.schema.entities import ENTITIES

PACKAGE = Path(graphql_app.__file__).parent
# Where entities are called by their names: each subject says its own once.
NAMED_IN = {"domain/workstation.py", "domain/account.py", "domain/notification.py"}
CALLED = {"Interest", "reads", "unnumbered", "since", "_since", "Entity", "Change"}


def test_every_topic_can_be_read_at_once_and_nothing_else() -> None:
    kinds = [vars(kind) for _, kind in inspect.getmembers(topics, inspect.isclass)]
    followed = {kind["entity"] for kind in kinds if isinstance(kind.get("entity"), str)}

    assert len(followed) >= 2
    assert followed == set(SNAPSHOT_ROWS)
    assert followed <= set(ENTITIES)


def test_every_type_that_is_a_node_is_found_by_its_id() -> None:
    schema = build()._schema
    nodes = schema.get_type("Node")
    assert isinstance(nodes, GraphQLInterfaceType)

    assert {kind.name for kind in schema.get_implementations(nodes).objects} == set(NODES)


def test_whoever_is_logged_in_is_told_of_each_role() -> None:
    assert set(accounts._APPLIED) == set(LoginRole)


def names_in(tree: ast.AST) -> Iterator[ast.Constant]:
    """Texts where an entity is meant: arguments of what takes one, and what is compared with `.entity`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            arguments = node.args if called in CALLED else []
        elif isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            arguments = sides if any(isinstance(one, ast.Attribute) and one.attr == "entity" for one in sides) else []
        elif isinstance(node, (ast.Dict, ast.Set, ast.Tuple, ast.List)):
            items = [one for one in (node.keys if isinstance(node, ast.Dict) else node.elts) if one is not None]
            several = [one for one in items if isinstance(one, ast.Constant) and one.value in LOGGED_ALONE]
            arguments = list(several)
        else:
            continue
        yield from (one for one in arguments if isinstance(one, ast.Constant) and one.value in ENTITIES)


# These words mean nothing but an entity of the log; the others are columns and roles as well.
LOGGED_ALONE = {"login_session", "workstation", "notification"}


def test_there_is_no_second_list_of_entities() -> None:
    found = {
        f"{file.relative_to(PACKAGE).as_posix()}:{one.lineno}: {one.value!r}"
        for file in PACKAGE.rglob("*.py")
        if file.relative_to(PACKAGE).as_posix() not in NAMED_IN
        for one in names_in(ast.parse(file.read_text()))
    }

    # A field of the API is called so too.
    assert {one for one in found if not one.startswith("graph/engine/response_cache.py")} == set()
