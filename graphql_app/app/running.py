"""The whole at a glance: what a process is made of, from the ground up."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from graphql_app import observe
from graphql_app.app.graph import engine_of
from graphql_app.app.live import live_of
from graphql_app.app.loops import Loops
from graphql_app.app.store import opened
from graphql_app.graph.engine.engine import Engine
from graphql_app.ops import logs, metrics
from graphql_app.ops.health import Health
from graphql_app.settings import Settings


@dataclass(frozen=True, slots=True)
class Parts:
    """What the doors stand on."""

    engine: Engine
    health: Health


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Parts]:
    """All parts, built and running. Needs DATABASE_URL, REDIS_URL and a secret (`serve` sees to it in development)."""
    async with AsyncExitStack() as stack:
        for listener in (logs.log, metrics.count):
            stack.callback(observe.listen(listener))
        stores = await opened(settings, stack)
        live = live_of(settings, stores, stack)
        loops = Loops(stack)
        live.begin(loops)
        loops.begin("metrics", metrics.run())
        engine = engine_of(settings, stores, live, loops, stack)
        await engine.services.identify.prepared()
        yield Parts(engine, Health(stores.inner, stores.channel, live.hub, live.staleness, loops.tasks))
