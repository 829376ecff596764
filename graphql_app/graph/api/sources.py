"""What the resolvers of subscriptions return: a stream that many can share, and where one subscriber starts in it."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from graphql_app.services.following.history import Start
from graphql_app.services.following.membership_guard import MembershipGuard
from graphql_app.services.following.streams import alone


@dataclass(frozen=True, slots=True)
class SubscriptionSource:
    """Cohorts take it apart; to everybody else it is an async iterable of events."""

    stream: Any  # a Stream; its events are of its own kind
    start: Start
    show: Callable[[Any, Any], object]
    membership: MembershipGuard | None = None

    async def __aiter__(self) -> AsyncIterator[object]:
        async for event in alone(self.stream, self.start):
            yield self.show(self.stream, event)
