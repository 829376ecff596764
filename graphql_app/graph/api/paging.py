"""The four Relay arguments, and what connections have in common."""

from typing import Annotated

import strawberry
from strawberry import argument

First = Annotated[int | None, argument(description="How many from the front; 50 unless told, at most 500.")]
After = Annotated[str | None, argument(description="A cursor: what comes after it.")]
Last = Annotated[int | None, argument(description="How many from the end, instead of `first`.")]
Before = Annotated[str | None, argument(description="A cursor: what comes before it.")]


@strawberry.type(description="Where a page stands in its list (Relay).")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether there is more after it.")
    has_previous_page: bool = strawberry.field(description="Whether there is more before it.")
    start_cursor: str | None = strawberry.field(description="Of the first edge; null on an empty page.")
    end_cursor: str | None = strawberry.field(description="Of the last edge; null on an empty page.")
