"""The subscriptions to workstations and floors."""

from collections.abc import AsyncGenerator
from typing import Annotated

import strawberry
from strawberry import argument

from graphql_app.domain.change import Batch
from graphql_app.domain.workstation import Counts, Workstation, named_place
from graphql_app.graph.api.context import AppInfo
from graphql_app.graph.api.feeds import FloorStatus, WorkstationFeed
from graphql_app.graph.api.inputs import FilterInput, filter_of
from graphql_app.graph.api.sources import SubscriptionSource
from graphql_app.graph.api.types import Cursor
from graphql_app.services.following.history import Start
from graphql_app.services.following.streams import Changes, FloorStatuses


@strawberry.type(description="What can be followed.")
class Subscription:
    @strawberry.subscription(
        description="The workstations of a filter: a snapshot, then every later change. `cursor` resumes it on any"
        " connection, with nothing lost and nothing twice."
    )
    async def workstation_changes(
        self,
        info: AppInfo,
        filter: Annotated[FilterInput | None, argument(description="Which workstations are meant.")] = None,
        after: Annotated[Cursor | None, argument(description="Resume after this cursor.")] = None,
        snapshot: Annotated[bool, argument(description="Without a cursor: start with all that is there.")] = True,
    ) -> AsyncGenerator[WorkstationFeed, None]:
        follow, caller = info.context.services.follow, info.context.caller
        matching = filter_of(filter)
        stream = follow.changes(caller, matching)
        start = await stream.start(info.context.last_event_id or after, snapshot=snapshot)
        return SubscriptionSource(stream, start, feed_of)  # type: ignore[return-value]  # an async iterable is all it takes

    @strawberry.subscription(
        description="How many workstations of a floor are in each status, now and on every change."
    )
    async def floor_status(
        self,
        info: AppInfo,
        building: Annotated[str, argument(description="Name of the building.")],
        number: Annotated[int, argument(description="Number of the floor.")],
    ) -> AsyncGenerator[FloorStatus, None]:
        stream = info.context.services.follow.floor_status(info.context.caller, named_place(building, number))
        return SubscriptionSource(stream, Start(), floor_status_of)  # type: ignore[return-value]  # an async iterable is all it takes


def feed_of(stream: Changes[Workstation], batch: Batch[Workstation]) -> WorkstationFeed:
    return WorkstationFeed(batch=batch, cursor=Cursor(stream.cursor(batch)))


def floor_status_of(stream: FloorStatuses, counts: Counts) -> FloorStatus:
    return FloorStatus(counts=counts, place=stream.place, notice=stream.notice)
