"""What is sent to the database, counted."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import asyncpg
from asyncpg.prepared_stmt import PreparedStatement


@contextmanager
def statements() -> Iterator[list[str]]:
    """Collects all statements of this process."""
    sent: list[str] = []

    def noted(real: Any) -> Any:
        async def run(connection: "asyncpg.Connection[Any]", query: str, *arguments: Any, **options: Any) -> Any:
            sent.append(query)
            return await real(connection, query, *arguments, **options)

        return run

    fetch = PreparedStatement.fetch

    async def fetched(statement: "PreparedStatement[Any]", *arguments: Any, **options: Any) -> Any:
        sent.append(statement.get_query())
        return await fetch(statement, *arguments, **options)

    with ExitStack() as stack:
        stack.enter_context(patch.object(PreparedStatement, "fetch", fetched))
        for name in ("fetch", "fetchmany", "execute"):
            stack.enter_context(patch.object(asyncpg.Connection, name, noted(getattr(asyncpg.Connection, name))))
        yield sent
