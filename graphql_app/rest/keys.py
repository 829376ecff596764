"""The public keys of our tokens, for services that verify them too."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from graphql_app.services.identity.identify import Identify

# A new key must be published for so long before it signs: docs/operations.md says how keys are exchanged.
CACHED_SECONDS = 300


class KeySet(JSONResponse):
    media_type = "application/jwk-set+json"


def routes(identify: Identify) -> APIRouter:
    router = APIRouter(tags=["operations"])

    @router.get(
        "/.well-known/jwks.json",
        summary="The public keys that tokens are verified with (RFC 7517)",
        response_class=KeySet,
    )
    async def jwks() -> KeySet:
        return KeySet(identify.jwks, headers={"Cache-Control": f"public, max-age={CACHED_SECONDS}"})

    return router
