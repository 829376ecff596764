"""`graphql-app doctor`: every setting with its source, whether they fit together, and whether the servers answer."""

from collections.abc import Iterator

from pydantic import SecretStr

from graphql_app.app.checks import check
from graphql_app.app.development import with_running
from graphql_app.app.store import for_command
from graphql_app.domain.urls import without_password
from graphql_app.services.identity.keys import key_of_jwk
from graphql_app.settings import Settings, SettingsError, source, unknown
from graphql_app.store.discovery import IssuerAway, published_keys
from graphql_app.store.postgres.migrations import MigrationError, require_current
from graphql_app.store.redis import broadcast

FITTING = "fit together"
REACHABLE = "reachable"
URLS = frozenset({"database_url", "redis_url", "oidc_issuer"})
EMBEDDED = "embedded: `serve` starts it under GRAPHQL_APP_DATA, as no URL is set; it does not run now"


async def report(settings: Settings) -> tuple[list[str], bool]:
    """Returns the lines to print, and whether everything is well. Embedded servers that run are shown as any others."""
    embedded = EMBEDDED
    try:
        settings = with_running(settings)
    except SettingsError as error:
        embedded = str(error)
    findings = {
        "Settings": settings_problem(settings) or FITTING,
        "PostgreSQL": (await database_problem(settings) or REACHABLE) if settings.database_url else embedded,
        "Redis": (await redis_problem(settings) or REACHABLE) if settings.redis_url else embedded,
    }
    if settings.oidc_issuer is not None:
        findings["OpenID"] = await issuer_problem(settings.oidc_issuer) or REACHABLE
    checks = [f"  {name:<12} {line}" for name, finding in findings.items() for line in finding.splitlines()]
    is_well = all(finding in (FITTING, REACHABLE, EMBEDDED) for finding in findings.values())
    return ["Settings:", *listed(settings), *(f"  {line}" for line in unknown()), "", "Checks:", *checks], is_well


def listed(settings: Settings) -> Iterator[str]:
    """A line for each setting: its variable, value, source and meaning."""
    variables = {name: Settings.variable(name) for name in Settings.model_fields}
    width = max(map(len, variables.values()))
    for name, field in Settings.model_fields.items():
        value, origin = shown(getattr(settings, name), is_url=name in URLS), source(settings, name)
        yield f"  {variables[name]:<{width}}  {value:<26}  {origin:<11}  {field.description}"


def settings_problem(settings: Settings) -> str | None:
    try:
        check(settings)
    except SettingsError as error:
        return str(error)
    return None


async def database_problem(settings: Settings) -> str | None:
    """Returns why the database at DATABASE_URL cannot be used; None when it can."""
    assert settings.database_url is not None
    database = for_command(settings.database_url, settings)
    try:
        problem = await database.problem()
        if problem is None:
            await require_current(database)
        return problem
    except MigrationError as error:
        return str(error)
    finally:
        await database.close()


async def redis_problem(settings: Settings) -> str | None:
    """Returns why Redis at REDIS_URL cannot be used; None when it can."""
    assert settings.redis_url is not None
    return await broadcast.problem(settings.redis_url)


async def issuer_problem(issuer: str) -> str | None:
    try:
        keys = await published_keys(issuer)
    except IssuerAway as away:
        return str(away)
    return None if any(map(key_of_jwk, keys)) else "none of its keys can be used here"


def shown(value: object, *, is_url: bool = False) -> str:
    """A setting without what is secret in it: keys, and the passwords in URLs. `is_url`: it is meant to be one,
    whatever it looks like."""
    if value is None:
        return "-"
    if isinstance(value, SecretStr) or (isinstance(value, str) and value.lstrip().startswith("-----BEGIN")):
        return "(set)"  # a public key is no secret, but fills a page
    if isinstance(value, str) and (is_url or "://" in value):
        return without_password(value)
    return str(value)
