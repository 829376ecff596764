"""A running server for a whole module, and its office."""

from collections.abc import AsyncIterator

import pytest_asyncio

from graphql_app.embedded import Servers
from tests.graphql_client import Office, fresh_database, numbered, running_office, seed, settings_for


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(servers: Servers, template: str) -> AsyncIterator[Office]:
    """One for all tests of a file: it takes longer to start than any of them."""
    async with fresh_database(servers, template) as url, running_office(settings_for(url, servers)) as office:
        yield office


@pytest_asyncio.fixture(loop_scope="module")
async def office(server: Office) -> Office:
    """The office as it was at the beginning."""
    await seed(server.database)
    await numbered(server.database)
    return server
