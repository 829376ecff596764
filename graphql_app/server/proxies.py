"""The forwarded headers of trusted proxies: who the client is, and by which scheme it came."""

from starlette.types import Scope

from graphql_app.domain.addresses import Proxies

SCHEMES = {b"http": "http", b"https": "https"}


def apply_forwarded_headers(scope: Scope, proxies: Proxies) -> None:
    """Replaces the proxy in the scope by the client that it speaks for, if the proxy is trusted."""
    client = scope.get("client")
    peer = client[0] if client else None
    if not proxies.trusts(peer):
        return
    fields = [(name, value) for name, value in scope["headers"] if name.startswith(b"x-forwarded-")]
    forwarded_for = b",".join(value for name, value in fields if name == b"x-forwarded-for")
    scope["client"] = (proxies.client(peer, forwarded_for.decode("latin-1")), 0)
    scheme = SCHEMES.get(next((value for name, value in fields if name == b"x-forwarded-proto"), b""))
    if scheme is not None and scope["type"] == "http":
        scope["scheme"] = scheme
