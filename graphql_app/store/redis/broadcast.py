"""A backend for `broadcaster` over Redis that reconnects, resubscribes, and says when something may have been missed.

Broadcaster's own Redis backend delivers nothing with redis-py 8 (it sets its ready flag before the subscription
exists), and with older ones it stops for good at the first restart of Redis. Its facade is sound and stays.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import redis.asyncio as redis
from broadcaster import Broadcast, Event
from redis.exceptions import RedisError

from graphql_app.domain.seal import BrokenSeal, Seal
from graphql_app.domain.urls import advice, without_password, without_secrets
from graphql_app.observe import BroadcastConnected, BroadcastLost, note

MAYBE_MISSED = b""  # delivered on every channel after each connect: whoever cares reads the log
PING_SECONDS = 0.5
SILENT_SECONDS = 1.5  # no answer to pings for so long: the connection is dead, whatever TCP says
HELD_MOST = 1000


class RedisBackend:
    """One connection for all channels of the process; all that is published is sealed."""

    def __init__(self, url: str, seal: Seal) -> None:
        self._seal = seal
        self._publisher = redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1)
        self._listener = redis.Redis.from_url(url, socket_timeout=SILENT_SECONDS, socket_connect_timeout=1)
        self._channels: set[str] = set()
        self._pubsub: redis.client.PubSub | None = None
        self._received: asyncio.Queue[Event] = asyncio.Queue(HELD_MOST)
        self._reader: asyncio.Task[None] | None = None
        self.connected = False

    async def connect(self) -> None:
        self._reader = asyncio.create_task(self._read_forever(), name="broadcast reader")

    async def disconnect(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            with suppress(asyncio.CancelledError):
                await self._reader
        await self._publisher.aclose()
        await self._listener.aclose()

    async def subscribe(self, channel: str) -> None:
        """Subscribes to the channel: from the next MAYBE_MISSED on, whatever is published arrives."""
        self._channels.add(channel)
        if self._pubsub is not None:
            with suppress(RedisError, OSError):  # the reader finds out and subscribes to all anew
                await self._pubsub.subscribe(channel)

    async def unsubscribe(self, channel: str) -> None:
        self._channels.discard(channel)
        if self._pubsub is not None:
            with suppress(RedisError, OSError):
                await self._pubsub.unsubscribe(channel)

    async def publish(self, channel: str, message: bytes) -> None:
        """Publishes on the channel. Raises RedisError or OSError when it did not arrive."""
        await self._publisher.publish(channel, self._seal.close(message))

    async def next_published(self) -> Event:
        return await self._received.get()

    async def _read_forever(self) -> None:
        attempt = 0
        while True:
            heed_cancellation()
            try:
                await self._read_one_connection()
            except Exception as error:  # noqa: BLE001  # the supervisor of the reader: noted, and it connects anew
                attempt = 0 if self.connected else attempt + 1
                if self.connected or attempt == 1:
                    note(BroadcastLost(str(error) or type(error).__name__))
            finally:
                self.connected, self._pubsub = False, None
            # Full jitter: a thousand processes do not come back in the same millisecond.
            await asyncio.sleep(random.uniform(0.02, min(1.0, 0.1 * 2 ** min(attempt, 4))))  # noqa: S311  # not for secrets

    async def _read_one_connection(self) -> None:
        async with self._listener.pubsub() as pubsub:
            # A channel of its own too, so that there is always one to confirm and to ping on.
            await pubsub.subscribe("graphql_app:alive")
            # From here on subscribe() reaches it by itself; before, it only noted the channel.
            self._pubsub = pubsub
            if self._channels:
                await pubsub.subscribe(*self._channels)
            heard = asked = asyncio.get_running_loop().time()
            while True:
                heed_cancellation()
                message = await pubsub.get_message(timeout=PING_SECONDS)
                now = asyncio.get_running_loop().time()
                if message is not None:
                    heard = now
                    self._take(message)
                elif now - heard > SILENT_SECONDS:
                    raise RedisError(f"Redis was silent for {SILENT_SECONDS} s")
                if now - asked >= PING_SECONDS:
                    asked = now
                    await pubsub.ping()

    def _take(self, message: dict[str, object]) -> None:
        channel = message["channel"]
        name = channel.decode() if isinstance(channel, bytes) else ""
        if message["type"] == "subscribe":
            if not self.connected:
                self.connected = True
                note(BroadcastConnected())
            self._hand_on(name, MAYBE_MISSED)
        elif message["type"] == "message":
            content = message["data"]
            with suppress(BrokenSeal):  # not ours: another installation, or somebody else's hand
                self._hand_on(name, self._seal.open(content if isinstance(content, bytes) else b""))

    def _hand_on(self, channel: str, content: bytes) -> None:
        if self._received.full():
            # The reader of the log fills what is dropped here: a gap is noticed, and memory stays bounded.
            self._received.get_nowait()
        self._received.put_nowait(Event(channel, content))  # type: ignore[arg-type]  # the facade passes bytes through


def heed_cancellation() -> None:
    """Raises the cancellation that redis-py may have swallowed: it uses asyncio.wait_for, and that of Python 3.11
    returns a result that comes in the same moment as the cancellation (github.com/python/cpython/issues/86296)."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


class Channel:
    """One channel of the broadcast, for one consumer."""

    def __init__(self, name: str, broadcast: Broadcast, backend: RedisBackend) -> None:
        self._name = name
        self._broadcast = broadcast
        self._backend = backend

    @property
    def is_connected(self) -> bool:
        return self._backend.connected

    def beside(self, name: str) -> "Channel":
        """Returns another channel over the same connection."""
        return Channel(name, self._broadcast, self._backend)

    async def publish(self, message: bytes) -> None:
        """Publishes, if Redis is there. The others notice what does not arrive, and read the log."""
        if self._backend.connected:
            with suppress(RedisError, OSError, TimeoutError):
                await self._broadcast.publish(self._name, message)
            heed_cancellation()

    async def messages(self) -> AsyncIterator[bytes]:
        """Yields what arrives, and MAYBE_MISSED after every connect."""
        async with self._broadcast.subscribe(self._name) as subscriber:
            while True:
                content: bytes = (await subscriber.get()).message  # type: ignore[assignment]  # bytes, from our backend
                yield content


@asynccontextmanager
async def opened(url: str, seal: Seal, name: str) -> AsyncIterator[Channel]:
    """Opens a channel over Redis. Never fails and never waits: Redis may come later."""
    backend = RedisBackend(url, seal)
    async with Broadcast(backend=backend) as broadcast:  # type: ignore[arg-type]  # duck-typed: its base class connects
        yield Channel(name, broadcast, backend)


def is_well_formed(url: str) -> bool:
    try:
        redis.Redis.from_url(url)
    except ValueError:
        return False
    return True


async def problem(url: str) -> str | None:
    """Returns why Redis cannot be used, in one line; None when it can."""
    try:
        client = redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2)
    except ValueError as error:
        return f"{without_password(url)}: {advice(url) or without_secrets(str(error), url)}"
    try:
        await client.execute_command("PING")  # type: ignore[no-untyped-call]  # redis-py types only some of it
    except (RedisError, OSError, TimeoutError) as error:
        return f"no answer: {without_secrets(str(error), url)}"
    finally:
        await client.aclose()
    return None
