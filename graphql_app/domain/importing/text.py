"""Bytes of UTF-8 to text, with or without its mark at the start, and a clear word when it is something else."""

import codecs
import io
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from graphql_app.domain.importing.encodings import ADVICE
from graphql_app.domain.importing.report import Fault, Unreadable

LINE_MOST = 1024 * 1024  # bytes; a row of the largest cells that there may be takes a tenth of it


def cut(file: BinaryIO) -> Iterator[bytes]:
    """The file after each \\n; where lines end in \\r alone, in pieces of many. Raises Unreadable for a line that is
    too long, before it is read whole."""
    line, piece = 1, b""
    while block := file.readline(LINE_MOST):
        piece += block
        is_whole = len(block) < LINE_MOST or block.endswith(b"\n")
        end = len(piece) if is_whole else piece.rfind(b"\r", 0, -1) + 1  # the last \r may be half an end
        if end == 0:
            raise Unreadable(
                line, Fault(None, f"this line is longer than {LINE_MOST:,} bytes: it is no row of a table")
            )
        yield piece[:end]
        line, piece = line + 1, piece[end:]
    if piece:
        yield piece


def lines(raw: Iterable[bytes]) -> Iterator[str]:
    """The lines with their ends, whether those are of Linux, of Windows or of old Macs. `raw` is cut after each \\n."""
    for line, one in enumerate(raw, start=1):
        data = _unmarked(one) if line == 1 else one
        try:
            decoded = data.decode()
        except UnicodeDecodeError as error:
            raise _not_utf8(line, data, error) from error
        if decoded.find("\r", 0, -2) < 0:
            yield decoded
        else:
            yield from io.StringIO(decoded, newline="")


def blocks(raw: Iterable[bytes]) -> Iterator[str]:
    """The text in pieces of any size."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    line = 1
    start = True
    for one in _ended(raw):
        data = _unmarked(one) if start else one
        start = False
        pending = decoder.getstate()[0]
        try:
            decoded = decoder.decode(data, final=not one)
        except UnicodeDecodeError as error:
            raise _not_utf8(line + (pending + data).count(b"\n", 0, error.start), pending + data, error) from error
        line += decoded.count("\n")
        yield decoded


def _ended(raw: Iterable[bytes]) -> Iterator[bytes]:
    """With an empty piece at the end, so that a character cut short there is noticed."""
    for one in raw:
        if one:
            yield one
    yield b""


def _unmarked(data: bytes) -> bytes:
    return data.removeprefix(codecs.BOM_UTF8)


def _not_utf8(line: int, data: bytes, error: UnicodeDecodeError) -> Unreadable:
    return Unreadable(line, Fault(None, f"this is not UTF-8 (byte 0x{data[error.start]:02x}): {ADVICE}"))
