"""What is read is heard of by whoever listens, and every reader says it."""

import ast
import asyncio
import inspect

import pytest

from graphql_app.domain.filters import WorkstationFilter
from graphql_app.domain.workstation import Place
from graphql_app.services.following.follow import Follow
from graphql_app.services.office.browse import Browse
from graphql_app.services.reads import reads, reads_floors, reads_ids, reads_workstations, record_reads


def test_what_is_read_is_heard_of() -> None:
    with record_reads() as heard:
        reads("department", "employee")
        reads_workstations(WorkstationFilter(building="HQ"))
        reads_floors(Place("HQ", 1), Place("HQ", 2))
        reads_ids([1])

    assert [(read.interest.entity, read.place) for read in heard] == [
        ("department", None),
        ("employee", None),
        ("workstation", None),
        ("workstation", Place("HQ", 1)),
        ("workstation", Place("HQ", 2)),
        ("workstation", None),
    ]


async def test_what_is_read_in_a_task_of_the_operation_is_heard_of_and_what_others_read_is_not() -> None:
    async def read(entity: str) -> None:
        await asyncio.sleep(0)
        reads(entity)

    others = asyncio.create_task(read("floor"))
    with record_reads() as heard:
        await asyncio.create_task(read("department"))
    await others
    reads("building")

    assert [one.interest.entity for one in heard] == ["department"]


READERS = [(Browse, name) for name, _ in inspect.getmembers(Browse, inspect.isfunction) if not name.startswith("_")]


@pytest.mark.parametrize(("service", "name"), [*READERS, (Follow, "floors")], ids=str)
def test_every_use_case_of_a_reader_says_what_it_reads(service: type, name: str) -> None:
    source = "class _:\n" + inspect.getsource(getattr(service, name))  # a method is indented
    called = {
        node.func.id
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }

    assert called & {"reads", "reads_floors", "reads_ids", "reads_workstations"}
