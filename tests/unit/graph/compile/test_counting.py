"""What an answer costs by how long its lists turn out to be."""

from types import SimpleNamespace
from typing import Any

import pytest

from graphql_app.domain.access import ROLES, View
from graphql_app.domain.workstation import Floor, Place, WholeFloor, Workstation
from graphql_app.graph.api.context import Context
from graphql_app.graph.api.schema import build
from graphql_app.graph.documents.document import Documents
from graphql_app.graph.documents.limits import DocumentLimits
from graphql_app.graph.engine.execution import Execution, shared_caller
from tests.examples import workstation

EXECUTION = Execution(build(), seconds=5)
VIEW = View(frozenset(ROLES["admin"]))
DESKS = [workstation(id=number) for number in range(1, 101)]  # a hundred, on each of ten floors
FLOORS = [Floor(number, "HQ", number, "") for number in range(1, 11)]


def context() -> Context:
    async def floors(*_: Any) -> list[Floor]:
        return FLOORS

    async def on(_: Any, places: Any, __: Any) -> dict[Place, list[Workstation]]:
        return dict.fromkeys(places, DESKS)

    async def whole(_: Any, places: Any, __: Any) -> dict[Place, WholeFloor]:
        return {place: WholeFloor(1, place.building, place.number, "", DESKS) for place in places}

    browse = SimpleNamespace(floors=floors, workstations_by_place=on, whole_floors=whole)
    services: Any = SimpleNamespace(browse=browse)
    return Context(shared_caller(VIEW), services)


async def answers(text: str, most: int) -> list[dict[str, Any]]:
    """Three answers to the document: the first is not planned yet, the third may be short."""
    operation = Documents(EXECUTION.schema, DocumentLimits(cost=most), kept=9).get(text).operation(None)
    return [await EXECUTION.run(operation, {}, context()) for _ in range(3)]


COSTS = {  # what the workstations come to; a field that is merged of two counts as both
    "{ floors { workstations { id } } }": 10 * 100 * 2,
    "{ floors { a: workstations { id } b: workstations { id name } } }": 10 * 100 * 5,
    "{ a: floors { workstations { id } } b: floors { workstations { id } } }": 2 * 10 * 100 * 2,
    "{ floors { workstations { id } workstations { name } } }": 10 * 100 * 4,
    '{ a: floor(building: "HQ", number: 1) { workstations { id } }'
    ' b: floor(building: "HQ", number: 1) { workstations { id } } }': 2 * 100 * 2,
    '{ floor(building: "HQ", number: 1) { a: workstations { id } b: workstations { id } } }': 2 * 100 * 2,
    "{ floors { ...F } } fragment F on Floor { a: workstations { ...W } b: workstations { ...W } }"
    " fragment W on Workstation { id name }": 10 * 100 * 6,
}


@pytest.mark.parametrize("text", COSTS)
async def test_what_is_selected_twice_counts_twice_by_how_many_there_are(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = COSTS[text]
    monkeypatch.setattr("graphql_app.graph.documents.sizes.LISTS", {"Query.floors": 1, "Floor.workstations": 1})

    for answer in await answers(text, real):
        assert "errors" not in answer
    for answer in await answers(text, real - 1):
        extensions = answer["errors"][0]["extensions"]
        assert (extensions["code"], extensions["measure"], extensions["limit"]) == ("TOO_MANY", "cost", real - 1)
        assert extensions["asked"] == real


async def test_one_floor_is_shown_whole_however_full_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphql_app.graph.documents.sizes.LISTS", {"Floor.workstations": 1})

    for answer in await answers('{ floor(building: "HQ", number: 1) { workstations { id name } } }', 50):
        assert len(answer["data"]["floor"]["workstations"]) == 100
