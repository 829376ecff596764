"""Presence in the schema: who is connected, floor by floor."""

from collections.abc import AsyncGenerator, Sequence
from typing import Annotated

import strawberry
from strawberry import Parent, argument

from graphql_app.domain import workstation as office
from graphql_app.domain.presence import Places, Present
from graphql_app.graph.api.context import AppInfo
from graphql_app.graph.api.permissions import guarded
from graphql_app.graph.api.sources import SubscriptionSource
from graphql_app.graph.api.types import Employee
from graphql_app.services.following.history import Start


async def _people(root: Parent[Present], info: AppInfo) -> Sequence[office.Employee] | None:
    if root.people is None:
        return None
    context = info.context
    found = await context.services.browse.employees_by_key(context.caller, root.people)
    return sorted(found.values(), key=lambda one: (one.name, one.key))


@strawberry.type(description="Who is connected on one floor.")
class PresenceChange:
    count: int = strawberry.field(
        description="How many users follow the floor; however many connections one has, they count once."
    )
    people: list[Employee] | None = guarded(
        "PresenceChange",
        "people",
        "Those of them whose token names an employee, by name.",
        resolver=_people,
        graphql_type=list[Employee] | None,
    )

    @strawberry.field(description="Name of the building.")
    @staticmethod
    def building(root: Parent[Present]) -> str:
        return root.place.building

    @strawberry.field(description="Number of the floor.")
    @staticmethod
    def floor_number(root: Parent[Present]) -> int:
        return root.place.number

    @strawberry.field(
        description="Whether other server processes could not be asked: then these are those that this one knows of,"
        " and another payload follows when they can be asked again."
    )
    @staticmethod
    def partial(root: Parent[Present]) -> bool:
        return root.is_partial


def _as_it_is(_: object, event: Present) -> Present:
    return event


@strawberry.type(description="What can be followed of presence.")
class PresenceSubscriptions:
    @strawberry.subscription(
        graphql_type=PresenceChange,
        description="Who is connected: each floor with somebody on it at once, then each when that changes, at most"
        " four times a second. A user is on a floor while they follow it: its workstations, its status or its presence,"
        " on whatever transport.",
    )
    async def presence(
        self,
        info: AppInfo,
        building: Annotated[str | None, argument(description="On floors of this building only.")] = None,
        floor: Annotated[int | None, argument(description="On floors of this number only.")] = None,
    ) -> AsyncGenerator[Present, None]:
        stream = info.context.services.follow.presence(info.context.caller, Places(building, floor))
        return SubscriptionSource(stream, Start(), _as_it_is)  # type: ignore[return-value]  # an async iterable is all it takes
