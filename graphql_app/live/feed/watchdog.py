"""Whether the feed is heard at all: who follows would take its silence for quiet."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from graphql_app.live.feed.isolation import isolated
from graphql_app.live.feed.staleness import Staleness
from graphql_app.observe import FeedHeard, FeedSilent, note

SILENT_SECONDS = 5.0  # where the leading process dies another one leads within 3 s: that is not worth a word
LOOK_SECONDS = 0.5


class FeedWatchdog:
    """Connections are not ended for it: when PostgreSQL is away there is nowhere to go, and clients would give up."""

    def __init__(self, staleness: Staleness) -> None:
        self._staleness = staleness
        self._watchers: set[Callable[[], None]] = set()
        self.is_on = False

    async def run(self) -> None:
        """Never returns; end it by cancelling."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look()

    def look(self) -> None:
        seconds = self._staleness.unheard_seconds
        is_on = seconds is not None and seconds > SILENT_SECONDS
        if is_on == self.is_on:
            return
        self.is_on = is_on
        note(FeedSilent() if is_on else FeedHeard())
        for told in list(self._watchers):
            isolated("silence", told)

    @contextmanager
    def watching(self, told: Callable[[], None]) -> Iterator[None]:
        """In this block `told` is called whenever the silence begins or ends."""
        self._watchers.add(told)
        try:
            yield
        finally:
            self._watchers.discard(told)
