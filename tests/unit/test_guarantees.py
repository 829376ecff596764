"""docs/guarantees.md names the tests that prove it: every one of them exists, and runs where the page says."""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
PAGE = (TESTS.parent / "docs" / "guarantees.md").read_text()
LINE = re.compile(r"^- `(?P<name>test_\w+)`(?P<is_slow> ◆)?$", re.MULTILINE)


def conformance_by_test() -> dict[str, bool]:
    """Every test of the suite, and whether it runs with `make conformance` alone."""
    return {
        node.name: any(ast.unparse(one) == "pytest.mark.conformance" for one in node.decorator_list)
        for file in TESTS.rglob("test_*.py")
        for node in ast.parse(file.read_text()).body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }


def test_every_test_that_the_guarantees_name_exists_and_is_marked_as_it_runs() -> None:
    known = conformance_by_test()
    named = {found["name"]: found["is_slow"] is not None for found in LINE.finditer(PAGE)}
    assert len(named) > 40
    assert {name: known.get(name) for name in named} == named


def test_every_guarantee_names_a_test() -> None:
    for guarantee in re.split(r"\n(?=\*\*)", PAGE)[1:]:
        assert LINE.search(guarantee), guarantee


def test_nothing_else_on_the_page_looks_like_a_test() -> None:
    assert PAGE.count("`test_") == len(list(LINE.finditer(PAGE)))
