"""What commands stand on: the settings, their servers, and a database that is known to answer."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from graphql_app import settings as configuration
from graphql_app.app import development
from graphql_app.app.store import for_command
from graphql_app.settings import Settings
from graphql_app.store.postgres.database import Database

T = TypeVar("T")


class Stop(Exception):
    """Ends the command with one line and exit code 1."""


def _unsaid(_: object) -> None:
    pass


def keyed(made: Callable[[Path], None] = _unsaid) -> Settings:
    """Returns the settings with their keys, and no server started. `made` is told each key that was made for it."""
    settings = configuration.read()
    return settings if settings.mode == "production" else development.with_keys(settings, made)


@contextmanager
def settled(joined: Callable[[int], None] = _unsaid) -> Iterator[Settings]:
    """Yields the settings with their servers, embedded ones started where no URL is set. `joined` is told the process
    that runs them already."""
    with development.completed(configuration.read(), joined) as settings:
        yield settings


def run_with_database(settings: Settings, work: Callable[[Database], Coroutine[Any, Any, T]]) -> T:
    async def run() -> T:
        async with connected(settings) as database:
            return await work(database)

    return asyncio.run(run())


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Database]:
    """The database, known to answer. Raises Stop."""
    assert settings.database_url is not None
    database = for_command(settings.database_url, settings)
    try:
        problem = await database.problem()
        if problem is not None:
            raise Stop(f"DATABASE_URL: {problem}")
        yield database
    finally:
        await database.close()
