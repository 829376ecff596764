"""Assembles the schema: all queries, mutations and subscriptions, each subject's from its own file."""

import strawberry
from strawberry.schema.config import StrawberryConfig

from graphql_app.graph.api.accounts import AccountMutations
from graphql_app.graph.api.audit import AuditEntry, AuditQueries
from graphql_app.graph.api.booking import ReservationMutations
from graphql_app.graph.api.mutations import Mutation
from graphql_app.graph.api.notifications import (
    Notification,
    NotificationMutations,
    NotificationQueries,
    NotificationSubscriptions,
)
from graphql_app.graph.api.office import Building, OfficeQueries
from graphql_app.graph.api.office_mutations import OfficeMutations
from graphql_app.graph.api.presence import PresenceSubscriptions
from graphql_app.graph.api.queries import Query
from graphql_app.graph.api.refusals import Refusal as RefusalType
from graphql_app.graph.api.reservations import Reservation, ReservationQueries, ReservationSubscriptions
from graphql_app.graph.api.several import SeveralMutations
from graphql_app.graph.api.subscriptions import Subscription
from graphql_app.graph.api.types import CURSOR, Cursor, Department, Employee, Floor, Workstation

ONE_OF = "directive @oneOf on INPUT_OBJECT"  # GraphQL's own, which Strawberry prints without a description


@strawberry.type(name="Query", description="What can be asked.")
class Queries(Query, OfficeQueries, ReservationQueries, NotificationQueries, AuditQueries):
    """All queries, each subject's from its own file."""


@strawberry.type(
    name="Mutation",
    description="What can be changed. Each field is done whole or not at all. With the header Idempotency-Key a"
    " repeated request does nothing twice.",
)
class Mutations(
    Mutation, SeveralMutations, OfficeMutations, ReservationMutations, NotificationMutations, AccountMutations
):
    """All mutations."""


@strawberry.type(name="Subscription", description="What can be followed.")
class Subscriptions(Subscription, ReservationSubscriptions, NotificationSubscriptions, PresenceSubscriptions):
    """All subscriptions."""


def build() -> strawberry.Schema:
    return strawberry.Schema(
        query=Queries,
        mutation=Mutations,
        subscription=Subscriptions,
        types=[
            AuditEntry,
            Building,
            Department,
            Employee,
            Floor,
            Notification,
            Reservation,
            Workstation,
            RefusalType,
        ],
        config=StrawberryConfig(scalar_map={Cursor: CURSOR}),
    )


def printed(schema: strawberry.Schema) -> str:
    """Returns the schema in SDL, sorted, so that a difference is a change of the API."""
    return schema.as_str().replace(ONE_OF, f'"""Exactly one field of the input is to be given."""\n{ONE_OF}') + "\n"
