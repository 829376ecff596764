"""The environment as settings, what is refused of it, and what the doctor shows."""

import base64
import secrets
import stat
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from graphql_app.app.development import with_keys
from graphql_app.app.doctor import shown
from graphql_app.app.identity import openid_issuer, role_table
from graphql_app.domain.access import ROLES, Scope
from graphql_app.settings import Settings, SettingsError, read, source, unknown

SECRET = "k3Vt9Qw1ZrY7mB5nX0pL2sD8fG4hJ6aE"
PRODUCTION = {
    "GRAPHQL_APP_MODE": "production",
    "DATABASE_URL": "postgresql://db/office",
    "REDIS_URL": "redis://:9f2c4e@cache",
    "GRAPHQL_APP_SECRET": SECRET,
    "GRAPHQL_APP_TOKEN_PUBLIC_KEY": "PEM",
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the settings of whoever runs the tests."""
    for name in Settings.model_fields:
        monkeypatch.delenv(Settings.variable(name), raising=False)


def from_environment(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return read()


def test_everything_has_a_default() -> None:
    settings = read()

    assert (settings.host, settings.port, settings.workers, settings.mode) == ("127.0.0.1", 8080, 1, "development")
    assert (settings.database_url, settings.redis_url, settings.secret) == (None, None, None)
    assert (settings.page_most, settings.roles, settings.origins) == (500, {}, [])


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL", "HOST", "PORT", "WORKERS"])
def test_the_variables_that_tools_expect_bare_are_bare(name: str) -> None:
    assert Settings.variable(name.lower()) == name


def test_every_other_variable_carries_the_prefix() -> None:
    assert Settings.variable("page_most") == "GRAPHQL_APP_PAGE_MOST"


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = from_environment(
        monkeypatch, PORT="0", GRAPHQL_APP_PAGE_MOST="7", GRAPHQL_APP_ORIGINS='["https://office.example"]'
    )

    assert (settings.port, settings.page_most, settings.origins) == (0, 7, ["https://office.example"])
    assert (source(settings, "port"), source(settings, "host")) == ("environment", "default")


def test_an_empty_variable_is_not_where_a_value_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    assert source(from_environment(monkeypatch, HOST=""), "host") == "default"


def test_a_key_that_was_made_for_a_developer_is_no_default(tmp_path: Path) -> None:
    settings = with_keys(read(data=tmp_path))

    assert (source(settings, "secret"), source(settings, "token_public_key")) == ("made here", "default")


def test_a_variable_that_is_no_setting_is_told_with_the_one_that_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GRAPHQL_APP_ORIGNS", "GRAPHQL_APP_WEATHER", "GRAPHQL_APP_ORIGINS"):
        monkeypatch.setenv(name, "[]")

    assert unknown() == [
        "GRAPHQL_APP_ORIGNS is no setting: is GRAPHQL_APP_ORIGINS meant?",
        "GRAPHQL_APP_WEATHER is no setting",
    ]


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        read().port = 1


def test_every_setting_says_what_it_is_for() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


# --- what is refused -------------------------------------------------------------------------------------------------

WRONG: dict[str, list[str]] = {
    "PORT": ["http", "-1", "65536", "80.5"],
    "WORKERS": ["0", "many"],
    "GRAPHQL_APP_MODE": ["prod"],
    "GRAPHQL_APP_SECRET": ["short", "x" * 31],
    "GRAPHQL_APP_PAGE_MOST": ["0", "-5"],
    "GRAPHQL_APP_TOKEN_SECONDS": ["0"],
    "GRAPHQL_APP_BATCH_WINDOW_MS": ["-1"],
    "GRAPHQL_APP_ROLES": ["[]", '{"guard": "workstations:read"}'],
    "GRAPHQL_APP_ORIGINS": [
        '"https://office.example"',
        '["*"]',
        '["https://*.office.example"]',
        '["null"]',
        '[""]',
        '["office.example"]',
        '["https://office.example/"]',
        '["https://Office.example"]',
        '["https://office.example, https://other.example"]',
        '["https://me@office.example"]',
        '["ftp://office.example"]',
    ],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_wrong_value_is_refused_in_one_line_that_names_the_variable(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError) as refused:
        from_environment(monkeypatch, **{name: value})

    assert str(refused.value).startswith(name)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GRAPHQL_APP_ROLES", "{"),
        ("GRAPHQL_APP_ROLES", "visitor"),
        ("GRAPHQL_APP_ORIGINS", "https://office.example"),
    ],
)
def test_what_is_no_json_is_refused_in_one_line_that_names_the_variable(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError) as refused:
        from_environment(monkeypatch, **{name: value})

    assert str(refused.value).startswith(f"{name}: takes JSON: ")


@pytest.mark.parametrize(
    ("name", "value", "way_out"),
    [
        ("GRAPHQL_APP_SECRET", "x" * 40, "openssl rand -base64 32"),
        ("GRAPHQL_APP_SECRET", "abababababababababababababababababab", "openssl rand -base64 32"),
        ("GRAPHQL_APP_SECRET", "please-change-me-before-production-7", "openssl rand -base64 32"),
        ("GRAPHQL_APP_SECRET", "My-Very-Secret-Passphrase-Of-2026-QZ", "openssl rand -base64 32"),
        ("DATABASE_URL", "postgresql://postgres:postgres@db/office", "openssl rand -hex 24"),
        ("DATABASE_URL", "postgresql://office:office@db/office", "openssl rand -hex 24"),
        ("DATABASE_URL", "postgresql://me:CHANGEME@db/office", "openssl rand -hex 24"),
        ("REDIS_URL", "redis://:redis@cache", "openssl rand -hex 24"),
        ("REDIS_URL", "rediss://default:123456@cache/0", "openssl rand -hex 24"),
        ("DATABASE_URL", "postgresql://office:postgres123@db/office", "openssl rand -hex 24"),
        ("DATABASE_URL", "postgresql://app:Riverside@db/riverside", "openssl rand -hex 24"),
        ("DATABASE_URL", "postgresql://app:MySecretPassword1!@db/office", "openssl rand -hex 24"),
        ("DATABASE_URL", "postgresql://app:p%40ssw0rd@db/office", "openssl rand -hex 24"),
        ("DATABASE_URL", "postgresql://app:12121212@one,two/office", "openssl rand -hex 24"),
        ("DATABASE_URL", "postgresql://db/office?user=app&password=9f2c4e8a7b", "before the host"),
        ("DATABASE_URL", "postgresql:///office?host=db&user=app&password=9f2c4e8a7b", "before the host"),
        ("REDIS_URL", "redis://cache", "openssl rand -hex 24.*requirepass"),
        ("REDIS_URL", "redis://default@cache:6379/0", "requirepass"),
        ("REDIS_URL", "rediss://default:@cache:6379/0", "requirepass"),
        ("REDIS_URL", "redis://127.0.0.1.example/0", "requirepass"),
        ("REDIS_URL", "redis://cache?password=9f2c4e8a7b", "before the host"),
        ("REDIS_URL", "redis://cache?db=0&Pass%77ord=9f2c4e8a7b", "before the host"),
        ("REDIS_URL", "redis://:redis-password@cache", "openssl rand -hex 24"),
        ("REDIS_URL", "redis://:changeme@127.0.0.1", "openssl rand -hex 24"),
        ("GRAPHQL_APP_TRUSTED_PROXIES", '["0.0.0.0/0"]', "name the proxies, or their network"),
        ("GRAPHQL_APP_TRUSTED_PROXIES", '["10.0.0.1", "::/0"]', "name the proxies, or their network"),
        ("GRAPHQL_APP_TRUSTED_PROXIES", '["128.0.0.0/1"]', "name the proxies, or their network"),
        ("GRAPHQL_APP_ORIGINS", '["*"]', "never a wildcard"),
    ],
)
def test_production_does_not_start_with_what_everybody_knows(
    name: str, value: str, way_out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError, match=way_out) as refused:
        from_environment(monkeypatch, **{**PRODUCTION, name: value})

    assert name in str(refused.value)
    assert name == "GRAPHQL_APP_ORIGINS" or value not in str(refused.value)


def test_all_that_lets_in_whoever_tries_is_told_at_once_a_line_each(monkeypatch: pytest.MonkeyPatch) -> None:
    weak = {
        "GRAPHQL_APP_SECRET": "x" * 40,
        "DATABASE_URL": "postgresql://postgres:postgres@db/office",
        "REDIS_URL": "redis://cache",
        "GRAPHQL_APP_TRUSTED_PROXIES": '["0.0.0.0/0"]',
    }
    with pytest.raises(SettingsError) as refused:
        from_environment(monkeypatch, **{**PRODUCTION, **weak})

    assert [line.split()[0] for line in str(refused.value).splitlines()] == list(weak)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_URL", "unix:///run/redis/redis.sock?db=1"),
        ("REDIS_URL", "redis://:8273-2837-9918-2731@cache"),
        ("REDIS_URL", "redis://:postgres-horse-battery@cache"),
        ("REDIS_URL", "redis://127.0.0.1:6379/0"),
        ("REDIS_URL", "redis://localhost"),
        ("REDIS_URL", "redis://[::1]:6379"),
        ("REDIS_URL", "rediss://cache?ssl_certfile=/run/secrets/client.pem&ssl_keyfile=/run/secrets/client.key"),
        ("DATABASE_URL", "postgresql:///office?host=/run/postgresql"),
        ("DATABASE_URL", "postgresql://app@db/office?sslcert=/run/secrets/client.pem"),
        ("GRAPHQL_APP_TRUSTED_PROXIES", '["10.0.0.0/8", "172.30.231.0/28", "fc00::/7", "192.0.2.1"]'),
    ],
)
def test_production_takes_what_only_this_machine_or_a_certificate_reaches(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert from_environment(monkeypatch, **{**PRODUCTION, name: value})


@pytest.mark.parametrize("_", range(20))
def test_production_takes_what_was_drawn(_: int, monkeypatch: pytest.MonkeyPatch) -> None:
    password = secrets.token_hex(24)
    drawn = {
        "GRAPHQL_APP_SECRET": base64.b64encode(secrets.token_bytes(32)).decode(),
        "DATABASE_URL": f"postgresql://graphql_app:{password}@db/office",
        "REDIS_URL": f"redis://:{password}@cache",
        "GRAPHQL_APP_ORIGINS": '["https://office.example", "http://localhost:3000", "http://[::1]:8080"]',
    }

    assert not from_environment(monkeypatch, **{**PRODUCTION, **drawn}).is_explorable


OIDC = {"GRAPHQL_APP_OIDC_ISSUER": "https://id.example/realms/office", "GRAPHQL_APP_OIDC_AUDIENCE": "office"}


def test_production_needs_no_token_key_where_an_issuer_signs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {name: value for name, value in PRODUCTION.items() if "TOKEN" not in name} | OIDC

    assert from_environment(monkeypatch, **given).oidc_issuer == OIDC["GRAPHQL_APP_OIDC_ISSUER"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"GRAPHQL_APP_OIDC_AUDIENCE": ""}, "needs GRAPHQL_APP_OIDC_AUDIENCE"),
        ({"GRAPHQL_APP_OIDC_ISSUER": "http://id.example"}, "takes a URL, https in production"),
        ({"GRAPHQL_APP_OIDC_ISSUER": "id.example"}, "takes a URL"),
        ({"GRAPHQL_APP_OIDC_ISSUER": "https://"}, "takes a URL"),
        ({"GRAPHQL_APP_OIDC_ISSUER": "https://[::1"}, "takes a URL"),
        ({"GRAPHQL_APP_OIDC_ISSUER": "https://id.example?a=b"}, "takes a URL"),
        ({"GRAPHQL_APP_TOKEN_ISSUER": OIDC["GRAPHQL_APP_OIDC_ISSUER"]}, "must differ from GRAPHQL_APP_TOKEN_ISSUER"),
    ],
)
def test_an_issuer_that_cannot_be_trusted_is_refused(
    changes: dict[str, str], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError, match=reason):
        from_environment(monkeypatch, **PRODUCTION, **{**OIDC, **changes})


def test_a_role_of_the_issuer_that_does_not_exist_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = from_environment(monkeypatch, **OIDC, GRAPHQL_APP_OIDC_ROLES='{"groups": {"a": "admin", "b": "boss"}}')

    with pytest.raises(SettingsError, match="GRAPHQL_APP_OIDC_ROLES: no such role: boss"):
        openid_issuer(settings)


def test_a_secret_that_is_refused_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="32 characters or more") as refused:
        from_environment(monkeypatch, GRAPHQL_APP_SECRET="geheim")

    assert "geheim" not in str(refused.value)


def test_production_with_everything_set_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert from_environment(monkeypatch, **PRODUCTION).mode == "production"


@pytest.mark.parametrize("missing", ["DATABASE_URL", "REDIS_URL", "GRAPHQL_APP_SECRET", "GRAPHQL_APP_TOKEN_PUBLIC_KEY"])
def test_production_names_the_variable_that_it_needs(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=f"production mode needs .*{missing}"):
        from_environment(monkeypatch, **{name: value for name, value in PRODUCTION.items() if name != missing})


@pytest.mark.parametrize("empty", ["DATABASE_URL", "REDIS_URL", "GRAPHQL_APP_TOKEN_PUBLIC_KEY"])
def test_an_empty_variable_is_a_missing_one(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=empty):
        from_environment(monkeypatch, **{**PRODUCTION, empty: ""})


def test_a_role_may_be_added_or_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = from_environment(
        monkeypatch, GRAPHQL_APP_ROLES='{"guard": ["workstations:read"], "hr": ["workstations:read"]}'
    )

    table = role_table(settings)

    assert table["guard"] == table["hr"] == {Scope.READ}
    assert table["admin"] == ROLES["admin"]


def test_a_scope_that_does_not_exist_is_refused_and_the_others_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"GRAPHQL_APP_ROLES: 'everything:read' .* workstations:write"):
        role_table(from_environment(monkeypatch, GRAPHQL_APP_ROLES='{"guard": ["everything:read"]}'))


# --- keys of a developer ---------------------------------------------------------------------------------------------


def test_a_developer_is_given_keys_that_last(tmp_path: Path) -> None:
    first, again = (with_keys(read(data=tmp_path)) for _ in range(2))

    assert first.secret
    assert first.token_private_key
    assert (again.secret, again.token_private_key) == (first.secret, first.token_private_key)


def test_the_keys_of_a_developer_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    with_keys(read(data=tmp_path))

    assert {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "keys").iterdir()} == {0o600}


def test_keys_that_are_set_are_kept_as_they_are(tmp_path: Path) -> None:
    settings = with_keys(read(data=tmp_path, secret=SecretStr(SECRET), token_public_key="PEM"))

    assert (settings.secret, settings.token_private_key) == (SecretStr(SECRET), None)
    assert not (tmp_path / "keys").exists()


# --- what the doctor shows -------------------------------------------------------------------------------------------

SHOWN: list[tuple[Any, str]] = [
    (None, "-"),
    (8080, "8080"),
    ("127.0.0.1", "127.0.0.1"),
    (SecretStr("geheim"), "(set)"),
    ("postgresql://db/office", "postgresql://db/office"),
    ("postgresql://app@db/office", "postgresql://app@db/office"),
    ("postgresql://app:geheim@db/office", "postgresql://app:…@db/office"),
    ("postgresql://app:geheim@one:5432,two:5432/office", "postgresql://app:…@one:5432,two:5432/office"),
    ("redis://:geheim@cache:6379/0", "redis://:…@cache:6379/0"),
]


@pytest.mark.parametrize(("value", "text"), SHOWN)
def test_a_setting_is_shown_without_its_password(value: Any, text: str) -> None:
    assert shown(value) == text


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app:ge%40geheim@db/office",
        "postgresql://app:app:geheim@db/office",
        "postgresql://app:p@geheim@db/office",
        "postgresql://app:geheim@[::1/office",
        "postgresql://db/office?user=app&password=geheim",
        "redis://cache?password=geheim",
    ],
)
def test_no_url_shows_its_password_however_it_is_written(url: str) -> None:
    assert "geheim" not in shown(url)
