"""What clients list with a preference, and what they say a body is (RFC 9110, 8.3, 8.4 and 12.4.2)."""

from collections.abc import Sequence
from functools import lru_cache

from graphql_app.domain.errors import UnsupportedMedia

JSON = "application/json"
EVENTS = "text/event-stream"

Range = tuple[str, float]  # in small letters, with its quality


def ranges(header: str) -> list[Range]:
    """What an `Accept`, or a field like it, lists."""
    return [_range(part) for part in header.split(",")]


def _range(part: str) -> Range:
    name, *parameters = (piece.strip() for piece in part.split(";"))
    quality = 1.0
    for parameter in parameters:
        if parameter.lower().startswith("q="):
            try:
                quality = float(parameter[2:])
            except ValueError:
                quality = 0.0
    return name.lower(), quality


def quality(media: str, listed: Sequence[Range]) -> float:
    """Returns that of the most specific range that covers the media type."""
    for covering in (media, f"{media.partition('/')[0]}/*", "*/*"):
        found = [quality for name, quality in listed if name == covering]
        if found:
            return max(found)
    return 0.0


def quality_by_name(name: str, listed: Sequence[Range]) -> float:
    """Returns the quality of what is listed by that very name: a wildcard asks for nothing in particular."""
    return max((quality for other, quality in listed if other == name), default=0.0)


def require_json(content_type: str, content_encoding: str) -> None:
    """Raises UnsupportedMedia unless the body is said to be JSON, in UTF-8, and not compressed."""
    if not _is_json(content_type):
        raise UnsupportedMedia("Send `Content-Type: application/json`, in UTF-8.", hint=("Accept", JSON))
    if content_encoding.strip().lower() not in ("", "identity"):
        raise UnsupportedMedia(
            "Send the body as it is, without `Content-Encoding`.", hint=("Accept-Encoding", "identity")
        )


@lru_cache(maxsize=256)
def _is_json(content_type: str) -> bool:
    media, *parameters = (part.strip() for part in content_type.lower().split(";"))
    charsets = [value.strip('"') for name, _, value in (p.partition("=") for p in parameters) if name == "charset"]
    return media == JSON and all(charset in ("utf-8", "utf8") for charset in charsets)
