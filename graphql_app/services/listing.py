"""A page of a list as it leaves: its rows, and the cursors that name their places."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Self, TypeVar

from graphql_app.aio.memo import Memo
from graphql_app.domain.paging import Window, sized
from graphql_app.services.cursors import PageCursors

PAGE_DEFAULT = 50
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Paging:
    """The four Relay arguments, as they were given."""

    first: int | None = None
    after: str | None = None
    last: int | None = None
    before: str | None = None

    def window(self, cursors: PageCursors, listing: Any, *, most: int) -> Window:
        """Returns the part of the list that is meant. Raises InvalidInput, TooMany, UnknownCursor."""
        size, backward = sized(self.first, self.last, default=PAGE_DEFAULT, most=most)
        after = None if self.after is None else cursors.decode(self.after, listing, "after")
        before = None if self.before is None else cursors.decode(self.before, listing, "before")
        return Window(size, after, before, backward)


class Edge(NamedTuple, Generic[T]):
    cursor: str
    node: T


class Listing(Generic[T]):
    """A page, in the words of Relay. `seal` makes the cursor of a row: only of one that is asked for, as it costs more
    than the row itself."""

    __slots__ = ("_cursors", "has_next_page", "has_previous_page", "nodes", "total_count")

    def __init__(
        self,
        nodes: Sequence[T],
        seal: Callable[[T], str],
        *,
        has_next: bool,
        has_previous: bool,
        total_count: int | None = None,
    ) -> None:
        """`total_count`: on all pages, where somebody wants to know."""
        self.nodes = nodes
        self.has_next_page = has_next
        self.has_previous_page = has_previous
        self.total_count = total_count
        # A seal is never the same twice, but a row has one cursor, wherever on the page it is shown.
        self._cursors = Memo[int, str](lambda at: seal(nodes[at]), len(nodes))

    @property
    def edges(self) -> list[Edge[T]]:
        return [Edge(self._cursors[at], node) for at, node in enumerate(self.nodes)]

    @property
    def page_info(self) -> Self:
        """Where it stands, it knows itself."""
        return self

    @property
    def start_cursor(self) -> str | None:
        return self._cursors[0] if self.nodes else None

    @property
    def end_cursor(self) -> str | None:
        return self._cursors[len(self.nodes) - 1] if self.nodes else None
