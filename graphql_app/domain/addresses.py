"""From which address a request comes, when proxies stand in between."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

UNKNOWN = "unknown"  # all who have none are counted as one
REMEMBERED = 10_000
REMEMBERED_LENGTH = 200  # of a header field; a longer one is read anew each time
# Whoever is given an IPv6 network has 2^64 addresses to come from, and is one all the same.
IPV6_PREFIX = 64

Address = IPv4Address | IPv6Address


class Proxies:
    """Those that are trusted to say whom they speak for; what anybody else says of that is not listened to."""

    def __init__(self, trusted: Iterable[str]) -> None:
        """Raises ValueError for what is neither an address nor a network."""
        self._networks = tuple(ip_network(one, strict=False) for one in trusted)
        self._remembered = lru_cache(REMEMBERED)(self._client)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def trusts(self, peer: str | None) -> bool:
        address = _parsed(peer or "")
        return address is not None and self._are_ours(address)

    def client(self, peer: str | None, forwarded_for: str) -> str | None:
        """The address of the client: the last one in X-Forwarded-For that is no trusted proxy's, of what those who are
        trusted have said. None where there is none, as over a socket file."""
        if not self._networks:
            return self._remembered(peer, "")
        find = self._client if len(forwarded_for) > REMEMBERED_LENGTH else self._remembered
        return find(peer, forwarded_for)

    def _client(self, peer: str | None, forwarded_for: str) -> str | None:
        client = None
        for hop in (peer or "", *reversed(forwarded_for.split(","))):
            address = _parsed(hop.strip())
            if address is None:  # nobody whom a proxy would speak for: it is the proxy that we know
                break
            client = address
            if not self._are_ours(address):
                break
        return None if client is None else str(client)

    def _are_ours(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


@lru_cache(REMEMBERED)
def network_of(address: str | None) -> str:
    """What is counted as one: an IPv4 address, or the network of an IPv6 address."""
    parsed = _parsed(address or "")
    if parsed is None:
        return UNKNOWN
    return str(parsed if isinstance(parsed, IPv4Address) else IPv6Network((int(parsed), IPV6_PREFIX), strict=False))


def is_loopback(address: str | None) -> bool:
    parsed = _parsed(address or "")
    return parsed is not None and parsed.is_loopback


def _parsed(text: str) -> Address | None:
    """An address as proxies write it: some with a port, and IPv4 in the clothes of IPv6."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address
