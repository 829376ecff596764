"""What is sent to the database, counted."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import asyncpg


@contextmanager
def statements() -> Iterator[list[str]]:
    """Collects all statements of this process."""
    sent: list[str] = []

    def noted(real: Any) -> Any:
        async def run(connection: "asyncpg.Connection[Any]", query: str, *arguments: Any, **options: Any) -> Any:
            sent.append(query)
            return await real(connection, query, *arguments, **options)

        return run

    with ExitStack() as stack:
        for name in ("fetch", "fetchmany", "execute"):
            stack.enter_context(patch.object(asyncpg.Connection, name, noted(getattr(asyncpg.Connection, name))))
        yield sent
