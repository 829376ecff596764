"""Secrets that can be guessed: typed by hand, or among the passwords that an attacker tries first."""

import re
import string
from typing import Final

DISTINCT_CHARACTERS_LEAST: Final = 12  # 32 random characters have about 14 in hexadecimal, and more in base64
DIGITS_LEAST: Final = 16  # the length of a password without letters

PLACEHOLDER: Final = re.compile(
    r"change.?me|password|secret|example|default|development|graphql.?app|your.|12345|abcde", re.I
)
# The words of passwords in examples, images and tutorials.
WORDS: Final = (
    "admin", "administrator", "app", "cache", "change", "changeit", "changeme", "database", "db", "default", "demo",
    "dev", "development", "example", "foobared", "graphql", "graphqlapp", "guest", "it", "letmein", "master", "me",
    "my", "office", "pass", "passwd", "password", "pg", "please", "postgres", "postgresql", "prod", "production",
    "pwd", "qwerty", "redis", "root", "secret", "server", "strong", "super", "test", "testing", "the", "this", "toor",
    "user", "valkey", "very", "welcome", "your",
)  # fmt: skip
_LIKE_LETTERS: Final = str.maketrans("013457@$!", "oleastasi")
_AROUND: Final = string.digits + string.punctuation


def is_guessable(secret: str) -> bool:
    """Returns whether a secret was typed by hand rather than drawn at random."""
    return len(set(secret)) < DISTINCT_CHARACTERS_LEAST or PLACEHOLDER.search(secret) is not None


def is_tried_first(password: str, *names: str) -> bool:
    """Returns whether a password consists of common words or of these names, whatever digits and marks are between.

    A password without letters is one that is tried first unless it is long.
    """
    if not _letters(password):
        return len(password) < DIGITS_LEAST
    words = [word for word in (*WORDS, *map(_letters, names)) if word]
    made_of_words = re.compile(f"(?:{'|'.join(map(re.escape, words))})+")
    # A digit or mark at an end may stand for a letter (0ffice) or be put around a word (P0stgres!).
    lowered = password.lower()
    spelled = (lowered, lowered.lstrip(_AROUND), lowered.rstrip(_AROUND), lowered.strip(_AROUND))
    folded = {_letters(password), *(_letters(text.translate(_LIKE_LETTERS)) for text in spelled)}
    return any(made_of_words.fullmatch(text) for text in folded)


def _letters(text: str) -> str:
    return re.sub("[^a-z]+", "", text.lower())
