"""From a token to a viewer, and from a viewer to a token."""

import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from graphql_app.domain.access import Scope, View, Viewer, scopes_of
from graphql_app.domain.errors import Unauthenticated

LEEWAY_SECONDS = 5
VERIFIED_MOST = 10_000


class BadKey(Exception):
    """A signing key that cannot be used; the message says what is expected."""


class Identify:
    """Tokens are JWTs with one pinned algorithm, issuer and audience; a verified one is remembered until it expires."""

    def __init__(
        self,
        *,
        private_key: str | None,
        public_key: str | None,
        issuer: str,
        audience: str,
        roles: Mapping[str, frozenset[Scope]],
    ) -> None:
        self._private = _private(private_key) if private_key else None
        if public_key:
            self._public = _public(public_key)
        elif self._private is not None:
            self._public = self._private.public_key()
        else:
            raise BadKey("a private or a public key is needed to check tokens")
        self._algorithm = "EdDSA" if isinstance(self._public, Ed25519PublicKey) else "RS256"
        self._issuer = issuer
        self._audience = audience
        self._roles = roles
        self._verified: OrderedDict[str, Viewer] = OrderedDict()

    def viewer(self, token: str) -> Viewer:
        """Raises Unauthenticated, saying what is wrong with the token."""
        known = self._verified.get(token)
        if known is not None and known.expires_at > time.time():
            return known
        viewer = self._viewer_of(self._claims(token))
        self._verified[token] = viewer
        if len(self._verified) > VERIFIED_MOST:
            self._verified.popitem(last=False)
        return viewer

    def from_header(self, header: str | None) -> Viewer:
        """The viewer of an Authorization header. Raises Unauthenticated."""
        scheme, _, token = (header or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Unauthenticated(
                "Send a token: `Authorization: Bearer …` (make one with `graphql-app token --role ROLE`)."
            )
        return self.viewer(token.strip())

    def issue(
        self,
        subject: str,
        roles: Sequence[str],
        *,
        seconds: float,
        employee_key: UUID | None = None,
        employee_number: str | None = None,
    ) -> str:
        """A signed token. Raises BadKey where only a public key is known, and for roles that do not exist."""
        if self._private is None:
            raise BadKey("no private key is set here: tokens are issued by another service")
        unknown = sorted(set(roles) - set(self._roles))
        if unknown:
            raise BadKey(f"no such role: {', '.join(unknown)}; there are {', '.join(sorted(self._roles))}")
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": subject,
            "iat": now,
            "exp": now + int(seconds),
            "roles": list(roles),
        }
        if employee_key is not None:
            claims["employee"] = {"key": str(employee_key), "number": employee_number}
        return jwt.encode(claims, self._private, algorithm=self._algorithm)

    def _claims(self, token: str) -> dict[str, Any]:
        try:
            return jwt.decode(
                token,
                self._public,
                algorithms=[self._algorithm],
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iat", "iss", "aud", "sub"]},
            )
        except jwt.ExpiredSignatureError as error:
            raise Unauthenticated("The token has expired; get a new one.") from error
        except jwt.InvalidTokenError as error:
            raise Unauthenticated("The token is not valid here.") from error

    def _viewer_of(self, claims: Mapping[str, Any]) -> Viewer:
        roles = claims.get("roles")
        if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
            raise Unauthenticated("The token carries no roles.")
        employee = claims.get("employee") or {}
        try:
            key = UUID(employee["key"]) if employee else None
            number = None if not employee or employee["number"] is None else str(employee["number"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise Unauthenticated("The token names its employee wrongly.") from error
        try:
            expires_at = float(claims["exp"])
        except OverflowError as error:  # a whole number with hundreds of digits
            raise Unauthenticated("The token is not valid here.") from error
        return Viewer(
            subject=claims["sub"],
            roles=tuple(roles),
            view=View(scopes_of(roles, self._roles)),
            employee_key=key,
            employee_number=number,
            expires_at=expires_at,
        )


def _private(pem: str) -> Ed25519PrivateKey | RSAPrivateKey:
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError) as error:
        raise BadKey("the private key is not an unencrypted PEM") from error
    if not isinstance(key, (Ed25519PrivateKey, RSAPrivateKey)):
        raise BadKey("the private key must be Ed25519 or RSA")
    return key


def _public(pem: str) -> Ed25519PublicKey | RSAPublicKey:
    try:
        key = load_pem_public_key(pem.encode())
    except ValueError as error:
        raise BadKey("the public key is not a PEM") from error
    if not isinstance(key, (Ed25519PublicKey, RSAPublicKey)):
        raise BadKey("the public key must be Ed25519 or RSA")
    return key
