"""The shape of what clients say in graphql-transport-ws."""

from graphql_app.domain.errors import InvalidInput
from graphql_app.graph.persisted import hash_given

NO_QUERY = "`subscribe` needs a `payload` with a `query`"


def problem_of(operation_id: object, payload: object) -> str | None:
    """What is wrong with the shape of a `subscribe` message."""
    if not isinstance(operation_id, str) or not operation_id:
        return "`subscribe` needs an `id`, a text that is not empty"
    if not isinstance(payload, dict) or not isinstance(payload.get("query"), (str, type(None))):
        return NO_QUERY
    if not isinstance(payload.get("operationName"), (str, type(None))):
        return "`operationName` must be a text"
    for name in ("variables", "extensions"):
        if not isinstance(payload.get(name), (dict, type(None))):
            return f"`{name}` must be an object"
    try:
        return NO_QUERY if hash_given(payload) is None and payload.get("query") is None else None
    except InvalidInput as problem:
        return problem.message
