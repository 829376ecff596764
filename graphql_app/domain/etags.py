"""Entity tags, and the conditions that requests make with them (RFC 9110, 8.8.3 and 13.1; decision 10)."""

import re
from typing import Final

# Ours are opaque hexadecimal digits, so what a proxy added behind them is told apart.
_TAG: Final = re.compile(r'(?:W/)?"([\x21\x23-\x7e\x80-\xff]*?)(?:-(?:gzip|br|zstd|deflate))?"')


def lists(header: str, tag: str) -> bool:
    """Whether a condition names the tag, as we gave it or as a proxy that compresses gave it on: weak, or with the
    coding at its end. `*` names every tag."""
    if header.strip() == "*":
        return True
    return tag.removeprefix("W/").strip('"') in _TAG.findall(header)


def permits(if_match: str | None, if_none_match: str | None, tag: str | None) -> bool:
    """Whether the conditions allow to change what there is. `tag` is None for what there is, and has no tag."""
    if if_match is not None and not _holds(if_match, tag):
        return False
    return if_none_match is None or not _holds(if_none_match, tag)


def _holds(header: str, tag: str | None) -> bool:
    return header.strip() == "*" if tag is None else lists(header, tag)
