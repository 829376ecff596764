"""The text of a token, read strictly: a signed JWT of the plainest kind, or nothing (RFC 7519, RFC 8725)."""

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt

from graphql_app.domain.errors import Unauthenticated
from graphql_app.services.identity.keys import Key

LEEWAY_SECONDS = 5
TOKEN_BYTES_MOST: Final = 8192
KEY_ID_LENGTH_MOST: Final = 200
SUBJECT_LENGTH_MOST: Final = 255  # OpenID Connect Core 1.0, 2
LAST_SECOND: Final = 2**53
REQUIRED: Final = ("exp", "iat", "iss", "aud", "sub")

# Where else to find a key, and what else must be understood: a token does not decide that.
REFUSED_HEADERS: Final = frozenset({"jwk", "jku", "x5u", "x5c", "crit", "b64", "zip", "enc", "epk"})
TYPES: Final = frozenset({"JWT", "AT+JWT", "APPLICATION/AT+JWT"})  # RFC 9068, 2.1

_COMPACT: Final = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Unverified:
    """What a token says of itself: good for choosing which key to verify it with, for nothing else."""

    text: str
    algorithm: str
    key_id: str | None
    issuer: object


def read(token: str) -> Unverified:
    """Parses a token. Raises Unauthenticated for whatever is none of the kind that is taken here."""
    if len(token) > TOKEN_BYTES_MOST:
        raise Unauthenticated(f"The token is longer than {TOKEN_BYTES_MOST} bytes.")
    parts = _COMPACT.fullmatch(token)
    if parts is None:
        raise Unauthenticated("This is not a token: send a signed JWT.")
    header, claims = _object(parts[1]), _object(parts[2])
    algorithm, key_id, kind = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
    if not isinstance(algorithm, str) or not isinstance(kind, str) or kind.upper() not in TYPES:
        raise _unusable()
    if not isinstance(key_id, (str, type(None))) or (key_id is not None and len(key_id) > KEY_ID_LENGTH_MOST):
        raise _unusable()
    if not REFUSED_HEADERS.isdisjoint(header):
        raise Unauthenticated("The token brings its own key, or needs what is not understood here.")
    return Unverified(token, algorithm, key_id, claims.get("iss"))


def verified(token: Unverified, keys: Iterable[Key], *, issuer: str, audience: str) -> dict[str, Any]:
    """Returns the claims of a token that one of the keys signed. Raises Unauthenticated."""
    for key in keys:
        try:
            claims = jwt.decode(
                token.text,
                key.public,
                algorithms=[key.algorithm],
                audience=audience,
                issuer=issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": list(REQUIRED)},
            )
        except jwt.InvalidSignatureError:
            continue
        except jwt.ExpiredSignatureError as error:
            raise Unauthenticated("The token has expired; get a new one.") from error
        except jwt.InvalidTokenError as error:
            raise _unusable() from error
        if not is_name(claims["sub"], SUBJECT_LENGTH_MOST) or not _are_times(claims):
            raise _unusable()
        return claims
    raise _unusable()


def is_name(value: object, length_most: int) -> bool:
    """Returns whether it may be shown, logged and stored: a text of its length at most, with no control characters."""
    return isinstance(value, str) and 0 < len(value) <= length_most and value.isprintable()


def _unusable() -> Unauthenticated:
    return Unauthenticated("The token is not valid here.")


def _object(segment: str) -> dict[str, Any]:
    """Parses a JSON object, each of its names given once. Raises Unauthenticated."""
    try:
        content = json.loads(
            urlsafe_b64decode(segment + "=" * (-len(segment) % 4)),
            object_pairs_hook=_each_once,
            parse_constant=_no_number,
        )
    except (ValueError, RecursionError) as error:
        raise _unusable() from error
    if not isinstance(content, dict):
        raise _unusable()
    return content


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a name is given twice")
    return content


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _are_times(claims: Mapping[str, Any]) -> bool:
    """Returns whether these are numbers: PyJWT takes texts of digits for such, and numbers of hundreds of digits."""
    times = [claims[name] for name in ("exp", "iat", "nbf") if name in claims]
    return all(type(time) in (int, float) and abs(time) < LAST_SECOND for time in times)
