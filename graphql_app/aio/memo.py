"""What a function makes of a value, remembered."""

from collections.abc import Callable
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Memo(dict[K, V]):
    """Looked up by `memo[value]`: for what is known, Python calls nothing, which lru_cache cannot do without.

    Where one holds as much as it may, it forgets all and begins again.
    """

    __slots__ = ("_make", "_most")

    def __init__(self, make: Callable[[K], V], most: int) -> None:
        super().__init__()
        self._make = make
        self._most = most

    def __missing__(self, value: K) -> V:
        made = self._make(value)
        if len(self) >= self._most:
            self.clear()
        self[value] = made
        return made
