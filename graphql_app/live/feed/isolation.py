"""One of many who fails keeps none of the others from their turn."""

from collections.abc import Callable
from typing import Any

from graphql_app.observe import IsolatedFailure, note


def isolated(where: str, step: Callable[..., Any], *arguments: Any) -> bool:
    """Takes the step. Returns whether it was taken; a failure is noted as one of that part."""
    try:
        step(*arguments)
    except Exception as error:  # noqa: BLE001  # the supervisor of one step: noted, and the others are taken
        note(IsolatedFailure(where, error))
        return False
    return True
