"""The keys that tokens are signed and verified with, each named by its thumbprint."""

import hashlib
import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

Private = Ed25519PrivateKey | EllipticCurvePrivateKey | RSAPrivateKey
Public = Ed25519PublicKey | EllipticCurvePublicKey | RSAPublicKey

RSA_BITS_LEAST: Final = 2048  # RFC 7518, 3.3
KINDS: Final = f"Ed25519, P-256, or RSA of {RSA_BITS_LEAST} bits or more"

# What a thumbprint is made of, by the type of the key (RFC 7638, 3.2; RFC 8037, 2).
_MEMBERS: Final[Mapping[str, Sequence[str]]] = {
    "OKP": ("crv", "kty", "x"),
    "EC": ("crv", "kty", "x", "y"),
    "RSA": ("e", "kty", "n"),
}
_PEM: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)


class BadKey(Exception):
    """A key that cannot be used; the message says what is expected."""


@dataclass(frozen=True, slots=True)
class Key:
    """Verifies, and with its private half signs. A key has one algorithm, whatever a token's header says."""

    id: str  # a token's `kid`
    algorithm: str
    public: Public
    private: Private | None
    jwk: Mapping[str, str]  # the public half, as published


class KeyRing:
    """Several keys. All of them verify; the first of the private ones signs, so that keys are exchanged with an
    overlap."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self._keys: dict[str, Key] = {}
        for key in keys:
            self._keys.setdefault(key.id, key)
        self.signing = next((key for key in self._keys.values() if key.private is not None), None)

    @classmethod
    def read(cls, private: str | None, public: str | None = None) -> "KeyRing":
        """Reads PEMs, several in one text. Raises BadKey."""
        signing = [_key(_private(pem)) for pem in _pems(private, "private")] if private else []
        verifying = [_key(_public(pem)) for pem in _pems(public, "public")] if public else []
        if not signing and not verifying:
            raise BadKey("a private or a public key is needed to check tokens")
        return cls([*signing, *verifying])

    @property
    def public(self) -> Mapping[str, Mapping[str, str]]:
        """The verifying halves, by the ids of the keys: rings that are alike in it trust the same tokens."""
        return {key.id: key.jwk for key in self._keys.values()}

    @property
    def jwks(self) -> dict[str, Any]:
        """The public halves as a JWK set (RFC 7517, 5)."""
        return {"keys": [dict(key.jwk) for key in self._keys.values()]}

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Signs a token. Raises BadKey where only public keys are known."""
        key = self.signing
        if key is None or key.private is None:
            raise BadKey("no private key is set here: tokens are issued by another service")
        return jwt.encode(dict(claims), key.private, algorithm=key.algorithm, headers={"kid": key.id})

    def find(self, key_id: str | None, algorithm: str) -> list[Key]:
        """Returns the key of that id; for a token that names none, all of its algorithm."""
        named = self._keys.values() if key_id is None else [self._keys[key_id]] if key_id in self._keys else []
        return [key for key in named if key.algorithm == algorithm]


def key_of_jwk(jwk: object) -> Key | None:
    """Returns a key that another issuer publishes, under the name that it has there; None for one that is of no use
    here."""
    if not isinstance(jwk, dict) or jwk.get("use", "sig") != "sig" or "d" in jwk:
        return None
    maker = _MAKERS.get(str(jwk.get("kty")))
    try:
        key = _key(maker(jwk)) if maker else None  # type: ignore[arg-type]  # without `d` it is a public one
    except (BadKey, jwt.PyJWTError, ValueError, TypeError, AttributeError):
        return None
    if key is None or jwk.get("alg", key.algorithm) != key.algorithm:
        return None
    named = jwk.get("kid", key.id)
    return replace(key, id=named) if isinstance(named, str) else None


_MAKERS: Final = {"OKP": OKPAlgorithm.from_jwk, "EC": ECAlgorithm.from_jwk, "RSA": RSAAlgorithm.from_jwk}


def _pems(text: str, half: str) -> list[str]:
    found = [match.group() for match in _PEM.finditer(text)]
    if not found or _PEM.sub("", text).strip():
        raise BadKey(f"the {half} key is not {_EXPECTED[half]}")
    return found


_EXPECTED: Final = {"private": "an unencrypted PEM, or several", "public": "a PEM, or several"}


def _private(pem: str) -> Private:
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError) as error:
        raise BadKey("the private key is not an unencrypted PEM") from error
    if not isinstance(key, Private):
        raise BadKey(f"the private key must be {KINDS}")
    return key


def _public(pem: str) -> Public:
    try:
        key = load_pem_public_key(pem.encode())
    except ValueError as error:
        raise BadKey("the public key is not a PEM") from error
    if not isinstance(key, Public):
        raise BadKey(f"the public key must be {KINDS}")
    return key


def _key(half: Private | Public) -> Key:
    """Returns the key. Raises BadKey for a curve or a size that is not taken."""
    private = half if isinstance(half, Private) else None
    public = half.public_key() if isinstance(half, Private) else half
    algorithm, jwk = _described(public)
    needed = {name: str(jwk[name]) for name in _MEMBERS[jwk["kty"]]}
    key_id = _thumbprint(needed)
    return Key(key_id, algorithm, public, private, {**needed, "kid": key_id, "alg": algorithm, "use": "sig"})


def _described(public: Public) -> tuple[str, dict[str, Any]]:
    """Returns the one algorithm of the key, and the key as a JWK."""
    if isinstance(public, Ed25519PublicKey):
        return "EdDSA", OKPAlgorithm.to_jwk(public, as_dict=True)
    if isinstance(public, EllipticCurvePublicKey) and isinstance(public.curve, SECP256R1):
        return "ES256", ECAlgorithm.to_jwk(public, as_dict=True)
    if isinstance(public, RSAPublicKey) and public.key_size >= RSA_BITS_LEAST:
        return "RS256", RSAAlgorithm.to_jwk(public, as_dict=True)
    raise BadKey(f"a key must be {KINDS}")


def _thumbprint(needed: Mapping[str, str]) -> str:
    """Returns the thumbprint of RFC 7638: of the required members, sorted, without spaces."""
    canonical = json.dumps(needed, sort_keys=True, separators=(",", ":")).encode()
    return urlsafe_b64encode(hashlib.sha256(canonical).digest()).rstrip(b"=").decode()
