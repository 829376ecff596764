"""A file to import: opened, and read row by row."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from graphql_app.domain.errors import InvalidInput
from graphql_app.domain.importing import BadRow, Fault, ImportKind, Row, Unreadable, documents, sheets, text

BLOCK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class ImportFile:
    """`name` is what problems call it."""

    name: str
    form: Literal["csv", "json"]
    file: BinaryIO
    size: int

    def rows(self, kind: ImportKind | None) -> Iterator[Row | BadRow]:
        """Raises Unreadable."""
        if self.form == "csv":
            return sheets.read(text.lines(_readable(text.cut(self.file))), kind)
        blocks = iter(lambda: self.file.read(BLOCK_BYTES), b"")
        return documents.read(text.blocks(_readable(blocks)), kind)


@contextmanager
def opened(path: Path) -> Iterator[ImportFile]:
    """Raises InvalidInput."""
    form = path.suffix.lower()
    if form not in (".csv", ".json"):
        raise InvalidInput(f"{path} must end in .csv or .json, which tells how to read it.", field="source")
    try:
        file = path.open("rb")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.", field="source") from error
    with file:
        yield ImportFile(path.name, "csv" if form == ".csv" else "json", file, path.stat().st_size)


def _readable(raw: Iterable[bytes]) -> Iterator[bytes]:
    """The same. An error of the disk becomes one of the file: the transaction around the import would take it for one
    of the database."""
    line = 1
    try:
        for one in raw:
            yield one
            line += one.count(b"\n")
    except OSError as error:
        raise Unreadable(line, Fault(None, f"the file cannot be read: {error.strerror}")) from error
