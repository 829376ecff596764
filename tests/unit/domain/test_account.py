"""What becomes of a refresh token, and whom failed logins are counted under."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from graphql_app.domain.account import (
    GRACE,
    Account,
    LoginSession,
    RefreshToken,
    Use,
    address_subject,
    checked_name,
    checked_password,
    expiry,
    name_subject,
    use_of,
)
from graphql_app.domain.errors import InvalidInput

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)
HOUR = timedelta(hours=1)
ADA = Account(1, "ada", "employee", False, NOW - 3 * HOUR, None, None, 1)
SESSION = LoginSession(1, UUID(int=1), 1, NOW - 2 * HOUR, None)
TOKEN = RefreshToken(1, NOW + HOUR, None)

USES = {
    "fresh": (TOKEN, ADA, SESSION, Use.FIRST),
    "until the last moment": (replace(TOKEN, expires_at=NOW + MOMENT), ADA, SESSION, Use.FIRST),
    "expired": (replace(TOKEN, expires_at=NOW), ADA, SESSION, Use.EXPIRED),
    "used just now": (replace(TOKEN, used_at=NOW), ADA, SESSION, Use.AGAIN),
    "used within the grace": (replace(TOKEN, used_at=NOW - GRACE), ADA, SESSION, Use.AGAIN),
    "used before": (replace(TOKEN, used_at=NOW - GRACE - MOMENT), ADA, SESSION, Use.REUSED),
    "used before and expired": (replace(TOKEN, used_at=NOW - HOUR, expires_at=NOW), ADA, SESSION, Use.REUSED),
    "of a session that was revoked": (TOKEN, ADA, replace(SESSION, revoked_at=NOW), Use.ENDED),
    "of a disabled account": (TOKEN, replace(ADA, is_disabled=True), SESSION, Use.ENDED),
    "of an older session": (TOKEN, replace(ADA, tokens_from=SESSION.created_at + MOMENT), SESSION, Use.ENDED),
    "of a session since then": (TOKEN, replace(ADA, tokens_from=SESSION.created_at), SESSION, Use.FIRST),
    "used just now, of a session that was revoked": (
        replace(TOKEN, used_at=NOW),
        ADA,
        replace(SESSION, revoked_at=NOW),
        Use.ENDED,
    ),
}


@pytest.mark.parametrize("case", USES)
def test_what_presenting_a_refresh_token_comes_to(case: str) -> None:
    token, account, session, use = USES[case]

    assert use_of(token, account, session, NOW) is use


def test_a_refresh_token_expires_with_its_session_at_the_latest() -> None:
    def seconds_left(token_seconds: float, session_seconds: float) -> float:
        expires_at = expiry(SESSION, NOW, token_seconds=token_seconds, session_seconds=session_seconds)
        return (expires_at - NOW).total_seconds()

    assert seconds_left(600, 24 * 3600) == 600
    assert seconds_left(24 * 3600, 3 * 3600) == 3600


def test_a_name_is_counted_however_it_is_written_and_not_kept() -> None:
    assert name_subject("Ada") == name_subject("aDA") != name_subject("ada ")
    assert "ada" not in name_subject("ada")
    assert len(name_subject("a" * 100_000)) < 100


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("192.0.2.1", "::ffff:192.0.2.1"),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"),
        ("", None),
    ],
)
def test_addresses_of_one_customer_are_counted_together(one: str, other: str | None) -> None:
    assert address_subject(one) == address_subject(other)


@pytest.mark.parametrize(("one", "other"), [("192.0.2.1", "192.0.2.2"), ("2001:db8:1:2::1", "2001:db8:1:3::1")])
def test_addresses_of_others_are_not(one: str, other: str | None) -> None:
    assert address_subject(one) != address_subject(other)


@pytest.mark.parametrize("name", ["", " ada", "ada\n", "a\u0000a", "a" * 101])
def test_a_name_that_could_not_be_told_from_another_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        checked_name(name)


@pytest.mark.parametrize("password", ["", "too short", "长" * 400])
def test_a_password_too_short_or_too_long_is_refused(password: str) -> None:
    with pytest.raises(InvalidInput):
        checked_password(password)


def test_names_and_passwords_of_all_scripts_are_taken() -> None:
    assert checked_name("张伟") == "张伟"
    assert checked_password("正确的马电池订书钉很好") == "正确的马电池订书钉很好"
