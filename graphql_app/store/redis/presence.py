"""Who is here, in Redis: one entry for each floor and process, which fades unless the process renews it.

Redis is told nothing: floors are named by pseudonyms, and what an entry says is sealed. Entries fade by Redis's own
clock, so that the clocks of the processes need not agree. A floor is a sorted set of entries by the time at which they
fade; so is the list of the floors on which anybody is.
"""

import os
from collections.abc import Collection, Iterable, Mapping
from struct import Struct
from uuid import UUID

import orjson
import redis.asyncio as redis
from redis.exceptions import RedisError

from graphql_app.domain.presence import Person
from graphql_app.domain.seal import BrokenSeal, Pseudonyms, Seal
from graphql_app.domain.workstation import Place
from graphql_app.store.redis.broadcast import heed_cancellation

_PERSON = Struct("!16s16s")  # pseudonym, key of the employee
_NOBODY = bytes(16)  # in the place of a key: the token names no employee
ID_BYTES = 16

# KEYS: floor, list of floors. ARGV: milliseconds to keep, entry or nothing, the floor's name, entries to replace.
_PUT = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for old = 4, #ARGV do redis.call('ZREM', KEYS[1], ARGV[old]) end
if ARGV[2] == '' then
    redis.call('ZREM', KEYS[2], ARGV[3])
else
    redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[2])
    redis.call('ZADD', KEYS[2], now + ARGV[1], ARGV[3])
end
for key = 1, 2 do
    redis.call('ZREMRANGEBYSCORE', KEYS[key], '-inf', now)
    redis.call('PEXPIRE', KEYS[key], ARGV[1])
end
"""
# Each entry that has not faded, followed by the milliseconds that it has left.
_READ = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf', 'WITHSCORES')
for left = 2, #found, 2 do found[left] = found[left] - now end
return found
"""


class Away(Exception):
    """Redis does not answer."""


class PresenceStore:
    """What this process says of its people, and what the others say. Every call is bounded by time-outs of a second."""

    def __init__(self, url: str, secret: str, *, kept_seconds: float) -> None:
        self._redis = redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1)
        self._seal = Seal(secret, "presence")
        self._pseudonyms = Pseudonyms(secret, "presence")
        self._kept_ms = int(kept_seconds * 1000)
        self._process = os.urandom(ID_BYTES)
        self._floors = self._key("floors")
        self._names: dict[Place, bytes] = {}
        self._said: dict[Place, tuple[frozenset[Person], bytes]] = {}
        self._written: dict[Place, set[bytes]] = {}  # the entries of this process that may be there

    async def put(self, here: Mapping[Place, Collection[Person]]) -> None:
        """Says who is on these floors in this process, for as long as it is kept. Raises Away."""
        pipeline = self._redis.pipeline(transaction=False)
        entries = {place: self._entry(place, frozenset(people)) for place, people in here.items()}
        for place, entry in entries.items():
            name = self._names.setdefault(place, self._seal.close(orjson.dumps([place.building, place.number])))
            written = self._written.setdefault(place, set())
            earlier = written - {entry}
            written.add(entry)  # whether it arrived or not: nobody knows when there is no answer
            pipeline.eval(_PUT, 2, self._floor(place), self._floors, self._kept_ms, entry, name, *earlier)
        await self._run(pipeline)
        for place, entry in entries.items():
            self._written[place] = {entry}
            if not entry:
                del self._written[place], self._names[place]

    def forget(self, places: Iterable[Place]) -> None:
        """Leaves what was said of these floors to fade by itself."""
        for place in places:
            for kept in (self._names, self._said, self._written):
                kept.pop(place, None)

    async def read(self, places: Iterable[Place]) -> dict[Place, dict[Person, float]]:
        """Returns who is on these floors in other processes, and for how many seconds that is known. Raises Away."""
        pipeline = self._redis.pipeline(transaction=False)
        wanted = list(places)
        for place in wanted:
            pipeline.eval(_READ, 1, self._floor(place))
        answers = await self._run(pipeline)
        return {place: self._others(answer) for place, answer in zip(wanted, answers, strict=True)}

    async def floors(self) -> set[Place]:
        """Returns the floors on which anybody is. Raises Away."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.eval(_READ, 1, self._floors)
        (names,) = await self._run(pipeline)
        found = set()
        for name in names[::2]:
            assert isinstance(name, bytes)
            try:
                building, number = orjson.loads(self._seal.open(name))
            except BrokenSeal:
                continue  # not ours
            found.add(Place(building, number))
        return found

    async def close(self) -> None:
        """Withdraws what this process said, if Redis answers."""
        try:
            if self._written:
                await self.put(dict.fromkeys(self._written, ()))
        except Away:
            pass  # it fades
        finally:
            await self._redis.aclose()

    def _key(self, *parts: object) -> str:
        return f"graphql_app:presence:{self._pseudonyms.of(*parts).hex()}"

    def _floor(self, place: Place) -> str:
        return self._key("floor", place.building, place.number)

    def _entry(self, place: Place, people: frozenset[Person]) -> bytes:
        """Returns the sealed entry, sealed anew only when it says something else: a heartbeat renews the one that is
        there."""
        said = self._said.get(place)
        if said is not None and said[0] == people:
            return said[1]
        if not people:
            self._said.pop(place, None)
            return b""
        packed = (
            _PERSON.pack(one.pseudonym, one.employee_key.bytes if one.employee_key else _NOBODY) for one in people
        )
        entry = self._seal.close(self._process + b"".join(packed))
        self._said[place] = (people, entry)
        return entry

    def _others(self, answer: list[bytes | int]) -> dict[Person, float]:
        people: dict[Person, float] = {}
        for entry, left in zip(answer[::2], answer[1::2], strict=True):
            assert isinstance(entry, bytes)
            try:
                content = self._seal.open(entry)
            except BrokenSeal:
                continue  # not ours
            if content[:ID_BYTES] == self._process:
                continue
            for pseudonym, key in _PERSON.iter_unpack(content[ID_BYTES:]):
                person = Person(pseudonym, None if key == _NOBODY else UUID(bytes=key))
                people[person] = max(people.get(person, 0.0), int(left) / 1000)
        return people

    async def _run(self, pipeline: "redis.client.Pipeline") -> list[list[bytes | int]]:
        try:
            answers: list[list[bytes | int]] = await pipeline.execute()
        except (RedisError, OSError, TimeoutError) as error:
            heed_cancellation()
            raise Away(str(error) or type(error).__name__) from error
        heed_cancellation()
        return answers
