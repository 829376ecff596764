"""A real server in production: keys exchanged between its starts, and nothing secret in what it writes."""

import asyncio
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import jwt
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from graphql_app.testing import new_key
from tests.acceptance.conftest import Server, StartServer
from tests.acceptance.test_commands import assert_one_line, run
from tests.acceptance.test_workers import both_ready
from tests.issuer import AUDIENCE, openid_server

ME = {"query": "{ me { subject } }"}


def status(server: Server, token: str) -> int:
    return httpx.post(f"{server.url}/graphql", json=ME, headers={"Authorization": f"Bearer {token}"}).status_code


def test_a_key_is_exchanged_in_three_restarts_and_no_good_token_is_refused(
    start_server: StartServer, environment: dict[str, str]
) -> None:
    old, new = environment["GRAPHQL_APP_TOKEN_PRIVATE_KEY"], new_key()
    published, issued = [], []
    for keys in (old, old + new, new + old):
        server = start_server(GRAPHQL_APP_TOKEN_PRIVATE_KEY=keys)
        issued.append(server.token("visitor"))
        published.append([key["kid"] for key in httpx.get(f"{server.url}/.well-known/jwks.json").json()["keys"]])
        assert [status(server, token) for token in issued] == [200] * len(issued)
        server.stop()
    server = start_server(GRAPHQL_APP_TOKEN_PRIVATE_KEY=new)

    assert [status(server, token) for token in issued] == [401, 401, 200]
    assert published[1] == published[2][::-1] == [*published[0], published[2][0]]
    kids = [jwt.get_unverified_header(token)["kid"] for token in issued]
    assert kids == [published[0][0], published[0][0], published[2][0]]


def test_what_a_server_writes_holds_no_token_and_no_secret(
    start_server: StartServer, environment: dict[str, str]
) -> None:
    server = start_server(GRAPHQL_APP_MODE="production")
    token = server.token("admin")
    wrong = token[:-4] + "AAAA"
    for given in (token, wrong, token + token, f"{token} {token}"):
        headers = {"Authorization": f"Bearer {given}", "X-Request-ID": given[:60]}
        httpx.post(f"{server.url}/graphql", json=ME, headers=headers)
        httpx.post(f"{server.url}/graphql", json={"query": f'{{ node(id: "{given}") {{ id }} }}'}, headers=headers)
        httpx.post(f"{server.url}/graphql", content=f'{{"query": "{given}'.encode(), headers=headers)
        httpx.get(f"{server.url}/graphql", params={"access_token": given}, headers=headers)
        httpx.get(f"{server.url}/api/workstations/{given}", headers=headers)
        httpx.get(f"{server.url}/api/changes", params={"after": given, "token": given}, headers=headers)
        httpx.get(f"{server.url}/{given}", headers={"Authorization": f"Basic {given}", "Cookie": f"token={given}"})
    server.stop()

    written = server.log.read_text()
    assert "graphql_app production" in written
    secrets = [*token.split("."), wrong, environment["GRAPHQL_APP_SECRET"]]
    secrets += environment["GRAPHQL_APP_TOKEN_PRIVATE_KEY"].splitlines()[1:-1]
    secrets += [str(urlsplit(environment[name]).password) for name in ("DATABASE_URL", "REDIS_URL")]
    assert [secret for secret in secrets if secret in written] == []


async def test_a_socket_leaves_no_line_in_the_log(start_server: StartServer) -> None:
    server = start_server()
    before = server.log.read_text()
    for _ in range(5):
        async with connect(server.ws_url, subprotocols=[Subprotocol("graphql-transport-ws")]) as socket:
            await socket.send('{"type": "connection_init"}')
        with suppress(InvalidStatus):
            await connect(f"{server.ws_url}?token=x")
    await asyncio.sleep(0.3)

    assert [line for line in server.log.read_text()[len(before) :].splitlines() if "connection" in line] == []


@pytest.mark.parametrize("command", ["serve", "doctor"])
def test_all_that_lets_in_whoever_tries_is_said_a_line_each(
    command: str, environment: dict[str, str], tmp_path: Path
) -> None:
    weak = {"DATABASE_URL": "postgresql://app:postgres123@db/office", "REDIS_URL": "redis://cache:6379/0"}

    result = run(command, cwd=tmp_path, **{**environment, "GRAPHQL_APP_MODE": "production", **weak})

    assert result.returncode == 1
    lines = result.stderr.splitlines()
    assert len(lines) == 2
    assert "DATABASE_URL has a password that is tried first" in lines[0]
    assert lines[1].startswith("REDIS_URL has no password")
    assert "postgres123" not in result.stdout + result.stderr


@pytest.mark.parametrize(
    ("name", "value", "way_out"),
    [
        ("GRAPHQL_APP_SECRET", "change-me-change-me-change-me-change-me", "openssl rand -base64 32"),
        ("DATABASE_URL", "postgresql://postgres:postgres@127.0.0.1:1/office", "openssl rand -hex 24"),
    ],
)
def test_production_does_not_start_with_what_everybody_knows(
    name: str, value: str, way_out: str, environment: dict[str, str], tmp_path: Path
) -> None:
    env = {**environment, "GRAPHQL_APP_MODE": "production", name: value}

    assert_one_line(run("serve", cwd=tmp_path, **env), name, way_out)


async def test_a_server_believes_the_issuer_that_its_environment_names_also_while_that_is_away(
    start_server: StartServer, environment: dict[str, str], tmp_path: Path
) -> None:
    async with openid_server() as openid:
        given = {
            "GRAPHQL_APP_OIDC_ISSUER": openid.url,
            "GRAPHQL_APP_OIDC_AUDIENCE": AUDIENCE,
            "GRAPHQL_APP_OIDC_ROLES": '{"groups": {"/hr": "hr"}}',
        }
        doctor = await asyncio.to_thread(run, "doctor", cwd=tmp_path, **environment, **given)
        server = await asyncio.to_thread(start_server, WORKERS="2", **given)
        await asyncio.to_thread(both_ready, server)
        good, unmapped = openid.token(groups=["/hr"]), openid.token()
        statuses = [await asyncio.to_thread(status, server, token) for token in (good, unmapped, openid.token(aud="x"))]
    # By now nobody listens there.
    later = [await asyncio.to_thread(status, server, token) for token in (good, openid.token())]

    assert [line.split() for line in doctor.stdout.splitlines() if line.startswith("  OpenID")] == [
        ["OpenID", "reachable"]
    ]
    assert (statuses, later) == ([200, 200, 401], [200, 200])
