"""Runs a transaction again that another transaction stood in the way of: it was rolled back whole."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from graphql_app.domain.errors import Contention, Outdated

P = ParamSpec("P")
T = TypeVar("T")
WAIT_SECONDS = 8.0  # less than a statement may take: who waits longer is told what for
PAUSE_SECONDS_MOST = 0.5
RETRY_SECONDS = 10
OUTDATED_MOST = 50  # each connection that is in use may have prepared the statement once


def retry_on_contention(work: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Repeats `work` while another transaction holds its rows (a rename, an import), or a migration changed columns.

    It holds no connection between two attempts. Raises Contention after WAIT_SECONDS, and Outdated after OUTDATED_MOST
    attempts.
    """

    @wraps(work)
    async def retrying(*args: P.args, **kwargs: P.kwargs) -> T:
        clock = asyncio.get_running_loop().time
        pause, ends, outdated = 0.0, clock() + WAIT_SECONDS, 0
        while True:
            try:
                return await work(*args, **kwargs)
            except Outdated:
                outdated += 1
                if outdated == OUTDATED_MOST:
                    raise
                continue
            except Contention as error:
                if clock() + pause >= ends:
                    raise _still_held() from error
            await asyncio.sleep(pause)
            pause = min(2 * pause + 0.01, PAUSE_SECONDS_MOST)

    return retrying


def _still_held() -> Contention:
    return Contention(
        f"Somebody has been changing the same rows for {WAIT_SECONDS:g} s, as a large rename or import does. Nothing of"
        f" this was done; try again in {RETRY_SECONDS} s.",
        retryAfter=RETRY_SECONDS,
    )
