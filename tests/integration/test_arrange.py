"""Changing a workstation at the database: decided where the row is, in one round trip where that does it."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import text

from graphql_app.domain.arranging import Idempotency
from graphql_app.domain.errors import Conflict, Contention, InvalidInput, NameTaken, NotFound, ReadOnly, VersionConflict
from graphql_app.domain.workstation import MAY_FOLLOW, Status
from graphql_app.live.feed.hub import Hub
from graphql_app.live.feed.staleness import Staleness
from graphql_app.services.consistency import ConsistencyTokens
from graphql_app.services.cursors import FeedCursors
from graphql_app.services.office.arrange import Arrange, Arranged
from graphql_app.store.postgres import retry as again
from graphql_app.store.postgres.database import Database
from tests.examples import caller
from tests.statements import statements

SECRET = "a secret of thirty-two characters"
ADMIN = caller("admin").named("zhang.san")._replace(request_id="r-1")
OFFICE = (
    "INSERT INTO buildings (name) VALUES ('A')",
    "INSERT INTO floors (building, number) VALUES ('A', 1), ('A', 2)",
    "INSERT INTO employees (employee_number, name) VALUES ('E1', 'Ann')",
    "INSERT INTO workstations (name, x_position, y_position, building, floor_number, employee_id)"
    " SELECT 'A' || n, n, 0.5, 'A', 1, 1 FROM generate_series(1, 20) n",
    "DELETE FROM change_log",
)


@pytest.fixture
async def arrange(database: Database) -> Arrange:
    async with database.reading() as connection:
        for statement in OFFICE:
            await connection.execute(text(statement))
    return Arrange(database, ConsistencyTokens(SECRET, FeedCursors(SECRET), Hub(10), Staleness()))


async def stand(database: Database, status: Status) -> None:
    async with database.reading() as connection:
        await connection.execute(
            text("UPDATE workstations SET status = :status WHERE id = 1"), {"status": status.value}
        )


async def logged(database: Database) -> list[tuple[str, str, int]]:
    return [
        (row["actor"], row["request_id"], int(row["entity_id"]))
        for row in await database.fetch(text("SELECT * FROM change_log WHERE actor NOT LIKE 'database:%' ORDER BY seq"))
    ]


ONE_ROUND_TRIP: dict[str, Callable[[Arrange], Awaitable[Arranged]]] = {
    "status": lambda arrange: arrange.set_status(ADMIN, 1, Status.MAINTENANCE),
    "status of a version": lambda arrange: arrange.set_status(ADMIN, 1, Status.MAINTENANCE, expected_version=1),
    "the status that it has": lambda arrange: arrange.set_status(ADMIN, 1, Status.AVAILABLE),
    "release": lambda arrange: arrange.release(ADMIN, 1),
    "edit": lambda arrange: arrange.edit(ADMIN, 1, {"notes": "x", "width": 12.345}),
    "edit with a status": lambda arrange: arrange.edit(ADMIN, 1, {"name": "B", "status": Status.OCCUPIED}),
}


@pytest.mark.parametrize("change", ONE_ROUND_TRIP)
async def test_one_statement_reads_decides_writes_and_commits(
    arrange: Arrange, database: Database, change: str
) -> None:
    assert await database.takes_writes()
    with statements() as sent:
        arranged = await ONE_ROUND_TRIP[change](arrange)
    assert len(sent) == 1, sent

    (now,) = await database.fetch(text("SELECT version, status, notes, name, width FROM workstations WHERE id = 1"))
    shown = arranged.workstation
    assert (shown.version, shown.status, shown.notes, shown.name) == tuple(now)[:4]
    assert shown.width == float(now["width"])
    assert await logged(database) == [("zhang.san", "r-1", 1)] * (now["version"] - 1)


async def test_who_wrote_is_forgotten_with_the_statement(arrange: Arrange, database: Database) -> None:
    await arrange.set_status(ADMIN, 1, Status.MAINTENANCE)
    async with database.reading() as connection:
        await connection.execute(text("UPDATE workstations SET notes = 'x' WHERE id = 2"))
    assert await logged(database) == [("zhang.san", "r-1", 1)]


@pytest.mark.parametrize("now", Status)
@pytest.mark.parametrize("then", Status)
async def test_the_database_allows_what_the_table_of_transitions_allows(
    arrange: Arrange, database: Database, now: Status, then: Status
) -> None:
    await stand(database, now)
    if now == then or then in MAY_FOLLOW[now]:
        arranged = await arrange.set_status(ADMIN, 1, then)
        assert arranged.workstation.status is then
        assert (arranged.workstation.employee is None) == (then is Status.AVAILABLE)
    else:
        with pytest.raises(Conflict) as refused:
            await arrange.set_status(ADMIN, 1, then)
        assert refused.value.current is not None
        assert refused.value.current.status is now
        assert await logged(database) == []


async def test_a_refusal_says_why(arrange: Arrange, database: Database) -> None:
    with pytest.raises(NotFound):
        await arrange.set_status(ADMIN, 99, Status.RESERVED)
    with pytest.raises(VersionConflict) as refused:
        await arrange.set_status(ADMIN, 1, Status.RESERVED, expected_version=7)
    assert refused.value.current is not None
    assert refused.value.current.version == 1
    with pytest.raises(InvalidInput):
        await arrange.edit(ADMIN, 1, {"status": None})
    assert await logged(database) == []


@pytest.mark.parametrize("key", [None, Idempotency("k", "request")], ids=["in one round trip", "the long way"])
async def test_a_refusal_shows_what_stood_in_the_way_and_no_more_of_it_than_the_writer_may_see(
    arrange: Arrange, key: Idempotency | None
) -> None:
    facilities = caller("facilities")
    for change in (
        lambda: arrange.edit(facilities, 1, {"notes": "x"}, expected_version=7, key=key),
        lambda: arrange.delete(facilities, 1, expected_version=7, key=key),
    ):
        with pytest.raises(VersionConflict) as refused:
            await change()
        shown = refused.value.current
        assert shown is not None
        assert shown.employee is not None
        assert (shown.version, shown.employee.name) == (1, "Ann")
        assert (shown.employee_id, shown.employee.employee_number) == (None, None)


async def test_of_many_who_expect_the_same_version_one_writes(arrange: Arrange, database: Database) -> None:
    async def write(subject: str) -> str | None:
        writer = ADMIN.named(subject)
        try:
            await arrange.edit(writer, 1, {"notes": subject}, expected_version=1)
        except VersionConflict:
            return None
        return subject

    (winner,) = [one for one in await asyncio.gather(*(write(f"w{n}") for n in range(20))) if one is not None]
    assert await database.scalar(text("SELECT notes FROM workstations WHERE id = 1")) == winner
    assert await logged(database) == [(winner, "r-1", 1)]


async def test_each_of_many_at_once_is_logged_in_its_own_name(arrange: Arrange, database: Database) -> None:
    await asyncio.gather(
        *(arrange.set_status(ADMIN.named(f"w{n}"), n, Status.RESERVED) for n in range(1, 21) for _ in "ab")
    )
    assert sorted(await logged(database)) == sorted((f"w{n}", "r-1", n) for n in range(1, 21))


async def test_many_at_once_share_a_few_transactions(arrange: Arrange, database: Database) -> None:
    await asyncio.gather(*(arrange.set_status(ADMIN, n, Status.RESERVED) for n in range(1, 21)))
    assert await database.scalar(text("SELECT count(DISTINCT transaction_id) FROM change_log")) == 1


async def test_changes_of_one_desk_at_once_are_decided_one_after_the_other(
    arrange: Arrange, database: Database
) -> None:
    steps = (Status.RESERVED, Status.OCCUPIED, Status.MAINTENANCE)
    done = await asyncio.gather(*(arrange.set_status(ADMIN, 1, status) for status in steps))
    assert [(one.workstation.status, one.workstation.version) for one in done] == list(
        zip(steps, (2, 3, 4), strict=True)
    )
    assert await database.scalar(text("SELECT count(*) FROM change_log")) == 3


async def test_who_holds_one_desk_keeps_nobody_waiting_who_changes_another(
    arrange: Arrange, database: Database
) -> None:
    async with database.reading() as holder:
        await holder.execute(text("BEGIN"))
        await holder.execute(text("UPDATE workstations SET notes = 'held' WHERE id = 5"))
        held = asyncio.create_task(arrange.set_status(ADMIN, 5, Status.RESERVED))
        others = [arrange.set_status(ADMIN, n, Status.RESERVED) for n in range(1, 21) if n != 5]
        async with asyncio.timeout(5):
            await asyncio.gather(*others)
        assert not held.done()
        await holder.execute(text("COMMIT"))
    assert (await held).workstation.notes == "held"


async def test_a_name_that_is_taken_undoes_nothing_of_what_is_written_with_it(
    arrange: Arrange, database: Database
) -> None:
    names = ["A2", *(f"B{n}" for n in range(2, 21))]
    done = await asyncio.gather(
        *(arrange.edit(ADMIN, n, {"name": name}) for n, name in enumerate(names[:1] + names[2:], 1)),
        return_exceptions=True,
    )
    assert isinstance(done[0], NameTaken)
    assert not any(isinstance(one, Exception) for one in done[1:])


async def test_a_key_makes_the_second_request_answer_as_the_first(arrange: Arrange, database: Database) -> None:
    key = Idempotency("k", "request")
    first = await arrange.set_status(ADMIN, 1, Status.RESERVED, key=key)
    await arrange.set_status(ADMIN, 1, Status.AVAILABLE)
    second = await arrange.set_status(ADMIN, 1, Status.RESERVED, key=key)
    assert second.workstation.status is Status.AVAILABLE
    assert first.workstation.version == 2
    assert len(await logged(database)) == 2


async def test_a_database_that_takes_no_writes_says_so(arrange: Arrange, database: Database) -> None:
    async with database.reading() as connection:
        await connection.execute(text("SET default_transaction_read_only = on"))
    with pytest.raises(ReadOnly):
        await arrange.set_status(ADMIN, 1, Status.RESERVED)


RENAME = "UPDATE workstations SET notes = 'renamed'"


async def test_many_who_wait_for_rows_that_a_rename_holds_hold_up_nobody_else_and_are_done_in_the_end(
    arrange: Arrange, database: Database
) -> None:
    """More of them than there are connections."""
    async with database.snapshot() as holder:
        await holder.execute(text("SET TRANSACTION READ WRITE"))
        await holder.execute(text(RENAME))
        waiting = [asyncio.create_task(arrange.set_status(ADMIN, n, Status.RESERVED)) for n in range(1, 21)]
        await asyncio.sleep(1)
        for _ in range(5):
            async with asyncio.timeout(2):
                await database.takes_writes()
        assert not any(one.done() for one in waiting)
    done = await asyncio.gather(*waiting)
    assert {(one.workstation.status, one.workstation.notes) for one in done} == {(Status.RESERVED, "renamed")}


async def test_who_waits_long_for_a_rename_is_told_when_to_come_back(
    arrange: Arrange, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(again, "WAIT_SECONDS", 1.0)
    async with database.snapshot() as holder:
        await holder.execute(text("SET TRANSACTION READ WRITE"))
        await holder.execute(text(RENAME))
        for change in (
            lambda: arrange.set_status(ADMIN, 1, Status.RESERVED),
            lambda: arrange.edit(ADMIN, 2, {"building": "A", "floor_number": 2}),
            lambda: arrange.delete(ADMIN, 3),
        ):
            with pytest.raises(Contention, match="try again in") as refused:
                await change()
            assert refused.value.data["retryAfter"] > 0
