"""The typed refusals of mutations, and the unions that say which can happen where."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import strawberry
from graphql import GraphQLOutputType, get_named_type, is_union_type
from strawberry import Parent

from graphql_app.domain import errors
from graphql_app.domain import workstation as domain
from graphql_app.graph.api.types import Workstation


@dataclass(frozen=True, slots=True)
class Refused:
    """A refusal as a value: graphql-core would raise an exception that it finds in a result."""

    refusal: errors.Refusal

    @property
    def code(self) -> str:
        return self.refusal.code

    @property
    def message(self) -> str:
        return self.refusal.message

    @property
    def index(self) -> int | None:
        return self.refusal.data.get("index")


@strawberry.interface(description="Why something was not done.")
class Refusal:
    code: str = strawberry.field(description="Stable; made for programs.")
    message: str = strawberry.field(description="What to do about it; made for people.")
    index: int | None = strawberry.field(
        description="Which of several things it is about, counted from 0; null where one was asked for."
    )

    @classmethod
    def is_type_of(cls, value: object, _: object) -> bool:
        """Of the types below: whether it is the one that names the value."""
        return refusal_type(value) is cls


@strawberry.type(description="There is no such thing.")
class NotFound(Refusal):
    pass


def _current(refused: Refused) -> Any:
    return refused.refusal.current if isinstance(refused.refusal, errors.Conflict) else None


@strawberry.type(description="It changed meanwhile, or its state does not allow this.")
class Conflict(Refusal):
    @strawberry.field(graphql_type=Workstation | None, description="Its present state, if it is a workstation.")
    @staticmethod
    def current(root: Parent[Refused]) -> domain.Workstation | None:
        found = _current(root)
        return found if isinstance(found, domain.Workstation) else None

    @strawberry.field(description="Its present version, whatever it is, as far as you may see it.")
    @staticmethod
    def current_version(root: Parent[Refused]) -> int | None:
        return getattr(_current(root), "version", None)

    @strawberry.field(description="Which statuses it may get instead, where its status was the reason.")
    @staticmethod
    def allowed(root: Parent[Refused]) -> list[str] | None:
        return root.refusal.data.get("allowed")


@strawberry.type(description="Another one there has the name or number: of workstations, on that floor.")
class NameTaken(Refusal):
    pass


@strawberry.type(description="Somebody else has the desk at that time. Who, is not said.")
class SlotTaken(Refusal):
    @strawberry.field(description="From when it is taken; null where two asked in the same moment.")
    @staticmethod
    def taken_from(root: Parent[Refused]) -> datetime | None:
        return _moment(root, "takenFrom")

    @strawberry.field(description="Until when it is taken; null likewise.")
    @staticmethod
    def taken_until(root: Parent[Refused]) -> datetime | None:
        return _moment(root, "takenUntil")


@strawberry.type(description="It is too early or too late to check in.")
class CheckInClosed(Refusal):
    @strawberry.field(description="From when one can check in.")
    @staticmethod
    def opens_at(root: Parent[Refused]) -> datetime | None:
        return _moment(root, "opensAt")

    @strawberry.field(description="From when on one cannot any more.")
    @staticmethod
    def closed_at(root: Parent[Refused]) -> datetime | None:
        return _moment(root, "closedAt")


def _moment(root: Refused, name: str) -> datetime | None:
    given = root.refusal.data.get(name)
    return None if given is None else datetime.fromisoformat(given)


@strawberry.type(description="How many of a kind refer to it.")
class Reference:
    kind: str = strawberry.field(description="What they are: floors, workstations, employees, accounts.")
    count: int = strawberry.field(description="How many.")


@strawberry.type(description="Others still refer to it: move or delete these first.")
class InUse(Refusal):
    @strawberry.field(description="What refers to it.")
    @staticmethod
    def references(root: Parent[Refused]) -> list[Reference]:
        return [Reference(kind=kind, count=count) for kind, count in root.refusal.data["references"].items()]


@strawberry.type(description="A value that cannot be right.")
class InvalidInput(Refusal):
    @strawberry.field(description="The argument or input field, if it is one alone.")
    @staticmethod
    def field(root: Parent[Refused]) -> str | None:
        return getattr(root.refusal, "field", None)


@strawberry.type(description="Your token lacks the scope that this needs.")
class Forbidden(Refusal):
    @strawberry.field(description="The scope that is missing.")
    @staticmethod
    def scope(root: Parent[Refused]) -> str | None:
        return root.refusal.data.get("scope")


@strawberry.type(description="The database takes no writes at present; reading goes on.")
class ReadOnly(Refusal):
    pass


@strawberry.type(description="You are not who you say, or it can no longer be told.")
class Unauthenticated(Refusal):
    pass


@strawberry.type(description="More than a limit allows.")
class TooMany(Refusal):
    @strawberry.field(description="In how many seconds to try again, where time is what helps.")
    @staticmethod
    def retry_after(root: Parent[Refused]) -> int | None:
        return root.refusal.data.get("retryAfter")


_TYPES: Mapping[type[errors.Refusal], type[Refusal]] = {
    errors.NotFound: NotFound,
    errors.NameTaken: NameTaken,
    errors.SlotTaken: SlotTaken,
    errors.CheckInClosed: CheckInClosed,
    errors.InUse: InUse,
    errors.Conflict: Conflict,
    errors.InvalidInput: InvalidInput,
    errors.Forbidden: Forbidden,
    errors.ReadOnly: ReadOnly,
    errors.Unauthenticated: Unauthenticated,
    errors.TooMany: TooMany,
}


def refusal_type(value: object) -> type[Refusal] | None:
    """The type in the schema of a refused thing: that of its class, or of the nearest class above it."""
    if not isinstance(value, Refused):
        return None
    return next((_TYPES[base] for base in type(value.refusal).__mro__ if base in _TYPES), None)


def is_among(refused: Refused, answer: GraphQLOutputType) -> bool:
    """Returns whether the union of a mutation's answers has the type of the refusal."""
    union, of = get_named_type(answer), refusal_type(refused)
    return of is not None and is_union_type(union) and any(one.name == of.__name__ for one in union.types)


@strawberry.type(description="The workstation as it is now.")
class WorkstationChanged:
    workstation: Workstation = strawberry.field(description="Its new state.")
    receipt: str = strawberry.field(
        description="Names the write: a request with it in the header X-Min-Cursor sees it."
    )


@strawberry.type(description="Several workstations as they are now.")
class WorkstationsChanged:
    workstations: list[Workstation] = strawberry.field(description="Their new states, in the order asked for.")
    receipt: str = strawberry.field(
        description="Names the write: a request with it in the header X-Min-Cursor sees it."
    )


@strawberry.type(description="The workstation is gone.")
class WorkstationDeleted:
    id: strawberry.ID = strawberry.field(description="The global ID that it had.")
    receipt: str = strawberry.field(
        description="Names the deletion: a request with it in the header X-Min-Cursor sees it."
    )


def union(name: str, what: str) -> Any:
    return strawberry.union(name, description=f"The answer of {what}.")


CreateResult = Annotated[
    WorkstationChanged | InvalidInput | NameTaken | Conflict | Forbidden | ReadOnly,
    union("CreateWorkstationResult", "createWorkstation"),
]
UpdateResult = Annotated[
    WorkstationChanged | NotFound | InvalidInput | NameTaken | Conflict | Forbidden | ReadOnly,
    union("UpdateWorkstationResult", "updateWorkstation"),
]
DeleteResult = Annotated[
    WorkstationDeleted | NotFound | InvalidInput | Conflict | Forbidden | ReadOnly,
    union("DeleteWorkstationResult", "deleteWorkstation"),
]
SetStatusResult = Annotated[
    WorkstationChanged | NotFound | InvalidInput | Conflict | Forbidden | ReadOnly,
    union("SetWorkstationStatusResult", "setWorkstationStatus"),
]
AssignResult = Annotated[
    WorkstationChanged | NotFound | InvalidInput | Conflict | Forbidden | ReadOnly,
    union("AssignWorkstationResult", "assignWorkstation"),
]
ReleaseResult = Annotated[
    WorkstationChanged | NotFound | InvalidInput | Conflict | Forbidden | ReadOnly,
    union("ReleaseWorkstationResult", "releaseWorkstation"),
]
CreateSeveralResult = Annotated[
    WorkstationsChanged | InvalidInput | TooMany | NameTaken | Conflict | Forbidden | ReadOnly,
    union("CreateWorkstationsResult", "createWorkstations"),
]
SetStatusesResult = Annotated[
    WorkstationsChanged | NotFound | InvalidInput | TooMany | Conflict | Forbidden | ReadOnly,
    union("SetWorkstationStatusesResult", "setWorkstationStatuses"),
]
