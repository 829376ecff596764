"""What keeps production from starting: secrets and passwords that are guessed, and proxies that anybody can be."""

import re
from collections.abc import Iterator, Sequence
from ipaddress import ip_network
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from graphql_app.domain.weak_secrets import is_guessable, is_tried_first

LOOPBACK: Final = re.compile(r"localhost|127(\.\d+){3}|\[?::1\]?")
# The shortest prefixes of networks that may be trusted whole: 10.0.0.0/8 and fc00::/7 are private (RFC 1918, RFC 4193).
PROXY_PREFIX_LEAST: Final = {4: 8, 6: 7}


def weaknesses(
    secret: str | None,
    database_url: str | None,
    redis_url: str | None,
    trusted_proxies: Sequence[str],
    *,
    prefix: str,
) -> Iterator[str]:
    """Yields a line for each setting that lets an attacker in, naming its variable and what to do.

    `prefix` is what the variables of our own begin with.
    """
    if secret is not None and is_guessable(secret):
        yield f"{prefix}SECRET can be guessed: set the output of `openssl rand -base64 32`"
    # PostgreSQL has other ways to authenticate, in pg_hba.conf; a Redis without a password lets everybody in.
    yield from url_faults("DATABASE_URL", database_url or "", needs_password=False)
    yield from url_faults("REDIS_URL", redis_url or "", needs_password=True)
    for network in (ip_network(one, strict=False) for one in trusted_proxies):
        if network.prefixlen < PROXY_PREFIX_LEAST[network.version]:
            yield (
                f"{prefix}TRUSTED_PROXIES believes whoever comes from {network}, and so whatever address anybody"
                " claims: name the proxies, or their network"
            )


def url_faults(name: str, url: str, *, needs_password: bool) -> Iterator[str]:
    """Yields a line for each reason not to use this URL in production; `name` is the variable that holds it.

    Yields nothing for a text that is no URL: connecting to it says so.
    """
    try:
        parts = urlsplit(url)
        query = {key.lower(): value for key, value in parse_qsl(parts.query, keep_blank_values=True)}
        host, user, password = parts.hostname or "", unquote(parts.username or ""), unquote(parts.password or "")
    except ValueError:
        return
    if "password" in query:
        yield f"{name} has a password behind its question mark, where logs and errors show it: write it before the host"
    elif needs_password and not password and not _is_private(host, query):
        yield (
            f"{name} has no password: make one with `openssl rand -hex 24`, set it there (`requirepass`), then here as"
            f" {parts.scheme}://:…@{host}; none is needed over a Unix socket or a loopback address"
        )
    for given in filter(None, (password, query.get("password"))):
        if is_tried_first(given, user, parts.path):
            yield (
                f"{name} has a password that is tried first: change it there to the output of `openssl rand -hex 24`,"
                " then here"
            )


def _is_private(host: str, query: dict[str, str]) -> bool:
    """Returns whether the server can be reached from this machine alone, or with a certificate alone.

    A URL without a host is that of a Unix socket, or of no server at all.
    """
    return not host or LOOPBACK.fullmatch(host) is not None or "ssl_certfile" in query
