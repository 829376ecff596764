"""What of a URL may be shown: never its password, however it is written."""

from traceback import format_exception

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphql_app.app.doctor import database_problem, redis_problem, report, shown
from graphql_app.domain.urls import ADVICE, advice, secrets_of, without_password, without_secrets
from graphql_app.settings import SettingsError, read
from graphql_app.store.redis import broadcast

CANARY = "geheim"
# Whatever stands around it: each piece may end a host, a port, a user, a query or a value.
PASSWORDS = st.builds(
    lambda before, after: before + CANARY + after,
    st.text("#/?@:&%=' [],12ab", max_size=4),
    st.text("#/?@:&%=' [],12ab", max_size=4),
)
PLACES = (
    "postgresql://app:{}@127.0.0.1:9/office",
    "postgresql://app:{}@127.0.0.1:9,127.0.0.2:9/office?target_session_attrs=primary",
    "postgresql://:{}@[::1]:9/office?sslmode=require",
    "postgresql://127.0.0.1:9/office?user=app&password={}",
    "postgresql://127.0.0.1:9/office?sslpassword={}&sslmode=disable",
    "host=127.0.0.1 port=9 password={} user=app",
    "host=127.0.0.1 port=9 password='{}' user=app",
    "redis://:{}@127.0.0.1:9/0",
    "rediss://app:{}@127.0.0.1:9",
    "redis://127.0.0.1:9/0?password={}",
)

SHOWN = {
    "postgresql://db/office": "postgresql://db/office",
    "postgresql://app@db:5432/office?sslmode=require": "postgresql://app@db:5432/office?sslmode=require",
    "postgresql:///office?host=/run/postgresql&user=app": "postgresql:///office?host=/run/postgresql&user=app",
    "postgresql://app:geheim@one:5432,[::2]:5432/office": "postgresql://app:…@one:5432,[::2]:5432/office",
    "postgresql://app:ge/h#e@im@db/office": "postgresql://app:…@db/office",
    "postgresql://db/office?user=app&password=geheim": "postgresql://db/office?user=app&password=…",
    "postgresql://db:5432/office?user=app&password=ge@heim": "postgresql://…",
    "postgresql://app:ge?heim@db/office": "postgresql://…",
    "redis://:geheim@cache:6379/0?protocol=3": "redis://:…@cache:6379/0?protocol=3",
    "unix:///run/redis.sock?db=1": "unix:///run/redis.sock?db=1",
    "redis://:geheim": "redis://…",
    "redis://:12/geheim": "redis://…",
    "redis://cache:6379/0#geheim": "redis://…",
    "host=db password=geheim": "(not a URL)",
    "postgres:geheim@db/office": "(not a URL)",
}


@pytest.mark.parametrize("url", SHOWN)
def test_a_url_is_shown_without_its_password(url: str) -> None:
    assert without_password(url) == SHOWN[url] == shown(url, is_url=True)


@given(st.sampled_from(PLACES), PASSWORDS)
def test_no_url_shows_any_of_its_password(place: str, password: str) -> None:
    url = place.format(password)

    assert CANARY not in without_password(url)
    assert CANARY not in without_secrets(f"cannot read {url!r}: port {password!r}", url)


@given(st.text(max_size=60))
def test_any_text_can_be_shown(text: str) -> None:
    assert without_password(text)
    secrets_of(text)


def test_a_password_that_ends_the_host_is_said_to_be_the_fault() -> None:
    assert advice("postgresql://app:ge/heim@db/office") == advice("host=db password=geheim") == ADVICE
    assert advice("postgresql://app:ge%2Fheim@db/office") is None


def test_settings_and_what_is_wrong_with_them_show_no_password_in_a_traceback() -> None:
    url = "postgresql://app:geheim@db/office"

    assert CANARY not in repr(read(database_url=url, redis_url="redis://:geheim@cache"))
    with pytest.raises(SettingsError, match="production mode needs") as refused:
        read(mode="production", database_url=url)
    assert CANARY not in "".join(format_exception(refused.value))


UNREAD = [
    place.format(part) for place in PLACES for part in ("ge#geheim", "12/geheim", "p?geheim", "a@geheim", "geheim")
]


@pytest.mark.parametrize("url", UNREAD)
async def test_what_doctor_and_serve_say_of_a_url_holds_no_password(url: str) -> None:
    """Both ask these for what is wrong."""
    settings = read(database_url=url, redis_url=url, database_timeout_seconds=2)
    lines, is_well = await report(settings)
    said = [*lines, await database_problem(settings), await redis_problem(settings), await broadcast.problem(url)]

    assert not is_well
    assert CANARY not in "\n".join(map(str, said))
