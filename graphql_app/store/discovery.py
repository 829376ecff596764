"""What an OpenID issuer publishes about itself, fetched with the bounds that a stranger's answer needs."""

import asyncio
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import orjson

FETCH_SECONDS: Final = 5.0  # for both documents together
DOCUMENT_BYTES_MOST: Final = 256 * 1024
WELL_KNOWN: Final = "/.well-known/openid-configuration"


class IssuerAway(Exception):
    """The issuer does not answer, or not with what OpenID Connect Discovery 1.0 asks for; the message says which."""


async def published_keys(issuer: str) -> list[Any]:
    """The JWKs of the issuer, as they are. Raises IssuerAway.

    Only the configured address is asked, and what its own document names; no redirect is followed.
    """
    try:
        async with asyncio.timeout(FETCH_SECONDS), httpx.AsyncClient(timeout=FETCH_SECONDS) as client:
            about = await _document(client, issuer.rstrip("/") + WELL_KNOWN)
            if about.get("issuer") != issuer:
                raise IssuerAway(f"the discovery document is that of {about.get('issuer')!r:.200}")
            keys = (await _document(client, _jwks_address(issuer, about))).get("keys")
    except TimeoutError as error:
        raise IssuerAway(f"no answer within {FETCH_SECONDS:g} s") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise IssuerAway(f"{type(error).__name__}: {error}") from error
    if not isinstance(keys, list):
        raise IssuerAway("the keys are no JWK set")
    return keys


def _jwks_address(issuer: str, about: dict[str, Any]) -> str:
    """Encrypted wherever the issuer is: who could change the keys on the way could sign every token."""
    address = about.get("jwks_uri")
    try:
        if isinstance(address, str) and urlsplit(address).scheme in ("https", urlsplit(issuer).scheme):
            return address
    except ValueError:  # brackets that hold no IPv6 address
        pass
    raise IssuerAway(f"the discovery document names no jwks_uri to be used: {address!r:.200}")


async def _document(client: httpx.AsyncClient, address: str) -> dict[str, Any]:
    async with client.stream("GET", address, headers={"Accept": "application/json"}) as response:
        if response.status_code != 200:
            raise IssuerAway(f"{address} answers {response.status_code}")
        body = b""
        async for part in response.aiter_bytes():
            body += part
            if len(body) > DOCUMENT_BYTES_MOST:
                raise IssuerAway(f"{address} answers more than {DOCUMENT_BYTES_MOST} bytes")
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise IssuerAway(f"{address} answers no JSON") from error
    if not isinstance(content, dict):
        raise IssuerAway(f"{address} answers no JSON object")
    return content
