"""What the settings say together, tried before anything starts: what is wrong is one line, not a server that ends."""

from graphql_app.app.graph import trusted_documents
from graphql_app.app.identity import identify, openid_issuer
from graphql_app.settings import Settings


def check(settings: Settings) -> None:
    """Roles, keys, issuer and trusted documents. Raises SettingsError for the first that cannot be used."""
    identify(settings, openid_issuer(settings))
    trusted_documents(settings)
