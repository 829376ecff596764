"""What is written into the log, as it is written."""

import io
import logging
import time
from collections.abc import Iterator
from urllib.parse import unquote

import pytest
from cachetools import TTLCache
from hypothesis import given
from hypothesis import strategies as st

from graphql_app import observe
from graphql_app.domain.urls import secrets_of
from graphql_app.ops import logs
from graphql_app.testing import new_key

TOKEN = "eyJhbGciOiJFZERTQSIsImtpZCI6IkEifQ.eyJzdWIiOiJhZGEiLCJleHAiOjE3OTl9.c2lnbmF0dXJlLXdpdGgtXy0"
KEY = new_key()


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """The log of the application, through the formatter that `configure` sets."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(logs.Redacting("%(levelname)s %(name)s: %(message)s"))
    logs.logger.addHandler(handler)
    yield text
    logs.logger.removeHandler(handler)


def failing(message: str) -> Exception:
    """An exception with a traceback, and another behind it."""
    try:
        try:
            raise ValueError(message)
        except ValueError as cause:
            raise RuntimeError(f"because of {message}") from cause
    except RuntimeError as error:
        return error


SECRETS = {
    "a token": (TOKEN, TOKEN),
    "a header": (f"{{'authorization': 'Bearer {TOKEN}'}}", TOKEN),
    "an opaque token in a header": ("Authorization: bearer 8f14e45fceea167a5a36", "8f14e45fceea167a5a36"),
    "a token cut short": (TOKEN[:70], TOKEN[37:70]),
    "a token in an address": ("GET /graphql?query=x&access_token=8f14e45fcee", "8f14e45fcee"),
    "the password of the database": ("cannot connect to postgresql://app:geh%40im@db:5432/office", "geh%40im"),
    "the password of Redis": ("redis://:geheim@cache:6379/0 went away", "geheim"),
    "a password by its name": ("invalid dsn: host=db password=geheim user=app", "geheim"),
    "a variable of a login": ("{'login': 'ada', 'password': 'geheim'}", "geheim"),
    "a key": (KEY, KEY.splitlines()[1]),
}


@pytest.mark.parametrize("kind", SECRETS)
def test_an_error_that_holds_a_secret_is_written_without_it(kind: str, written: io.StringIO) -> None:
    message, secret = SECRETS[kind]

    logs.log(observe.Unexpected("4f1c2a", "departments", failing(message)))

    assert secret not in written.getvalue()
    assert written.getvalue().count("[redacted]") >= 2
    assert "incident 4f1c2a at departments" in written.getvalue()
    assert "RuntimeError" in written.getvalue()


@pytest.mark.parametrize(
    "message",
    [
        "the feed was interrupted: ConnectionResetError: [Errno 104]",
        "postgresql://db:5432/office does not answer",
        "the bearer of this",
        "https://id.example/realms/office answers 503",
        "invalid token at line 3",
    ],
)
def test_what_is_no_secret_is_written_as_it_is(message: str, written: io.StringIO) -> None:
    logs.log(observe.BroadcastLost(message))

    assert message in written.getvalue()


def test_a_failure_of_the_feed_is_said_once_and_not_each_time_that_it_is_tried_again(written: io.StringIO) -> None:
    for again in (False, True, True):
        logs.log(observe.FeedFailed(OSError("no space left"), again=again))

    assert written.getvalue().count("no space left") == 1


@given(st.text(max_size=300))
def test_any_line_can_be_written(text: str) -> None:
    logs.Redacting().format(logging.LogRecord("x", logging.INFO, "", 1, text, None, None))


@pytest.mark.parametrize(
    "piece",
    ["eyJ-", "a.", "a://", "a://b:c", "bearer ", "password ", "-----BEGIN PRIVATE KEY-----", "?token=", "token:"],
)
def test_a_long_line_is_written_in_a_moment(piece: str) -> None:
    text = piece * (200_000 // len(piece))
    began = time.thread_time()

    logs.Redacting().format(logging.LogRecord("x", logging.INFO, "", 1, text, None, None))

    assert time.thread_time() - began < 2


def test_no_text_of_a_client_makes_a_line_of_its_own_or_orders_the_terminal_about(written: io.StringIO) -> None:
    forged = "x\r\n2026-11-30 ERROR graphql_app: all is lost\x1b[2J\u202e"

    logs.log(observe.BroadcastLost(forged))
    logs.log(observe.Unexpected("4f1c2a", forged, failing(forged)))

    lines = written.getvalue().split("\n")
    assert not any(line.startswith("2026") for line in lines)
    assert "all is lost\\x1b[2J\\u202e" in written.getvalue()
    assert written.getvalue().replace("\n", "").isprintable()


@pytest.mark.parametrize("password", ["ge#he/i?m@x", "ge heim und mehr", "%67eheimnis"])
def test_the_passwords_of_the_servers_are_in_no_line_however_a_library_quotes_them(password: str) -> None:
    url = f"postgresql://app:{password}@db/office"
    formatter = logs.Redacting("%(message)s", secrets_of(url))

    for told in (url, password, unquote(password), f"could not read {password!r}"):
        line = formatter.format(logging.LogRecord("x", logging.ERROR, "", 1, told, None, None))
        assert password not in line
        assert unquote(password) not in line


def test_a_refused_origin_is_said_once_in_a_while_with_what_to_set(
    written: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    said = TTLCache[str, None](logs.ORIGINS_SAID_MOST, logs.ORIGIN_SECONDS, timer=lambda: clock[0])
    monkeypatch.setattr(logs, "_origins_said", said)
    for _ in range(3):
        logs.log(observe.OriginRefused("http://desk.example:5173"))
    assert written.getvalue().count("http://desk.example:5173 was refused: add its origin to GRAPHQL_APP_ORIGINS") == 1
    clock[0] = logs.ORIGIN_SECONDS + 1
    logs.log(observe.OriginRefused("http://desk.example:5173"))
    assert written.getvalue().count("http://desk.example:5173") == 2


def test_who_makes_origins_up_does_not_fill_the_log(written: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_origins_said", TTLCache[str, None](logs.ORIGINS_SAID_MOST, logs.ORIGIN_SECONDS))
    for number in range(3 * logs.ORIGINS_SAID_MOST):
        logs.log(observe.OriginRefused(f"http://{number}.example"))
    assert written.getvalue().count("\n") == logs.ORIGINS_SAID_MOST
