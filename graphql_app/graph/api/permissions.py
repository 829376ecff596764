"""The table of guarded fields as Strawberry permissions, and as a directive in the printed schema."""

from typing import Any

import strawberry
from strawberry.permission import BasePermission, PermissionExtension
from strawberry.schema_directive import Location
from strawberry.types import Info
from strawberry.types.field import StrawberryField

from graphql_app.domain.access import Scope, View, guarding_scope


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    name="guarded",
    description="The field is null unless the token has the scope; its path is then listed in `extensions.masked`.",
)
class GuardedDirective:
    scope: str = strawberry.directive_field(name="scope")


class HasScope(BasePermission):
    """Permits a field to views with its scope. services/ has redacted the value already: a second lock on the same
    door."""

    def __init__(self, scope: Scope) -> None:
        super().__init__()
        self.scope = scope

    def has_permission(self, source: Any, info: Info[Any, Any], **_: Any) -> bool:
        return self.permits(info.context.caller.view)

    def permits(self, view: View) -> bool:
        return view.has(self.scope)


class NullUnlessPermitted(PermissionExtension):
    """Answers null for a hidden list. Strawberry answers an empty one, as if there were nothing."""

    def apply(self, field: StrawberryField) -> None:
        super().apply(field)
        self.return_empty_list = False


def guarded(type_name: str, field: str, description: str, **options: Any) -> Any:
    """Makes a field that GUARDED names; `options` are strawberry.field's.

    Raises KeyError at import for one that it does not name.
    """
    scope = guarding_scope(type_name, field)
    if scope is None:
        raise KeyError(f"{type_name}.{field} is not in domain/access.GUARDED")
    return strawberry.field(
        description=f"{description} Null without the scope `{scope}`.",
        directives=[GuardedDirective(scope=str(scope))],
        extensions=[NullUnlessPermitted([HasScope(scope)], fail_silently=True, use_directives=False)],
        **options,
    )
