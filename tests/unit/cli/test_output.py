"""A file is written whole or not at all, and what was there before stays until then."""

import errno
from pathlib import Path

import pytest

from graphql_app.cli.output import written
from graphql_app.cli.session import Stop


def test_what_was_there_is_replaced_in_the_end(tmp_path: Path) -> None:
    path = tmp_path / "desks.csv"
    path.write_bytes(b"old")
    with written(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("error", "told"),
    [(OSError(errno.ENOSPC, "No space left on device"), Stop), (KeyboardInterrupt(), KeyboardInterrupt)],
)
def test_what_fails_half_way_leaves_everything_as_it_was(
    tmp_path: Path, error: BaseException, told: type[BaseException]
) -> None:
    path = tmp_path / "desks.csv"
    path.write_bytes(b"old")

    def fail() -> None:
        with written(path) as file:
            file.write(b"half")
            raise error

    with pytest.raises(told):
        fail()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(Stop, match="cannot be written: No such file or directory"), written(tmp_path / "no" / "a.csv"):
        pass


def test_a_full_device_is_one_line_and_stays_a_device() -> None:
    with pytest.raises(Stop, match="No space left"), written(Path("/dev/full")) as file:
        file.write(b"x")
    assert Path("/dev/full").is_char_device()
