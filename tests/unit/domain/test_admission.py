"""Which origins may come in: a listed one to the letter, and this host's, whose default port need not be said."""

import pytest

from graphql_app.domain.admission import Origins

ORIGINS = Origins(["https://listed.example"])


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (None, None),
        ("https://listed.example", "office.example"),
        ("https://office.example", "office.example"),
        ("https://office.example", "office.example:443"),
        ("http://office.example", "office.example:80"),
        ("https://office.example:443", "office.example"),
        ("https://OFFICE.example", "Office.Example:443"),
        ("http://office.example:8080", "office.example:8080"),
        ("https://[2001:db8::1]", "[2001:db8::1]:443"),
    ],
)
def test_the_same_origin_may_come(origin: str | None, host: str | None) -> None:
    assert ORIGINS.may_come(origin, host)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://office.example", None),
        ("https://office.example", ""),
        ("https://", ""),
        ("", "office.example"),
        ("null", "office.example"),
        ("https://office.example", "office.example:80"),
        ("http://office.example", "office.example:443"),
        ("https://office.example:80", "office.example"),
        ("https://office.example:8443", "office.example"),
        ("https://office.example", "office.example:8443"),
        ("https://listed.example:443", "office.example"),
        ("ftp://office.example", "office.example"),
        ("office.example", "office.example"),
    ],
)
def test_another_may_not(origin: str, host: str | None) -> None:
    assert not ORIGINS.may_come(origin, host)
