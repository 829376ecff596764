"""Which tags a condition names, and what conditions allow (RFC 9110, 8.8.3 and 13.1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphql_app.domain.etags import lists, permits

TAG = '"0123456789abcdef01234567"'
OPAQUE = TAG.strip('"')

NAMED = [
    TAG,
    f"W/{TAG}",  # nginx
    f'"{OPAQUE}-gzip"',  # Apache
    f'W/"{OPAQUE}-br"',
    "*",
    " * ",
    f'"x", {TAG}',
    f'"x",W/{TAG},"y"',
    f'"a,b", {TAG}',
    f" {TAG} ",
    f'"", {TAG}',
]
NOT_NAMED = [
    "",
    '""',
    OPAQUE,
    f'"{OPAQUE}',
    f'"{OPAQUE}x"',
    f'"x-{OPAQUE}"',
    f'"{OPAQUE}-lzma"',
    "W/*",
    f'"x {TAG[1:]}',
]


@pytest.mark.parametrize("header", NAMED)
@pytest.mark.parametrize("ours", [TAG, f"W/{TAG}"])
def test_a_tag_is_named_however_a_proxy_gave_it_on(header: str, ours: str) -> None:
    assert lists(header, ours)


@pytest.mark.parametrize("header", NOT_NAMED)
def test_nothing_else_names_it(header: str) -> None:
    assert not lists(header, TAG)


@given(st.text())
def test_any_header_is_read(header: str) -> None:
    assert lists(header, TAG) in (True, False)


@pytest.mark.parametrize(
    ("if_match", "if_none_match", "tag", "allowed"),
    [
        (None, None, TAG, True),
        (TAG, None, TAG, True),
        ("*", None, TAG, True),
        ('"x"', None, TAG, False),
        ("", None, TAG, False),
        (None, "*", TAG, False),
        (None, TAG, TAG, False),
        (None, '"x"', TAG, True),
        (TAG, '"x"', TAG, True),
        (TAG, "*", TAG, False),
        # What is there and has no tag.
        ("*", None, None, True),
        ('"x"', None, None, False),
        (None, "*", None, False),
        (None, '"x"', None, True),
    ],
)
def test_conditions_allow_what_they_say(
    if_match: str | None, if_none_match: str | None, tag: str | None, allowed: bool
) -> None:
    assert permits(if_match, if_none_match, tag) is allowed
