"""What the architecture promises, checked: see docs/architecture.md.

Each test finds by itself what it checks, so that what comes new is checked too. What is let pass stands in
exemptions.py, with its reason.
"""

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.source import PACKAGE, ROOT, Found, Function, bases, is_error, modules, own_nodes, public_functions
from tests.unit.exemptions import (
    DRIVER,
    PUBLIC_ATTRIBUTES,
    SAME_NAMES,
    UNSAID_RAISES,
    UNTESTED,
    WITHOUT_VIEWER,
    names,
)

DOORS = ("graph/", "rest/", "pages/")
ASKED_BY = {"Viewer", "Caller"}


def where(name: str, held_by: str | None = None) -> set[str]:
    """The modules in which the attribute of that name is read (of `held_by`, if that is given)."""
    return {
        module
        for module, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr == name
        and (held_by is None or (isinstance(node.value, ast.Name) and node.value.id == held_by))
    }


def classes() -> Iterator[tuple[str, ast.ClassDef]]:
    for module, tree in modules().items():
        yield from ((module, node) for node in tree.body if isinstance(node, ast.ClassDef))


# --- PostgreSQL ------------------------------------------------------------------------------------------------------


def test_only_these_reach_the_driver_beneath_sqlalchemy() -> None:
    """asyncpg's connections: imported as such, taken from SQLAlchemy's, or made outside its pool."""
    imported = {
        module
        for module, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith("graphql_app.store.postgres.")
        and {"Connection", "driver_of", "connected"} & {alias.name for alias in node.names}
    }
    opened = {
        module
        for module, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in ("connect", "create_pool")
        and ast.unparse(node.value).removeprefix("self._") in ("asyncpg", "database")
    }
    taken = where("driver") | where("driver_connection")

    assert imported | opened | taken == names(DRIVER)


# --- use cases -------------------------------------------------------------------------------------------------------


def asker(found: Found) -> str | None:
    """What the first parameter is said to be, apart from self."""
    parameters = found.node.args.args[1 if found.owner else 0 :]
    return ast.unparse(parameters[0].annotation) if parameters and parameters[0].annotation else None


def is_asked_by_a_viewer(found: Found) -> bool:
    """A function may take its viewer at any place, a method of a use case takes it first."""
    if found.owner is not None:
        return asker(found) in ASKED_BY
    given = [*found.node.args.args, *found.node.args.kwonlyargs]
    return any(one.annotation is not None and ast.unparse(one.annotation) in ASKED_BY for one in given)


def services() -> list[Found]:
    """Every method of a public class of the services, and every public function that waits for something."""
    return [
        found
        for found in public_functions()
        if found.module.startswith("services/") and (found.owner or isinstance(found.node, ast.AsyncFunctionDef))
    ]


def test_every_use_case_is_asked_by_a_viewer() -> None:
    unasked = {found for found in services() if not is_asked_by_a_viewer(found)}
    exempt = names(WITHOUT_VIEWER)
    holders = {found: {found.name, found.name.split(".")[0]} & exempt for found in unasked}

    assert sorted(str(found) for found, reasons in holders.items() if not reasons) == []
    assert exempt - set().union(*holders.values()) == set(), "no reason is needed any more"


def test_the_use_cases_were_found() -> None:
    asked = {found.name for found in services() if is_asked_by_a_viewer(found)}

    assert {"Browse.workstations", "Arrange.create", "Follow.changes", "Authenticate.login", "seed"} <= asked
    assert len(asked) > 40


def test_a_use_case_cannot_be_gone_around_by_a_public_attribute() -> None:
    use_cases = {found.owner for found in services() if found.owner and is_asked_by_a_viewer(found)}
    public = {
        f"{owner.name}.{node.attr}"
        for owner in use_cases
        for node in ast.walk(owner)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and ast.unparse(node.value) == "self"
        and not node.attr.startswith("_")
    }

    assert len(use_cases) > 6
    assert public == names(PUBLIC_ATTRIBUTES)


def test_the_doors_take_nothing_from_beneath_the_use_cases_that_is_not_redacted() -> None:
    beneath = set(WITHOUT_VIEWER["beneath the use cases, which redact what it reads; no door may import it"])
    taken = {
        f"{module}: {alias.name}"
        for module, tree in modules().items()
        if module.startswith(DOORS)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name in beneath
    }

    assert taken == set()


# --- one place for each thing ----------------------------------------------------------------------------------------


def test_only_the_store_commits() -> None:
    assert where("commit") <= {"store/postgres/database.py", "store/postgres/migrations.py"}


def test_only_the_settings_read_the_environment() -> None:
    assert where("environ") | where("getenv") == {"settings/environment.py"}


def test_nothing_is_read_from_the_environment_by_another_name() -> None:
    imported = {
        module
        for module, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and node.module == "os"
        and {alias.name for alias in node.names} & {"environ", "getenv"}
    }

    assert imported == set()


def test_no_class_has_the_name_of_another() -> None:
    """The types of the schema are apart: they have the names that clients know, which are those of the domain."""
    met = Counter(node.name for module, node in classes() if not module.startswith("graph/api/"))
    twice = {name for name, often in met.items() if often > 1 and not name.startswith("_")}

    assert twice == names(SAME_NAMES)


# --- errors ----------------------------------------------------------------------------------------------------------


def raised(node: Function) -> set[str]:
    """The errors of the package that the function raises itself, and does not catch."""
    inside = list(own_nodes(node))
    given = {
        ast.unparse(one.exc.func if isinstance(one.exc, ast.Call) else one.exc).split(".")[-1]
        for one in inside
        if isinstance(one, ast.Raise) and one.exc is not None
    }
    caught = {
        name
        for one in inside
        if isinstance(one, ast.ExceptHandler) and one.type is not None
        for name in re.findall(r"\w+", ast.unparse(one.type))
    }
    return {name for name in given if is_error(name) and name not in caught}


def test_what_raises_a_refusal_or_another_error_of_ours_says_so() -> None:
    silent = {
        str(found)
        for found in public_functions()
        for name in raised(found.node)
        if not ("aises" in found.docstring and {name, *bases()[name]} & set(re.findall(r"\w+", found.docstring)))
    }

    assert silent == names(UNSAID_RAISES)


def test_raising_functions_were_found() -> None:
    assert sum(bool(raised(found.node)) for found in public_functions()) > 40


def broad() -> Iterator[tuple[str, ast.ExceptHandler, str]]:
    """Every `except Exception`, bare `except` and their kind, with its line."""
    for module, tree in modules().items():
        lines = (PACKAGE / module).read_text().splitlines()
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler):
                caught = set(re.findall(r"\w+", ast.unparse(node.type))) if node.type else {"BaseException"}
                if caught & {"Exception", "BaseException"}:
                    yield module, node, lines[node.lineno - 1]


def is_handled(node: ast.ExceptHandler, line: str) -> bool:
    """It goes on to whoever called, or it is noted, or logged, or the line says why not."""
    body = [one for part in node.body for one in (part, *own_nodes(part))]
    goes_on = any(isinstance(one, ast.Raise) for one in body)
    is_told = any(
        isinstance(one, ast.Call) and ast.unparse(one.func).split(".")[-1] in ("note", "exception") for one in body
    )
    return goes_on or is_told or bool(re.search(r"#(?! noqa).+", line))


def test_what_catches_everything_notes_it_or_says_why_not() -> None:
    assert [f"{module}:{node.lineno}" for module, node, line in broad() if not is_handled(node, line)] == []
    assert sum(1 for _ in broad()) > 20


# --- tests and pictures ----------------------------------------------------------------------------------------------


def mirror_of(module: str) -> str:
    """The unit test that mirrors a module: a package's own is named after it."""
    folder, _, file = module.rpartition("/")
    if file == "__init__.py":
        folder, _, file = folder.rpartition("/")
    return f"{folder}/test_{file.removesuffix('.py')}.py".removeprefix("/")


def has_code(tree: ast.Module) -> bool:
    return any(isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) for node in tree.body)


def with_code() -> set[str]:
    """Every module but packages that hold nothing beside their docstring."""
    return {module for module, tree in modules().items() if not module.endswith("__init__.py") or has_code(tree)}


def test_every_module_has_its_unit_test_or_a_reason() -> None:
    here = ROOT / "tests" / "unit"

    assert {module for module in with_code() if not (here / mirror_of(module)).exists()} == names(UNTESTED)


def test_the_tests_that_reasons_name_exist() -> None:
    files = [file.relative_to(ROOT).as_posix() for file in (ROOT / "tests").rglob("test_*.py")]
    named = {path for reason in UNTESTED for path in re.findall(r"[\w/]*test_\w+\.py", reason)}

    assert len(named) > 20
    assert {path for path in named if not any(f"/{file}".endswith(f"/{path}") for file in files)} == set()


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


def test_the_picture_of_the_rooms_is_of_the_rooms() -> None:
    done = subprocess.run(
        [sys.executable, "docs/pictures/rooms.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
