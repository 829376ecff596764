"""Whom a notification is for, and what may be published."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from graphql_app.domain.errors import InvalidInput
from graphql_app.domain.notification import BODY_MOST, TITLE_MOST, Audience, Draft, Level, Notification, checked_draft
from tests.examples import THEN

TO_ALL = Notification(1, Level.INFO, "Fire drill", "", None, None, None, None, THEN, None)
SOMEBODY = Audience(frozenset({"visitor"}))


def is_told(audience: Audience, **targets: Any) -> bool:
    return audience.is_told(replace(TO_ALL, **targets), THEN)


def test_what_names_no_target_is_for_everybody() -> None:
    assert is_told(SOMEBODY)
    assert is_told(Audience(frozenset()))
    assert is_told(Audience(frozenset({"hr"}), 1, "HQ", 3))


def test_what_is_for_a_role_is_for_whoever_has_it_beside_others() -> None:
    assert is_told(Audience(frozenset({"visitor", "hr"})), role="hr")
    assert not is_told(SOMEBODY, role="hr")


def test_what_is_for_a_department_is_for_who_belongs_to_it() -> None:
    assert is_told(Audience(frozenset(), 1), department_id=1)
    assert not is_told(Audience(frozenset(), 2), department_id=1)


def test_who_belongs_to_no_department_is_told_nothing_of_any() -> None:
    assert not is_told(SOMEBODY, department_id=1)


def test_who_names_no_place_is_told_of_all_of_them() -> None:
    assert is_told(SOMEBODY, building="HQ", floor_number=3)


def test_who_names_a_place_is_told_of_that_and_of_what_is_for_no_place() -> None:
    here = replace(SOMEBODY, building="HQ", floor_number=3)

    assert is_told(here)
    assert is_told(here, building="HQ")
    assert is_told(here, building="HQ", floor_number=3)
    assert not is_told(here, building="HQ", floor_number=4)
    assert not is_told(here, building="Annex", floor_number=3)


def test_who_names_a_building_is_told_of_all_its_floors() -> None:
    assert is_told(replace(SOMEBODY, building="HQ"), building="HQ", floor_number=4)


def test_all_targets_that_are_named_must_fit() -> None:
    both = {"role": "hr", "department_id": 1}

    assert is_told(Audience(frozenset({"hr"}), 1), **both)
    assert not is_told(Audience(frozenset({"hr"}), 2), **both)
    assert not is_told(Audience(frozenset({"visitor"}), 1), **both)


def test_what_has_expired_is_told_to_nobody() -> None:
    assert is_told(SOMEBODY, expires_at=THEN + timedelta(seconds=1))
    assert not is_told(SOMEBODY, expires_at=THEN)


def test_an_interest_covers_whatever_is_told() -> None:
    audience = Audience(frozenset({"hr", "visitor"}), 1, "HQ", 3)
    wanted = audience.interest().wanted

    for targets in ({}, {"role": "hr"}, {"building": "HQ", "floor_number": 3}, {"department_id": 1}):
        notification = replace(TO_ALL, **targets)
        assert audience.is_told(notification, THEN)
        assert all(read(notification) in values for read, values in wanted)
    assert not all(read(replace(TO_ALL, role="operator")) in values for read, values in wanted)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"title": ""}, "title"),
    ({"title": " \n"}, "title"),
    ({"title": "t" * (TITLE_MOST + 1)}, "title"),
    ({"title": "a\x00b"}, "title"),
    ({"body": "b" * (BODY_MOST + 1)}, "body"),
    ({"body": "\x00"}, "body"),
    ({"floor_number": 3}, "building"),
    ({"expires_at": THEN}, "expiresAt"),
]


@pytest.mark.parametrize(("values", "field"), BAD, ids=lambda given: repr(given)[:30])
def test_a_draft_that_cannot_be_right_is_refused_and_the_field_named(values: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        checked_draft(replace(Draft(Level.INFO, "Fire drill"), **values), THEN)

    assert refused.value.field == field


def test_the_largest_draft_is_accepted() -> None:
    draft = Draft(Level.CRITICAL, "t" * TITLE_MOST, "b" * BODY_MOST, "HQ", 3, 1, "hr", THEN + timedelta(seconds=1))

    assert checked_draft(draft, THEN) is draft
