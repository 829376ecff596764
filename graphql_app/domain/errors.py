"""What the server refuses, and why: a small tree of nouns, each with a stable code.

Refusal
├── InvalidInput        a value that cannot be right; says which field
│   ├── UnknownCursor   a cursor that was not made here
│   ├── UnsupportedMedia    a body in a form that is not read here
│   └── NotAcceptable   an answer in forms that there are not
├── Unauthenticated     a token that is not valid
│   └── MissingToken    none at all
├── Forbidden           a token without the scope that this needs
│   └── UntrustedDocument   not among those that the operator listed
├── NotFound            no such thing, or none that you may know of
│   └── UnknownDocument     nobody has registered one with this hash
├── Conflict            it changed meanwhile, or its state does not allow this
│   ├── VersionConflict somebody else was faster
│   ├── Contention      in another transaction's way; as if it had never been
│   │   └── Outdated    prepared for columns that have changed since; likewise
│   ├── PreconditionFailed  it is not what an ETag says
│   ├── NameTaken       another one there has the name
│   ├── SlotTaken       somebody else has the desk at that time
│   ├── CheckInClosed   too early or too late to check in
│   └── InUse           others still refer to it; says which, and how many
├── TooMany             a limit; says which, and what was asked
│   └── RateLimited     for now: says when to come back
│       └── TooManyConnections
├── ReadOnly            the database takes no writes at present
└── Unavailable         a server behind this one does not answer; try again
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any


def public_name(field: str) -> str:
    """A field of the domain as clients write it, on every door: `x_position` is `xPosition`."""
    first, *others = field.split("_")
    return first + "".join(other.capitalize() for other in others)


class Refusal(Exception):
    """Something asked for is refused. `data` holds the reason in figures, safe to show to whoever asked."""

    code: str = "REFUSED"

    def __init__(self, message: str, **data: Any) -> None:
        super().__init__(message)
        self.message = message
        self.data: Mapping[str, Any] = data


@contextmanager
def about(index: int) -> Iterator[None]:
    """Says of a Refusal that is raised in the block which of several things it is about."""
    try:
        yield
    except Refusal as refusal:
        refusal.data = {**refusal.data, "index": index}
        raise


class InvalidInput(Refusal):
    code = "INVALID_INPUT"

    def __init__(self, message: str, *, field: str | None = None, **data: Any) -> None:
        super().__init__(message, **({"field": field} if field else {}), **data)
        self.field = field


class UnknownCursor(InvalidInput):
    pass


class UnsupportedMedia(InvalidInput):
    """`hint` is the header field, by its name and value, that says what would be read."""

    code = "UNSUPPORTED_MEDIA_TYPE"

    def __init__(self, message: str, *, hint: tuple[str, str]) -> None:
        super().__init__(message)
        self.hint = hint


class NotAcceptable(InvalidInput):
    code = "NOT_ACCEPTABLE"


class Unauthenticated(Refusal):
    code = "UNAUTHENTICATED"


class MissingToken(Unauthenticated):
    pass


class Forbidden(Refusal):
    code = "FORBIDDEN"


class UntrustedDocument(Forbidden):
    code = "DOCUMENT_NOT_TRUSTED"


class NotFound(Refusal):
    code = "NOT_FOUND"


class UnknownDocument(NotFound):
    """In the words of Apollo's protocol, by which its clients know whether to send the text, and to go on with it."""

    def __init__(self, *, can_register: bool) -> None:
        super().__init__("PersistedQueryNotFound" if can_register else "PersistedQueryNotSupported")
        self.code = "PERSISTED_QUERY_NOT_FOUND" if can_register else "PERSISTED_QUERY_NOT_SUPPORTED"


class Conflict(Refusal):
    """`current` is the present state, redacted by services/ for whoever asked; None where it is not known."""

    code = "CONFLICT"
    current: Any = None


class VersionConflict(Conflict):
    """Somebody else was faster."""


class Contention(Conflict):
    """Two transactions were in each other's way, and this one was ended by the database: as if it had never been."""


class Outdated(Contention):
    """A statement was prepared for columns that somebody has changed since. It is prepared anew the next time."""


class NameTaken(Conflict):
    code = "NAME_TAKEN"


class SlotTaken(Conflict):
    """Its data says from when until when the desk is taken, and who is in the way is nobody's business."""

    code = "SLOT_TAKEN"


class CheckInClosed(Conflict):
    """Its data says when it opens, and when it closed."""

    code = "CHECK_IN_CLOSED"


class InUse(Conflict):
    """`references`: how many of what still refer to it."""

    code = "IN_USE"

    def __init__(self, message: str, *, references: Mapping[str, int]) -> None:
        super().__init__(message, references=references)


class PreconditionFailed(Conflict):
    """What the client saw, by its ETag, is not what is there now."""

    code = "PRECONDITION_FAILED"


class TooMany(Refusal):
    """Its data says what there was too much of (`measure`), how much is allowed (`limit`), and how much there was."""

    code = "TOO_MANY"


def body_too_large(most: int, size: int) -> TooMany:
    """`size`: as much of it as is known; it is not read whole."""
    return TooMany(f"The body is larger than {most} bytes.", measure="bytes of the body", limit=most, asked=size)


class RateLimited(TooMany):
    """Asked for too often. `retry_after`: whole seconds until there is more to give."""

    code = "RATE_LIMITED"

    def __init__(self, message: str, *, measure: str, limit: float, asked: int, retry_after: int, **data: Any) -> None:
        super().__init__(message, measure=measure, limit=limit, asked=asked, retryAfter=retry_after, **data)
        self.retry_after = retry_after


class TooManyConnections(RateLimited):
    code = "TOO_MANY_CONNECTIONS"


class ReadOnly(Refusal):
    code = "READ_ONLY"


class Unavailable(Refusal):
    code = "UNAVAILABLE"
