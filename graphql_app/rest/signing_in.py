"""Signing in to REST: a dependency that gives the caller, and a route that admits them before it reads the request."""

import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Annotated, Any, Final

from fastapi import Depends, Header, Request, Response, Security
from fastapi.dependencies.models import Dependant
from fastapi.openapi.models import HTTPBearer
from fastapi.routing import APIRoute
from fastapi.security.base import SecurityBase

from graphql_app.domain.access import Viewer
from graphql_app.domain.audit import Transport
from graphql_app.domain.caller import Caller
from graphql_app.domain.texts import is_request_id
from graphql_app.services.consistency import ConsistencyTokens
from graphql_app.services.identity.admission import Admission

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

_ADMITTED: Final = "graphql_app.admitted"  # in the scope: the viewer


class Bearer(SecurityBase):
    """Describes the Authorization header field in OpenAPI."""

    def __init__(self) -> None:
        self.model = HTTPBearer(bearerFormat="JWT", description="A token of this server, or of its OpenID issuer.")
        self.scheme_name = "bearer"

    async def __call__(self, request: Request) -> str | None:
        return request.headers.get("authorization")


class SignInDependency:
    """A dependency that gives the caller; its route has admitted them. The address was counted in front of all routes
    (server/address_limit)."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    async def admit(self, request: Request) -> None:
        """Raises Unauthenticated, RateLimited, Unavailable."""
        admitted = self._admission.sign_in(request.headers.get("authorization"))
        request.scope[_ADMITTED] = admitted if isinstance(admitted, Viewer) else await admitted

    async def __call__(
        self,
        request: Request,
        _: Annotated[str | None, Security(Bearer())],
        x_request_id: Annotated[
            str | None, Header(description="Your own id of it, up to 64 characters of ASCII; of another, one is made.")
        ] = None,
    ) -> Caller:
        viewer: Viewer = request.scope[_ADMITTED]
        is_fit = x_request_id is not None and is_request_id(x_request_id.encode("latin-1"))
        request_id = x_request_id if is_fit else uuid.uuid4().hex
        address = request.client.host if request.client else None
        return Caller(viewer, request_id, Transport.REST, address)


def reader(admission: Admission, tokens: ConsistencyTokens) -> Callable[..., Awaitable[Caller]]:
    """Returns a dependency as SignInDependency, for those who read: they may ask to be shown a write. It raises
    InvalidInput too."""

    async def caller(
        caller: Annotated[Caller, Depends(SignInDependency(admission))],
        x_min_cursor: Annotated[
            str | None, Header(description="An `X-Receipt` or a cursor: the answer is no older than that.")
        ] = None,
    ) -> Caller:
        return caller._replace(consistency=tokens.consistency(x_min_cursor))

    return caller


class AdmittingRoute(APIRoute):
    """Admits the caller before FastAPI reads the body and all else."""

    def get_route_handler(self) -> Handler:
        handle = self.admitted_handler()
        signed_in = next(sign_ins(self.dependant), None)
        if signed_in is None:
            return handle

        async def admitting(request: Request) -> Response:
            await signed_in.admit(request)
            return await handle(request)

        return admitting

    def admitted_handler(self) -> Handler:
        """Returns what handles a request that was admitted."""
        return super().get_route_handler()


def sign_ins(dependant: Dependant) -> Iterator[SignInDependency]:
    """Yields the sign-in dependencies of a route, direct and indirect."""
    if isinstance(dependant.call, SignInDependency):
        yield dependant.call
    for one in dependant.dependencies:
        yield from sign_ins(one)
