"""JSON responses."""

from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import Response


def json_reply(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return reply(orjson.dumps(body), status, headers)


def reply(content: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Returns JSON that no cache keeps: it depends on the token."""
    kept = {"Cache-Control": "no-store", **(headers or {})}
    return Response(content, status, kept, media_type="application/json")
