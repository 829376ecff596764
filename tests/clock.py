"""The time of the event loop, held still and moved by hand."""

import asyncio

import pytest


class Clock:
    """`loop.time()` stands still until `pass_by`: timers fire when the test says so, and nothing is slept through."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: self.now)

    async def pass_by(self, seconds: float) -> None:
        """Lets so much time pass, and all that was waiting for it happen."""
        self.now += seconds
        await settle()


async def settle() -> None:
    """Lets everything happen that can happen without any time passing."""
    for _ in range(20):
        await asyncio.sleep(0)
