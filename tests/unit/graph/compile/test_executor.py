"""Plans: made when an operation repeats, one a view, and left to graphql-core where a value is not regular."""

import asyncio
import gc
import weakref
from types import SimpleNamespace
from typing import Any

import pytest

from graphql_app.domain.workstation import Floor, Workstation
from graphql_app.graph.api.context import Context
from graphql_app.graph.api.schema import build
from graphql_app.graph.compile.executor import PLANS_MOST, condition_variables
from graphql_app.graph.documents.document import Documents, Operation
from graphql_app.graph.documents.limits import DocumentLimits
from graphql_app.graph.engine.execution import Execution, shared_caller
from tests.examples import view, workstation

EXECUTION = Execution(build(), seconds=5)


def operation(text: str) -> Operation:
    documents = Documents(EXECUTION.schema, DocumentLimits(), kept=9)
    return documents.get(text).operation(None)


def context(desks: list[Workstation], role: str = "admin") -> Context:
    async def floors(*_: Any) -> Any:
        return [Floor(1, "HQ", 1, "Lobby")]

    async def on(_: Any, places: Any, fields: Any) -> Any:
        return dict.fromkeys(places, desks)

    services: Any = SimpleNamespace(browse=SimpleNamespace(floors=floors, workstations_by_place=on))
    return Context(shared_caller(view(role)), services)


@pytest.fixture
def resolved(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The workstations whose name was resolved by graphql-core, so far."""
    field = EXECUTION.schema.type_map["Workstation"].fields["name"]  # type: ignore[attr-defined]
    seen: list[Any] = []
    resolve = field.resolve

    def counted(source: Any, info: Any) -> Any:
        seen.append(source)
        return resolve(source, info)

    monkeypatch.setattr(field, "resolve", counted)
    return seen


async def test_an_operation_is_planned_when_it_repeats(resolved: list[Any]) -> None:
    asked = operation("{ floors { workstations { name } } }")
    answers = []
    for _ in range(3):
        answers.append(await EXECUTION.run(asked, {}, context([workstation(), workstation(id=2)])))

    assert len(resolved) == 2, "one execution of graphql-core's"
    assert answers[0] == answers[1] == answers[2]


async def test_only_what_is_not_regular_is_left_to_graphql_core(resolved: list[Any]) -> None:
    asked = operation("{ floors { workstations { name xPosition } } }")
    odd = workstation(id=2, x_position=float("nan"))
    for _ in range(2):
        await EXECUTION.run(asked, {}, context([workstation()]))
    resolved.clear()

    answer = await EXECUTION.run(asked, {}, context([workstation(), odd, workstation(id=3)]))

    assert resolved == [odd]
    assert [error["path"] for error in answer["errors"]] == [["floors", 0, "workstations", 1, "xPosition"]]
    assert [desk["xPosition"] for desk in answer["data"]["floors"][0]["workstations"]] == [10.5, None, 10.5]


class Rows(list[Workstation]):
    """A list whose end can be watched."""


async def test_what_is_loaded_is_given_up_with_its_operation_and_not_when_garbage_is_collected() -> None:
    async def ask(desks: Rows) -> None:
        asking = context(desks)

        async def fetch(keys: Any) -> Any:
            return await asking.services.browse.workstations_by_place(asking.caller, keys, ())

        assert await asking.load("desks", 1, fetch) is desks

    desks = Rows([workstation()])
    watched = weakref.ref(desks)
    gc.disable()
    try:
        await ask(desks)
        await asyncio.sleep(0)  # the task that fetched ends
        del desks
        assert watched() is None
    finally:
        gc.enable()


async def test_what_one_view_may_see_is_not_what_another_may() -> None:
    asked = operation("{ floors { workstations { xPosition version } } }")

    async def seen(role: str) -> Any:
        answer = await EXECUTION.run(asked, {}, context([workstation()], role))
        return answer["data"]["floors"][0]["workstations"][0]

    for _ in range(3):
        assert await seen("admin") == {"xPosition": 10.5, "version": 1}
        assert await seen("employee") == {"xPosition": 10.5, "version": None}
        assert await seen("visitor") == {"xPosition": None, "version": None}


async def test_what_is_skipped_by_a_variable_is_part_of_the_plan() -> None:
    asked = operation("query ($no: Boolean!) { floors { workstations { name id @skip(if: $no) } } }")
    for _ in range(3):
        for no in (True, False):
            answer = await EXECUTION.run(asked, {"no": no}, context([workstation()]))

            assert ("id" in answer["data"]["floors"][0]["workstations"][0]) is not no


def test_only_variables_that_decide_what_is_selected_are_conditions() -> None:
    document = operation("""
        query ($a: Boolean!, $b: Boolean!, $c: String!) {
            floors(building: $c) { ...F number @skip(if: $b) }
        }
        fragment F on Floor { name @include(if: $a) }
    """).document

    assert condition_variables(document) == ("a", "b")


async def test_an_operation_has_so_many_plans_at_most() -> None:
    names = [f"v{n}" for n in range(6)]
    asked = operation(
        f"query ({' '.join(f'${name}: Boolean!' for name in names)})"
        f" {{ floors {{ {' '.join(f'{name}: name @skip(if: ${name})' for name in names)} id }} }}"
    )
    for n in range(2 ** len(names)):
        given = {name: bool(n >> bit & 1) for bit, name in enumerate(names)}
        for _ in range(2):
            answer = await EXECUTION.run(asked, given, context([]))
            assert set(answer["data"]["floors"][0]) == {"id", *(name for name in names if not given[name])}

    assert len(asked.plans._roots) == PLANS_MOST
