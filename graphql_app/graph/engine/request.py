"""One operation as it is requested, whatever door it came by."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(slots=True)
class OperationRequest:
    query: str
    operation_name: str | None
    variables: Mapping[str, Any]
    digest: str | None = None  # names the document, besides its text
    _key: "tuple[str, str | None, bytes] | None" = None

    @property
    def key(self) -> tuple[str, str | None, bytes]:
        """Equal for requests of the same thing, however they were written."""
        if self._key is None:
            variables = orjson.dumps(self.variables, option=orjson.OPT_SORT_KEYS) if self.variables else b""
            self._key = self.query, self.operation_name, variables
        return self._key
