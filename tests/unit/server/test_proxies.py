"""What a trusted proxy says of a client is believed, and nobody else's word is."""

from typing import Any

import pytest

from graphql_app.domain.addresses import Proxies
from graphql_app.server.proxies import apply_forwarded_headers

PROXIES = Proxies(["10.0.0.5"])


def scope_from(peer: str, kind: str = "http", **fields: str) -> dict[str, Any]:
    headers = [(f"x-forwarded-{name}".encode(), value.encode()) for name, value in fields.items()]
    return {"type": kind, "client": (peer, 4000), "scheme": "http" if kind == "http" else "ws", "headers": headers}


def test_the_client_takes_the_place_of_a_trusted_proxy() -> None:
    scope = scope_from("10.0.0.5", **{"for": "203.0.113.7", "proto": "https"})

    apply_forwarded_headers(scope, PROXIES)

    assert (scope["client"][0], scope["scheme"]) == ("203.0.113.7", "https")


def test_a_stranger_cannot_say_who_it_is() -> None:
    scope = scope_from("203.0.113.9", **{"for": "127.0.0.1", "proto": "https"})

    apply_forwarded_headers(scope, PROXIES)

    assert (scope["client"][0], scope["scheme"]) == ("203.0.113.9", "http")


@pytest.mark.parametrize(("kind", "said"), [("http", "gopher"), ("websocket", "https")])
def test_a_scheme_is_taken_over_http_and_if_it_is_one(kind: str, said: str) -> None:
    scope = scope_from("10.0.0.5", kind, **{"for": "203.0.113.7", "proto": said})
    before = scope["scheme"]

    apply_forwarded_headers(scope, PROXIES)

    assert scope["scheme"] == before
