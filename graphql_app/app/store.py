"""What the rest is built on: the database, twice, and the channel between processes."""

from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from graphql_app.domain.seal import Seal
from graphql_app.settings import Settings
from graphql_app.store.postgres.database import Database
from graphql_app.store.postgres.engine import PoolTimes
from graphql_app.store.postgres.hosts import Hosts
from graphql_app.store.redis import broadcast
from graphql_app.store.redis.broadcast import Channel

COMMAND_POOL = 2
INNER_POOL = 3
INNER_SECONDS_MOST = 5.0


@dataclass(frozen=True, slots=True)
class Stores:
    """`database` is for clients. `inner` has connections of its own: however many clients wait for one, changes go on
    and health is told."""

    database: Database
    inner: Database
    channel: Channel
    redis_url: str
    secret: str


async def opened(settings: Settings, stack: AsyncExitStack) -> Stores:
    """Needs DATABASE_URL, REDIS_URL and a secret (`serve` sees to it in development)."""
    assert settings.database_url is not None
    assert settings.redis_url is not None
    assert settings.secret is not None
    secret = settings.secret.get_secret_value()
    hosts = Hosts(settings.database_url)
    database = _for_clients(settings.database_url, settings, hosts)
    stack.push_async_callback(database.close)
    channel = await stack.enter_async_context(
        broadcast.opened(settings.redis_url, Seal(secret, "broadcast"), "graphql_app:changes")
    )
    inner = _for_this_process(settings.database_url, settings, hosts)
    stack.push_async_callback(inner.close)
    return Stores(database, inner, channel, settings.redis_url, secret)


def _for_clients(url: str, settings: Settings, hosts: Hosts) -> Database:
    return Database(
        url,
        pool=settings.database_pool,
        read_pool=settings.database_read_pool,
        times=pool_times(settings),
        is_shown=True,
        timeout_seconds=settings.database_timeout_seconds,
        silent_seconds=settings.database_timeout_seconds + 1,  # PostgreSQL says itself what takes too long
        hosts=hosts,
    )


def _for_this_process(url: str, settings: Settings, hosts: Hosts) -> Database:
    # What is asked on it is quick, so that a dead connection is given up soon.
    seconds = min(INNER_SECONDS_MOST, settings.database_timeout_seconds)
    times = pool_times(settings)
    times = replace(times, acquire=min(seconds, times.acquire), connect=min(seconds, times.connect))
    return Database(url, pool=INNER_POOL, timeout_seconds=seconds, silent_seconds=seconds, times=times, hosts=hosts)


def for_command(url: str, settings: Settings) -> Database:
    """Returns the database as a command uses it: little at once, and answers are waited for."""
    return Database(
        url, pool=COMMAND_POOL, timeout_seconds=settings.database_timeout_seconds, times=pool_times(settings)
    )


def pool_times(settings: Settings) -> PoolTimes:
    """Returns what the settings say of how connections are waited for, made and replaced."""
    return PoolTimes(
        settings.database_acquire_seconds,
        settings.database_connect_seconds,
        settings.database_idle_seconds,
        settings.database_lifetime_seconds,
    )
