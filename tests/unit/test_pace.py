"""The clock that bounds of time are measured with: it never runs ahead, and what takes too long is found."""

import asyncio
import time

import pytest

from tests.pace import Pace


async def test_a_bound_is_never_shorter_than_the_time_that_passes(pace: Pace) -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        async with pace.within(0.3):
            await asyncio.Event().wait()
    assert time.monotonic() - began > 0.2  # what was read of the clock may be one step old


async def test_what_ends_in_time_is_left_alone(pace: Pace) -> None:
    async with pace.within(0.3):
        pass
    await asyncio.sleep(0.5)
