"""Frozen values, made and changed in a fraction of what dataclasses take for it."""

from collections.abc import Callable, Mapping
from dataclasses import fields, make_dataclass
from operator import attrgetter
from typing import Any, TypeVar

T = TypeVar("T")


def maker(kind: type[T]) -> Callable[..., T]:
    """A constructor of a frozen dataclass with slots; it takes all fields, in their order.

    A frozen dataclass sets each of its fields by object.__setattr__. Here a twin of the same layout, which is not
    frozen, is filled and then becomes one.
    """
    twin = make_dataclass(kind.__name__, [field.name for field in fields(kind)], slots=True, eq=False)  # type: ignore[arg-type]  # a dataclass

    def make(*values: Any) -> T:
        made: Any = twin(*values)
        made.__class__ = kind
        return made  # type: ignore[no-any-return]  # it has just become one

    return make


def copier(kind: type[T], changes: Mapping[str, Callable[[Any], Any]]) -> Callable[[T], T]:
    """What makes a copy in which each of these fields is what its function makes of it."""
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]  # a dataclass
    places = [(names.index(name), change) for name, change in changes.items()]
    read, make = attrgetter(*names), maker(kind)

    def copy(value: T) -> T:
        values = list(read(value))
        for place, change in places:
            values[place] = change(values[place])
        return make(*values)

    return copy
