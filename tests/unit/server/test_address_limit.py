"""Who is counted for asking, and who must never be refused."""

from typing import Any, cast

import pytest

from graphql_app.domain.addresses import Proxies
from graphql_app.domain.errors import RateLimited
from graphql_app.server.address_limit import ALIVE, READY, AddressLimit, refusal_of

STRANGER, PROXY, HERE = "203.0.113.9", "10.0.0.5", "127.0.0.1"


class Exhausted:
    """Refuses whoever it is asked about."""

    def arrive(self, _: str | None) -> None:
        raise RateLimited("Slower.", measure="requests of one address", limit=1, asked=2, retry_after=1)


def refused(path: str, peer: str | None, query: bytes = b"", *headers: tuple[bytes, bytes]) -> bool:
    client = None if peer is None else (peer, 4000)
    scope: dict[str, Any] = {"path": path, "client": client, "query_string": query, "headers": list(headers)}
    AddressLimit(cast(Any, Exhausted()), Proxies([PROXY])).count(scope)
    return refusal_of(scope) is not None


@pytest.mark.parametrize(
    ("path", "peer", "is_refused"),
    [
        ("/graphql", STRANGER, True),
        ("/graphql", PROXY, True),
        ("/graphql", HERE, True),
        ("/graphql", None, True),
        (ALIVE, STRANGER, False),
        (ALIVE, None, False),
        (READY, STRANGER, True),
        (READY, None, True),
        (READY, PROXY, False),
        (READY, HERE, False),
    ],
)
def test_only_whoever_looks_after_the_server_is_spared(path: str, peer: str | None, is_refused: bool) -> None:
    assert refused(path, peer) is is_refused


@pytest.mark.parametrize("path", [ALIVE, READY])
def test_who_asks_with_more_than_a_balancer_would_is_counted(path: str) -> None:
    assert refused(path, HERE, b"x=1")
    assert refused(path, HERE, b"", (b"origin", b"https://elsewhere.example"))
