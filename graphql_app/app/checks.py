"""What the settings say together, tried before anything starts: what is wrong is one line, not a server that ends."""

from graphql_app.app.graph import trusted_documents
from graphql_app.app.identity import key_ring, openid_issuer, role_table
from graphql_app.settings import Settings, SettingsError

READERS = (role_table, key_ring, openid_issuer, trusted_documents)


def check(settings: Settings) -> None:
    """Reads roles, keys, issuer and trusted documents. Raises SettingsError, a line for each that cannot be used."""
    faults: dict[str, None] = {}  # once each, in order: the issuer reads the roles too
    for read in READERS:
        try:
            read(settings)
        except SettingsError as error:
            faults[str(error)] = None
    if faults:
        raise SettingsError("\n".join(faults))
