"""What psql is told on its command line, which everybody sees."""

import pytest

from graphql_app.cli.psql import parted

SPLIT = {
    "postgresql://app:geheim@db:5432/office": ("postgresql://app@db:5432/office", "geheim"),
    "postgresql://app:geh%40im%2F@one,two:5433/office?sslmode=require": (
        "postgresql://app@one,two:5433/office?sslmode=require",
        "geh@im/",
    ),
    "postgresql://app@db/office": ("postgresql://app@db/office", ""),
    "postgresql:///office?host=/run/postgresql": ("postgresql:///office?host=/run/postgresql", ""),
    "postgresql://:geheim@/office": ("postgresql://@/office", "geheim"),
}


@pytest.mark.parametrize("url", SPLIT)
def test_the_password_is_none_of_it(url: str) -> None:
    assert parted(url) == SPLIT[url]
