"""The messages that clients send in graphql-transport-ws."""

from collections.abc import Mapping
from types import NoneType
from typing import Any, NamedTuple

import orjson

from graphql_app.domain.errors import InvalidInput
from graphql_app.graph.documents.persisted import hash_given

NO_QUERY = "`subscribe` needs a `payload` with a `query`"

Message = Mapping[str, Any]


class MalformedMessage(Exception):
    """The socket is closed; the text is the reason in its close frame."""


class SubscribeMessage(NamedTuple):
    """The `subscribe` message: an operation under an id of the client's."""

    id: str
    query: str | None
    digest: str | None  # names the document, besides its text
    operation_name: str | None
    variables: Mapping[str, Any]


def message_in(text: str | bytes) -> Message:
    """Parses a message. Returns it with its type. Raises MalformedMessage."""
    if isinstance(text, bytes):
        raise MalformedMessage("Messages must be text, not binary")
    try:
        content = orjson.loads(text)
    except orjson.JSONDecodeError:
        content = None
    if not isinstance(content, dict) or not isinstance(content.get("type"), str):
        raise MalformedMessage("A message must be a JSON object with a `type`")
    return content


def payload_in(message: Message) -> Mapping[str, Any] | None:
    """Returns the payload of connection_init, ping or pong. Raises MalformedMessage."""
    payload: Mapping[str, Any] | None = message.get("payload")
    if not isinstance(payload, (dict, NoneType)):
        raise MalformedMessage(f"The payload of `{message['type']}` must be an object")
    return payload


def id_in(message: Message) -> str:
    """Returns the id of subscribe or complete. Raises MalformedMessage."""
    operation_id = message.get("id")
    if not isinstance(operation_id, str) or not operation_id:
        raise MalformedMessage(f"`{message['type']}` needs an `id`, a text that is not empty")
    return operation_id


def wanted_in(message: Message) -> SubscribeMessage:
    """Parses a subscribe message. Raises MalformedMessage."""
    operation_id, payload = id_in(message), message.get("payload")
    if not isinstance(payload, dict) or not isinstance(query := payload.get("query"), (str, NoneType)):
        raise MalformedMessage(NO_QUERY)
    if not isinstance(name := payload.get("operationName"), (str, NoneType)):
        raise MalformedMessage("`operationName` must be a text")
    for part in ("variables", "extensions"):
        if not isinstance(payload.get(part), (dict, NoneType)):
            raise MalformedMessage(f"`{part}` must be an object")
    try:
        digest = hash_given(payload)
    except InvalidInput as problem:
        raise MalformedMessage(problem.message) from problem
    if query is None and digest is None:
        raise MalformedMessage(NO_QUERY)
    return SubscribeMessage(operation_id, query, digest, name, payload.get("variables") or {})
