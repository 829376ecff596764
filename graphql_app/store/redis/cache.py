"""Floors in Redis: what one process has read, the others need not read again. No answer depends on it.

A copy is kept with the revision that it is exact at. Nobody updates it: who takes it applies what came after, as far as
it remembers, and what is older than that is read anew. So a floor costs Redis two calls when a process begins to hold
it, and none when it changes. Redis is told the revisions, to keep the newest; all else is sealed, under pseudonyms.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

import orjson
import redis.asyncio as redis
from redis.exceptions import RedisError

from graphql_app.domain.change import Head
from graphql_app.domain.seal import BrokenSeal, Pseudonyms, Seal
from graphql_app.domain.workstation import Place
from graphql_app.observe import SharedCacheAsked, SharedCacheLost, note
from graphql_app.store.office.whole_floor import FloorState
from graphql_app.store.redis.broadcast import heed_cancellation
from graphql_app.store.redis.copies import decoded, encoded

CALL_SECONDS = 0.05
CONNECTIONS_MOST = 8
CLAIM_SECONDS = 1.0  # whoever claimed a floor and has not brought it by then has died or is too slow
WAIT_SECONDS, ASK_SECONDS = 0.25, 0.02  # for what another process is reading: at most so long, asked so often
# Redis failed: it is left alone, and asked in the background whether it is back, ever less often.
PROBE_SECONDS, REST_SECONDS, REST_SECONDS_MOST = 2.0, 0.5, 30.0
BUSIEST_SECONDS = 24 * 3600

# The copy, if it is no older than ARGV[1]; else 1 for the one who is to read it, 0 for the others.
_FIND = """
local revision = redis.call('HGET', KEYS[1], 'revision')
if revision and tonumber(revision) >= tonumber(ARGV[1]) then return redis.call('HGET', KEYS[1], 'copy') end
if redis.call('SET', KEYS[2], '1', 'NX', 'PX', ARGV[2]) then return 1 end
return 0
"""
# Keeps the copy unless there is one that is as new, and ends the claim.
_KEEP = """
redis.call('DEL', KEYS[2])
local revision = redis.call('HGET', KEYS[1], 'revision')
if revision and tonumber(revision) >= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'revision', ARGV[1], 'copy', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
"""
_MINE, _ANOTHERS = 1, 0

Read = Callable[[Place], Awaitable[FloorState | None]]


class SharedFloorCache:
    """Read-through: `read` asks the database. `oldest` is the oldest head whose later changes this process knows."""

    def __init__(
        self,
        url: str,
        secret: str,
        read: Read,
        oldest: Callable[[], Head | None],
        *,
        kept_seconds: float,
        call_seconds: float = CALL_SECONDS,
    ) -> None:
        pool = redis.BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS_MOST,
            timeout=PROBE_SECONDS,
            socket_timeout=PROBE_SECONDS,
            socket_connect_timeout=PROBE_SECONDS,
        )
        self._redis = redis.Redis(connection_pool=pool)
        self._find, self._keep = self._redis.register_script(_FIND), self._redis.register_script(_KEEP)
        self._seal = Seal(secret, "floors in redis")
        self._names = Pseudonyms(secret, "floors in redis")
        self._read = read
        self._oldest = oldest
        self._kept_seconds = kept_seconds
        self._call_seconds = call_seconds
        self.is_away = True
        self._behind: set[asyncio.Task[None]] = set()
        self._do_behind(self._probe(0))

    async def close(self) -> None:
        for task in self._behind:
            task.cancel()
        await asyncio.gather(*self._behind, return_exceptions=True)
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()

    async def read(self, place: Place) -> FloorState | None:
        """Returns a state that this process can bring to the present; None when there is no such floor. Raises
        Unavailable."""
        oldest = self._oldest()
        if oldest is None:
            return await self._read(place)
        keys = self._keys(oldest.epoch, place)
        found = await self._found(keys, oldest, place)
        if found is not None:
            return found
        state = await self._read(place)
        self._do_behind(self._leave(keys, state))
        return state

    async def remember_busiest(self, places: Collection[Place]) -> None:
        """Keeps the names of the floors that a starting process does well to load."""
        content = orjson.dumps([[place.building, place.number] for place in places])
        await self._call(lambda: self._redis.set(self._name("busiest"), self._seal.close(content), ex=BUSIEST_SECONDS))

    async def busiest(self) -> list[Place]:
        """Returns what some process kept last; nothing when Redis is away."""
        sealed = await self._call(lambda: self._redis.get(self._name("busiest")))
        try:
            return [Place(*one) for one in orjson.loads(self._seal.open(sealed))] if sealed else []
        except BrokenSeal:
            return []

    # --- finding -----------------------------------------------------------------------------------------------------

    async def _found(self, keys: Sequence[str], oldest: Head, place: Place) -> FloorState | None:
        """Returns the copy in Redis, waiting for it while another process is known to read it."""
        until = time.monotonic() + WAIT_SECONDS
        claim = [oldest.revision, int(CLAIM_SECONDS * 1000)]
        while True:
            answer = await self._call(lambda: self._find(keys=keys, args=claim))
            if isinstance(answer, bytes):
                state = self._opened(answer, oldest, place)
                note(SharedCacheAsked("hit" if state else "miss"))
                return state
            if answer != _ANOTHERS or time.monotonic() > until:
                note(SharedCacheAsked("miss" if answer is not None else "off"))
                return None
            await asyncio.sleep(ASK_SECONDS)

    def _opened(self, sealed: bytes, oldest: Head, place: Place) -> FloorState | None:
        """Returns the copy; None for what was not sealed here, or is not what its name says."""
        try:
            state = decoded(self._seal.open(sealed))
        except BrokenSeal:
            return None
        if state is None or state.floor.place != place or state.head.epoch != oldest.epoch:
            return None
        return state if state.head.revision >= oldest.revision else None

    async def _leave(self, keys: Sequence[str], state: FloorState | None) -> None:
        if state is None:
            await self._call(lambda: self._redis.delete(keys[1]))
            return
        sealed = self._seal.close(encoded(state))
        kept: list[int | bytes] = [state.head.revision, sealed, int(self._kept_seconds * 1000)]
        await self._call(lambda: self._keep(keys=keys, args=kept))

    def _do_behind(self, work: Coroutine[Any, Any, None]) -> None:
        """Does it in a task that nobody waits for."""
        task = asyncio.create_task(work, name="behind the floors in Redis")
        self._behind.add(task)
        task.add_done_callback(self._behind.discard)

    # --- calling -----------------------------------------------------------------------------------------------------

    async def _call(self, ask: Callable[[], Any]) -> Any:
        """Returns the answer; None when Redis is away or slow: that costs the first to notice it CALL_SECONDS, and
        nobody anything until it is back."""
        if self.is_away:
            return None
        try:
            async with asyncio.timeout(self._call_seconds):
                answer = await ask()
            heed_cancellation()
        except (RedisError, OSError, TimeoutError) as error:
            if not self.is_away:
                self.is_away = True
                note(SharedCacheLost(str(error) or type(error).__name__))
                self._do_behind(self._probe(REST_SECONDS))
            return None
        return answer

    async def _probe(self, rest: float) -> None:
        while self.is_away:
            await asyncio.sleep(rest)
            rest = min(max(2 * rest, REST_SECONDS), REST_SECONDS_MOST)
            with suppress(RedisError, OSError, TimeoutError):
                async with asyncio.timeout(PROBE_SECONDS):
                    await self._redis.execute_command("PING")  # type: ignore[no-untyped-call]  # redis-py types only some
                self.is_away = False
            heed_cancellation()

    def _keys(self, epoch: UUID, place: Place) -> list[str]:
        """Returns the names of the copy and of the claim; in braces, so that a cluster keeps them together."""
        name = self._name(str(epoch), place.building, place.number)
        return [name, f"{name}:claim"]

    def _name(self, *parts: object) -> str:
        return f"graphql_app:floor:{{{self._names.of(*parts).hex()}}}"
