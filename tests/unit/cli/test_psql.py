"""What psql is told on its command line, which everybody sees."""

import pytest

from graphql_app.cli.psql import parted
from graphql_app.cli.session import Stop

SPLIT = {
    "postgresql://app:geheim@db:5432/office": ("postgresql://app@db:5432/office", "geheim"),
    "postgresql://app:geh%40im%2F@one,two:5433/office?sslmode=require": (
        "postgresql://app@one,two:5433/office?sslmode=require",
        "geh@im/",
    ),
    "postgresql://app@db/office": ("postgresql://app@db/office", ""),
    "postgresql:///office?host=/run/postgresql": ("postgresql:///office?host=/run/postgresql", ""),
    "postgresql://db/office?user=app&password=ge%2Bhe+im&sslmode=require": (
        "postgresql://db/office?user=app&sslmode=require",
        "ge+he im",
    ),
    "postgresql://app@db/office?P%61ssword=geheim": ("postgresql://app@db/office", "geheim"),
    "postgresql://:geheim@/office": ("postgresql://@/office", "geheim"),
}


@pytest.mark.parametrize("url", SPLIT)
def test_the_password_is_none_of_it(url: str) -> None:
    assert parted(url) == SPLIT[url]


@pytest.mark.parametrize(
    "url", ["postgresql://app:ge/heim@db/office", "postgresql://app@db/office?sslkey=k&sslpassword=geheim"]
)
def test_a_secret_that_cannot_be_parted_from_the_rest_goes_nowhere(url: str) -> None:
    with pytest.raises(Stop) as stopped:
        parted(url)
    assert "heim" not in str(stopped.value)
