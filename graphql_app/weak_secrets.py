"""What everybody knows or tries first: secrets that somebody typed, and passwords of servers that are none."""

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

LETTERS_LEAST: Final = 12  # different ones; of 32 random ones in hexadecimal there are 16, of base64 more
DIGITS_LEAST: Final = 16  # characters of a password without letters
LOOPBACK: Final = re.compile(r"localhost|127(\.\d+){3}|\[?::1\]?")

PLACEHOLDER: Final = re.compile(
    r"change.?me|password|secret|example|default|development|graphql.?app|your.|12345|abcde", re.I
)
# What passwords of examples, images and tutorials are made of.
WORDS: Final = (
    "admin", "administrator", "app", "cache", "change", "changeit", "changeme", "database", "db", "default", "demo",
    "dev", "development", "example", "foobared", "graphql", "graphqlapp", "guest", "it", "letmein", "master", "me",
    "my", "office", "pass", "passwd", "password", "pg", "please", "postgres", "postgresql", "prod", "production",
    "pwd", "qwerty", "redis", "root", "secret", "server", "strong", "super", "test", "testing", "the", "this", "toor",
    "user", "valkey", "very", "welcome", "your",
)  # fmt: skip
_LIKE_LETTERS: Final = str.maketrans("013457@$!", "oleastasi")


def is_guessable(secret: str) -> bool:
    """Whether somebody typed it, rather than drew it."""
    return len(set(secret)) < LETTERS_LEAST or PLACEHOLDER.search(secret) is not None


def is_tried_first(password: str, *names: str) -> bool:
    """Whether it is made of words that everybody tries, or of these names, with whatever digits and marks there are."""
    if not _letters(password):
        return len(password) < DIGITS_LEAST
    words = [word for word in (*WORDS, *map(_letters, names)) if word]
    made_of_words = re.compile(f"(?:{'|'.join(map(re.escape, words))})+")
    folded = {_letters(password), _letters(password.lower().translate(_LIKE_LETTERS))}
    return any(made_of_words.fullmatch(one) for one in folded)


def url_faults(name: str, url: str, *, needs_password: bool) -> Iterator[str]:
    """A line for each thing that keeps production from using the URL of the server in this variable."""
    try:
        parts = urlsplit(url)
        asked = {key.lower(): value for key, value in parse_qsl(parts.query, keep_blank_values=True)}
        host, user, password = parts.hostname or "", unquote(parts.username or ""), unquote(parts.password or "")
    except ValueError:
        return  # no URL at all: whoever connects with it says so
    if "password" in asked:
        yield f"{name} has a password behind its question mark, where logs and errors show it: write it before the host"
    elif needs_password and not password and not _is_within_reach(host, asked):
        yield (
            f"{name} has no password: make one with `openssl rand -hex 24`, set it there (`requirepass`), then here as"
            f" {parts.scheme}://:…@{host}; none is needed over a Unix socket or a loopback address"
        )
    for given in filter(None, (password, asked.get("password"))):
        if is_tried_first(given, user, parts.path):
            yield (
                f"{name} has a password that is tried first: change it there to the output of `openssl rand -hex 24`,"
                " then here"
            )


def _is_within_reach(host: str, asked: dict[str, str]) -> bool:
    """Whether nobody comes to the server but from this machine, or with a certificate. Without a host it is a Unix
    socket, or no URL of a server."""
    return not host or LOOPBACK.fullmatch(host) is not None or "ssl_certfile" in asked


def _letters(text: str) -> str:
    return re.sub("[^a-z]+", "", text.lower())
