"""A route that refuses what it does not document: unknown parameters, and bodies that are not JSON."""

import json
from typing import Any, NoReturn

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant

from graphql_app.domain.errors import InvalidInput, UnsupportedMedia
from graphql_app.domain.media import require_json
from graphql_app.rest.signing_in import AdmittingRoute, Handler
from graphql_app.server.body_limit import RefusedBody


class Resource(AdmittingRoute):
    """Refuses unknown parameters, as a typo must not be a silent no-op; and bodies that are not JSON, or not declared
    to be."""

    def admitted_handler(self) -> Handler:
        handle = super().admitted_handler()
        known = parameters(self.dependant)
        has_body = self.body_field is not None

        async def handled(request: Request) -> Response:
            require_known(request, known)
            return await handle(JsonRequest(request.scope, request.receive) if has_body else request)

        return handled


def parameters(dependant: Dependant) -> set[str]:
    """Returns the names that a query string may have, of the route and of what it depends on."""
    return {field.alias for field in dependant.query_params}.union(*map(parameters, dependant.dependencies))


def require_known(request: Request, known: set[str]) -> None:
    """Raises InvalidInput for a parameter that there is not."""
    for name in request.query_params:
        if name not in known:
            there = f"there are {', '.join(sorted(known))}" if known else "there are none"
            raise InvalidInput(f"There is no parameter of this name; {there}.", field=name)


class JsonRequest(Request):
    """Reads JSON by RFC 8259: in UTF-8, without NaN and Infinity. The standard library takes more."""

    async def body(self) -> bytes:
        """Raises RefusedBody, if it is too large or not said to be JSON."""
        sent = await super().body()
        try:
            require_json(self.headers.get("content-type", ""), self.headers.get("content-encoding", ""))
        except UnsupportedMedia as refusal:
            raise RefusedBody(415, refusal) from refusal
        return sent

    async def json(self) -> Any:
        """Raises RefusedBody."""
        try:
            return json.loads((await self.body()).decode(), parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            raise RefusedBody(400, InvalidInput(f"The body is not JSON in UTF-8: {error}")) from error


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
