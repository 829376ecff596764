"""Which tokens are believed, and whom they name."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as elliptic_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from graphql_app.domain.access import ROLES, Scope
from graphql_app.domain.errors import Unauthenticated
from graphql_app.services.identity import identify as identify_module
from graphql_app.services.identity import tokens as tokens_module
from graphql_app.services.identity.identify import Identify
from graphql_app.services.identity.keys import BadKey, KeyRing
from graphql_app.services.identity.tokens import KEY_ID_LENGTH_MOST, LEEWAY_SECONDS, TOKEN_BYTES_MOST


def pem_of(key: Any) -> str:
    return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


def public_pem_of(key: Any) -> str:
    return str(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


ED = Ed25519PrivateKey.generate()
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ELLIPTIC = elliptic_key(SECP256R1())
ADA = UUID(int=1)


def checking(*private: Any, public: Any = None, **changes: Any) -> Identify:
    """With these private keys, one of our own if none is given and no public one either."""
    signing = private or (() if public else (ED,))
    keys = KeyRing.read("".join(map(pem_of, signing)), public and public_pem_of(public))
    given: dict[str, Any] = {"issuer": "us", "audience": "us", "roles": ROLES}
    return Identify(keys, **{**given, **changes})


IDENTIFY = checking()


def claims(**changes: Any) -> dict[str, Any]:
    """What a good token says; a change to None leaves the claim out."""
    now = int(time.time())
    good = {"iss": "us", "aud": "us", "sub": "ada", "iat": now, "exp": now + 60, "roles": ["employee"]}
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def signed(key: Any = ED, algorithm: str = "EdDSA", **changes: Any) -> str:
    return jwt.encode(claims(**changes), key, algorithm=algorithm)


def headed(**header: Any) -> str:
    """A good token but for what its header says."""
    return by_hand({"alg": "EdDSA", "typ": "JWT", **header}, claims(), ED.sign)


def without(claim: str) -> str:
    changes: dict[str, Any] = {claim: None}
    return signed(**changes)


def by_hand(header: dict[str, Any], body: dict[str, Any], sign: Callable[[bytes], bytes]) -> str:
    """A token that no library would make."""
    return of_texts(json.dumps(header), json.dumps(body), sign)


def of_texts(header: str, body: str, sign: Callable[[bytes], bytes]) -> str:
    message = b".".join(base64.urlsafe_b64encode(part.encode()).rstrip(b"=") for part in (header, body))
    return (message + b"." + base64.urlsafe_b64encode(sign(message)).rstrip(b"=")).decode()


def test_a_token_that_was_issued_here_names_its_viewer() -> None:
    token = IDENTIFY.issue("ada", ["employee", "hr"], seconds=60, employee_key=ADA, employee_number="E-1001")

    viewer = IDENTIFY.viewer(token)

    assert (viewer.subject, viewer.roles) == ("ada", ("employee", "hr"))
    assert viewer.view.scopes == ROLES["employee"] | ROLES["hr"]
    assert (viewer.employee_key, viewer.employee_number) == (ADA, "E-1001")
    assert abs(viewer.expires_at - time.time() - 60) < 5


def test_a_token_without_an_employee_names_none() -> None:
    viewer = IDENTIFY.viewer(IDENTIFY.issue("robot", ["operator"], seconds=60))

    assert (viewer.employee_key, viewer.employee_number) == (None, None)


def test_an_employee_without_a_number_has_none() -> None:
    viewer = IDENTIFY.viewer(IDENTIFY.issue("ada", ["employee"], seconds=60, employee_key=ADA))

    assert (viewer.employee_key, viewer.employee_number) == (ADA, None)


def test_a_token_of_another_service_is_believed_where_its_public_key_is_set() -> None:
    verifying = checking(public=RSA)

    assert verifying.viewer(signed(RSA, "RS256")).subject == "ada"


def test_a_role_that_is_not_known_here_gives_no_scopes() -> None:
    viewer = IDENTIFY.viewer(signed(roles=["emperor"]))

    assert (viewer.roles, viewer.view.scopes) == (("emperor",), frozenset())


def test_no_roles_at_all_give_no_scopes() -> None:
    assert IDENTIFY.viewer(signed(roles=[])).view.scopes == frozenset()


def test_a_role_of_the_operator_replaces_the_shipped_one() -> None:
    stricter = checking(roles={**ROLES, "employee": frozenset({Scope.READ})})

    assert stricter.viewer(signed()).view.scopes == {Scope.READ}


# --- tokens that are not believed ------------------------------------------------------------------------------------

FOREIGN_KEY = Ed25519PrivateKey.generate()
PUBLIC_KEY_AS_SECRET = public_pem_of(ED).encode()

REFUSED: dict[str, Callable[[], str]] = {
    "expired": lambda: signed(exp=int(time.time()) - LEEWAY_SECONDS - 1),
    "issued for the future": lambda: signed(iat=int(time.time()) + LEEWAY_SECONDS + 60),
    "not valid before the future": lambda: signed(nbf=int(time.time()) + LEEWAY_SECONDS + 60),
    "of another issuer": lambda: signed(iss="them"),
    "for another audience": lambda: signed(aud="them"),
    "signed with another key": lambda: signed(FOREIGN_KEY),
    "with alg none": lambda: by_hand({"alg": "none", "typ": "JWT"}, claims(), lambda _: b""),
    "with alg None": lambda: by_hand({"alg": "None", "typ": "JWT"}, claims(), lambda _: b""),
    "without alg": lambda: by_hand({"typ": "JWT"}, claims(), lambda _: b""),
    "HS256 with the public key as its secret": lambda: by_hand(
        {"alg": "HS256", "typ": "JWT"},
        claims(),
        lambda message: hmac.new(PUBLIC_KEY_AS_SECRET, message, hashlib.sha256).digest(),
    ),
    "of an algorithm that is not pinned": lambda: signed(RSA, "RS256"),
    "with its own key in the header": lambda: by_hand(
        {"alg": "EdDSA", "jwk": {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}}, claims(), FOREIGN_KEY.sign
    ),
    # Signed well, and refused all the same: where keys are found is not for a token to say.
    "with jwk": lambda: headed(jwk={"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}),
    "with jku": lambda: headed(jku="https://them.example/jwks.json"),
    "with x5u": lambda: headed(x5u="https://them.example/chain.pem"),
    "with x5c": lambda: headed(x5c=["AAAA"]),
    "that needs what nobody knows": lambda: headed(crit=["exp"], exp=1),
    "that needs nothing in particular": lambda: headed(crit=[]),
    "that is not in base64": lambda: headed(b64=False, crit=["b64"]),
    "that is compressed": lambda: headed(zip="DEF"),
    "with a kid that is a path": lambda: headed(kid="../../../../dev/null"),
    "with a kid that is SQL": lambda: headed(kid="' UNION SELECT 'secret"),
    "with an empty kid": lambda: headed(kid=""),
    "with a huge kid": lambda: headed(kid="k" * (KEY_ID_LENGTH_MOST + 1)),
    "with a kid that is a number": lambda: headed(kid=1),
    "with a kid that is null in a list": lambda: headed(kid=[None]),
    "with a kid that is an object": lambda: headed(kid={"$ne": ""}),
    "with the kid of a key that is not here": lambda: headed(
        kid=KeyRing.read(pem_of(FOREIGN_KEY)).jwks["keys"][0]["kid"]
    ),
    "of another kind, as logout tokens are": lambda: headed(typ="logout+jwt"),
    "whose kind is no text": lambda: headed(typ=7),
    "whose alg is no text": lambda: headed(alg=["EdDSA"]),
    "whose header names its alg twice": lambda: of_texts(
        '{"alg": "none", "alg": "EdDSA"}', json.dumps(claims()), ED.sign
    ),
    "whose body names its roles twice": lambda: of_texts(
        '{"alg": "EdDSA"}', json.dumps(claims())[:-1] + ', "roles": ["admin"]}', ED.sign
    ),
    "whose header is a list": lambda: of_texts('["EdDSA"]', json.dumps(claims()), ED.sign),
    "whose header is nested too deeply": lambda: of_texts("[" * 3000, json.dumps(claims()), ED.sign),
    "whose body is nested too deeply": lambda: of_texts('{"alg": "EdDSA"}', "[" * 3000, ED.sign),
    "whose body is a text": lambda: of_texts('{"alg": "EdDSA"}', '"admin"', ED.sign),
    "whose body is no JSON": lambda: of_texts('{"alg": "EdDSA"}', "admin", ED.sign),
    "that is huge": lambda: signed(note="x" * TOKEN_BYTES_MOST),
    "of four parts": lambda: signed() + ".AAAA",
    "with padding": lambda: signed() + "=",
    "with an exp that is a text of digits": lambda: signed(exp=str(int(time.time()) + 60)),
    "with an exp that is true": lambda: signed(exp=True),
    "with an exp that never comes": lambda: of_texts('{"alg": "EdDSA"}', json.dumps(claims(exp=float("inf"))), ED.sign),
    "with an empty audience": lambda: signed(aud=[]),
    "with an audience that is an object": lambda: signed(aud={"us": True}),
    "with an issuer that is a list": lambda: by_hand({"alg": "EdDSA"}, claims(iss=["us"]), ED.sign),
    "with an empty subject": lambda: signed(sub=""),
    "with a subject that no database takes": lambda: signed(sub="ada\0"),
    "with a subject of two lines": lambda: signed(sub="ada\nroot"),
    "with a long subject": lambda: signed(sub="a" * 256),
    "with a role that no database takes": lambda: signed(roles=["\0"]),
    "with too many roles": lambda: signed(roles=["employee"] * 101),
    **{f"without {name}": partial(without, name) for name in claims()},
    "with a number as its subject": lambda: by_hand({"alg": "EdDSA"}, claims(sub=7), ED.sign),
    "with an exp that is no number": lambda: signed(exp="tomorrow"),
    "with roles that are no list": lambda: signed(roles="admin"),
    "with roles that are no texts": lambda: signed(roles=[{"admin": True}]),
    "whose body is no object": lambda: by_hand({"alg": "EdDSA"}, [], ED.sign),  # type: ignore[arg-type]  # on purpose
    "of two parts": lambda: signed().rpartition(".")[0],
    "that is empty": lambda: "",
    "of dots": lambda: "..",
    "with a changed body": lambda: _with_roles(signed(), ["admin"]),
}


def _with_roles(token: str, roles: list[str]) -> str:
    head, _, signature = token.split(".")
    body = base64.urlsafe_b64encode(json.dumps(claims(roles=roles)).encode()).rstrip(b"=").decode()
    return f"{head}.{body}.{signature}"


@pytest.mark.parametrize("kind", REFUSED)
def test_a_token_that_was_not_made_for_this_server_is_refused(kind: str) -> None:
    with pytest.raises(Unauthenticated):
        IDENTIFY.viewer(REFUSED[kind]())


@pytest.mark.parametrize(
    "employee",
    [
        "E-1001",
        ["key"],
        {"key": "no uuid", "number": "1"},
        {"number": "1"},
        {"key": str(ADA)},
        {"key": 5, "number": "1"},
        {"key": str(ADA), "number": "1\0"},
    ],
)
def test_a_token_that_names_its_employee_wrongly_is_refused(employee: Any) -> None:
    with pytest.raises(Unauthenticated, match="employee"):
        IDENTIFY.viewer(signed(employee=employee))


@given(st.text())
def test_any_text_in_place_of_a_token_is_refused(text: str) -> None:
    with pytest.raises(Unauthenticated):
        IDENTIFY.viewer(text)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
CLAIMS = ["iss", "aud", "sub", "iat", "exp", "nbf", "jti", "roles", "employee"]


@given(
    st.dictionaries(st.sampled_from(["typ", "kid", "crit", "b64", "jwk", "jku", "x5u", "zip", "cty"]), anything),
    st.dictionaries(st.sampled_from(CLAIMS), anything, min_size=1, max_size=3),
)
def test_whatever_a_signed_token_says_it_names_a_viewer_or_is_refused(
    header: dict[str, Any], changes: dict[str, Any]
) -> None:
    token = by_hand({"alg": "EdDSA", "typ": "JWT", **header}, {**claims(), **changes}, ED.sign)

    with suppress(Unauthenticated):
        viewer = IDENTIFY.viewer(token)
        assert isinstance(viewer.subject, str)
        assert viewer.view.scopes <= ROLES["employee"] or "roles" in changes


@given(st.data())
def test_a_token_that_was_tampered_with_is_refused(data: st.DataObject) -> None:
    token = signed()
    place = data.draw(st.integers(0, len(token) - 2))  # the last letter carries bits that mean nothing
    letter = data.draw(st.sampled_from("ABCDEFabcdef0123456789-_.=é ").filter(lambda other: other != token[place]))

    with pytest.raises(Unauthenticated):
        IDENTIFY.viewer(token[:place] + letter + token[place + 1 :])


def test_an_expired_token_is_told_from_one_that_is_wrong() -> None:
    with pytest.raises(Unauthenticated, match="expired"):
        IDENTIFY.viewer(REFUSED["expired"]())


def test_a_token_past_its_end_is_not_believed_from_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    identify, token = checking(), signed(exp=int(time.time()) - 1)  # still good, by the leeway
    identify.viewer(token)
    monkeypatch.setattr(tokens_module, "LEEWAY_SECONDS", 0)

    with pytest.raises(Unauthenticated, match="expired"):
        identify.viewer(token)


def test_a_token_is_verified_once_and_then_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    identify, token = checking(), signed()
    first = identify.viewer(token)
    monkeypatch.setattr(jwt, "decode", lambda *_, **__: pytest.fail("verified again"))

    assert identify.viewer(token) is first


def test_only_so_many_tokens_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identify_module, "VERIFIED_MOST", 2)
    identify = checking()

    for subject in ("a", "b", "c"):
        identify.viewer(signed(sub=subject))

    assert len(identify._verified) == 2


# --- headers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["Bearer {}", "bearer {}", "BEARER {}", "Bearer   {}", "Bearer {} "])
def test_a_bearer_token_is_taken_whatever_the_case_and_spaces(form: str) -> None:
    assert IDENTIFY.from_header(form.format(signed())).subject == "ada"


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Basic YTpi", "Token {}", "{}", "Bearer: {}", "Bearer,{}"]
)
def test_any_other_header_is_refused_and_told_what_to_send(header: str | None) -> None:
    with pytest.raises(Unauthenticated, match="Authorization: Bearer"):
        IDENTIFY.from_header(header and header.format(signed()))


# --- keys ------------------------------------------------------------------------------------------------------------


def test_a_token_for_a_role_that_does_not_exist_is_not_issued() -> None:
    with pytest.raises(BadKey, match="no such role: emperor; there are admin, employee"):
        IDENTIFY.issue("ada", ["emperor"], seconds=60)


def test_no_token_is_issued_where_another_service_signs_them() -> None:
    with pytest.raises(BadKey, match="another service"):
        checking(public=ED).issue("ada", ["employee"], seconds=60)


@pytest.mark.parametrize("key", [ED, RSA, ELLIPTIC], ids=["Ed25519", "RSA", "P-256"])
def test_a_key_of_every_kind_signs(key: Any) -> None:
    identify = checking(key)

    assert identify.viewer(identify.issue("ada", ["employee"], seconds=60)).subject == "ada"


def test_a_key_is_exchanged_without_refusing_a_token_that_is_still_good() -> None:
    before, announced, exchanged, after = checking(ED), checking(ED, RSA), checking(RSA, ED), checking(RSA)
    old = before.issue("ada", ["employee"], seconds=60)
    new = exchanged.issue("ada", ["employee"], seconds=60)

    for one in (announced, exchanged):
        assert one.viewer(old).subject == one.viewer(new).subject == "ada"
    assert after.viewer(new).subject == "ada"
    with pytest.raises(Unauthenticated):
        after.viewer(old)


def test_a_key_on_its_way_out_may_be_kept_without_its_private_half() -> None:
    old = checking(ED).issue("ada", ["employee"], seconds=60)

    assert checking(RSA, public=ED).viewer(old).subject == "ada"


def test_a_token_without_kid_is_tried_with_every_key_of_its_algorithm() -> None:
    assert checking(FOREIGN_KEY, RSA, ED).viewer(signed()).subject == "ada"


def test_a_kid_does_not_make_a_key_verify_with_another_algorithm() -> None:
    ring = KeyRing.read(pem_of(RSA))
    kid = ring.jwks["keys"][0]["kid"]
    token = jwt.encode(claims(), RSA, algorithm="RS512", headers={"kid": kid})

    with pytest.raises(Unauthenticated):
        checking(RSA).viewer(token)


def test_a_verified_token_costs_next_to_nothing() -> None:
    identify, header = checking(), f"Bearer {signed()}"
    identify.from_header(header)
    began = time.thread_time()

    for _ in range(1000):
        identify.from_header(header)

    assert time.thread_time() - began < 0.02  # 20 microseconds each; 1 on a machine with nothing else to do
