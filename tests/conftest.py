"""Real servers for the tests: one PostgreSQL and one Valkey a test process, a fresh migrated database a test."""

import asyncio
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
import redis

from graphql_app import observe
from graphql_app.embedded import Embedded, Servers, Valkey
from graphql_app.store.postgres.database import Database
from graphql_app.store.postgres.migrations import upgrade
from tests.pace import Pace, paced

TEMPLATE = "migrated"


def with_database(url: str, name: str) -> str:
    return urlsplit(url)._replace(path=f"/{name}").geturl()


@contextmanager
def disposable() -> Iterator[Embedded]:
    """Servers whose data is gone with them."""
    # Not below pytest's own temporary folder: as root, the servers run as another user, who cannot enter it.
    with tempfile.TemporaryDirectory(prefix="graphql-app-") as data, Embedded(Path(data), durable=False) as embedded:
        yield embedded


@pytest.fixture(scope="session")
def embedded() -> Iterator[Embedded]:
    with disposable() as embedded:
        yield embedded


@pytest.fixture(scope="session")
def servers(embedded: Embedded) -> Servers:
    return embedded.servers


@pytest.fixture(scope="session")
def template(servers: Servers) -> str:
    """The name of a migrated database to copy from: a copy takes a tenth of the time of the migrations."""

    async def make() -> None:
        admin = await asyncpg.connect(servers.database_url)
        await admin.execute(f"CREATE DATABASE {TEMPLATE}")
        await admin.close()
        database = Database(with_database(servers.database_url, TEMPLATE))
        await upgrade(database.engine)
        await database.close()

    asyncio.run(make())
    return TEMPLATE


@pytest.fixture
async def database_url(servers: Servers, template: str) -> AsyncIterator[str]:
    name = f"test_{uuid.uuid4().hex}"
    admin = await asyncpg.connect(servers.database_url)
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield with_database(servers.database_url, name)
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()


@pytest.fixture(scope="session")
def own_servers() -> Iterator[Embedded]:
    """Servers beside those that all tests share: their Valkey may be stopped."""
    with disposable() as embedded:
        yield embedded


@pytest.fixture
def valkey(own_servers: Embedded) -> Iterator[Valkey]:
    """An empty one, to be stopped, killed and stalled."""
    with redis.Redis.from_url(own_servers.valkey.url) as admin:
        admin.flushall()
        yield own_servers.valkey
        try:
            admin.ping()
        except redis.ConnectionError:
            own_servers.valkey.start()


@pytest.fixture
def pace() -> Iterator[Pace]:
    """A clock for bounds of time, which goes as fast as the machine works for the tests."""
    with paced() as pace:
        yield pace


@pytest.fixture
def news() -> Iterator[list[observe.News]]:
    """What is noted in the meantime."""
    heard: list[observe.News] = []
    end = observe.listen(heard.append)
    yield heard
    end()
