"""The methods of an address: the answer to OPTIONS, and `Allow` in the answer to all others (RFC 9110, 10.2.1)."""

from collections.abc import Iterable
from typing import Final

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

READING: Final = frozenset({"GET", "HEAD"})


class OtherMethods:
    """Answers every method of an address that has no route."""

    def __init__(self, methods: Iterable[str]) -> None:
        taken = {*methods, "OPTIONS"}
        self.allow = ", ".join(sorted(taken | READING if "GET" in taken else taken))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "OPTIONS":
            raise HTTPException(405, f"This address takes {self.allow}.", {"Allow": self.allow})
        await Response(status_code=204, headers={"Allow": self.allow})(scope, receive, send)


def with_other_methods(routes: Iterable[BaseRoute]) -> list[BaseRoute]:
    """Returns the routes, and behind the last of each path one that answers all other methods with 405.

    A route knows its own methods alone: without this, a path asked by another method would be matched as an id of the
    next route.
    """
    routes = list(routes)
    last = {route.path: route for route in routes if isinstance(route, Route)}
    methods = {path: _methods(routes, path) for path in last}
    closing: list[BaseRoute] = []
    for route in routes:
        closing.append(route)
        if isinstance(route, Route) and last[route.path] is route:
            closing.append(Route(route.path, OtherMethods(methods[route.path]), include_in_schema=False))
    return closing


def _methods(routes: Iterable[BaseRoute], path: str) -> set[str]:
    return {method for one in routes if isinstance(one, Route) and one.path == path for method in one.methods or ()}
