"""How often an address may ask: counted in front of every door, answered by the door in its own form."""

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from graphql_app.domain.addresses import Proxies, is_loopback
from graphql_app.domain.errors import RateLimited
from graphql_app.server.problems import problem
from graphql_app.services.identity.admission import Admission

ALIVE: Final = "/healthz"  # answered by a constant: whoever looks whether this lives is never refused
READY: Final = "/readyz"  # nor is this machine, or a proxy that asks for itself: they would take it for dead

_REFUSAL: Final = "graphql_app.refusal"  # in the scope of a request from an address that asks too often


class AddressLimit:
    """Counts every HTTP request against its address, before anything of it is looked at."""

    def __init__(self, admission: Admission, proxies: Proxies) -> None:
        self._admission = admission
        self._proxies = proxies

    def count(self, scope: Scope) -> None:
        """Counts a request once; of one too many, refusal_of() gives what its door has to answer."""
        address = client[0] if (client := scope.get("client")) else None
        if self._is_spared(scope, address):
            return
        try:
            self._admission.arrive(address)
        except RateLimited as refusal:
            scope[_REFUSAL] = refusal

    def _is_spared(self, scope: Scope, address: str | None) -> bool:
        """Returns whether it is a health check of a balancer: one with nothing that SecurityMiddleware would refuse."""
        path = scope["path"]
        if (
            path not in (ALIVE, READY)
            or scope["query_string"]
            or any(name == b"origin" for name, _ in scope["headers"])
        ):
            return False
        return path == ALIVE or is_loopback(address) or self._proxies.trusts(address)


def refusal_of(scope: Scope) -> RateLimited | None:
    """Returns why a request is refused; None where it is not."""
    refusal: RateLimited | None = scope.get(_REFUSAL)
    return refusal


class WithinLimit:
    """Answers for the app, with a problem, where an address asks too often."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = refusal_of(scope)
        await (self._app if refusal is None else problem(refusal))(scope, receive, send)
