"""Another try at what a transaction came to nothing over: it left nothing behind."""

from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from graphql_app.domain.errors import Contention, Outdated

P = ParamSpec("P")
T = TypeVar("T")
TRIES_MOST = 3
OUTDATED_MOST = 50  # each connection that is in use may have prepared the statement once


def tried_again(work: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Does it again when its transaction got in another one's way (a rename, an import), or columns were changed while
    it ran (a migration). Raises Contention when that does not help."""

    @wraps(work)
    async def trying(*args: P.args, **kwargs: P.kwargs) -> T:
        contended = outdated = 0
        while True:
            try:
                return await work(*args, **kwargs)
            except Outdated:
                outdated += 1
                if outdated == OUTDATED_MOST:
                    raise
            except Contention:
                contended += 1
                if contended == TRIES_MOST:
                    raise

    return trying
