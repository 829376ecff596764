"""Seals what leaves the server and comes back, or passes through another: nobody can read it or make it up."""

import hmac
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


class BrokenSeal(Exception):
    """Not made with this key for this purpose, or changed on the way."""


def _key(secret: str, purpose: str, length: int = 32) -> bytes:
    """One key a purpose, from one secret."""
    return HKDF(SHA256(), length, salt=None, info=f"graphql_app {purpose}".encode()).derive(secret.encode())


class Pseudonyms:
    """Names that say nothing to who has not the secret, and the same to all who have it: for keys, where a seal that is
    never the same twice would not be found again. One key a purpose."""

    def __init__(self, secret: str, purpose: str) -> None:
        self._key = _key(secret, purpose)

    def of(self, *parts: object) -> bytes:
        """16 bytes."""
        return hmac.digest(self._key, repr(parts).encode(), "sha256")[:16]


class Seal:
    """AES-256-GCM with a random nonce, so that equal contents do not look equal. One key a purpose, from one secret."""

    def __init__(self, secret: str, purpose: str) -> None:
        self._cipher = AESGCM(_key(secret, purpose))

    def close(self, content: bytes) -> bytes:
        nonce = os.urandom(12)
        return nonce + self._cipher.encrypt(nonce, content, None)

    def open(self, sealed: bytes) -> bytes:
        """Raises BrokenSeal."""
        try:
            return self._cipher.decrypt(sealed[:12], sealed[12:], None)
        except (InvalidTag, ValueError) as error:
            raise BrokenSeal from error

    def close_text(self, content: bytes) -> str:
        return _text(self.close(content))

    def open_text(self, sealed: str) -> bytes:
        """Raises BrokenSeal."""
        return self.open(_bytes(sealed))


class Numbers:
    """Numbers of rows as names that say nothing of them, not even which is greater, and are always the same for the
    same row. AES-SIV (RFC 5297), deterministic and authenticated. One key a purpose, from one secret."""

    def __init__(self, secret: str, purpose: str) -> None:
        self._cipher = AESSIV(_key(secret, purpose, 64))

    def close(self, number: int) -> str:
        return _text(self._cipher.encrypt(number.to_bytes(8), None))

    def open(self, name: str) -> int:
        """Raises BrokenSeal."""
        try:
            return int.from_bytes(self._cipher.decrypt(_bytes(name), None))
        except (InvalidTag, ValueError) as error:
            raise BrokenSeal from error


def _text(sealed: bytes) -> str:
    return urlsafe_b64encode(sealed).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    """Raises BrokenSeal."""
    try:
        return urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (NotBase64, UnicodeEncodeError) as error:
        raise BrokenSeal from error
