"""Which media type a client is answered with (RFC 9110, 12.5.1)."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

RESPONSE = "application/graphql-response+json"
LEGACY = "application/json"
EVENTS = "text/event-stream"


class Accepted(NamedTuple):
    """What an `Accept` header comes to."""

    media: str | None  # of ours, for an answer; None when neither is acceptable
    events: bool  # server-sent events are named
    page: bool  # pages for people are


@lru_cache(maxsize=256)  # clients send one of a handful of headers, and reading one costs as much as a cached answer
def negotiated(header: bytes) -> Accepted:
    text = header.decode("latin-1")
    return Accepted(accepted(text), takes_events(text), "text/html" in text)


def accepted(header: str) -> str | None:
    """The media type to answer with, or None when neither of ours is acceptable."""
    if not header.strip():
        return LEGACY
    ranges = [_range(part) for part in header.split(",")]
    wanted = [(_quality(media, ranges), media) for media in (RESPONSE, LEGACY)]
    quality, media = max(wanted, key=lambda one: one[0])
    # A client that accepts anything is one that does not know the newer media type.
    if wanted[0][0] == wanted[1][0] and not any(name == RESPONSE for name, _ in ranges):
        media = LEGACY
    return media if quality > 0 else None


def takes_events(header: str) -> bool:
    """Whether the client lists server-sent events by name: `*/*` alone does not ask for a stream."""
    return any(name == EVENTS and quality > 0 for name, quality in map(_range, header.split(",")))


def _range(part: str) -> tuple[str, float]:
    name, *parameters = (piece.strip() for piece in part.split(";"))
    quality = 1.0
    for parameter in parameters:
        if parameter.lower().startswith("q="):
            try:
                quality = float(parameter[2:])
            except ValueError:
                quality = 0.0
    return name.lower(), quality


def _quality(media: str, ranges: Sequence[tuple[str, float]]) -> float:
    """Of the most specific range that covers the media type."""
    for covering in (media, "application/*", "*/*"):
        found = [quality for name, quality in ranges if name == covering]
        if found:
            return max(found)
    return 0.0
