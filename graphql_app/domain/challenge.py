"""How whoever is not let in is told what to bring (RFC 6750, 3)."""

from typing import Final

from graphql_app.domain.errors import Forbidden, MissingToken, Refusal, Unauthenticated

REALM: Final = "graphql_app"


def challenge(refusal: Refusal) -> str | None:
    """Returns the `WWW-Authenticate` of a refusal. It names no error where no token was sent; None is for what another
    token would not change."""
    match refusal:
        case MissingToken():
            return f'Bearer realm="{REALM}"'
        case Unauthenticated():
            return f'Bearer realm="{REALM}", error="invalid_token"'
        case Forbidden(data={"scope": scope}):
            return f'Bearer realm="{REALM}", error="insufficient_scope", scope="{scope}"'
    return None
