"""`graphql-app doctor`: every setting with its source, and each server reachable or why not."""

import re
from urllib.parse import urlsplit

from pydantic import SecretStr

from graphql_app.services.keys import key_of_jwk
from graphql_app.settings import Settings
from graphql_app.store import broadcast
from graphql_app.store.database import Database
from graphql_app.store.discovery import IssuerAway, published_keys
from graphql_app.store.migrations import MigrationError, require_current


async def report(settings: Settings) -> tuple[list[str], bool]:
    """The lines to print, and whether everything is well."""
    lines = ["Settings:"]
    for name, field in Settings.model_fields.items():
        variable = Settings.variable(name)
        lines.append(
            f"  {variable:<36} {shown(getattr(settings, name)):<28} {settings.source(name):<12} {field.description}"
        )
    lines += ["", "Servers:"]
    healthy = True
    problems = {"PostgreSQL": await database_problem(settings), "Redis": await redis_problem(settings)}
    if settings.oidc_issuer is not None:
        problems["OpenID"] = await issuer_problem(settings.oidc_issuer)
    for name, problem in problems.items():
        healthy = healthy and (problem is None or problem.startswith("embedded"))
        lines.append(f"  {name:<12} {problem or 'reachable'}")
    return lines, healthy


async def database_problem(settings: Settings) -> str | None:
    if settings.database_url is None:
        return EMBEDDED
    database = Database(settings.database_url, pool=1, timeout_seconds=settings.database_timeout_seconds)
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
    return EMBEDDED if settings.redis_url is None else await broadcast.problem(settings.redis_url)


async def issuer_problem(issuer: str) -> str | None:
    try:
        keys = await published_keys(issuer)
    except IssuerAway as away:
        return str(away)
    return None if any(map(key_of_jwk, keys)) else "none of its keys can be used here"


EMBEDDED = "embedded: started by `serve` under GRAPHQL_APP_DATA, as no URL is set"


def shown(value: object) -> str:
    """A setting without what is secret in it: keys, and the passwords in URLs."""
    if value is None:
        return "-"
    if isinstance(value, SecretStr) or (isinstance(value, str) and value.lstrip().startswith("-----BEGIN")):
        return "(set)"  # a public key is no secret, but fills a page
    if isinstance(value, str) and "://" in value:
        return without_password(value)
    return str(value)


def without_password(url: str) -> str:
    """Hides the password, where it is before the host and where it is in the query."""
    try:
        hidden = urlsplit(url).password
    except ValueError:
        return "(not a URL)"
    shown = url.replace(f":{hidden}@", ":…@", 1) if hidden else url
    return re.sub(r"(?i)(password=)[^&]*", r"\1…", shown)
