"""Which media type a client is answered with (RFC 9110, 12.5.1)."""

from functools import lru_cache
from typing import NamedTuple

from graphql_app.domain.media import EVENTS, JSON, quality, quality_by_name, ranges

RESPONSE = "application/graphql-response+json"
LEGACY = JSON
PAGE = "text/html"


class Accepted(NamedTuple):
    """An `Accept` header, parsed."""

    media: str | None  # of ours, for an answer; None when neither is acceptable
    events: bool  # server-sent events are named
    page: bool  # pages for people are


@lru_cache(maxsize=256)  # clients send one of a handful of headers, and reading one costs as much as a cached answer
def negotiated(header: bytes) -> Accepted:
    text = header.decode("latin-1")
    return Accepted(accepted(text), takes_events(text), quality_by_name(PAGE, ranges(text)) > 0)


def accepted(header: str) -> str | None:
    """Returns the media type to answer with, or None when neither of ours is acceptable."""
    if not header.strip():
        return LEGACY
    listed = ranges(header)
    wanted = [(quality(media, listed), media) for media in (RESPONSE, LEGACY)]
    best, media = max(wanted, key=lambda one: one[0])
    # A client that accepts anything is one that does not know the newer media type.
    if wanted[0][0] == wanted[1][0] and not any(name == RESPONSE for name, _ in listed):
        media = LEGACY
    return media if best > 0 else None


def takes_events(header: str) -> bool:
    """Returns whether the client lists server-sent events by name: `*/*` alone does not ask for a stream."""
    return quality_by_name(EVENTS, ranges(header)) > 0
