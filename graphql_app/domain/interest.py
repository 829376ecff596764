"""Which changes somebody wants to hear of, said so that a change finds those interested without asking everybody."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeAlias

Attribute: TypeAlias = Callable[[Any], Hashable]  # one and the same function for all who ask for the attribute


def _anything(_: Any) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Interest:
    """Changes of one kind of entity. `wanted` gives attributes with the values that each may have, all of which must
    hold, the most telling first; `matches` says the whole, with what no list of values can say: a text that contains
    another, a range."""

    entity: str
    wanted: tuple[tuple[Attribute, frozenset[Hashable]], ...] = ()
    matches: Callable[[Any], bool] = _anything
