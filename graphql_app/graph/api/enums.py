"""The domain's enums in the schema, every value described; Strawberry describes the values of its own enums only."""

from collections.abc import Mapping
from enum import Enum
from typing import Any

import strawberry


def publish(enum: type[Enum], values: Mapping[Any, str], *, name: str, description: str) -> None:
    """Gives an enum its name in the schema, and each value what it means."""
    assert set(values) == set(enum), f"every value of {name} needs a description, and nothing else does"
    strawberry.enum(enum, name=name, description=description)
    for value in enum.__strawberry_definition__.values:  # type: ignore[attr-defined]  # Strawberry puts it there
        value.description = values[enum(value.value)]
