"""The relay's messages: numbered changes, encoded by the leader and decoded by every process."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from graphql_app.domain.change import Change, Head
from graphql_app.store.log import outbox
from graphql_app.store.log.numbering import Numbered

PUBLISHED_AT_ONCE = 500  # changes in one message, and what came with the last of them


class UnreadableMessage(Exception):
    """A message that is none to this release: what it tells of is in the log."""


@dataclass(frozen=True, slots=True)
class Message:
    """The changes with previous < revision <= head.revision, as their JSON says; `below` as Numbered says it."""

    previous: int
    head: Head
    changes: list[Any]
    below: int | None

    def after(self, revision: int, most: int) -> Iterator[tuple[list[Change[Any]], Head]]:
        """Those that are newer, about so many at a time, each time with the head that they lead to. What this process
        has heard of already, its own messages for one, is not made again. Raises UnreadableChange."""
        newer = [one for one in self.changes if one["revision"] > revision]
        while newer:
            end = _end(newer, most)
            some, newer = newer[:end], newer[end:]
            yield outbox.decoded(some), Head(self.head.epoch, some[-1]["revision"])


def _end(changes: Sequence[Any], most: int) -> int:
    """How many go first: whole transactions, unless one alone is too many."""
    if len(changes) <= most:
        return len(changes)
    of = [change.get("transaction_id") for change in changes[: most + 1]]
    return next((end for end in range(most, 0, -1) if of[end - 1] != of[end]), most)


def coalesced(numbered: Iterable[Numbered]) -> list[Numbered]:
    """Merges consecutive messages as long as the earlier one is below PUBLISHED_AT_ONCE changes."""
    messages: list[Numbered] = []
    for one in numbered:
        is_small = bool(messages) and len(messages[-1].changes) < PUBLISHED_AT_ONCE
        merged = messages[-1].joined(one) if is_small else None
        if merged is None:
            messages.append(one)
        else:
            messages[-1] = merged
    return messages


def encoded(numbered: Numbered) -> bytes:
    return orjson.dumps(
        {
            "epoch": str(numbered.head.epoch),
            "previous": numbered.previous,
            "revision": numbered.head.revision,
            "changes": [orjson.Fragment(change) for change in numbered.changes],
            "below": numbered.below,
        }
    )


_OF_CHANGE = frozenset({"revision", "entity", "entity_id", "logged_at", "before", "after"})


def decoded(content: bytes | Numbered) -> Message:
    """The message. What another release says more is passed over. Raises UnreadableMessage for one without what is
    needed here."""
    if isinstance(content, Numbered):
        return Message(content.previous, content.head, [orjson.loads(one) for one in content.changes], content.below)
    try:
        return _message(orjson.loads(content))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UnreadableMessage(f"a message of another release: {type(error).__name__}: {error}") from error


def _message(message: Any) -> Message:
    """Raises KeyError when it lacks what is needed, or one of its changes does."""
    changes = message["changes"]
    for change in changes:
        if not change.keys() >= _OF_CHANGE:
            raise KeyError(*(_OF_CHANGE - change.keys()))
    head = Head(UUID(message["epoch"]), message["revision"])
    # A leader of an older release does not say `below`.
    return Message(message["previous"], head, changes, message.get("below"))
