"""Who may come in, as far as that can be told before a token is looked at: by the origin of a page, by an address, by
what is said twice."""

import re
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import unquote_plus

TOKEN_PARAMETERS: Final = ("access_token", "refresh_token", "id_token", "token", "jwt", "authorization", "bearer")
# A parameter is called by its letters: `access%5Ftoken`, `accessToken` and `access_token[]` are one name to somebody.
_BESIDE_LETTERS: Final = re.compile("[^a-z]+")
_TOKEN_LETTERS: Final = frozenset(_BESIDE_LETTERS.sub("", name) for name in TOKEN_PARAMETERS)

# Browsers leave it out of an origin, and some clients say it in `Host` (RFC 6454, 6.1; RFC 9110, 4.2).
DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}

LOCAL_ORIGIN: Final = re.compile(r"https?://(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?")

NO_FOREIGN_PAGES: Final = "Pages of this origin may not come in; GRAPHQL_APP_ORIGINS lists those that may."
NO_TOKENS_IN_ADDRESSES: Final = (
    "Addresses are written into logs: send the token as `Authorization: Bearer …`, and have this one revoked."
)


def fields_of(lines: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The header fields by their names."""
    fields = dict(lines)
    if len(fields) != len(lines):
        # What is said on several lines is said once, with commas (RFC 9110, 5.3): two tokens are none.
        for name in fields:
            fields[name] = b", ".join(value for other, value in lines if other == name)
    return fields


class Origins:
    """The origins whose pages may come in, over HTTP and WebSockets alike."""

    def __init__(self, listed: Iterable[str], *, lets_in_local_pages: bool = False) -> None:
        """`lets_in_local_pages`: those of this machine too, on any port, as a developer's tools serve them."""
        self.listed = frozenset(listed)
        self.lets_in_local_pages = lets_in_local_pages

    def may_come(self, origin: str | None, host: str | None) -> bool:
        """Returns whether a page of the origin may come in. Browsers name the origin of their page: this host's, a
        listed one to the letter, or a local one. Programs name none."""
        if origin is None or origin in self.listed:
            return True
        if self.lets_in_local_pages and LOCAL_ORIGIN.fullmatch(origin):
            return True
        # What ends TLS before this server keeps from it which of the two it was.
        scheme, _, authority = origin.lower().partition("://")
        port = DEFAULT_PORTS.get(scheme)
        if port is None or not host:
            return False
        return authority.removesuffix(port) == host.lower().removesuffix(port)


def names_a_token(query_string: str) -> bool:
    """Whether the address has a parameter that is meant for a token (RFC 6750, 2.3 is not offered), however its name is
    written."""
    return any(_letters_of(pair) in _TOKEN_LETTERS for pair in re.split("[&;]", query_string))


def _letters_of(pair: str) -> str:
    # An equals sign may be written as %3D, and a percent sign as %25.
    name = unquote_plus(unquote_plus(pair.partition("=")[0])).partition("=")[0]
    return _BESIDE_LETTERS.sub("", name.lower())
