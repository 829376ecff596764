"""What reading costs is what it shows, however many workstations, employees and entries of the log there are: counted
in rows that PostgreSQL reads, whether it plans for the values or without them."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from graphql_app.domain.access import ROLES, View
from graphql_app.domain.audit import Action, AuditFilter
from graphql_app.domain.errors import TooMany
from graphql_app.domain.filters import WorkstationFilter
from graphql_app.domain.paging import Order, OrderField, Window
from graphql_app.domain.workstation import Place, Status, Workstation
from graphql_app.embedded import Servers
from graphql_app.store import office as queries
from graphql_app.store.log import audit
from graphql_app.store.office import searching
from graphql_app.store.postgres.database import Database
from graphql_app.store.postgres.session import Session
from graphql_app.store.schema import rows
from tests.graphql_client import fresh_database

pytestmark = pytest.mark.asyncio(loop_scope="module")

DESKS = 20_000
SCRIPT = Path(__file__).parents[2] / "bench" / "grown.sql"
PAGE = 50
ADMIN = View(ROLES["admin"])
_READ = """SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables
WHERE relname IN ('workstations', 'change_log', 'audit_log')"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def grown(servers: Servers, template: str) -> AsyncIterator[Database]:
    async with fresh_database(servers, template) as url:
        connection = await asyncpg.connect(url)
        await connection.execute(SCRIPT.read_text().replace(":desks", str(DESKS)))
        await connection.execute("VACUUM ANALYZE")
        await connection.close()
        database = Database(url, pool=1)
        yield database
        await database.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def everything(grown: Database) -> list[Workstation]:
    async with grown.reading() as session:
        return list(map(rows.selected, await queries.matching_workstations(session, WorkstationFilter())))


@pytest_asyncio.fixture(loop_scope="module", params=["force_custom_plan", "force_generic_plan"])
async def session(grown: Database, request: pytest.FixtureRequest) -> AsyncIterator[Session]:
    async with grown.snapshot() as session:
        await session.driver.execute(f"SET LOCAL plan_cache_mode = {request.param}")
        yield session


async def read_since(session: Session, before: int) -> int:
    return int(await session.driver.fetchval(_READ)) - before


async def key_in_the_middle(session: Session, order: Order) -> tuple[Any, ...]:
    name, direction = order.field.value, "DESC" if order.descending else "ASC"
    (row,) = await session.driver.fetch(
        f"SELECT {name}, id FROM workstations ORDER BY {name} {direction}, id {direction} OFFSET {DESKS // 2} LIMIT 1"
    )
    values = [value.isoformat() if isinstance(value, datetime) else value for value in row]
    return tuple(values[:1] if order.field is OrderField.ID else values)


@pytest.mark.parametrize("descending", [False, True], ids=["asc", "desc"])
@pytest.mark.parametrize("field", OrderField)
async def test_a_page_of_any_order_reads_what_it_shows_wherever_it_begins(
    session: Session, field: OrderField, descending: bool
) -> None:
    order = Order(field, descending)
    middle = await key_in_the_middle(session, order)
    windows = [
        Window(PAGE),
        Window(PAGE, backward=True),
        Window(PAGE, after=middle),
        Window(PAGE, before=middle, backward=True),
        Window(PAGE, after=middle, before=middle),
    ]
    for window in windows:
        before = await read_since(session, 0)
        page = await queries.page_of_workstations(session, WorkstationFilter(), [order], window)

        assert len(page.rows) == (0 if window.after and window.before else PAGE)
        # Where some have no floor, from two ranges.
        assert await read_since(session, before) <= 2 * (PAGE + 1), window


SEARCHES = {
    "all": AuditFilter(),
    "workstation": AuditFilter(workstation_id=8),
    "no such workstation": AuditFilter(workstation_id=2**31 - 1),
    "since": AuditFilter(since=datetime.now(UTC) - timedelta(seconds=DESKS / 2)),
    "until": AuditFilter(until=datetime.now(UTC) - timedelta(seconds=DESKS / 2)),
    "since tomorrow": AuditFilter(since=datetime.now(UTC) + timedelta(days=1)),
    "actor": AuditFilter(actor="user:7"),
    "no such actor": AuditFilter(actor="nobody"),
    "no such action": AuditFilter(actions=frozenset({Action.DELETED})),
    "not this actor's action": AuditFilter(actor="user:7", actions=frozenset({Action.CREATED})),
    "actor until": AuditFilter(actor="user:7", until=datetime.now(UTC) - timedelta(seconds=DESKS / 2)),
}


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize("search", SEARCHES)
async def test_the_audit_log_is_searched_by_reading_what_is_found(
    session: Session, search: str, backward: bool
) -> None:
    before = await read_since(session, 0)
    first = await audit.page(session, ADMIN, SEARCHES[search], Window(PAGE, backward=backward))
    assert await read_since(session, before) <= 2 * (PAGE + 1)

    if len(first.rows) == PAGE:
        entry = first.rows[0 if backward else -1]
        key = (entry.at.isoformat(), entry.seq)
        window = Window(PAGE, None if backward else key, key if backward else None, backward)
        before = await read_since(session, 0)
        second = await audit.page(session, ADMIN, SEARCHES[search], window)
        assert {one.seq for one in first.rows}.isdisjoint(one.seq for one in second.rows)
        assert await read_since(session, before) <= 2 * (PAGE + 1)


@pytest.mark.parametrize("group", [None, "building", "floor", "department"])
async def test_figures_of_the_whole_office_read_no_workstation(session: Session, group: str | None) -> None:
    places = [Place("B0001", number) for number in range(1, 11)]
    before = await read_since(session, 0)
    groups = await queries.workstation_counts(session, WorkstationFilter(), group)
    total = await queries.count_workstations(session, WorkstationFilter())
    by_place = await queries.counts_by_place(session, places)
    assert await read_since(session, before) == 0

    assert sum(sum(one.by_status.values()) for one in groups) == total == DESKS
    free = WorkstationFilter(building="B0001", statuses=frozenset({Status.AVAILABLE}))
    assert sum(one.by_status[Status.AVAILABLE] for one in by_place.values()) == len(
        await queries.matching_workstations(session, free)
    )


HOPELESS = "rare, and no trigram"
LOOKED_FOR = {
    "common": WorkstationFilter(name_contains="esk"),
    "rare": WorkstationFilter(name_contains="00777"),
    HOPELESS: WorkstationFilter(name_contains="zq"),
    "nothing": WorkstationFilter(name_contains="no such"),
    "nothing, in few letters of many": WorkstationFilter(name_contains="esk zz"),
    "range": WorkstationFilter(x_min=100, x_max=100.5),
    "empty range": WorkstationFilter(x_min=9_000_000),
    "two halves that do not meet": WorkstationFilter(x_min=10, y_min=1999.9),
}


@pytest.mark.parametrize("field", [OrderField.ID, OrderField.NAME, OrderField.FLOOR_NUMBER])
@pytest.mark.parametrize("what", LOOKED_FOR)
async def test_a_search_looks_at_no_more_than_it_says_or_says_what_else_it_must_be_told(
    session: Session, everything: list[Workstation], what: str, field: OrderField
) -> None:
    matching = LOOKED_FOR[what]
    expected = sorted(w.id for w in everything if matching.matches(w))
    before = await read_since(session, 0)
    if what == HOPELESS:
        with pytest.raises(TooMany, match="building") as refused:
            await queries.page_of_workstations(session, matching, [Order(field)], Window(500))
        assert refused.value.data["limit"] == searching.LOOKED_AT_MOST
    else:
        page = await queries.page_of_workstations(session, matching, [Order(field)], Window(500))
        assert len(page.rows) == min(500, len(expected))
        assert {row["id"] for row in page.rows} <= set(expected)
    assert await read_since(session, before) <= 4 * searching.LOOKED_AT_MOST
    within = WorkstationFilter(building="B0001", name_contains=matching.name_contains)
    assert await queries.page_of_workstations(session, within, [Order(field)], Window(PAGE))


@pytest.mark.parametrize("what", LOOKED_FOR)
async def test_what_is_looked_for_is_counted_or_refused(
    session: Session, everything: list[Workstation], what: str
) -> None:
    matching = LOOKED_FOR[what]
    expected = sum(map(matching.matches, everything))
    if expected > searching.LOOKED_AT_MOST or what == HOPELESS:
        with pytest.raises(TooMany, match="building"):
            await queries.count_workstations(session, matching)
        with pytest.raises(TooMany, match="building"):
            await queries.workstation_counts(session, matching, None)
    else:
        assert await queries.count_workstations(session, matching) == expected
        (counts,) = await queries.workstation_counts(session, matching, None)
        assert sum(counts.by_status.values()) == expected
