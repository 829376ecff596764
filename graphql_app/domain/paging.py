"""Pages of a list that changes while it is read: keyset paging, which neither skips nor repeats."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from graphql_app.domain.errors import InvalidInput, TooMany

T = TypeVar("T")


class OrderField(StrEnum):
    ID = "id"
    NAME = "name"
    STATUS = "status"
    BUILDING = "building"
    FLOOR_NUMBER = "floor_number"
    CREATED_AT = "created_at"
    UPDATED_AT = "updated_at"
    X_POSITION = "x_position"
    Y_POSITION = "y_position"


@dataclass(frozen=True, slots=True)
class Order:
    field: OrderField
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Window:
    """A part of an ordered list: `size` rows after one key or before another; a key is the values ordered by."""

    size: int
    after: tuple[Any, ...] | None = None
    before: tuple[Any, ...] | None = None
    backward: bool = False


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """`total`: how many there are on all pages, where they were counted."""

    rows: Sequence[T]
    has_next: bool
    has_previous: bool
    total: int | None = None


def paged(found: Sequence[T], window: Window, total: int | None = None) -> Page[T]:
    """The page of what was fetched: one row more than wanted, backward when the window is."""
    more, found = len(found) > window.size, found[: window.size]
    if window.backward:
        return Page(found[::-1], has_next=window.before is not None, has_previous=more, total=total)
    return Page(found, has_next=more, has_previous=window.after is not None, total=total)


def sized(first: int | None, last: int | None, *, default: int, most: int) -> tuple[int, bool]:
    """How many rows, and whether from the end. Raises InvalidInput or TooMany, saying what is allowed."""
    if first is not None and last is not None:
        raise InvalidInput("Give `first` or `last`, not both.", field="last")
    name, size = ("last", last) if last is not None else ("first", first)
    if size is None:
        return min(default, most), False
    if size < 0:
        raise InvalidInput(f"`{name}` must not be negative.", field=name)
    if size > most:
        raise TooMany(
            f"`{name}` is at most {most}, {size} were asked for; page on with `after`.",
            measure="rows of a page",
            limit=most,
            asked=size,
        )
    return size, last is not None
