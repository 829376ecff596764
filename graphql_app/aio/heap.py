"""What was freed goes back to the system: the C library keeps what a burst needed, for the next one."""

import asyncio
import ctypes
from collections.abc import Callable

EVERY_SECONDS = 3.0  # at most so often, as it looks through all that is kept


def _trimming() -> Callable[[int], int] | None:
    """glibc's malloc_trim(3); None where there is another library."""
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):
        return None
    return trim


_trim = _trimming()


class Heap:
    """Asked after each burst, it gives back once for all of some seconds, beside the loop."""

    def __init__(self) -> None:
        self._is_due = False

    def give_back(self) -> None:
        """In a while, when what the burst needed has been let go of."""
        if _trim is not None and not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_later(EVERY_SECONDS, self._begin, _trim)

    def _begin(self, trim: Callable[[int], int]) -> None:
        self._is_due = False
        asyncio.get_running_loop().run_in_executor(None, trim, 0)
