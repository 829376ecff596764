"""Finished answers, serialised, kept for all who ask the same with the same view, until a change makes one untrue.

Only of operations that ask for nothing personal (`can_be_shared`): these are executed for a view and
for nobody in particular, so that there is nothing of anybody's own in them.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from hashlib import blake2b
from typing import Any, NamedTuple

import orjson
from cachetools import LRUCache

from graphql_app.aio.single_flight import SingleFlight
from graphql_app.domain.access import View
from graphql_app.domain.change import Change, Head
from graphql_app.domain.entity import FloorRole
from graphql_app.domain.interest import Interest
from graphql_app.domain.workstation import Place
from graphql_app.graph.api.context import Context, Services
from graphql_app.graph.documents.document import Operation
from graphql_app.graph.engine.execution import Execution, shared_caller
from graphql_app.graph.engine.request import OperationRequest
from graphql_app.live.feed.hub import Hub
from graphql_app.live.feed.interests import Interests
from graphql_app.live.feed.staleness import Staleness
from graphql_app.observe import AnswersCounted, note
from graphql_app.services.reads import Read, record_reads
from graphql_app.store.schema.entities import ENTITIES

# Fields of Query that show nothing of the person who asks, and whose resolvers, with those of all that can be asked for
# below them, read through services that say what they read. `node` is none: it may be a notification for somebody.
SHAREABLE = frozenset(
    {
        "__schema",
        "__type",
        "__typename",
        "building",
        "buildings",
        "department",
        "departments",
        "employee",
        "employees",
        "floor",
        "floors",
        "workstation",
        "workstationStats",
        "workstations",
    }
)
# One of them is in memory already, or fetched with all that others ask for at the moment: to keep its answer, and to
# find it when it is no longer true, would cost more than to make it.
NOT_KEPT = frozenset({"workstation", "__typename"})
COUNT_SECONDS = 1.0
OVERHEAD_BYTES = 2000  # of an entry: its key, its interests, its places in the tables
LARGEST_SHARE = 16  # no single answer takes more than this part of all the room


class ResponseKey(NamedTuple):
    asked: tuple[str, str | None, bytes]
    view: View


class Answer:
    """A serialised answer."""

    def __init__(self, body: bytes, *, has_errors: bool) -> None:
        self.body = body
        self.has_errors = has_errors

    @cached_property
    def tag(self) -> bytes:
        """A weak ETag of what this view is shown, so that it tells nothing of what is hidden; either media type may
        carry the answer."""
        return b'W/"' + blake2b(self.body, digest_size=12).hexdigest().encode() + b'"'


@dataclass(slots=True, eq=False)
class CacheEntry:
    """An answer that is true for as long as it is kept. A change finds it by its followers, one for each interest."""

    key: ResponseKey
    answer: Answer
    places: frozenset[Place] | None  # where its workstations are; None when they may be anywhere
    made_at: float
    followers: list["Follower"] = field(default_factory=list)

    @property
    def size(self) -> int:
        query, _, variables = self.key.asked
        return len(self.answer.body) + len(query) + len(variables) + OVERHEAD_BYTES


@dataclass(slots=True, eq=False)
class Follower:
    kept: CacheEntry


@dataclass(slots=True)
class CacheCount:
    """What happened since it was noted last."""

    hits: int = 0
    misses: int = 0
    dropped: int = 0
    evicted: int = 0


class _Entries(LRUCache[ResponseKey, CacheEntry]):
    """Tells of each entry that makes room for another."""

    def __init__(
        self, bytes_most: int, getsizeof: Callable[[CacheEntry], float], evicted: Callable[[CacheEntry], None]
    ) -> None:
        super().__init__(bytes_most, getsizeof)
        self._told = evicted

    def popitem(self) -> tuple[ResponseKey, CacheEntry]:
        key, entry = super().popitem()
        self._told(entry)
        return key, entry


class ResponseCache:
    """Keeps finished answers, bounded by size and by age; what was used least recently goes first. While the feed is
    not heard, nothing is given out and nothing is kept."""

    def __init__(
        self,
        execution: Execution,
        services: Services,
        hub: Hub,
        staleness: Staleness,
        *,
        bytes_most: int,
        seconds_most: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._execution = execution
        self._services = services
        self._hub = hub
        self._staleness = staleness
        self._seconds_most = seconds_most
        self._clock = clock
        self._kept = _Entries(bytes_most, getsizeof=lambda entry: entry.size, evicted=self._evicted)
        self._interests: Interests[Follower] = Interests()
        self._making: SingleFlight[tuple[ResponseKey, Head], Answer] = SingleFlight()
        self._counted = CacheCount()

    async def run(self) -> None:
        """Forgets what is old, and counts. Never returns; end it by cancelling."""
        try:
            while True:
                await asyncio.sleep(COUNT_SECONDS)
                self.tidy()
        finally:
            await self._making.close()

    def cached(self, key: ResponseKey) -> Answer | None:
        """Returns the cached answer, if it holds all changes that this process knows of."""
        kept = self._kept.get(key)
        if kept is None or not self._staleness.is_current or self._staleness.awaits_any(kept.places):
            return None
        self._counted.hits += 1
        return kept.answer

    async def make(self, key: ResponseKey, operation: Operation, asked: OperationRequest) -> Answer:
        """Returns the answer of a shareable operation, executed once for all who ask at the same time. Raises
        BadVariables."""
        self._counted.misses += 1
        head = self._hub.head
        work = partial(self._make, key, operation, asked, head)
        # Who wrote a moment ago must not be given what others began to read before that.
        if head is None or not self._staleness.is_current or self._staleness.awaits_any(None):
            return await work()
        return await self._making.join((key, head), work)

    async def _make(self, key: ResponseKey, operation: Operation, asked: OperationRequest, head: Head | None) -> Answer:
        with record_reads() as heard:
            context = Context(shared_caller(key.view), self._services)
            body = await self._execution.run(operation, asked.variables, context)
        answer = Answer(orjson.dumps(body), has_errors="errors" in body)
        if not answer.has_errors and self._is_true_since(head, heard, key.view):
            self._keep(CacheEntry(key, answer, _places(heard), self._clock()), heard)
        return answer

    def _is_true_since(self, head: Head | None, heard: Sequence[Read], view: View) -> bool:
        """Returns whether no change that this process heard of meanwhile matters to what was read, as the view sees
        it."""
        here = self._hub.head
        if head is None or here is None or not self._staleness.is_current or not self._hub.remembers(head):
            return False
        for read in heard if here != head else ():
            changes = self._hub.since(head.revision, here.revision, read.interest.entity, read.place)
            if changes is None or any(
                _matters(change, read.interest) and ENTITIES.can_be_noticed(view, change) for change in changes
            ):
                return False
        return True

    # --- told by the feed --------------------------------------------------------------------------------------------

    def delivered(self, changes: Sequence[Change[Any]], head: Head) -> None:
        for change in changes:
            noticing: dict[View, bool] = {}  # asked once for all answers of a view
            for follower in self._interests.of(change):
                view = follower.kept.key.view
                if view not in noticing:
                    noticing[view] = ENTITIES.can_be_noticed(view, change)
                # What is hidden drops nothing: made anew, the answer would have other cursors, and so tell of it.
                if noticing[view]:
                    self._counted.dropped += self._drop(follower.kept)

    def restarted(self, head: Head) -> None:
        for kept in list(self._kept.values()):
            self._counted.dropped += self._drop(kept)

    # --- keeping and forgetting --------------------------------------------------------------------------------------

    def _keep(self, kept: CacheEntry, heard: Sequence[Read]) -> None:
        if kept.size > self._kept.maxsize / LARGEST_SHARE:
            return
        if kept.key in self._kept:  # as it is kept, it is true
            return
        self._kept[kept.key] = kept
        for read in heard:
            follower = Follower(kept)
            kept.followers.append(follower)
            self._interests.add(follower, read.interest)

    def _evicted(self, kept: CacheEntry) -> None:
        self._counted.evicted += 1
        self._unfollow(kept)

    def _drop(self, kept: CacheEntry) -> bool:
        """Drops an entry. Returns whether it was still kept: a change may find it by several of its interests."""
        if self._kept.get(kept.key) is not kept:
            return False
        del self._kept[kept.key]
        self._unfollow(kept)
        return True

    def _unfollow(self, kept: CacheEntry) -> None:
        for follower in kept.followers:
            self._interests.remove(follower)

    def tidy(self) -> None:
        """Drops what is old, and notes what happened since the last time."""
        long_ago = self._clock() - self._seconds_most
        for kept in [kept for kept in self._kept.values() if kept.made_at < long_ago]:
            self._counted.evicted += self._drop(kept)
        counted, self._counted = self._counted, CacheCount()
        note(
            AnswersCounted(
                hits=counted.hits,
                misses=counted.misses,
                dropped=counted.dropped,
                evicted=counted.evicted,
                kept=len(self._kept),
                bytes=int(self._kept.currsize),
            )
        )


def can_be_shared(operation: Operation) -> bool:
    """Returns whether the answer depends on nothing but the view, and on what the feed tells of."""
    return operation.kind == "query" and operation.roots <= SHAREABLE


def is_kept(operation: Operation) -> bool:
    """Returns whether a shareable answer is worth a place."""
    return not operation.roots <= NOT_KEPT


_CONTENT = ENTITIES.with_floor_role(FloorRole.CONTENT)


def _places(heard: Sequence[Read]) -> frozenset[Place] | None:
    places = [read.place for read in heard if read.interest.entity in _CONTENT]
    return None if None in places else frozenset(place for place in places if place is not None)


def _matters(change: Change[Any], interest: Interest) -> bool:
    return any(interest.matches(state) for state in (change.before, change.after) if state is not None)
