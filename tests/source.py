"""The package's own text, parsed: what the architecture tests look at."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "graphql_app"

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def modules() -> dict[str, ast.Module]:
    """Every module of the package, by its path below it."""
    return {file.relative_to(PACKAGE).as_posix(): ast.parse(file.read_text()) for file in sorted(PACKAGE.rglob("*.py"))}


@dataclass(frozen=True, slots=True)
class Found:
    """A function or method, and where it stands."""

    module: str
    owner: ast.ClassDef | None
    node: Function

    @property
    def name(self) -> str:
        return f"{self.owner.name}.{self.node.name}" if self.owner else self.node.name

    @property
    def docstring(self) -> str:
        return ast.get_docstring(self.node) or ""

    def __str__(self) -> str:
        return f"{self.module}:{self.name}"


def public_functions() -> Iterator[Found]:
    """Of modules and of their public classes; none of a name that begins with an underscore."""
    for module, tree in modules().items():
        yield from _within(module, tree, None)


def _within(module: str, body: ast.Module | ast.ClassDef, owner: ast.ClassDef | None) -> Iterator[Found]:
    for node in body.body:
        if isinstance(node, Function) and not node.name.startswith("_"):
            yield Found(module, owner, node)
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from _within(module, node, node)


def own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """What stands in a function itself, not in those that are defined within it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (*Function.__args__, ast.Lambda, ast.ClassDef)):
            yield child
            yield from own_nodes(child)


@cache
def bases() -> dict[str, frozenset[str]]:
    """Every class of the package by its name, with the names of all that it derives from."""
    direct = {
        node.name: {ast.unparse(base).split(".")[-1] for base in node.bases}
        for tree in modules().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }

    def ancestors(name: str, seen: frozenset[str] = frozenset()) -> frozenset[str]:
        found = frozenset(direct.get(name, ())) - seen
        return found.union(*(ancestors(one, seen | found | {name}) for one in found))

    return {name: ancestors(name) for name in direct}


def is_error(name: str) -> bool:
    return bool(
        bases().get(name, frozenset()) & {"Exception", "BaseException", "ValueError", "OSError", "RuntimeError"}
    )
