"""How many values the variables of an operation may hold, and how deep: checked before they are coerced."""

from collections.abc import Iterable, Mapping
from typing import Any

from graphql_app.domain.errors import TooMany

VALUES_MOST = 10_000  # in variables: fitting one to its type costs a hundred times what reading it does
DEPTH_MOST = 200  # of variables; what is kept of them is written as JSON again, which goes no deeper than 254

_CONTAINERS = frozenset((dict, list))


def require_few(variables: Mapping[str, Any]) -> None:
    """Raises TooMany for variables with too many values, or too many levels."""
    if len(variables) <= VALUES_MOST and not any(map(_CONTAINERS.__contains__, map(type, variables.values()))):
        return
    values = depth = 0
    level: list[Any] = [variables]
    while level:
        values += sum(map(len, level))
        _bound(values, VALUES_MOST, "hold more than {} values")
        depth += 1
        _bound(depth, DEPTH_MOST, "are nested more than {} levels deep")
        level = [below for container in level for below in _in(container) if isinstance(below, (dict, list))]


def _in(container: Any) -> Iterable[Any]:
    return container.values() if isinstance(container, dict) else container


def _bound(asked: int, limit: int, problem: str) -> None:
    if asked > limit:
        raise TooMany(f"The variables {problem.format(limit)}.", measure="variables", limit=limit, asked=asked)
