"""What a request may depend on: ETags that were seen, and keys that make a repeated one do nothing twice."""

from hashlib import blake2b
from typing import Annotated, Any, NamedTuple

import orjson
from fastapi import Depends, Header

from graphql_app.domain.arranging import Idempotency
from graphql_app.domain.caller import Caller
from graphql_app.domain.errors import PreconditionFailed
from graphql_app.domain.etags import permits

IfMatch = Annotated[
    str | None, Header(description="The ETag that you saw; when it is another by now, nothing is done (412).")
]
IfNoneMatch = Annotated[str | None, Header(description="ETags that you saw; while it is one of them, nothing is done.")]


class Conditions(NamedTuple):
    """What has to hold for a request to be carried out."""

    if_match: str | None = None
    if_none_match: str | None = None

    @property
    def are_none(self) -> bool:
        """Whether they ask for no more than that there is one."""
        return self.if_none_match is None and (self.if_match is None or self.if_match.strip() == "*")

    def require(self, tag: str | None) -> None:
        """Raises PreconditionFailed when they do not hold for what has this tag, or none."""
        if not permits(self.if_match, self.if_none_match, tag):
            raise PreconditionFailed("What is there is not what the conditions ask for; read it again and decide anew.")


def conditions(if_match: IfMatch = None, if_none_match: IfNoneMatch = None) -> Conditions:
    return Conditions(if_match, if_none_match)


Conditional = Annotated[Conditions, Depends(conditions)]


def tag_of(shown: Any) -> str:
    """Returns the ETag of what this caller is shown, so that it tells nothing of what is hidden."""
    return f'"{blake2b(orjson.dumps(shown), digest_size=12).hexdigest()}"'


def named(caller: Caller, receipt: str) -> dict[str, str]:
    """The write, for who is to see it, and the request, as the audit log has it."""
    return {"X-Receipt": receipt, "X-Request-ID": caller.request_id or ""}


def idempotency(given: str | None, method: str, asked: dict[str, Any]) -> Idempotency | None:
    """Raises InvalidInput for a key that is empty or too long."""
    if given is None:
        return None
    return Idempotency(f"{given}:{method}", blake2b(orjson.dumps([method, asked]), digest_size=32).hexdigest())
