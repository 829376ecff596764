"""What the variables of an operation may come to, before anything is made of them."""

from collections.abc import Mapping
from typing import Any

from graphql_app.domain.errors import TooMany

VALUES_MOST = 10_000  # in variables: fitting one to its type costs a hundred times what reading it does
DEPTH_MOST = 200  # of variables; what is kept of them is written as JSON again, which goes no deeper than 254

_CONTAINERS = frozenset((dict, list))


def require_few(variables: Mapping[str, Any]) -> None:
    """Raises TooMany for variables with too many values, or too many levels."""
    if len(variables) <= VALUES_MOST and not any(map(_CONTAINERS.__contains__, map(type, variables.values()))):
        return
    count = depth = 0
    level: list[Any] = [variables]
    while level:
        depth += 1
        below: list[Any] = []
        for container in level:
            count += len(container)
            if count > VALUES_MOST:
                raise TooMany(
                    f"The variables hold more than {VALUES_MOST} values.",
                    measure="variables",
                    limit=VALUES_MOST,
                    asked=count,
                )
            values = container.values() if isinstance(container, dict) else container
            below += [value for value in values if isinstance(value, (dict, list))]
        if depth > DEPTH_MOST:
            raise TooMany(
                f"The variables are nested more than {DEPTH_MOST} levels deep.",
                measure="variables",
                limit=DEPTH_MOST,
                asked=depth,
            )
        level = below
