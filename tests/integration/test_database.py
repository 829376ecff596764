"""The pool and what runs on it: no connection too many, none lost, none used again in doubt; reads outlive one."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import asyncpg
import pytest
from sqlalchemy import ARRAY, Integer, String, any_, bindparam, column, func, select, text
from sqlalchemy.pool import AsyncAdaptedQueuePool

from graphql_app import observe
from graphql_app.domain.errors import Conflict, InvalidInput, ReadOnly, Unavailable
from graphql_app.observe import News, PoolState
from graphql_app.store.postgres.database import Database
from graphql_app.store.postgres.driver import GOODBYE_SECONDS, KEEP_ALIVE
from graphql_app.store.postgres.engine import PoolTimes
from graphql_app.store.postgres.failures import is_lost, refusal_for
from graphql_app.store.postgres.session import Reader
from graphql_app.store.postgres.statements import prepared
from tests.examples import caller
from tests.proxy import Proxy

ADMIN = caller("admin")
PID = text("SELECT pg_backend_pid()")
SLEEP = text("SELECT pg_sleep(0.2), pg_backend_pid() AS pid")
ASLEEP = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
NOTES = text("UPDATE buildings SET time_zone = 'Asia/Tokyo'")


@pytest.fixture
async def two(database_url: str) -> AsyncIterator[Database]:
    """A pool of two that waits half a second for a turn."""
    database = Database(database_url, pool=2, timeout_seconds=0.5, is_shown=True)
    yield database
    await database.close()


@pytest.fixture(params=["engine", "reads"])
async def reads(database_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Reader]:
    """Single reads on a pool of two: on the engine, and past it."""
    database = Database(database_url, pool=2, read_pool=2 if request.param == "reads" else 0, timeout_seconds=0.5)
    yield database.direct
    await database.close()


@pytest.fixture
async def psql(database_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def killed(psql: "asyncpg.Connection[asyncpg.Record]") -> int:
    """Ends all sessions but this one, and returns how many there were."""
    return len(
        await psql.fetch(
            "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    )


async def sessions(psql: "asyncpg.Connection[asyncpg.Record]") -> int:
    count: int = await psql.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    return count


# --- the pool --------------------------------------------------------------------------------------------------------


async def test_the_connection_used_last_is_used_again(two: Database) -> None:
    async with two.reading() as first, two.reading() as second:
        pids = {await first.scalar(PID), await second.scalar(PID)}
    assert len(pids) == 2
    assert len({await two.scalar(PID) for _ in range(5)}) == 1


async def test_never_more_connections_than_the_pool_holds(
    reads: Reader, psql: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    tasks = [asyncio.create_task(reads.scalar(text("SELECT pg_sleep(0.02)"))) for _ in range(20)]
    await asyncio.sleep(0.05)
    assert await sessions(psql) == 2
    await asyncio.gather(*tasks)
    assert await sessions(psql) == 2


async def test_whoever_gets_no_turn_in_time_is_told_so_and_leaves_none_behind(two: Database) -> None:
    async with two.reading(), two.reading():
        with pytest.raises(Unavailable):
            await two.scalar(PID)
        given_up = asyncio.create_task(two.scalar(PID))
        await asyncio.sleep(0.01)
        given_up.cancel()
        await asyncio.wait([given_up])
    async with two.reading(), two.reading():
        pass


async def test_turns_are_taken_in_the_order_of_asking(two: Database) -> None:
    order: list[int] = []

    async def read(number: int) -> None:
        await two.scalar(PID)
        order.append(number)

    async with two.reading() as first:
        await first.scalar(PID)
        async with two.reading():
            tasks = [asyncio.create_task(read(number)) for number in range(4)]
            await asyncio.sleep(0.01)
        await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3]


@pytest.mark.parametrize("held", ["a read", "a session", "a transaction"])
async def test_an_interrupted_connection_is_not_used_again(two: Database, held: str) -> None:
    async def in_session() -> None:
        async with two.reading() as connection:
            await connection.fetch(text("SELECT pg_sleep(10)"))

    async def in_transaction() -> None:
        async with two.writing(ADMIN) as transaction:
            await transaction.connection.fetch(text("SELECT pg_sleep(10)"))

    works: dict[str, Callable[[], Awaitable[object]]] = {
        "a read": lambda: two.fetch(text("SELECT pg_sleep(10)")),
        "a session": in_session,
        "a transaction": in_transaction,
    }
    before = await two.scalar(PID)

    async def work() -> None:
        await works[held]()

    task = asyncio.create_task(work())
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.wait([task], timeout=1)

    assert task.cancelled()
    assert await two.scalar(PID) != before
    async with two.reading(), two.reading():
        pass


async def test_who_gives_up_while_a_connection_is_made_leaves_none_behind(
    two: Database, psql: "asyncpg.Connection[asyncpg.Record]", monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = asyncio.Event()

    async def hangs(*_: object, **__: object) -> None:
        reached.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncpg.Connection, "set_type_codec", hangs)
    asking = asyncio.create_task(two.scalar(PID))
    await reached.wait()
    asking.cancel()
    await asyncio.wait([asking])

    async with asyncio.timeout(5):
        while await sessions(psql):  # noqa: ASYNC110  # the server can only be asked
            await asyncio.sleep(0.01)


async def test_the_use_of_the_pool_is_told(two: Database) -> None:
    told: list[News] = []
    ended = observe.listen(told.append)
    async with two.reading():
        await two.scalar(PID)
    ended()
    assert told == [PoolState(1, 2), PoolState(2, 2), PoolState(1, 2), PoolState(0, 2)]


async def test_a_connection_that_goes_from_hand_to_hand_is_no_news(two: Database) -> None:
    told: list[News] = []
    ended = observe.listen(told.append)
    await asyncio.gather(*(two.row(SLEEP) for _ in range(4)))
    ended()
    assert told == [PoolState(2, 2), PoolState(1, 2), PoolState(0, 2)]


async def test_what_is_given_back_after_the_end_is_closed(
    two: Database, psql: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    async with two.reading() as connection:
        await connection.scalar(PID)
        await two.close()
    async with asyncio.timeout(5):
        while await sessions(psql):  # noqa: ASYNC110  # the server can only be asked
            await asyncio.sleep(0.01)


async def test_the_times_reach_the_pool(database_url: str) -> None:
    database = Database(database_url, pool=3, times=PoolTimes(acquire=1.5, connect=2.5, idle=60, lifetime=70))
    pool = database.engine.pool
    assert isinstance(pool, AsyncAdaptedQueuePool)
    assert (pool.size(), pool.timeout(), vars(pool)["_recycle"], vars(pool)["_max_overflow"]) == (3, 1.5, 70, 0)
    assert database.engine.sync_engine.hide_parameters
    await database.close()


@pytest.mark.parametrize("direct", [False, True], ids=["engine", "reads"])
async def test_who_finds_none_free_is_told_so_after_its_time(database_url: str, direct: bool) -> None:
    times = PoolTimes(acquire=0.1)
    database = Database(database_url, pool=1, read_pool=1 if direct else 0, times=times)
    sleeping = asyncio.create_task(database.direct.fetch(text("SELECT pg_sleep(0.5)")))
    await asyncio.sleep(0.05)
    began = time.monotonic()
    with pytest.raises(Unavailable):
        await database.direct.scalar(PID)
    assert time.monotonic() - began < 0.4
    await sleeping
    assert await database.direct.scalar(PID)
    await database.close()


@pytest.mark.parametrize("times", [PoolTimes(idle=0.1), PoolTimes(lifetime=0.1)], ids=["idle", "old"])
@pytest.mark.parametrize("read_pool", [0, 1], ids=["engine", "reads"])
async def test_a_connection_beyond_its_time_is_replaced(database_url: str, times: PoolTimes, read_pool: int) -> None:
    database = Database(database_url, pool=1, read_pool=read_pool, times=times)
    before = await database.direct.scalar(PID)
    await asyncio.sleep(0.3)
    assert await database.direct.scalar(PID) != before
    await database.close()


async def test_an_idle_connection_is_closed_though_nobody_asks_for_one(
    database_url: str, psql: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    database = Database(database_url, pool=1, read_pool=1, times=PoolTimes(idle=0.1))
    await database.scalar(PID)
    await database.direct.scalar(PID)
    async with asyncio.timeout(5):
        while await sessions(psql):  # noqa: ASYNC110  # the server can only be asked
            await asyncio.sleep(0.01)
    await database.close()


async def test_who_waits_for_a_connection_is_woken_when_one_could_not_be_made(
    two: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails = asyncio.Event()

    async def refused(*_: object, **__: object) -> None:
        await fails.wait()
        raise ConnectionRefusedError

    monkeypatch.setattr(asyncpg, "connect", refused)
    asked = [asyncio.create_task(two.scalar(PID)) for _ in range(4)]
    await asyncio.sleep(0.05)
    began = time.monotonic()
    fails.set()
    told = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(one) for one in told] == [Unavailable] * 4
    assert time.monotonic() - began < 0.4


# --- connections that die --------------------------------------------------------------------------------------------


def test_a_connection_that_reads_its_end_at_the_moment_when_it_is_used_is_lost() -> None:
    error = asyncpg.InternalClientError("cannot switch to state 11; another operation (2) is in progress")
    assert is_lost(error)
    assert isinstance(refusal_for(error), Unavailable)


async def test_a_read_whose_connection_died_while_it_was_idle_is_answered(
    reads: Reader, psql: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await asyncio.gather(*(reads.row(SLEEP) for _ in range(2)))
    assert await killed(psql) == 2
    assert await reads.scalar(PID)


async def test_a_read_whose_connection_dies_under_it_is_answered_by_another(
    reads: Reader, psql: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    before = await reads.scalar(PID)
    await asyncio.gather(*(reads.row(SLEEP) for _ in range(2)))  # both connections are open
    tasks = [asyncio.create_task(reads.row(SLEEP)) for _ in range(2)]
    async with asyncio.timeout(5):
        while await psql.fetchval(ASLEEP) < 2:  # noqa: ASYNC110  # only the database knows
            await asyncio.sleep(0.005)
    assert await killed(psql) == 2
    after = {row["pid"] for row in await asyncio.gather(*tasks) if row is not None}
    assert len(after) == 2
    assert before not in after


async def test_a_write_whose_connection_dies_is_not_done_again(
    two: Database, psql: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    async def write() -> None:
        async with two.writing(ADMIN) as transaction:
            await transaction.connection.execute(NOTES)
            await killed(psql)
            await transaction.connection.execute(NOTES)

    with pytest.raises(Unavailable):
        await write()
    async with two.writing(ADMIN) as transaction:
        assert await transaction.connection.scalar(PID)


async def test_a_refusal_within_a_transaction_stays_what_it_is_when_the_connection_is_gone(
    two: Database, psql: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    async def write() -> None:
        async with two.writing(ADMIN):
            await killed(psql)
            raise Conflict("for another reason")

    with pytest.raises(Conflict):
        await write()


async def rename(database: Database) -> None:
    async with database.writing(ADMIN) as transaction:
        await transaction.connection.execute(NOTES)


async def test_a_connection_whose_server_has_become_read_only_is_not_used_again(two: Database) -> None:
    """It lives on, as a session does when its primary is demoted, and would refuse every write for ever."""
    async with two.reading() as one, two.reading() as other:
        for session in (one, other):
            await session.execute(text("SET default_transaction_read_only = on"))
        pids = {await one.scalar(PID), await other.scalar(PID)}
    with pytest.raises(ReadOnly):
        await rename(two)
    await rename(two)
    assert await two.scalar(PID) not in pids


async def test_whether_it_takes_writes_is_asked_of_the_server(two: Database) -> None:
    assert await two.takes_writes()
    async with two.reading() as session:
        await session.execute(text("SET default_transaction_read_only = on"))
    assert not await two.takes_writes()


async def test_a_server_that_is_away_is_unavailable() -> None:
    away = Database("postgresql://nobody@127.0.0.1:1/nothing", pool=1, timeout_seconds=0.5)
    with pytest.raises(Unavailable):
        await away.scalar(PID)
    with pytest.raises(Unavailable):
        await away.scalar(PID)
    await away.close()


# --- statements ------------------------------------------------------------------------------------------------------


@pytest.fixture
def line(database_url: str) -> Iterator[Proxy]:
    with Proxy(database_url) as line:
        yield line


async def opened(line: Proxy) -> Database:
    """A pool over the line, with two connections that lie idle."""
    database = Database(line.url, pool=2, silent_seconds=0.5)
    await asyncio.gather(database.fetch(SLEEP), database.fetch(SLEEP))
    return database


async def test_a_connection_that_is_silently_dead_is_given_up_in_time_and_those_beside_it(line: Proxy) -> None:
    database = await opened(line)
    line.forget()
    began = time.monotonic()
    with pytest.raises(Unavailable):
        await database.fetch(PID)
    assert time.monotonic() - began < 2
    async with database.reading() as one, database.reading() as other:
        assert await one.scalar(PID) != await other.scalar(PID)
    await database.close()


async def test_a_write_on_a_connection_that_is_silently_dead_is_given_up_in_time(line: Proxy) -> None:
    database = await opened(line)
    line.forget()
    with pytest.raises(Unavailable):
        async with asyncio.timeout(2), database.writing(ADMIN) as transaction:
            await transaction.connection.execute(NOTES)
    async with database.writing(ADMIN) as transaction:
        await transaction.connection.execute(NOTES)
    await database.close()


async def test_the_end_does_not_wait_for_connections_that_are_silently_dead(line: Proxy) -> None:
    database = await opened(line)
    line.forget()
    async with asyncio.timeout(2 * GOODBYE_SECONDS):
        await database.close()


async def test_both_ends_of_a_connection_are_asked_whether_they_are_there(database_url: str) -> None:
    database = Database(database_url)
    connection = await database.connect()
    own = connection._transport.get_extra_info("socket")  # type: ignore[attr-defined]  # as the code does
    assert own.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert await connection.fetchval("SHOW tcp_keepalives_idle") == str(KEEP_ALIVE["idle"])
    await connection.close()
    await database.close()


def test_the_text_of_a_statement_is_the_same_for_one_id_and_for_many() -> None:
    statement = prepared(select(column("id")).where(column("id") == any_(bindparam("ids", type_=ARRAY(Integer)))))
    assert statement.text.endswith("WHERE id = ANY ($1::INTEGER[])")
    assert statement.arguments({"ids": [1]}) == [[1]]
    assert statement.arguments({"ids": [1, 2]}) == [[1, 2]]


async def test_values_that_are_part_of_a_statement_need_not_be_given(two: Database) -> None:
    statement = prepared(select(func.concat("a", bindparam("b", type_=String), func.length("ccc"))))
    assert await two.scalar(statement, {"b": "x"}) == "ax3"


async def test_a_value_that_its_type_cannot_hold_is_refused(two: Database) -> None:
    with pytest.raises(InvalidInput):
        await two.scalar(select(bindparam("n", 2**40, type_=Integer)))
    assert await two.scalar(PID)


async def test_json_is_its_value(two: Database) -> None:
    assert await two.scalar(text("SELECT jsonb_build_object('工位', 1)")) == {"工位": 1}
    async with two.reading() as connection:
        assert await connection.scalar(text("SELECT CAST(:given AS jsonb) -> 'a'"), {"given": {"a": [1]}}) == [1]


@pytest.mark.parametrize("url", ["postgresql://app:geheim@{}/office", "postgresql://app@{}/office?password=geheim"])
@pytest.mark.parametrize("host", ["127.0.0.1:1", "[::"])
async def test_what_is_said_of_a_database_that_is_not_there_names_it_without_its_password(url: str, host: str) -> None:
    database = Database(url.format(host))

    problem = await database.problem()

    assert problem is not None
    assert "geheim" not in problem
    await database.close()
