"""What a client is shown of an execution: its data, and its errors, masked where they are unexpected."""

import uuid
from typing import Any

from graphql import ExecutionResult, GraphQLError

from graphql_app.domain.errors import Refusal
from graphql_app.graph.documents.document import Mistakes
from graphql_app.observe import Unexpected, note


def answer(result: ExecutionResult, masked: list[str]) -> dict[str, Any]:
    if not result.errors:
        return regular(result.data, masked)
    body: dict[str, Any] = {"data": result.data, "errors": [formatted(error) for error in result.errors]}
    if masked:
        body["extensions"] = {"masked": masked}
    return body


def regular(data: dict[str, Any] | None, masked: list[str]) -> dict[str, Any]:
    """Returns the answer of an execution without errors."""
    return {"data": data, "extensions": {"masked": masked}} if masked else {"data": data}


def errors_of(error: Exception) -> list[dict[str, Any]]:
    """Returns what the client is shown of an error; of several mistakes each."""
    return [formatted(one) for one in (error.errors if isinstance(error, Mistakes) else (error,))]


def formatted(error: Exception) -> dict[str, Any]:
    """Returns an error as the client may see it: a refusal with its code, the client's own mistake as it is, else
    masked."""
    original = error.original_error if isinstance(error, GraphQLError) else error
    while isinstance(original, GraphQLError):
        original = original.original_error
    shown: dict[str, Any] = dict(error.formatted) if isinstance(error, GraphQLError) else {}
    if isinstance(original, Refusal):
        shown["message"] = original.message
        shown["extensions"] = {"code": original.code, **original.data}
    elif original is None:
        shown["extensions"] = {"code": "BAD_REQUEST", **(shown.get("extensions") or {})}
    else:
        incident = uuid.uuid4().hex[:12]
        note(Unexpected(incident, ".".join(map(str, shown.get("path") or ())), original))
        shown["message"] = f"Something went wrong on our side; tell the operators the id {incident}."
        shown["extensions"] = {"code": "INTERNAL", "id": incident}
    return shown
