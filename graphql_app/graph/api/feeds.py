"""What follows a subscription in the schema: the payloads of a feed, and what they have in common."""

from collections.abc import Sequence
from typing import Any

import strawberry

from graphql_app.domain import workstation as domain
from graphql_app.domain.change import Batch, Kind, Notice
from graphql_app.domain.identifiers import global_id
from graphql_app.domain.workstation import Counts, Place
from graphql_app.graph.api import enums
from graphql_app.graph.api.types import Cursor, Workstation, WorkstationStats

enums.publish(
    Kind,
    {
        Kind.SNAPSHOT: "All that is there: what you had before is void.",
        Kind.CHANGES: "What is new since the payload before.",
        Kind.RESYNC: "Your cursor cannot be resumed: forget what you had, this is all that is there.",
        Kind.PROGRESS: "Nothing new, but a newer cursor to resume from.",
    },
    name="FeedKind",
    description="What a payload of a feed means.",
)
enums.publish(
    Notice,
    {
        Notice.NO_SUCH_BUILDING: "There is no building of the name that the filter gives. It is followed all the same,"
        " and is empty until there is one; check the name.",
        Notice.NO_SUCH_FLOOR: "There is no floor of the number that the filter gives. It is followed all the same, and"
        " is empty until there is one; check the number.",
        Notice.FEED_SILENT: "The server hears of no changes at present: what you have may be out of date. It goes on by"
        " itself, nothing is lost, and FEED_HEARD says so.",
        Notice.FEED_HEARD: "The server hears of changes again.",
    },
    name="FeedNotice",
    description="What to know when nothing comes.",
)


@strawberry.type(description="A payload of a feed.")
class Feed:
    batch: strawberry.Private[Batch[Any]]
    cursor: Cursor = strawberry.field(
        description="Give it back as `after` to resume with nothing lost and nothing twice."
    )

    @strawberry.field(graphql_type=Kind, description="What this payload means.")
    def kind(self) -> Kind:
        return self.batch.kind

    @strawberry.field(description="Large snapshots come in parts; only the last part's cursor resumes.")
    def complete(self) -> bool:
        return self.batch.complete

    @strawberry.field(description="Why a RESYNC was needed; null on everything else.")
    def reason(self) -> str | None:
        return self.batch.reason

    @strawberry.field(
        graphql_type=Notice | None,
        description="What to know when nothing comes: on the first payload, of what is followed; on PROGRESS, of the"
        " server. Null everywhere else.",
    )
    def notice(self) -> Notice | None:
        return self.batch.notice


@strawberry.type(description="All that is new since the payload before, for one filter.")
class WorkstationFeed(Feed):
    @strawberry.field(graphql_type=list[Workstation], description="The newest state of each that is new or changed.")
    def workstations(self) -> Sequence[domain.Workstation]:
        return self.batch.states

    @strawberry.field(description="Those that were deleted, or are no longer in the filter.")
    def removed(self) -> list[strawberry.ID]:
        return [strawberry.ID(global_id("Workstation", key)) for key in self.batch.removed]

    @strawberry.field(description="Whether several states of one workstation became one.")
    def merged(self) -> bool:
        return self.batch.merged


@strawberry.type(description="The present figures of one floor.")
class FloorStatus:
    counts: strawberry.Private[Counts]
    place: strawberry.Private[Place]
    notice: Notice | None = strawberry.field(
        description="That there is no such building or floor (it is followed all the same; check the name), or that the"
        " server does not hear of changes, and that it does again."
    )

    @strawberry.field(description="Name of the building.")
    def building(self) -> str:
        return self.place.building

    @strawberry.field(description="Number of the floor.")
    def number(self) -> int:
        return self.place.number

    @strawberry.field(graphql_type=WorkstationStats, description="How many workstations are in each status.")
    def stats(self) -> Counts:
        return self.counts
