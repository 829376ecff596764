"""What a login and a renewal were judged by is held until they are done: nobody changes it in between unnoticed."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TypeAlias
from uuid import uuid4

import asyncpg
import pytest

from graphql_app.domain.account import LoginSession
from graphql_app.domain.change import Head
from graphql_app.store.accounts import accounts, login_sessions, refresh_tokens
from graphql_app.store.accounts.refresh_tokens import Presented
from graphql_app.store.log import outbox
from graphql_app.store.postgres.database import Database
from tests.examples import caller

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
ADMIN = caller("admin")
GIVEN, NEXT = b"the hash of a token", b"the hash of the one after it"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.fixture
async def psql(database: Database) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(database.url)
    await connection.execute(
        "INSERT INTO accounts (name, password_hash, role) VALUES ('ada', 'hash', 'admin'); SET lock_timeout = '200ms'"
    )
    yield connection
    connection.terminate()


async def opened(database: Database) -> LoginSession:
    """A session of Ada's, with a refresh token."""
    known = await accounts.by_name(database, "ada")
    assert known is not None
    async with database.writing(ADMIN) as transaction:
        session = await login_sessions.open_for(transaction.connection, known, None, None)
        assert session is not None
        until = session.created_at + timedelta(hours=1)
        await refresh_tokens.issue(transaction.connection, session.id, GIVEN, until)
    return session


async def waits(psql: Connection) -> None:
    while not await psql.fetchval(WAITING):  # noqa: ASYNC110  # only the database knows
        await asyncio.sleep(0.01)


async def test_renewals_of_one_family_take_turns(database: Database, psql: Connection) -> None:
    session = await opened(database)

    async def presented() -> Presented | None:
        async with database.writing(ADMIN) as transaction:
            return await refresh_tokens.presented(transaction.connection, GIVEN)

    async with database.writing(ADMIN) as first:
        given = await refresh_tokens.presented(first.connection, GIVEN)
        assert given is not None
        assert given.token.used_at is None
        second = asyncio.create_task(presented())
        waiting = asyncio.create_task(waits(psql))
        await asyncio.wait({second, waiting}, timeout=60, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        assert not second.done()
        await refresh_tokens.issue(first.connection, session.id, NEXT, given.token.expires_at, replaces=given.token.id)

    seen = await second
    assert seen is not None
    assert seen.token.used_at is not None


@pytest.mark.parametrize("change", ["disabled = true", "password_hash = 'another'"])
async def test_an_account_stays_as_it_was_judged_until_its_session_is_open(
    database: Database, psql: Connection, change: str
) -> None:
    known = await accounts.by_name(database, "ada")
    assert known is not None
    async with database.writing(ADMIN) as transaction:
        assert await login_sessions.open_for(transaction.connection, known, None, None)
        with pytest.raises(asyncpg.LockNotAvailableError):
            await psql.execute(f"UPDATE accounts SET {change}")

    await psql.execute(f"UPDATE accounts SET {change}")
    async with database.writing(ADMIN) as transaction:
        assert await login_sessions.open_for(transaction.connection, known, None, None) is None


async def test_to_use_a_session_is_nobodys_news(database: Database, psql: Connection) -> None:
    session = await opened(database)
    log = "SELECT count(*) FROM change_log WHERE entity = 'login_session'"
    before = await psql.fetchval(log)
    async with database.writing(ADMIN) as transaction:
        await login_sessions.use(transaction.connection, session.id, "192.0.2.7", "another browser")
    assert await psql.fetchval(log) == before

    async with database.writing(ADMIN) as transaction:
        await login_sessions.revoke(transaction.connection, session.key)
    assert await psql.fetchval(log) == before + 1


async def test_reading_ahead_stops_at_another_history(database: Database, psql: Connection) -> None:
    await opened(database)
    async with database.snapshot() as snapshot:
        here = await outbox.head(snapshot)
        found = await accounts.beyond(snapshot, here)
        assert found is not None
        assert {one.entity for one in found} == {"account", "login_session"}
        assert await accounts.beyond(snapshot, Head(uuid4(), here.revision)) is None
