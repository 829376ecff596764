"""The encoding of a file: recognised from all of its bytes, and undone in one place: what reads it behind is UTF-8."""

import codecs
import io
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, BinaryIO, Final

from graphql_app.domain.importing.report import Fault, Unreadable

UTF8: Final = "utf-8"
# GBK is a part of it. Programs on a Chinese Windows write it where nobody says otherwise.
GB18030: Final = "gb18030"
BLOCK_BYTES: Final = 64 * 1024
JUDGED_CHARACTERS: Final = 10_000
ADVICE: Final = 'name the encoding (--encoding), or save the file as UTF-8 (Excel: "CSV UTF-8") and import that'

_MARKS: Final = {codecs.BOM_UTF8: UTF8, codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def known(name: str) -> str | None:
    """Returns the name that Python has for a text encoding; None where there is no such."""
    try:
        found = codecs.lookup(name)
        "".encode(found.name)  # a codec of bytes (base64) is none of texts
    except (LookupError, TypeError, ValueError):
        return None
    return found.name


def recognised(blocks: Callable[[], Iterable[bytes]]) -> str:
    """Returns the encoding of a file that `blocks` reads from its beginning: by its mark, or the one that all of it is
    valid in, UTF-8 first. UTF-8 too where nothing fits: reading it says what is wrong."""
    start = next(iter(blocks()), b"")
    for mark, encoding in _MARKS.items():
        if start.startswith(mark):
            return encoding
    if _is_valid(blocks(), UTF8):
        return UTF8
    return GB18030 if _is_valid(blocks(), GB18030) and _is_chinese(_decoded(blocks(), GB18030)) else UTF8


def _decoded(blocks: Iterable[bytes], encoding: str) -> Iterator[str]:
    """Yields the text as far as it is valid."""
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for block in blocks:
            yield decoder.decode(block)
    except UnicodeDecodeError:
        return


def _is_valid(blocks: Iterable[bytes], encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for block in blocks:
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _is_chinese(text: Iterable[str]) -> bool:
    """Returns whether most of what is not ASCII are common Chinese characters (GB 2312): a text of Western Europe is
    valid GB18030 by chance, and made of rare ones."""
    beyond = list(islice((one for part in text for one in part if one > "\x7f"), JUDGED_CHARACTERS))
    common = sum(1 for one in beyond if _is_common(one))
    return common * 2 > len(beyond)


def _is_common(character: str) -> bool:
    try:
        character.encode("gb2312")
    except UnicodeEncodeError:
        return False
    return True


class Utf8Of(io.RawIOBase):
    """A file of another encoding, read as UTF-8. Reading raises Unreadable with the line of what is not valid."""

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        super().__init__()
        self._file = file
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._line = 1
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            block = self._file.read(BLOCK_BYTES)
            self._left = self._text(block, is_last=not block).encode(UTF8, "surrogatepass")
            if not block:
                break
        size = min(len(buffer), len(self._left))
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size

    def _text(self, block: bytes, *, is_last: bool) -> str:
        try:
            text = self._decoder.decode(block, is_last)
        except UnicodeDecodeError as error:
            before = error.object[: error.start].decode(self._encoding, "ignore").count("\n")
            byte = f"byte 0x{error.object[error.start]:02x}"
            raise Unreadable(
                self._line + before, Fault(None, f"this is not {self._encoding} ({byte}): {ADVICE}")
            ) from error
        self._line += text.count("\n")
        return text
