"""What goes from process to process, in as few messages as there can be."""

import json
from typing import Any
from uuid import UUID

import pytest

from graphql_app.domain.change import Head
from graphql_app.live.feed.messages import PUBLISHED_AT_ONCE, UnreadableMessage, coalesced, decoded, encoded
from graphql_app.store.log.numbering import Numbered

EPOCH, OTHER = UUID(int=1), UUID(int=2)


def change(revision: int) -> str:
    return (
        f'{{"revision": {revision}, "transaction_id": 7, "entity": "floor", "entity_id": "1",'
        ' "logged_at": "2026-01-01T00:00:00+00:00", "before": null,'
        ' "after": {"id": 1, "building": "HQ", "number": 1, "name": "Lobby"}}'
    )


def numbered(first: int, last: int, *, epoch: UUID = EPOCH, below: int | None = None) -> Numbered:
    return Numbered(first - 1, Head(epoch, last), [change(n) for n in range(first, last + 1)], below)


def test_what_follows_on_each_other_goes_together() -> None:
    (message,) = coalesced([numbered(1, 2), numbered(3, 2, below=9), numbered(3, 5, below=11)])

    assert (message.previous, message.head.revision, message.below) == (0, 5, 11)
    assert [one.revision for part, _ in decoded(encoded(message)).after(0, 100) for one in part] == [1, 2, 3, 4, 5]


def test_what_does_not_follow_goes_by_itself() -> None:
    apart = [numbered(1, 2), numbered(4, 5), numbered(6, 6, epoch=OTHER)]

    assert coalesced(apart) == apart


def test_a_message_that_is_large_enough_takes_no_more() -> None:
    apart = [numbered(1, PUBLISHED_AT_ONCE), numbered(PUBLISHED_AT_ONCE + 1, PUBLISHED_AT_ONCE + 1)]

    assert coalesced(apart) == apart


def test_a_process_takes_of_a_message_what_is_new_to_it() -> None:
    message = numbered(4, 7, below=3)

    for content in (message, encoded(message)):
        here = decoded(content)
        assert (here.previous, here.head, here.below) == (3, Head(EPOCH, 7), 3)
        assert [[one.revision for one in part] for part, _ in here.after(5, 100)] == [[6, 7]]


def test_a_message_is_taken_in_parts_and_each_says_how_far_it_leads() -> None:
    parts = list(decoded(encoded(numbered(1, 7))).after(2, 2))

    assert [[one.revision for one in changes] for changes, _ in parts] == [[3, 4], [5, 6], [7]]
    assert [head.revision for _, head in parts] == [4, 6, 7]


def test_a_part_ends_between_transactions_unless_one_is_larger() -> None:
    def of(transaction: int, first: int, last: int) -> list[str]:
        return [change(n).replace('_id": 7,', f'_id": {transaction},') for n in range(first, last + 1)]

    changes = [*of(101, 1, 2), *of(102, 3, 5), *of(103, 6, 10), *of(104, 11, 11)]
    message = decoded(Numbered(0, Head(EPOCH, 11), changes, None))

    assert [[one.revision for one in part] for part, _ in message.after(0, 4)] == [
        [1, 2],
        [3, 4, 5],
        [6, 7, 8, 9],
        [10, 11],
    ]


def told(**changes: Any) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(encoded(numbered(1, 2, below=9)))
    return {**message, **changes}


def revisions(message: Any) -> list[int]:
    return [one.revision for part, _ in decoded(json.dumps(message).encode()).after(0, 100) for one in part]


def test_a_message_with_fields_more_is_read_as_without_them() -> None:
    message = told(of_a_newer_release=1)
    for change in message["changes"]:
        change["of_a_newer_release"] = {"more": 1}
        change["after"]["of_a_newer_release"] = 1

    assert revisions(message) == [1, 2]


@pytest.mark.parametrize("field", sorted(told()))
def test_a_message_with_a_field_less_is_read_or_refused_so_that_the_log_is_read(field: str) -> None:
    message = told()
    del message[field]

    if field == "below":
        assert revisions(message) == [1, 2]
    else:
        with pytest.raises(UnreadableMessage):
            decoded(json.dumps(message).encode())


@pytest.mark.parametrize("field", sorted(told()["changes"][0]))
def test_a_change_with_a_field_less_is_read_or_refused_so_that_the_log_is_read(field: str) -> None:
    message = told()
    del message["changes"][1][field]

    if field == "transaction_id":
        assert revisions(message) == [1, 2]
    else:
        with pytest.raises(UnreadableMessage):
            decoded(json.dumps(message).encode())


@pytest.mark.parametrize("content", [b"", b"no JSON", b"[]", b"5", b"null", b'{"changes": [5]}', b'{"changes": null}'])
def test_what_is_no_message_is_refused_likewise(content: bytes) -> None:
    with pytest.raises(UnreadableMessage):
        decoded(content)
