"""Tokens of an OpenID issuer: a real one over HTTP, that exchanges its keys, goes away, and comes back."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from graphql_app import observe
from graphql_app.domain.access import ROLES
from graphql_app.domain.errors import Unauthenticated
from graphql_app.embedded import Servers
from graphql_app.services.identity import issuer as issuer_module
from graphql_app.services.identity.identify import Identify
from graphql_app.services.identity.issuer import Issuer
from graphql_app.services.identity.keys import KeyRing
from graphql_app.store import discovery
from graphql_app.store.discovery import DOCUMENT_BYTES_MOST, IssuerAway, published_keys
from graphql_app.testing import new_key
from tests.graphql_client import Socket, running_office, seed, settings_for
from tests.issuer import AUDIENCE, DISCOVERY, KEYS, OpenIdServer, answer, openid_server

CLAIM_ROLES = {"realm_access.roles": {"office-admin": "admin", "staff": "employee"}, "groups": {"/hr": "hr"}}
ME = "{ me { subject } }"


@pytest.fixture
async def openid() -> AsyncIterator[OpenIdServer]:
    async with openid_server() as server:
        yield server


@asynccontextmanager
async def identifying(openid: OpenIdServer) -> AsyncIterator[Identify]:
    """What believes this issuer, once it has its keys."""
    issuer = Issuer(openid.url, AUDIENCE, CLAIM_ROLES, partial(published_keys, openid.url))
    identify = Identify(KeyRing.read(new_key()), issuer="us", audience="us", roles=ROLES, openid=issuer)
    running = asyncio.create_task(issuer.run())
    await identify.prepared()
    try:
        yield identify
    finally:
        running.cancel()
        await asyncio.wait([running])


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys may be asked for at any time, and are asked for anew very often."""
    monkeypatch.setattr(issuer_module, "REST_SECONDS", 0.01)
    monkeypatch.setattr(issuer_module, "FRESH_SECONDS", 0.03)
    monkeypatch.setattr(issuer_module, "RETRY_SECONDS", 0.03)


@pytest.fixture
def willing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys may be asked for a moment after they were, and are not unless somebody asks."""
    monkeypatch.setattr(issuer_module, "REST_SECONDS", 0.01)


async def rested() -> None:
    await asyncio.sleep(0.05)


async def becomes_true(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # what is waited for goes over HTTP
            await asyncio.sleep(0.01)


def bearer(token: str) -> str:
    return f"Bearer {token}"


# --- who is who ------------------------------------------------------------------------------------------------------


async def test_a_token_of_the_issuer_names_a_viewer_with_the_roles_of_its_claims(openid: OpenIdServer) -> None:
    async with identifying(openid) as identify:
        token = openid.token(realm_access={"roles": ["staff", "unknown"]}, groups=["/hr"])
        viewer = await identify.arriving(bearer(token))

    assert viewer.roles == ("employee", "hr")
    assert viewer.view.scopes == ROLES["employee"] | ROLES["hr"]
    assert viewer.subject == f"{openid.url}#u-17"


@pytest.mark.parametrize(
    ("roles", "claims", "expected"),
    [
        ({"groups": {"hr": "hr"}}, {"groups": ["hr", "hr"]}, ("hr",)),
        ({"scope": {"office.read": "visitor"}}, {"scope": "openid office.read"}, ("visitor",)),
        ({"role": {"the boss": "admin"}}, {"role": "the boss"}, ("admin",)),
        ({"https://office.example/roles": {"a": "admin"}}, {"https://office.example/roles": ["a"]}, ("admin",)),
        ({"a.b.c": {"x": "hr"}}, {"a": {"b": {"c": ["x"]}}}, ("hr",)),
        ({"iss": {"us": "employee"}}, {"iss": "us"}, ("employee",)),
        ({"a.b": {"x": "hr"}}, {"a": ["b"]}, ()),
        ({"groups": {"hr": "hr"}}, {"groups": [["hr"], {"hr": 1}, 5, None]}, ()),
        ({"groups": {"hr": "hr"}}, {"groups": {"hr": True}}, ()),
        ({"groups": {"hr": "hr"}}, {"roles": ["admin"]}, ()),
    ],
)
async def test_claims_stand_for_roles_as_configured_and_for_nothing_else(
    roles: dict[str, dict[str, str]], claims: dict[str, Any], expected: tuple[str, ...]
) -> None:
    async def never() -> list[Any]:
        raise AssertionError

    assert Issuer("us", "us", roles, never).roles(claims) == expected


async def test_roles_that_the_issuers_token_claims_for_itself_count_for_nothing(openid: OpenIdServer) -> None:
    async with identifying(openid) as identify:
        viewer = await identify.arriving(bearer(openid.token(roles=["admin"], employee={"key": "x", "number": "1"})))

    assert (viewer.roles, viewer.view.scopes, viewer.employee_key) == ((), frozenset(), None)


BAD: dict[str, Callable[[OpenIdServer], str]] = {
    "for another audience": lambda openid: openid.token(aud="other-api"),
    "of another issuer": lambda openid: openid.token(iss="https://them.example"),
    "of our own issuer": lambda openid: openid.token(iss="us", aud="us", roles=["admin"]),
    "expired": lambda openid: openid.token(exp=int(time.time()) - 60),
    "not valid yet": lambda openid: openid.token(nbf=int(time.time()) + 60),
    "that names its own keys": lambda openid: openid.token(headers={"jku": openid.url + "/evil"}),
    "for logging out": lambda openid: openid.token(headers={"typ": "logout+jwt"}),
    "signed with another key": lambda openid: jwt.encode(
        jwt.decode(openid.token(), options={"verify_signature": False}),
        rsa.generate_private_key(public_exponent=65537, key_size=2048),
        "RS256",
        headers={"kid": openid.signing},
    ),
    "signed with HMAC": lambda openid: jwt.encode(
        jwt.decode(openid.token(), options={"verify_signature": False}), "x" * 64, "HS256", {"kid": openid.signing}
    ),
}


@pytest.mark.parametrize("kind", BAD)
async def test_any_other_token_is_refused(openid: OpenIdServer, kind: str) -> None:
    async with identifying(openid) as identify:
        with pytest.raises(Unauthenticated):
            await identify.arriving(bearer(BAD[kind](openid)))

    assert set(openid.asked) == {DISCOVERY, KEYS}


async def test_one_of_our_own_tokens_is_not_taken_for_one_of_the_issuer(openid: OpenIdServer) -> None:
    ours = KeyRing.read(new_key())
    issuer = Issuer(openid.url, AUDIENCE, CLAIM_ROLES, partial(published_keys, openid.url))
    identify = Identify(ours, issuer="us", audience="us", roles=ROLES, openid=issuer)
    claims = jwt.decode(openid.token(groups=["/hr"]), options={"verify_signature": False})

    with pytest.raises(Unauthenticated):
        await identify.arriving(bearer(ours.sign(claims)))


async def test_a_process_is_ready_once_the_issuer_was_asked_whether_it_answered_or_not() -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def away() -> list[object]:
        asked.set()
        await answer.wait()
        raise IssuerAway("it is away")

    issuer = Issuer("https://issuer.example", AUDIENCE, CLAIM_ROLES, away)
    identify = Identify(KeyRing.read(new_key()), issuer="us", audience="us", roles=ROLES, openid=issuer)
    running, prepared = asyncio.create_task(issuer.run()), asyncio.create_task(identify.prepared())
    await asked.wait()
    await asyncio.sleep(0)
    assert not prepared.done()
    answer.set()
    await asyncio.wait_for(prepared, 5)
    running.cancel()
    await asyncio.wait([running])


# --- keys ------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("willing")
async def test_a_token_of_a_new_key_waits_for_it_and_comes_in(openid: OpenIdServer) -> None:
    async with identifying(openid) as identify:
        await rested()
        openid.rotate("2026-02")
        viewer = await identify.arriving(bearer(openid.token()))

    assert viewer.subject.endswith("#u-17")


async def test_keys_that_are_made_up_cannot_cause_a_flood(openid: OpenIdServer) -> None:
    async with identifying(openid) as identify:
        for number in range(200):
            with pytest.raises(Unauthenticated, match="does not publish"):
                await identify.arriving(bearer(openid.token(headers={"kid": f"made-up-{number}"})))

    assert openid.asked == [DISCOVERY, KEYS]


@pytest.mark.usefixtures("willing")
async def test_all_who_need_newer_keys_wait_for_the_same_fetch(openid: OpenIdServer) -> None:
    async with identifying(openid) as identify:
        await rested()
        openid.rotate("2026-02")
        token = openid.token()
        await asyncio.gather(*(identify.arriving(bearer(token)) for _ in range(100)))

    assert len(openid.asked) == 4


@pytest.mark.usefixtures("impatient")
async def test_known_keys_go_on_verifying_while_the_issuer_is_away(openid: OpenIdServer) -> None:
    lost: list[str] = []
    end = observe.listen(lambda news: lost.append(news.why) if isinstance(news, observe.IssuerLost) else None)
    async with identifying(openid) as identify:
        openid.answers = {DISCOVERY: answer(503, b"")}
        await becomes_true(lambda: len(lost) >= 2)
        viewer = await identify.arriving(bearer(openid.token()))
    end()

    assert viewer.subject.endswith("#u-17")
    assert "answers 503" in lost[0]


@pytest.mark.usefixtures("impatient")
async def test_an_issuer_that_is_away_at_the_start_is_found_when_it_comes(openid: OpenIdServer) -> None:
    openid.answers = {DISCOVERY: answer(503, b"")}
    async with identifying(openid) as identify:
        with pytest.raises(Unauthenticated):
            await identify.arriving(bearer(openid.token()))
        openid.answers = {}
        before = len(openid.asked)
        await becomes_true(lambda: len(openid.asked) >= before + 4)

        assert (await identify.arriving(bearer(openid.token()))).subject.endswith("#u-17")


@pytest.mark.usefixtures("impatient")
async def test_a_key_that_is_withdrawn_verifies_no_more_not_even_from_memory(openid: OpenIdServer) -> None:
    async with identifying(openid) as identify:
        token = openid.token()
        await identify.arriving(bearer(token))
        del openid.published["2026-01"]
        openid.rotate("2026-02")
        before = len(openid.asked)
        await becomes_true(lambda: len(openid.asked) >= before + 4)

        with pytest.raises(Unauthenticated):
            await identify.arriving(bearer(token))


@pytest.mark.usefixtures("impatient")
async def test_a_key_that_is_replaced_under_its_name_verifies_no_more_not_even_from_memory(
    openid: OpenIdServer,
) -> None:
    async with identifying(openid) as identify:
        token = openid.token()
        await identify.arriving(bearer(token))
        openid.rotate("2026-01")
        before = len(openid.asked)
        await becomes_true(lambda: len(openid.asked) >= before + 4)

        with pytest.raises(Unauthenticated):
            await identify.arriving(bearer(token))
        assert (await identify.arriving(bearer(openid.token()))).subject.endswith("#u-17")


async def test_a_hanging_issuer_holds_up_nobody_but_who_needs_it(
    openid: OpenIdServer, servers: Servers, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "FETCH_SECONDS", 2.0)
    openid.is_hanging.set()
    settings = settings_for(database_url, servers, oidc_issuer=openid.url, oidc_audience=AUDIENCE)
    async with running_office(settings) as office:
        waiting = asyncio.create_task(
            office.client.post("/graphql", json={"query": ME}, headers={"authorization": bearer(openid.token())})
        )
        await becomes_true(lambda: bool(openid.asked))
        began = time.monotonic()
        assert await office.data("visitor", ME) == {"me": {"subject": "visitor"}}

        assert time.monotonic() - began < discovery.FETCH_SECONDS / 2
        assert not waiting.done()
        assert (await waiting).status_code == 401
        assert time.monotonic() - began < discovery.FETCH_SECONDS + 3


# --- what an issuer may answer ---------------------------------------------------------------------------------------


def about(openid: OpenIdServer, **changes: Any) -> bytes:
    return answer(200, orjson.dumps({"issuer": openid.url, "jwks_uri": openid.url + KEYS, **changes}))


ANSWERS: dict[str, tuple[str, Callable[[OpenIdServer], bytes], str]] = {
    "another issuer's document": (DISCOVERY, lambda it: about(it, issuer="https://them.example"), "is that of"),
    "a redirect": (DISCOVERY, lambda _: answer(302, b"", "Location: /keys"), "answers 302"),
    "a redirect of its keys": (KEYS, lambda _: answer(307, b"", "Location: /other"), "answers 307"),
    "a failure": (DISCOVERY, lambda _: answer(500, b""), "answers 500"),
    "no JSON": (DISCOVERY, lambda _: answer(200, b"<html>"), "answers no JSON"),
    "a list": (DISCOVERY, lambda _: answer(200, b"[]"), "answers no JSON object"),
    "no keys": (KEYS, lambda _: answer(200, b"{}"), "no JWK set"),
    "keys that are no list": (KEYS, lambda _: answer(200, b'{"keys": {"a": 1}}'), "no JWK set"),
    "no address of keys": (DISCOVERY, lambda it: about(it, jwks_uri=None), "names no jwks_uri"),
    "a file for its keys": (DISCOVERY, lambda it: about(it, jwks_uri="file:///etc/passwd"), "names no jwks_uri"),
    "an address that is none": (DISCOVERY, lambda it: about(it, jwks_uri="http://[::1"), "jwks_uri|Invalid"),
    "too much": (KEYS, lambda _: answer(200, b" " * (DOCUMENT_BYTES_MOST + 1)), "more than"),
    "nothing that is HTTP": (DISCOVERY, lambda _: b"220 mail\r\n\r\n", "Protocol"),
}


@pytest.mark.parametrize("kind", ANSWERS)
async def test_whatever_an_issuer_answers_is_told_from_keys(openid: OpenIdServer, kind: str) -> None:
    path, make, reason = ANSWERS[kind]
    openid.answers = {path: make(openid)}

    with pytest.raises(IssuerAway, match=reason):
        await published_keys(openid.url)
    assert "/other" not in openid.asked


async def test_an_issuer_that_is_not_there_is_away(openid: OpenIdServer) -> None:
    with pytest.raises(IssuerAway):
        await published_keys("http://127.0.0.1:1")


async def test_an_issuer_that_does_not_answer_in_time_is_away(
    openid: OpenIdServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "FETCH_SECONDS", 0.1)
    openid.is_hanging.set()

    with pytest.raises(IssuerAway):
        await published_keys(openid.url)


def test_the_keys_of_an_encrypted_issuer_are_not_read_in_the_clear() -> None:
    with pytest.raises(IssuerAway, match="jwks_uri"):
        discovery._jwks_address("https://id.example", {"jwks_uri": "http://id.example/keys"})


# --- every door ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("willing")
async def test_every_door_lets_in_who_comes_with_a_token_of_a_key_just_exchanged(
    openid: OpenIdServer, servers: Servers, database_url: str
) -> None:
    settings = settings_for(
        database_url, servers, oidc_issuer=openid.url, oidc_audience=AUDIENCE, oidc_roles=CLAIM_ROLES
    )
    async with running_office(settings) as office:
        await seed(office.database)

        async def exchanged(kid: str) -> dict[str, str]:
            await rested()
            openid.rotate(kid)
            return {"authorization": bearer(openid.token(groups=["/hr"]))}

        answer = await office.client.post("/graphql", json={"query": ME}, headers=await exchanged("a"))
        assert answer.json() == {"data": {"me": {"subject": f"{openid.url}#u-17"}}}

        assert (await office.client.get("/api/workstations", headers=await exchanged("b"))).status_code == 200
        assert (await office.client.get("/api/changes?wait=0", headers=await exchanged("c"))).status_code == 200

        socket = Socket(office.app, {"host": "office.test", **await exchanged("d")})
        await socket.open()
        await socket.close()

        stranger = jwt.encode({}, "x" * 64, "HS256", {"kid": "none of them"})
        assert (
            await office.client.post("/graphql", json={"query": ME}, headers={"authorization": bearer(stranger)})
        ).status_code == 401
