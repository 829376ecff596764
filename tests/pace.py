"""How fast the machine works right now: a bound of time is measured in seconds in which it had time for us.

A process beside the tests works a little, again and again, and compares the time that this took with the time that it
was given. On an idle machine the clock that it keeps goes like any other; on one that gives us a third, a third as
fast. So a promise of 3 seconds is held to 3 seconds of work, however much else the machine has to do.
"""

import asyncio
import mmap
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

WORK_SECONDS = 0.01
PAUSE_SECONDS = 0.09
_WORKING = f"""
import mmap, os, struct, sys, time
parent, given = os.getppid(), 0.0
with open(sys.argv[1], "r+b") as file, mmap.mmap(file.fileno(), 8) as shared:
    began, worked = time.monotonic(), time.process_time()
    while os.getppid() == parent:
        working = time.monotonic()
        while time.process_time() < worked + {WORK_SECONDS}:
            pass
        ended, before, worked = time.monotonic(), worked, time.process_time()
        share = min(1.0, (worked - before) / (ended - working))
        time.sleep({PAUSE_SECONDS})
        again, worked = time.monotonic(), time.process_time()
        given, began = given + share * (again - began), again
        shared[:] = struct.pack("d", given)
"""


class Pace:
    """The clock of `paced`."""

    def __init__(self, shared: mmap.mmap) -> None:
        self._shared = shared

    def seconds(self) -> float:
        """Returns how long the machine has had time for us; it grows about ten times a second, and never faster than
        the time that passes."""
        (given,) = struct.unpack("d", self._shared[:])
        return float(given)

    @asynccontextmanager
    async def within(self, seconds: float) -> AsyncIterator[None]:
        """Raises TimeoutError when what is inside takes longer than so many of these seconds."""
        async with asyncio.timeout(None) as limit:
            watching = asyncio.create_task(self._expire(limit, self.seconds() + seconds))
            try:
                yield
            finally:
                watching.cancel()

    async def _expire(self, limit: asyncio.Timeout, end: float) -> None:
        while self.seconds() < end:  # noqa: ASYNC110  # another process keeps the clock
            await asyncio.sleep(PAUSE_SECONDS)
        limit.reschedule(asyncio.get_running_loop().time())


@contextmanager
def paced() -> Iterator[Pace]:
    """Keeps a clock that goes as fast as the machine works for us."""
    with tempfile.TemporaryDirectory(prefix="graphql-app-pace-") as folder:
        path = Path(folder) / "given"
        path.write_bytes(bytes(8))
        with path.open("r+b") as file, mmap.mmap(file.fileno(), 8) as shared:
            worker = subprocess.Popen([sys.executable, "-S", "-c", _WORKING, str(path)])
            try:
                pace = Pace(shared)
                while pace.seconds() == 0 and worker.poll() is None:
                    time.sleep(0.01)
                yield pace
            finally:
                worker.kill()
                worker.wait()
