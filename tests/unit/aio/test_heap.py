"""What a burst needed goes back to the system, measured in a process of its own."""

import subprocess
import sys

BURST = """
import asyncio
from pathlib import Path
from graphql_app.aio import heap

heap.EVERY_SECONDS = 0.05

def resident_megabytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

async def main():
    before = resident_megabytes()
    burst = [b"x" * (2000 + number % 100) for number in range(50_000)]
    last = bytes(3000)  # at the end of the heap, which so cannot shrink by itself
    del burst
    kept = resident_megabytes() - before
    giving = heap.Heap()
    giving.give_back()
    giving.give_back()
    await asyncio.sleep(1)
    print(kept, resident_megabytes() - before, len(last))

asyncio.run(main())
"""


def test_what_a_burst_needed_goes_back_to_the_system() -> None:
    ran = subprocess.run([sys.executable, "-c", BURST], capture_output=True, text=True, check=True, timeout=60)

    kept, left, _ = map(float, ran.stdout.split())
    assert kept > 50  # of 100 MB
    assert left < 15
