"""Which roles the claims of an OpenID issuer's token stand for."""

from typing import Any

import pytest

from graphql_app.services.identity.issuer import Issuer


async def no_keys() -> list[Any]:
    return []


def roles(claims: dict[str, Any], path: str) -> tuple[str, ...]:
    return Issuer("https://issuer.example", "office", {path: {"desk": "facilities", "boss": "admin"}}, no_keys).roles(
        claims
    )


DESK = ["desk"]
# path -> claims in which it names DESK
RESOLVED: dict[str, dict[str, Any]] = {
    "groups": {"groups": DESK},
    "realm_access.roles": {"realm_access": {"roles": DESK}},
    "https://office.example/roles": {"https://office.example/roles": DESK},
    "https://office.example/claims.roles": {"https://office.example/claims": {"roles": DESK}},
    "resource_access.office.roles": {"resource_access": {"office": {"roles": DESK}}},
    "resource_access.com.example.office.roles": {"resource_access": {"com.example.office": {"roles": DESK}}},
    "urn:office.claims.v1.roles.names": {"urn:office.claims.v1": {"roles.names": DESK}},
    "a.b.c": {"a.b": {"c": DESK}, "a": {"b": {"c": ["boss"]}}},
}


@pytest.mark.parametrize("path", RESOLVED)
def test_a_path_finds_its_claim_also_where_names_hold_dots(path: str) -> None:
    assert roles(RESOLVED[path], path) == ("facilities",)


def test_a_longer_name_that_leads_nowhere_hides_no_shorter_one() -> None:
    assert roles({"a.b": {"x": DESK}, "a": {"b": {"c": DESK}}}, "a.b.c") == ("facilities",)
    assert roles({"a.b": None, "a": {"b": DESK}}, "a.b") == ("facilities",)
    assert roles({"a.b": "text", "a": {"b.c": DESK}}, "a.b.c") == ("facilities",)


@pytest.mark.parametrize(
    "claims", [{}, {"a": DESK}, {"a": {"b": 5}}, {"a": {"b": {"desk": True}}}, {"a": [{"b": DESK}]}]
)
def test_where_the_path_leads_to_no_texts_there_is_no_role(claims: dict[str, Any]) -> None:
    assert roles(claims, "a.b") == ()
