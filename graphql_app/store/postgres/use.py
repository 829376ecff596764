"""How many connections of a pool are in use: told when it changes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class PoolUse:
    """Counts who has or wants one of `size` connections; `changed` is called with the number that are in use.

    Where all are wanted, one that is given back is taken at once, which is no news.
    """

    def __init__(self, size: int, changed: Callable[[int], None]) -> None:
        self._size = size
        self._changed = changed
        self._wanted = 0
        self._told = 0

    @contextmanager
    def turn(self) -> Iterator[Callable[[], None]]:
        """Counts one for the length of the block, which calls what it is given when it has its connection."""
        self._wanted += 1
        try:
            yield self._tell
        finally:
            self._wanted -= 1
            self._tell()

    def _tell(self) -> None:
        in_use = min(self._wanted, self._size)
        if in_use != self._told:
            self._told = in_use
            self._changed(in_use)
