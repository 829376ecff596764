"""A file to import: opened, its encoding undone, and read row by row."""

import io
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, Literal

from graphql_app.domain.errors import InvalidInput
from graphql_app.domain.importing import BadRow, Fault, ImportKind, Row, Unreadable, documents, encodings, sheets, text
from graphql_app.domain.importing.sheets import DELIMITERS, Dialect, Words
from graphql_app.domain.workbooks import Workbook

BLOCK_BYTES: Final = 64 * 1024
ZIP: Final = b"PK\x03\x04"  # what a workbook begins with
STANDARD_INPUT: Final = Path("-")
_BEFORE_TEXT: Final = b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n"  # marks of encodings, and blanks in any of them
Form = Literal["csv", "json", "xlsx"]
FORMS: Final[dict[str, Form]] = {".csv": "csv", ".tsv": "csv", ".txt": "csv", ".json": "json", ".xlsx": "xlsx"}


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What somebody says of how a file is written; what is None is recognised."""

    encoding: str | None = None
    dialect: Dialect = sheets.RECOGNISED


RECOGNISED: Final = ReadOptions()


@dataclass(slots=True)
class ImportFile:
    """`name` is what problems call it. `delimiter` and `words` are known once rows() has read the headers."""

    name: str
    form: Form
    file: BinaryIO
    size: int
    encoding: str = encodings.UTF8
    dialect: Dialect = sheets.RECOGNISED
    delimiter: str = ","
    words: Words = field(default_factory=dict)

    def rows(self, kind: ImportKind | None) -> Iterator[Row | BadRow]:
        """Raises Unreadable."""
        if self.form == "xlsx":
            book = Workbook(self.file, kind)
            self.words = book.words
            return book.rows()
        file = self._as_utf8()
        if self.form == "csv":
            sheet = sheets.Sheet(text.lines(_readable(text.cut(file))), kind, self.dialect)
            self.delimiter, self.words = sheet.delimiter, {sheet.kind: sheet.words}
            return sheet.rows()
        return documents.read(text.blocks(_readable(_blocks(file))), kind)

    @property
    def read_as(self) -> str | None:
        """How it was read, where that is not what docs/import.md begins with."""
        said = []
        if self.encoding != encodings.UTF8:
            said.append(f"in {self.encoding.upper()}")
        if self.delimiter != ",":
            said.append(f"separated by {DELIMITERS.get(self.delimiter, repr(self.delimiter))}")
        return f"{self.name} was read as a file {' and '.join(said)}." if said else None

    def _as_utf8(self) -> BinaryIO:
        if self.encoding == encodings.UTF8:
            return self.file
        return io.BufferedReader(encodings.Utf8Of(self.file, self.encoding))


@contextmanager
def opened(path: Path, reading: ReadOptions) -> Iterator[ImportFile]:
    """Opens the file, or standard input for `-`; a pipe is kept in a temporary file meanwhile. Raises InvalidInput."""
    form = _form(path)
    with ExitStack() as stack:
        try:
            file = sys.stdin.buffer if path == STANDARD_INPUT else stack.enter_context(path.open("rb"))
            if not file.seekable():
                file = stack.enter_context(_kept(file))
            size = file.seek(0, io.SEEK_END)
            form = form or _form_of(file)
            encoding = encodings.UTF8 if form == "xlsx" else _encoding(file, reading.encoding)
            file.seek(0)
        except OSError as error:
            raise InvalidInput(f"{path} cannot be read: {error.strerror}.", field="source") from error
        name = "standard input" if path == STANDARD_INPUT else path.name
        yield ImportFile(name, form, file, size, encoding, reading.dialect)


@contextmanager
def _kept(pipe: BinaryIO) -> Iterator[BinaryIO]:
    """Yields all that comes through the pipe, since it is read twice."""
    with tempfile.TemporaryFile() as file:
        shutil.copyfileobj(pipe, file)
        yield file


def _form(path: Path) -> Form | None:
    """Returns how to read a file, as its name tells; None for standard input, which has none. Raises InvalidInput."""
    form = FORMS.get(path.suffix.lower())
    if form is None and path != STANDARD_INPUT:
        raise InvalidInput(
            f"{path} must end in .csv or .json or .xlsx (.tsv and .txt are read as .csv): that tells how to read it.",
            field="source",
        )
    return form


def _form_of(file: BinaryIO) -> Form:
    """Returns how to read a file whose first character tells."""
    file.seek(0)
    block = file.read(BLOCK_BYTES)
    if block.startswith(ZIP):
        return "xlsx"
    start = block.translate(None, _BEFORE_TEXT)
    return "json" if start[:1] in (b"{", b"[") else "csv"


def _encoding(file: BinaryIO, name: str | None) -> str:
    """Raises InvalidInput for a name that no encoding has."""
    if name is None:
        return encodings.recognised(partial(_from_start, file))
    encoding = encodings.known(name)
    if encoding is None:
        raise InvalidInput(
            f"There is no encoding {name!r}; UTF-8, UTF-16, GB18030 and CP1252 are some.", field="encoding"
        )
    return encoding


def _from_start(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    return _blocks(file)


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    return iter(lambda: file.read(BLOCK_BYTES), b"")


def _readable(raw: Iterable[bytes]) -> Iterator[bytes]:
    """Yields the same. An error of the disk becomes one of the file: the transaction around the import would take it
    for one of the database."""
    line = 1
    try:
        for one in raw:
            yield one
            line += one.count(b"\n")
    except OSError as error:
        raise Unreadable(line, Fault(None, f"the file cannot be read: {error.strerror}")) from error
