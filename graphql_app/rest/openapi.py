"""The OpenAPI document of the doors beside GraphQL: what a route describes, and what holds for all of them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from fastapi.openapi.utils import get_openapi
from starlette.routing import BaseRoute

from graphql_app.server.problems import PROBLEM, phrase

Operation = dict[str, Any]

# Said before any route is asked: by the guard, and by the limits of an address.
EVERYWHERE: Final = (400, 403, 429)
WITH_TOKEN: Final = (401, 503)
WITH_BODY: Final = (413, 415)

# FastAPI's own, for a 422 that is a 400 here.
_NEVER: Final = ("HTTPValidationError", "ValidationError")

_PROBLEM_SCHEMA: Final = {
    "type": "object",
    "title": "Problem",
    "description": "Why there is no answer (RFC 9457); what else there is to say has a member of its own.",
    "required": ["type", "status", "title", "detail", "code"],
    "properties": {
        "type": {"type": "string"},
        "status": {"type": "integer"},
        "title": {"type": "string", "description": "What HTTP calls the status."},
        "detail": {"type": "string", "description": "For people: what is the matter, and what to do."},
        "code": {"type": "string", "description": "For programs: it never changes, and is the same in GraphQL."},
        "field": {"type": "string", "description": "Which parameter or field is not right."},
    },
}

_FIELDS: Final[Mapping[int, tuple[str, str]]] = {
    401: ("WWW-Authenticate", "What to bring (RFC 6750)."),
    429: ("Retry-After", "In how many seconds to come back."),
}


def problems(*statuses: int) -> dict[int | str, Operation]:
    """Returns the refusals of a route, as the `responses` that FastAPI takes."""
    return {status: _problem(status) for status in statuses}


def _problem(status: int) -> Operation:
    schema = {"$ref": "#/components/schemas/Problem"}
    response: Operation = {"description": phrase(status), "content": {PROBLEM: {"schema": schema}}}
    if status in _FIELDS:
        name, description = _FIELDS[status]
        response["headers"] = {name: {"description": description, "schema": {"type": "string"}}}
    return response


def openapi_document(title: str, version: str, description: str, routes: Sequence[BaseRoute]) -> dict[str, Any]:
    """Returns the OpenAPI document of the routes, with the refusals that all share and a HEAD for each GET."""
    document = get_openapi(title=title, version=version, description=description, routes=routes)
    for operations in document["paths"].values():
        for operation in operations.values():
            _complete(operation)
        if "get" in operations:
            operations["head"] = _bodiless(operations["get"])
    schemas = document["components"]["schemas"]
    document["components"]["schemas"] = {
        **{name: schema for name, schema in schemas.items() if name not in _NEVER},
        "Problem": _PROBLEM_SCHEMA,
    }
    return document


def _complete(operation: Operation) -> None:
    """Adds the refusals that every operation of its kind can give, and removes the 422 that none gives."""
    answers = operation["responses"]
    answers.pop("422", None)
    answers |= {str(status): _problem(status) for status in _statuses(operation) if str(status) not in answers}
    operation["responses"] = dict(sorted(answers.items()))


def _statuses(operation: Operation) -> Iterator[int]:
    yield from EVERYWHERE
    if operation.get("security") == [{"bearer": []}]:  # and not merely for more than others are shown
        yield from WITH_TOKEN
    if "requestBody" in operation:
        yield from WITH_BODY


def _bodiless(get: Operation) -> Operation:
    """Returns the HEAD that belongs to a GET: its responses without their bodies."""
    answers = {
        status: {part: said for part, said in answer.items() if part != "content"}
        for status, answer in get["responses"].items()
    }
    return {**get, "operationId": f"{get['operationId']}_head", "responses": answers}
