"""Local accounts in tests, and the operations around them."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import orjson
from argon2 import PasswordHasher

from tests.graphql_client import Office

PASSWORD = "correct horse 电池"
HASH = PasswordHasher(time_cost=1, memory_cost=46 * 1024, parallelism=1).hash(PASSWORD)

_SIGNED_IN = """__typename ... on Refusal { code message }
    ... on SignedIn { accessToken refreshToken expiresAt viewer { subject roles employee { name } } }"""
LOGIN = f"""mutation ($name: String!, $password: String!) {{ login(name: $name, password: $password) {{
    {_SIGNED_IN} ... on TooMany {{ retryAfter }} }} }}"""
REFRESH = f"mutation ($token: String!) {{ refreshToken(token: $token) {{ {_SIGNED_IN} }} }}"
LOGOUT = "mutation { logout { __typename ... on SignedOut { account } ... on Refusal { code message } } }"
REVOKE = """mutation ($account: String) { revokeSessions(account: $account) {
    __typename ... on SessionsRevoked { count } ... on Refusal { code message } } }"""
ME = "{ me { subject roles employee { name } } }"


async def add_account(office: Office, name: str, role: str, employee: UUID | None = None) -> None:
    await office.sql(
        "INSERT INTO accounts (name, password_hash, role, employee_key) VALUES (:name, :hash, :role, :employee)",
        name=name,
        hash=HASH,
        role=role,
        employee=employee,
    )


async def ask(
    office: Office,
    query: str,
    variables: Mapping[str, Any] | None = None,
    *,
    token: str | None = None,
    address: str | None = None,
) -> Any:
    """The whole answer of an operation, with a token or without any. From an address, where the proxy is trusted."""
    headers = {"authorization": f"Bearer {token}"} if token is not None else {}
    if address is not None:
        headers["x-forwarded-for"] = address
    response = await office.client.post(
        "/graphql", json={"query": query, "variables": dict(variables or {})}, headers=headers
    )
    return orjson.loads(response.content)


async def login(office: Office, name: str, password: str = PASSWORD, *, address: str | None = None) -> Any:
    answer = await ask(office, LOGIN, {"name": name, "password": password}, address=address)
    assert "errors" not in answer, answer
    return answer["data"]["login"]


async def refreshed(office: Office, given: Mapping[str, Any]) -> Any:
    answer = await ask(office, REFRESH, {"token": given["refreshToken"]})
    assert "errors" not in answer, answer
    return answer["data"]["refreshToken"]


def signed_in(answer: Mapping[str, Any]) -> bool:
    return bool(answer["__typename"] == "SignedIn")
