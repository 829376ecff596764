"""What the benchmark of reads asks, of each server in its own words: ready HTTP requests, in random order."""

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import httpx

BUILDINGS = [f"B{number}" for number in range(10)]
FLOORS = range(1, 11)
SIZES = (10, 100, 1000)  # workstations on the floors of building G
FIELDS = """id name status building floorNumber xPosition yPosition width height employeeId version createdAt updatedAt
  notes department { name } employee { name }"""

# 10 buildings x 10 floors x 100 workstations, 20 departments, 5,000 employees, each at a workstation; building G aside.
OFFICE = """
INSERT INTO departments (name) SELECT 'Department ' || i FROM generate_series(1, 20) i;
INSERT INTO employees (employee_number, name, department_id)
    SELECT 'E' || lpad(i::text, 6, '0'), 'Employee Number ' || i, 1 + i % 20 FROM generate_series(1, 5000) i;
INSERT INTO buildings (name) SELECT 'B' || i FROM generate_series(0, 9) i;
INSERT INTO buildings (name) VALUES ('G');
INSERT INTO floors (building, number) SELECT 'B' || b, f FROM generate_series(0, 9) b, generate_series(1, 10) f;
INSERT INTO floors (building, number) VALUES ('G', 10), ('G', 100), ('G', 1000);
INSERT INTO workstations
    (name, x_position, y_position, building, floor_number, department_id, employee_id, status, notes)
    SELECT 'W-' || b || '-' || f || '-' || w, w * 12.5, w * 7.25, 'B' || b, f, 1 + w % 20,
        CASE WHEN w % 2 = 0 THEN (b * 1000 + (f - 1) * 100 + w) / 2 END,
        CASE WHEN w % 2 = 0 THEN 'occupied' ELSE 'available' END, 'near the window'
    FROM generate_series(0, 9) b, generate_series(1, 10) f, generate_series(1, 100) w;
INSERT INTO workstations (name, x_position, y_position, building, floor_number, department_id)
    SELECT 'G-' || f || '-' || w, w, w, 'G', f, 1 + w % 20
    FROM unnest(ARRAY[10, 100, 1000]) f, generate_series(1, f) w;
"""


@dataclass(frozen=True, slots=True)
class Words:
    """How one kind of server is asked."""

    floor: str
    one: str
    page: str
    change: str
    ids: Sequence[str | int]  # of the workstations of buildings B0 to B9
    statuses: tuple[str, str]  # to be set in turn
    tokens: tuple[str, ...] = ("",)


OURS = (
    f"query ($b: String!, $n: Int!) {{ floor(building: $b, number: $n) {{ number workstations {{ {FIELDS} }} }} }}",
    f"query ($id: ID!) {{ workstation(id: $id) {{ {FIELDS} }} }}",
    f"""query ($b: String!) {{ workstations(filter: {{building: $b, statuses: [AVAILABLE]}}, first: 50) {{
      totalCount nodes {{ {FIELDS} }} }} }}""",
    """mutation ($id: ID!, $s: WorkstationStatus!) { setWorkstationStatus(id: $id, status: $s) {
      ... on WorkstationChanged { workstation { id status version } } } }""",
)
MERCURIUS = (
    *OURS[:3],
    OURS[3].replace(
        "... on WorkstationChanged { workstation { id status version } }", "workstation { id status version }"
    ),
)
_POSTGRAPHILE_FIELDS = """rowId name status building floorNumber xPosition yPosition width height version createdAt
  updatedAt notes departmentByDepartmentId { name } employeeByEmployeeId { name employeeNumber }"""
POSTGRAPHILE = (
    f"""query ($b: String!, $n: Int!) {{ allWorkstations(condition: {{building: $b, floorNumber: $n}}) {{
      nodes {{ {_POSTGRAPHILE_FIELDS} }} }} }}""",
    f"query ($id: Int!) {{ workstationByRowId(rowId: $id) {{ {_POSTGRAPHILE_FIELDS} }} }}",
    f"""query ($b: String!) {{ allWorkstations(condition: {{building: $b, status: "available"}}, first: 50) {{
      totalCount nodes {{ {_POSTGRAPHILE_FIELDS} }} }} }}""",
    """mutation ($id: Int!, $s: String!) {
      updateWorkstationByRowId(input: {rowId: $id, workstationPatch: {status: $s}}) {
        workstation { rowId status version } } }""",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Question:
    """One body, and who asks."""

    query: str
    variables: Mapping[str, object]
    token: str = ""

    def body(self) -> bytes:
        return json.dumps({"query": self.query, "variables": self.variables}).encode()

    def request(self) -> bytes:
        body = self.body()
        authorization = f"Authorization: Bearer {self.token}\r\n" if self.token else ""
        head = (
            "POST /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Accept: application/graphql-response+json, application/json\r\n{authorization}"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def answer(self, url: str) -> bytes:
        """What it gets. Fails unless it is data without errors."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        answer = httpx.post(
            f"{url}/graphql", json={"query": self.query, "variables": self.variables}, headers=headers, timeout=30
        )
        content = answer.json()
        assert answer.is_success, content
        assert "errors" not in content, content
        assert all(value is not None and value != {} for value in content["data"].values()), content
        return answer.content


def floors(words: Words) -> list[Question]:
    return _shuffled(
        Question(words.floor, {"b": building, "n": floor}, token)
        for building in BUILDINGS
        for floor in FLOORS
        for token in words.tokens
    )


def floor_of(words: Words, size: int) -> Question:
    return Question(words.floor, {"b": "G", "n": size}, words.tokens[-1])


def ones(words: Words) -> list[Question]:
    return _shuffled(Question(words.one, {"id": id}, token) for id in words.ids[::2] for token in words.tokens)


def pages(words: Words) -> list[Question]:
    return _shuffled(Question(words.page, {"b": building}, token) for building in BUILDINGS for token in words.tokens)


def changes(words: Words) -> list[Question]:
    """Every workstation gets the one status, then every one the other: each of them is a change."""
    order = random.Random(1).sample(list(words.ids), len(words.ids))
    token = words.tokens[-1]
    return [Question(words.change, {"id": id, "s": status}, token) for status in words.statuses for id in order]


def distinct(words: Words, count: int, first: int = 0) -> list[Question]:
    """So many documents, no two the same, nor the same as those before the first."""
    one = words.one.replace("{ workstation(", "{ w%d: workstation(")
    return [
        Question(one % number, {"id": words.ids[number % len(words.ids)]}, words.tokens[-1])
        for number in range(first, first + count)
    ]


def repeated(words: Words, count: int) -> list[Question]:
    """As many, all the same document."""
    return [
        Question(words.one, {"id": words.ids[number % len(words.ids)]}, words.tokens[-1]) for number in range(count)
    ]


def _shuffled(questions: Iterable[Question]) -> list[Question]:
    listed = list(questions)
    random.Random(1).shuffle(listed)
    return listed
