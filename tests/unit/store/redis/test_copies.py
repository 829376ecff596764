"""A floor as bytes: whole as it was, and read anew where another release has written it."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import orjson
import pytest

from graphql_app.domain.change import Head
from graphql_app.domain.workstation import Floor
from graphql_app.store.office.whole_floor import FloorState
from graphql_app.store.redis.copies import decoded, encoded
from tests.examples import ADA, occupied, workstation

STATE = FloorState(
    Head(UUID(int=7), 5), Floor(1, "HQ", 1, "Lobby"), [workstation(), replace(occupied(ADA), id=2, notes="\u4e2d")]
)


def test_a_floor_is_what_it_was() -> None:
    assert decoded(encoded(STATE)) == STATE


def form_of(content: bytes) -> Any:
    return orjson.loads(content)[0]


KINDS = range(1, len(form_of(encoded(STATE))))


def test_all_that_is_part_of_a_copy_is_named_in_its_format() -> None:
    assert [form_of(encoded(STATE))[at][0] for at in KINDS] == ["Workstation", "Employee", "Department", "Floor"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_field_more_or_less_in_any_part_of_it_means_that_it_is_read_anew(kind: int) -> None:
    more, less = orjson.loads(encoded(STATE)), orjson.loads(encoded(STATE))
    more[0][kind].append("of_a_newer_release")
    less[0][kind].pop()

    assert decoded(orjson.dumps(more)) is None
    assert decoded(orjson.dumps(less)) is None


@pytest.mark.parametrize("change", [lambda copy: copy.append(1), lambda copy: copy.pop(), lambda copy: copy.clear()])
def test_a_copy_with_a_part_more_or_less_is_read_anew(change: Any) -> None:
    copy = orjson.loads(encoded(STATE))
    change(copy)

    assert decoded(orjson.dumps(copy)) is None


def test_a_copy_as_the_release_before_wrote_it_is_read_anew() -> None:
    copy = orjson.loads(encoded(STATE))
    copy[0] = [1, *copy[0][1][1:]]

    assert decoded(orjson.dumps(copy)) is None
