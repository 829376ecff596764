"""Text of somebody else, as it may stand in a log: one line, and nothing that a terminal obeys."""

import re
from typing import Final

ID_LENGTH_MOST: Final = 64

# All but a line's own characters: controls, separators, and what turns or hides the text around it.
_NOT_PLAIN: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202f\u2060-\u206f\ud800-\udfff\ufeff\ufff0-\ufffb\U000e0000-\U000e0fff]"
)


def plain(text: str) -> str:
    """The text with escapes, such as \\x1b, for what is not plain in it."""
    return _NOT_PLAIN.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), text)


def plain_lines(text: str) -> str:
    """The same for a text whose lines are its author's own, such as a traceback's."""
    return "\n".join(map(plain, text.split("\n")))


def is_request_id(given: bytes) -> bool:
    """Whether what a client calls its request may stand in headers, logs and the audit log as it is."""
    return 0 < len(given) <= ID_LENGTH_MOST and given.isascii() and given.decode().isprintable()
