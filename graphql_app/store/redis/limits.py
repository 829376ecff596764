"""What is left of each limit, in Redis, for all processes together.

Redis is told nothing: users and addresses are named by pseudonyms. Everything fades by Redis's own clock: buckets once
they are full again, and the connections of a process unless it renews them.
"""

import os
from collections.abc import Sequence
from typing import Any

import redis.asyncio as redis
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError

from graphql_app.domain.connection_limits import ConnectionLimit, Told
from graphql_app.domain.seal import Pseudonyms
from graphql_app.domain.token_buckets import TokenClaim, TokenRate
from graphql_app.store.redis.broadcast import heed_cancellation
from graphql_app.store.redis.presence import Away

CALL_SECONDS = 0.5
BUCKET_LINGER_MS = 10_000  # a bucket stays for so long after it is full, so that clocks and delays do not matter

# KEYS: buckets. ARGV: tokens a second, burst, for each bucket what is owed to it and what is wanted, and for how many
# milliseconds a full one is kept. Nobody is given more than half of what is there: the others come too. A debt has the
# bucket's size at most.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local rate, burst = tonumber(ARGV[1]) / 1000, tonumber(ARGV[2])
local granted = {}
for index, key in ipairs(KEYS) do
    local owed, wanted = tonumber(ARGV[2 * index + 1]), tonumber(ARGV[2 * index + 2])
    local bucket = redis.call('HMGET', key, 'tokens', 'at')
    local tokens = burst
    if bucket[1] then
        tokens = math.min(burst, tonumber(bucket[1]) + math.max(0, now - tonumber(bucket[2])) * rate)
    end
    tokens = math.max(-burst, tokens - owed)
    local grant = 0
    if tokens >= 1 then grant = math.min(wanted, math.max(1, math.floor(tokens / 2))) end
    granted[index] = grant
    redis.call('HSET', key, 'tokens', tostring(tokens - grant), 'at', now)
    redis.call('PEXPIRE', key, math.ceil((burst - tokens + grant) / rate) + tonumber(ARGV[#ARGV]))
end
return granted
"""
# KEYS: one hash a name, of what each process has open and until when that counts. ARGV: process, most, milliseconds to
# keep, for each name what is open and what of that was confirmed before. Returns for how many there is room here.
_OPEN = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local most, keep = tonumber(ARGV[2]), tonumber(ARGV[3])
local rooms = {}
for index, key in ipairs(KEYS) do
    local open, confirmed = tonumber(ARGV[2 * index + 2]), tonumber(ARGV[2 * index + 3])
    local room = most
    local entries = redis.call('HGETALL', key)
    for at = 1, #entries, 2 do
        local number, till = string.match(entries[at + 1], '(%d+):(%d+)')
        if tonumber(till) <= now then
            redis.call('HDEL', key, entries[at])
        elseif entries[at] ~= ARGV[1] then
            room = room - tonumber(number)
        end
    end
    rooms[index] = math.max(0, room)
    local mine = math.max(confirmed, math.min(open, rooms[index]))
    if mine == 0 then
        redis.call('HDEL', key, ARGV[1])
    else
        redis.call('HSET', key, ARGV[1], string.format('%d:%d', mine, now + keep))
        redis.call('PEXPIRE', key, keep)
    end
end
return rooms
"""
# KEYS: the processes by the time at which they fade. ARGV: process, milliseconds to keep. Returns how many there are.
_BEAT = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('ZCARD', KEYS[1])
"""


class LimitStore:
    """Balances in Redis. Every call is bounded by time-outs."""

    def __init__(self, url: str, secret: str, *, kept_seconds: float) -> None:
        self._redis = redis.Redis.from_url(url, socket_timeout=CALL_SECONDS, socket_connect_timeout=CALL_SECONDS)
        scripts = (_TAKE, _OPEN, _BEAT)
        self._take, self._open, self._beat = (self._redis.register_script(one) for one in scripts)
        self._pseudonyms = Pseudonyms(secret, "limits")
        self._process = os.urandom(16).hex()
        self._kept_ms = int(kept_seconds * 1000)

    async def take(self, rate: TokenRate, claims: Sequence[TokenClaim]) -> list[int]:
        """Tells what is owed; returns what is given of what is wanted. Raises Away."""
        given: list[float | str] = [rate.per_second, rate.burst]
        for claim in claims:
            given += (claim.owed, claim.wanted)
        keys = [self._key(rate.name, claim.key) for claim in claims]
        granted: list[int] = await self._call(self._take, keys, [*given, BUCKET_LINGER_MS])
        return granted

    async def open(self, ceiling: ConnectionLimit, told: Sequence[Told]) -> list[int]:
        """Tells what is open; returns for how many of each there is room in this process. Raises Away."""
        given: list[float | str] = [self._process, ceiling.most, self._kept_ms]
        for one in told:
            given += (one.open, one.confirmed)
        keys = [self._key(ceiling.name, one.key) for one in told]
        rooms: list[int] = await self._call(self._open, keys, given)
        return rooms

    async def beat(self, *, kept_seconds: float) -> int:
        """Says that this process is there, for so long; returns how many there are. Raises Away."""
        given: list[float | str] = [self._process, int(kept_seconds * 1000)]
        processes: int = await self._call(self._beat, [self._key("processes")], given)
        return processes

    async def close(self) -> None:
        await self._redis.aclose()

    def _key(self, *parts: object) -> str:
        return f"graphql_app:limits:{self._pseudonyms.of(*parts).hex()}"

    async def _call(self, script: AsyncScript, keys: Sequence[str], given: Sequence[float | str]) -> Any:
        try:
            answer = await script(keys=keys, args=given)
        except (RedisError, OSError, TimeoutError) as error:
            heed_cancellation()
            raise Away(str(error) or type(error).__name__) from error
        heed_cancellation()
        return answer
