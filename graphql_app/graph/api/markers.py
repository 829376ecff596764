"""Markers of plain types and fields: their results follow from the object alone, and the schema says how."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import strawberry
from strawberry import Parent

from graphql_app.domain.row_layout import RowLayout


@dataclass(frozen=True, slots=True)
class InstanceOf:
    """`is_type_of` of a type whose values are those of one class. `layout`: how lists of them may come as rows."""

    kind: type
    layout: RowLayout | None = None

    def __call__(self, value: object, _: object) -> bool:
        return isinstance(value, self.kind)


@dataclass(frozen=True, slots=True)
class Derived:
    """The key of the metadata: how a field is made of one attribute of its object."""

    attribute: str
    make: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Carried:
    """The key of the metadata: of which class an object is that has the field's value as its attribute, whatever the
    resolver does for others."""

    by: type


def carried_by(kind: type) -> dict[object, Any]:
    """Returns the metadata of a field whose value came along with objects of this class."""
    return {Carried: Carried(kind)}


def derived(attribute: str, make: Callable[[Any], Any], graphql_type: Any, description: str) -> Any:
    """Makes a field of one attribute. A projection can make it of whatever holds the attribute."""

    def resolve(root: Parent[Any]) -> Any:
        return make(getattr(root, attribute))

    return strawberry.field(
        resolver=resolve,
        graphql_type=graphql_type,
        description=description,
        metadata={Derived: Derived(attribute, make)},
    )


@dataclass(frozen=True, slots=True)
class ImmediateResolver:
    """The key of the metadata: resolves a field without a coroutine, to its value, if it is at hand, or to a Deferred.

    `resolve` is given the context, the names of the fields below, and the arguments by name.
    """

    resolve: Callable[..., Any]
