"""What the resolvers of subscriptions return: a stream that many can share, and where one subscriber starts in it."""

from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from graphql_app.domain.access import View
from graphql_app.live.mailbox import Lost
from graphql_app.services.follow import AFTER_LOSS, Start


class Stream(Protocol):
    """What a cohort follows: services/follow.Changes and its like."""

    key: Hashable
    view: View

    def opened(self) -> AbstractAsyncContextManager[Any]: ...

    async def next(self) -> Any: ...

    def level(self, start: Start, *, alone: bool = False) -> AsyncIterator[Any]: ...

    def after(self, event: Any) -> Start: ...


@dataclass(frozen=True, slots=True)
class Source:
    """What a subscription's resolver returns: a stream that can be shared, and where this subscriber starts in it."""

    stream: Any  # a Stream; its events are of its own kind
    start: Start
    show: Callable[[Any, Any], object]

    async def __aiter__(self) -> AsyncIterator[object]:
        """For whoever does not share: everything, one after the other."""
        start = self.start
        while True:
            async with self.stream.opened():
                async for event in self.stream.level(start, alone=True):
                    yield self.show(self.stream, event)
                try:
                    while True:
                        yield self.show(self.stream, await self.stream.next())
                except Lost:
                    start = AFTER_LOSS
