"""Who may come in, and as what: built by the server, and by commands that are no server."""

from collections.abc import Mapping
from functools import partial

from graphql_app.domain.access import ROLES, Scope
from graphql_app.domain.account import DEMO_PASSWORD
from graphql_app.live.sessions.accounts import Accounts
from graphql_app.services.identity.administer import Administer
from graphql_app.services.identity.identify import Identify
from graphql_app.services.identity.issuer import Issuer
from graphql_app.services.identity.keys import BadKey, KeyRing
from graphql_app.services.identity.passwords import Passwords
from graphql_app.settings import Settings, SettingsError
from graphql_app.store.discovery import published_keys
from graphql_app.store.postgres.database import Database


def role_table(settings: Settings) -> Mapping[str, frozenset[Scope]]:
    """The shipped roles and the operator's. Raises SettingsError for a scope that does not exist."""
    try:
        own = {role: frozenset(Scope(scope) for scope in scopes) for role, scopes in settings.roles.items()}
    except ValueError as error:
        raise SettingsError(f"GRAPHQL_APP_ROLES: {error}; there are {', '.join(Scope)}") from error
    return {**ROLES, **own}


def openid_issuer(settings: Settings) -> Issuer | None:
    """The OpenID issuer, if one is set. Raises SettingsError for a role that does not exist."""
    if settings.oidc_issuer is None:
        return None
    assert settings.oidc_audience is not None
    known, named = role_table(settings).keys(), {r for roles in settings.oidc_roles.values() for r in roles.values()}
    if not named <= known:
        raise SettingsError(f"GRAPHQL_APP_OIDC_ROLES: no such role: {', '.join(sorted(named - known))}")
    fetch = partial(published_keys, settings.oidc_issuer)
    return Issuer(settings.oidc_issuer, settings.oidc_audience, settings.oidc_roles, fetch)


def key_ring(settings: Settings) -> KeyRing:
    """The keys of our own tokens; none where an OpenID issuer signs them all. Raises SettingsError."""
    private = settings.token_private_key.get_secret_value() if settings.token_private_key else None
    if settings.oidc_issuer and not private and not settings.token_public_key:
        return KeyRing(())
    try:
        return KeyRing.read(private, settings.token_public_key)
    except BadKey as error:
        raise SettingsError(f"GRAPHQL_APP_TOKEN_PRIVATE_KEY, GRAPHQL_APP_TOKEN_PUBLIC_KEY: {error}") from error


def identify(settings: Settings, openid: Issuer | None = None, accounts: Accounts | None = None) -> Identify:
    """Without accounts, as commands have it, tokens of a login are not believed. Raises SettingsError."""
    return Identify(
        key_ring(settings),
        issuer=settings.token_issuer,
        audience=settings.token_audience,
        roles=role_table(settings),
        openid=openid,
        accounts=accounts,
    )


def administer(settings: Settings, database: Database, passwords: Passwords) -> Administer:
    return Administer(database, passwords, role_table(settings), refused_passwords=refused_passwords(settings))


def refused_passwords(settings: Settings) -> frozenset[str]:
    """What everybody knows is let in on a developer's own machine alone."""
    return frozenset() if settings.is_private else frozenset({DEMO_PASSWORD})
