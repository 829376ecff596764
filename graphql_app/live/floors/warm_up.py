"""A process that starts holds at once what others read most; one that runs says what that is."""

import asyncio
from contextlib import suppress

from graphql_app.live.floors.projection import FloorProjection
from graphql_app.store.redis.cache import SharedFloorCache

BUSIEST_MOST = 100
SAY_SECONDS = 30.0
START_SECONDS = 10.0  # for feed and Redis; who starts without them warms up as it is used


class WarmUp:
    def __init__(self, floor_projection: FloorProjection, cache: SharedFloorCache) -> None:
        self._floor_projection = floor_projection
        self._cache = cache

    async def run(self) -> None:
        """Never returns; end it by cancelling."""
        with suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS):
                while self._cache.is_away or not self._floor_projection.is_on:  # noqa: ASYNC110  # once, at the start
                    await asyncio.sleep(0.1)
        await self._floor_projection.warm(await self._cache.busiest())
        while True:
            await asyncio.sleep(SAY_SECONDS)
            if busiest := self._floor_projection.busiest(BUSIEST_MOST):
                await self._cache.remember_busiest(busiest)
