"""Secrets that were typed by hand, and passwords that are tried first."""

import pytest

from graphql_app.domain.weak_secrets import is_guessable, is_tried_first

DRAWN = "k3Vt9Qw1ZrY7mB5nX0pL2sD8fG4hJ6aE"


@pytest.mark.parametrize("secret", ["change-me-" + DRAWN, "abab" * 8, "my secret is that there is none."])
def test_a_secret_that_was_typed_can_be_guessed(secret: str) -> None:
    assert is_guessable(secret)


def test_a_secret_that_was_drawn_cannot() -> None:
    assert not is_guessable(DRAWN)


@pytest.mark.parametrize(
    "password", ["postgres", "P0stgr3s#", "P0stgres!", "4dm!n!", "changeme123", "12345678", "office-admin"]
)
def test_words_that_everybody_tries_are_found_whatever_is_between_them(password: str) -> None:
    assert is_tried_first(password)


def test_a_password_made_of_a_name_is_tried_first() -> None:
    assert is_tried_first("facilities1", "facilities")
    assert not is_tried_first("facilities1")


@pytest.mark.parametrize("password", ["9f2c4e7b", "0123456789012345"])
def test_what_is_drawn_is_not_tried_first(password: str) -> None:
    assert not is_tried_first(password)


@pytest.mark.parametrize("around", ["{}!", "{}1!", "!{}", "1{}$", "$1{}!7", "{}"])
@pytest.mark.parametrize("word", ["P0stgres", "p@ssw0rd", "Adm!n", "t35ting"])
def test_digits_and_marks_around_a_word_do_not_hide_it(word: str, around: str) -> None:
    assert is_tried_first(around.format(word))
