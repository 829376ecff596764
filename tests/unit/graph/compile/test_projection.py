"""A plan reads rows by their layout, whatever entity they hold."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import orjson
import strawberry
from graphql import ExecutionResult, parse
from graphql.execution import execute_root_selection_set

from graphql_app.aio.cooperative import CooperativeScheduler
from graphql_app.domain.access import View
from graphql_app.domain.row_layout import RowLayout
from graphql_app.graph.api.context import Context
from graphql_app.graph.api.markers import InstanceOf
from graphql_app.graph.compile.executor import PlannedExecutor, Plans
from graphql_app.graph.engine.execution import shared_caller
from graphql_app.graph.engine.results import answer


@strawberry.enum
class Size(Enum):
    SMALL = "s"
    LARGE = "l"


@dataclass(frozen=True)
class Room:
    name: str
    size: Size
    at: datetime
    wing: str
    owner: str


class Rooms(list[Any]):
    """Rows of rooms, which cannot be made to objects: a plan that tries fails."""

    def __init__(self, rows: list[tuple[Any, ...]], shared: tuple[Any, ...] | None = None) -> None:
        super().__init__()
        self.rows, self.shared, self.unpacked = rows, shared, {b"1": ("Ada",)}

    def __iter__(self) -> Any:
        raise AssertionError("made to objects")


MOMENT = datetime(2026, 1, 2, tzinfo=UTC)
LAYOUT = RowLayout(
    sequence=Rooms,
    width=5,
    columns={"name": 0, "size": 1, "at": 2, "wing": 4},
    shared=("wing",),
    packed_at=3,
    packed={"owner": 0},
    timestamps={b"t": MOMENT.isoformat()},
    enums={Size: dict},
)
QUERY = "{ rooms { name size at wing owner } }"


@strawberry.type(name="Room")
class RoomType:
    name: str
    size: Size
    at: datetime
    wing: str
    owner: str

    is_type_of = InstanceOf(Room, LAYOUT)


async def answered(rooms: Any) -> Any:
    """The answer by a plan: an operation has one from its second execution on."""

    @strawberry.type
    class Query:
        @strawberry.field(graphql_type=list[RoomType])  # type: ignore[untyped-decorator]  # given a graphql_type
        def rooms(self) -> Any:
            return rooms

    schema, document = strawberry.Schema(Query)._schema, parse(QUERY)
    plans = Plans(document)
    context = Context(shared_caller(View(frozenset())), services=None)  # type: ignore[arg-type]  # asks none
    scheduler = CooperativeScheduler()
    results = []
    for _ in range(2):
        executor = PlannedExecutor.build(schema, document, context_value=context, plans=plans, scheduler=scheduler)
        assert isinstance(executor, PlannedExecutor)
        results.append(execute_root_selection_set(executor))
    assert isinstance(results[1], ExecutionResult)
    return orjson.loads(orjson.dumps(answer(results[1], [])))


async def test_rows_of_another_entity_are_read_by_their_layout() -> None:
    objects = [Room("Attic", Size.SMALL, MOMENT, "north", "Ada"), Room("Cellar", Size.LARGE, MOMENT, "north", "Ada")]
    own = Rooms([("Attic", "s", b"t", b"1", "north"), ("Cellar", "l", b"t", b"1", "north")])
    shared = Rooms([("Attic", "s", b"t", b"1", None), ("Cellar", "l", b"t", b"1", None)], ("north",))

    expected = await answered(objects)

    assert "errors" not in expected
    assert len(expected["data"]["rooms"]) == 2
    assert await answered(own) == await answered(shared) == expected
