"""What trusted proxies say of the client whom they speak for, told to every door."""

from starlette.types import Scope

from graphql_app.domain.addresses import Proxies

SCHEMES = {b"http": "http", b"https": "https"}


def introduce(scope: Scope, proxies: Proxies) -> None:
    """Puts the client, and how it came, in the place of the proxy."""
    client = scope.get("client")
    peer = client[0] if client else None
    if not proxies.trusts(peer):
        return
    fields = [(name, value) for name, value in scope["headers"] if name.startswith(b"x-forwarded-")]
    told = b",".join(value for name, value in fields if name == b"x-forwarded-for")
    scope["client"] = (proxies.client(peer, told.decode("latin-1")), 0)
    scheme = SCHEMES.get(next((value for name, value in fields if name == b"x-forwarded-proto"), b""))
    if scheme is not None and scope["type"] == "http":
        scope["scheme"] = scheme
