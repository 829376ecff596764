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


LOCAL = ["http://localhost:5173", "https://localhost", "http://127.0.0.1:3000", "http://[::1]:8080"]
NEARLY_LOCAL = [
    "http://localhost.evil.example",
    "http://evil.example:3000",
    "http://127.0.0.1.evil.example",
    "http://user@localhost:3000",
    "http://localhost:3000/",
    "http://localhost:",
    "file://localhost",
    "null",
]


@pytest.mark.parametrize("origin", LOCAL)
def test_a_page_of_this_machine_may_come_to_a_developer_alone(origin: str) -> None:
    assert Origins([], lets_in_local_pages=True).may_come(origin, "127.0.0.1:8080")
    assert not Origins([]).may_come(origin, "office.example")


@pytest.mark.parametrize("origin", NEARLY_LOCAL)
def test_what_only_looks_like_this_machine_may_not(origin: str) -> None:
    assert not Origins([], lets_in_local_pages=True).may_come(origin, "127.0.0.1:8080")
