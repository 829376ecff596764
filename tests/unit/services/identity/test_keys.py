"""Which keys can be used, what they are named, and what of them is published."""

from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as elliptic_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from graphql_app.services.identity.keys import BadKey, KeyRing, key_of_jwk


def pem_of(key: Any) -> str:
    return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


def public_pem_of(key: Any) -> str:
    return str(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


ED = Ed25519PrivateKey.generate()
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ELLIPTIC = elliptic_key(SECP256R1())
PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "k", "oth"}


def test_a_key_is_named_by_its_thumbprint() -> None:
    # The example of RFC 8037, appendix A.3.
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")

    ring = KeyRing.read(pem_of(Ed25519PrivateKey.from_private_bytes(seed)))

    assert ring.jwks["keys"][0]["kid"] == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_the_first_private_key_signs_and_says_so() -> None:
    ring = KeyRing.read(pem_of(ELLIPTIC) + pem_of(ED), public_pem_of(RSA))

    header = jwt.get_unverified_header(ring.sign({"sub": "ada"}))

    assert header == {"alg": "ES256", "typ": "JWT", "kid": ring.jwks["keys"][0]["kid"]}


def test_the_public_halves_of_all_keys_are_published_and_nothing_else() -> None:
    keys = KeyRing.read(pem_of(ED) + pem_of(RSA) + pem_of(ELLIPTIC), public_pem_of(Ed25519PrivateKey.generate())).jwks

    assert [(key["kty"], key["alg"], key["use"]) for key in keys["keys"]] == [
        ("OKP", "EdDSA", "sig"),
        ("RSA", "RS256", "sig"),
        ("EC", "ES256", "sig"),
        ("OKP", "EdDSA", "sig"),
    ]
    assert not any(PRIVATE_MEMBERS & key.keys() for key in keys["keys"])


@pytest.mark.parametrize("key", [ED, RSA, ELLIPTIC], ids=["Ed25519", "RSA", "P-256"])
def test_what_is_published_verifies_what_is_signed(key: Any) -> None:
    ring = KeyRing.read(pem_of(key))
    published = jwt.PyJWK.from_dict(ring.jwks["keys"][0])

    assert jwt.decode(ring.sign({"sub": "ada"}), published) == {"sub": "ada"}


def test_a_key_that_is_given_twice_is_one_key() -> None:
    ring = KeyRing.read(pem_of(ED) + pem_of(ED), public_pem_of(ED))

    assert len(ring.jwks["keys"]) == 1
    assert ring.signing is not None


@pytest.mark.parametrize("half", ["private", "public"])
def test_the_keys_of_one_setting_may_be_written_under_each_other(half: str) -> None:
    write = {"private": pem_of, "public": public_pem_of}[half]
    text = f"\n{write(ED)}\n\n{write(RSA)}\n"

    ring = KeyRing.read(**{"private": None, half: text})

    assert [key["alg"] for key in ring.jwks["keys"]] == ["EdDSA", "RS256"]


LOCKED = ED.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"geheim")).decode()


@pytest.mark.parametrize(
    ("private", "public", "reason"),
    [
        (None, None, "a private or a public key is needed"),
        ("", "", "a private or a public key is needed"),
        ("no pem", None, "the private key is not an unencrypted PEM"),
        (public_pem_of(ED), None, "the private key is not an unencrypted PEM"),
        (LOCKED, None, "the private key is not an unencrypted PEM"),
        (pem_of(ED) + "and the rest of it", None, "the private key is not an unencrypted PEM"),
        (pem_of(ED) + pem_of(ED)[:-30], None, "the private key is not an unencrypted PEM"),
        (None, "no pem", "the public key is not a PEM"),
        (None, pem_of(ED), "the public key is not a PEM"),
        (pem_of(elliptic_key(SECP384R1())), None, "must be Ed25519, P-256, or RSA of 2048 bits or more"),
        (pem_of(X25519PrivateKey.generate()), None, "must be Ed25519, P-256, or RSA"),
        (pem_of(rsa.generate_private_key(public_exponent=65537, key_size=1024)), None, "RSA of 2048 bits or more"),
        (None, public_pem_of(elliptic_key(SECP384R1())), "must be Ed25519, P-256, or RSA"),
    ],
)
def test_a_key_that_cannot_be_used_is_refused_at_the_start(
    private: str | None, public: str | None, reason: str
) -> None:
    with pytest.raises(BadKey, match=reason) as refused:
        KeyRing.read(private, public)

    assert "BEGIN" not in str(refused.value)


def test_nothing_is_signed_where_only_public_keys_are_known() -> None:
    with pytest.raises(BadKey, match="another service"):
        KeyRing.read(None, public_pem_of(ED)).sign({"sub": "ada"})


# --- keys that others publish ----------------------------------------------------------------------------------------


def jwk_of(key: Any, **changes: Any) -> dict[str, Any]:
    """As published by somebody who names keys in another way; a change to None leaves the member out."""
    (own,) = KeyRing.read(pem_of(key)).jwks["keys"]
    return {name: value for name, value in {**own, "kid": "2026-01", **changes}.items() if value is not None}


@pytest.mark.parametrize("key", [ED, RSA, ELLIPTIC], ids=["Ed25519", "RSA", "P-256"])
def test_a_key_that_is_published_elsewhere_keeps_its_name(key: Any) -> None:
    found = key_of_jwk(jwk_of(key, alg=None, use=None))

    assert found is not None
    assert (found.id, found.private) == ("2026-01", None)
    assert found.public == key.public_key()


def test_a_key_without_a_name_is_known_by_its_thumbprint() -> None:
    found = key_of_jwk(jwk_of(ED, kid=None))

    assert found is not None
    assert found.id == KeyRing.read(pem_of(ED)).jwks["keys"][0]["kid"]


@pytest.mark.parametrize(
    "jwk",
    [
        jwk_of(RSA, use="enc"),
        jwk_of(RSA, alg="PS256"),
        jwk_of(RSA, alg="HS256"),
        jwk_of(RSA, kid=7),
        jwk_of(RSA, kty="oct", k="c2VjcmV0"),
        jwk_of(RSA, n=None),
        jwk_of(RSA, e=5),
        jwk_of(ED, d="nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"),
        jwk_of(ED, x="AAAA"),
        jwk_of(ED, crv="X25519"),
        jwk_of(ELLIPTIC, crv="P-384"),
        jwk_of(ELLIPTIC, y=jwk_of(ELLIPTIC)["x"]),
        {"kty": ["RSA"]},
        {},
        None,
        [],
        "key",
    ],
)
def test_a_key_that_is_of_no_use_here_is_left_out(jwk: object) -> None:
    assert key_of_jwk(jwk) is None


values = st.none() | st.booleans() | st.integers() | st.text(max_size=12) | st.lists(st.text(max_size=3), max_size=2)


@settings(deadline=None)  # the first key of a kind loads what it needs, on a busy machine for longer
@given(
    st.sampled_from([ED, RSA, ELLIPTIC]),
    st.dictionaries(st.sampled_from(["kty", "crv", "x", "y", "n", "e", "use", "alg", "kid"]), values),
)
def test_whatever_somebody_publishes_breaks_nothing(key: Any, changes: dict[str, Any]) -> None:
    key_of_jwk({**jwk_of(key), **changes})
