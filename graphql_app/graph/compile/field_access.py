"""How a plain field is read off its object: decided once for a view, when it is known what is asked."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLField, GraphQLObjectType
from graphql.pyutils import Undefined, is_awaitable
from strawberry.extensions import FieldExtension
from strawberry.permission import PermissionExtension
from strawberry.types.field import StrawberryField
from strawberry.types.fields.resolver import StrawberryResolver

from graphql_app.domain.access import View
from graphql_app.graph.api.markers import Carried, Derived, InstanceOf
from graphql_app.graph.api.permissions import HasScope


class Irregular(Exception):
    """A value is not what the schema says."""


class NotPlain(Exception):
    """Something in the selection needs more than the object that it is read from."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The value is `make` of the attribute, or the attribute itself; without one, `make` of the whole object.

    `carrier`: the class that the object must be of.
    """

    attribute: str | None
    make: Callable[[Any], Any] | None = None
    carrier: type | None = None


def reading(field: GraphQLField, view: View) -> Reading | None:
    """Returns how the field is read; None for what the view may not see. Raises NotPlain."""
    definition = field.extensions.get("strawberry-definition")
    if not isinstance(definition, StrawberryField):
        raise NotPlain
    if not all(_permits(extension, view) for extension in definition.extensions):
        return None
    resolver = definition.base_resolver
    if resolver is None:
        if definition.default_resolver is not getattr or not definition.python_name.isidentifier():
            raise NotPlain
        return Reading(definition.python_name)
    carried: Carried | None = definition.metadata.get(Carried)
    if carried is not None:
        return Reading(definition.python_name, carrier=carried.by)
    derived: Derived | None = definition.metadata.get(Derived)
    if derived is not None:
        return Reading(derived.attribute, derived.make)
    if not _reads_its_object_alone(resolver):
        raise NotPlain
    whole: Any = resolver.wrapped_func
    return Reading(None, whole)


def _permits(extension: FieldExtension, view: View) -> bool:
    """Returns whether the view passes the extension: decided once, since a scope does not depend on the row."""
    if not isinstance(extension, PermissionExtension) or not extension.fail_silently or extension.return_empty_list:
        raise NotPlain
    for permission in extension.permissions:
        if not isinstance(permission, HasScope):
            raise NotPlain
        if not permission.permits(view):
            return False
    return True


def _reads_its_object_alone(resolver: StrawberryResolver[Any]) -> bool:
    """Returns whether the resolver is given its object and nothing else: then it depends on nothing else."""
    takes_object = resolver.self_parameter or resolver.root_parameter or resolver.parent_parameter
    return bool(takes_object) and len(resolver.signature.parameters) == 1 and not resolver.is_async


def admission(of: GraphQLObjectType, known: set[type]) -> Callable[[Any], None]:
    """What lets a value pass as one of the type, or raises; puts its class among the known where that decides."""

    def admit(value: Any) -> None:
        if value is Undefined or isinstance(value, Exception) or is_awaitable(value):
            raise Irregular
        if of.is_type_of is not None and not of.is_type_of(value, None):  # type: ignore[arg-type]  # ours take no info
            raise Irregular
        if of.is_type_of is None or isinstance(of.is_type_of, InstanceOf):
            known.add(value.__class__)

    return admit
