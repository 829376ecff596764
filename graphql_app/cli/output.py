"""A file that a command writes: whole, or not at all."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

from graphql_app.cli.session import Stop


@contextmanager
def written(path: Path | None) -> Iterator[IO[bytes]]:
    """Opens what is to become the file, which nobody but its owner reads; standard output without a path. What was
    there stays as it was until all is written. Raises Stop when it cannot be written."""
    try:
        if path is None:
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        elif path.exists() and not path.is_file():
            with path.open("wb") as device:  # to rename a file over it would do away with it
                yield device
        else:
            with _replacing(path.resolve()) as file:
                yield file
    except OSError as error:
        if path is None:
            _forget_output()
        raise Stop(f"{path or 'standard output'} cannot be written: {error.strerror}") from error


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    file = NamedTemporaryFile(dir=path.parent, prefix=f".{path.name[:100]}.", delete=False)  # noqa: SIM115  # renamed
    try:
        with file:
            yield file.file
            file.flush()
            os.fsync(file.fileno())
        os.replace(file.name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(file.name)
        raise


def _forget_output() -> None:
    """What is left in the buffer would be tried again as the program ends, with a traceback."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)
