"""Cursors: sealed places in the history of changes, or in a list."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from struct import Struct
from typing import Any, Protocol
from uuid import UUID

import orjson

from graphql_app.domain.access import View
from graphql_app.domain.change import Head
from graphql_app.domain.errors import UnknownCursor
from graphql_app.domain.seal import BrokenSeal, Seal

_LAYOUT = Struct("!16sQ8s")  # epoch, revision, digest of filter and view


DIGESTS_KEPT = 2000
_NOTHING = bytes(8)  # the digest of no filter


def _digest(*parts: Any) -> bytes:
    return blake2b(orjson.dumps(parts), digest_size=8).digest()


@dataclass(frozen=True, slots=True)
class Position:
    """A head, and whether its cursor was made for the same filter and view."""

    head: Head
    is_for_this: bool


class FollowedTopic(Hashable, Protocol):
    """What a cursor is made for: a topic, or its filter."""

    def normalised(self) -> Any: ...


@lru_cache(DIGESTS_KEPT)
def _digest_of(followed: FollowedTopic, view: View) -> bytes:
    """Returns the digest of a topic. Every event of a stream has a cursor, and all of them this digest."""
    return _digest(followed.normalised(), sorted(view.scopes))


class FeedCursors:
    """Opaque and authenticated. Sealed with a random nonce, so that equal positions do not look equal:
    a client cannot tell whether something hidden happened in between."""

    def __init__(self, secret: str) -> None:
        self._seal = Seal(secret, "feed cursor")

    def encode(self, head: Head, matching: FollowedTopic, view: View, *, complete: bool = True) -> str:
        """Returns a cursor. `complete=False`: in the middle of a snapshot, where nobody can go on: coming back means
        starting anew."""
        digest = _digest_of(matching, view) if complete else _NOTHING
        return self._seal.close_text(_LAYOUT.pack(head.epoch.bytes, head.revision, digest))

    def decode(self, cursor: str, matching: FollowedTopic, view: View) -> Position:
        """Opens a cursor. Raises UnknownCursor for what was not made here."""
        head, digest = self._opened(cursor)
        return Position(head, digest == _digest_of(matching, view))

    def head(self, cursor: str) -> Head:
        """Returns where the history stood, whatever was followed. Raises UnknownCursor."""
        return self._opened(cursor)[0]

    def _opened(self, cursor: str) -> tuple[Head, bytes]:
        try:
            epoch, revision, digest = _LAYOUT.unpack(self._seal.open_text(cursor))
        except BrokenSeal as error:
            raise UnknownCursor(
                "This cursor was not made by this server. Leave `after` out to start from a snapshot.", field="after"
            ) from error
        return Head(UUID(bytes=epoch), revision), digest


class PageCursors:
    """The values that a row is ordered by, sealed: a cursor reveals nothing, and fits only the list it came from."""

    def __init__(self, secret: str) -> None:
        self._seal = Seal(secret, "page cursor")

    def encode(self, key: Sequence[Any], listing: Any) -> str:
        return self._seal.close_text(_digest(listing) + orjson.dumps(key))

    def decode(self, cursor: str, listing: Any, field: str) -> tuple[Any, ...]:
        """Opens a cursor. Raises UnknownCursor for what was not made here, or for a list with another filter or
        order."""
        try:
            content = self._seal.open_text(cursor)
        except BrokenSeal as error:
            raise UnknownCursor(
                f"`{field}` is not a cursor of this server; leave it out to start.", field=field
            ) from error
        if content[:8] != _digest(listing):
            raise UnknownCursor(
                f"`{field}` belongs to a list with another filter or order; leave it out to start.", field=field
            )
        return tuple(orjson.loads(content[8:]))
