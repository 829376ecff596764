"""The guarded fields that an operation asks for, by their paths in the answer."""

import pytest

from graphql_app.domain.access import Scope
from graphql_app.graph.api.schema import build
from graphql_app.graph.documents.document import Documents
from graphql_app.graph.documents.limits import DocumentLimits
from graphql_app.graph.engine.execution import Execution

DOCUMENTS = Documents(Execution(build(), seconds=1).schema, DocumentLimits(), kept=100)


def guarded(text: str) -> list[tuple[str, Scope]]:
    return DOCUMENTS.get(text).operation(None).guarded


PATHS: dict[str, list[str]] = {
    "{ workstations { nodes { id name } } }": [],
    "{ workstations { nodes { xPosition } edges { node { version } } } }": [
        "workstations.edges.node.version",
        "workstations.nodes.xPosition",
    ],
    "{ all: workstations { nodes { left: xPosition } } }": ["all.nodes.left"],
    '{ node(id: "x") { ... on Workstation { height } } }': ["node.height"],
    '{ node(id: "x") { ...W } } fragment W on Workstation { width employee { ...E } }'
    " fragment E on Employee { employeeNumber }": ["node.employee.employeeNumber", "node.width"],
    "{ nodes(ids: []) { ... on Employee { employeeNumber } ... on Node { ... on Workstation { employeeId } } } }": [
        "nodes.employeeId",
        "nodes.employeeNumber",
    ],
    "{ me { employeeNumber } }": [],  # one's own, and not guarded
    "{ floors { workstations { updatedAt updatedAt } } }": ["floors.workstations.updatedAt"],
    'mutation { releaseWorkstation(id: "x") { ... on WorkstationChanged { workstation { yPosition } }'
    " ... on Conflict { current { yPosition } } } }": [
        "releaseWorkstation.current.yPosition",
        "releaseWorkstation.workstation.yPosition",
    ],
    "subscription { workstationChanges { workstations { employee { employeeNumber } } } }": [
        "workstationChanges.workstations.employee.employeeNumber"
    ],
    "{ ... { workstations { ... { nodes { ... on Workstation { xPosition } } } } } }": ["workstations.nodes.xPosition"],
    "{ __schema { types { name } } }": [],
}


@pytest.mark.parametrize("text", PATHS)
def test_the_guarded_fields_of_an_operation_are_found_by_path(text: str) -> None:
    assert [path for path, _ in guarded(text)] == PATHS[text]


def test_each_path_carries_the_scope_that_it_needs() -> None:
    assert guarded("{ workstations { nodes { xPosition employeeId version } } }") == [
        ("workstations.nodes.employeeId", Scope.EMPLOYEES),
        ("workstations.nodes.version", Scope.WRITE),
        ("workstations.nodes.xPosition", Scope.COORDINATES),
    ]
