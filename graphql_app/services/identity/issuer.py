"""An OpenID issuer whose tokens are trusted: its keys in memory, and the roles that its claims stand for."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from graphql_app.domain.errors import Unauthenticated
from graphql_app.observe import IssuerKeysChanged, IssuerLost, note
from graphql_app.services.identity.keys import Key, KeyRing, key_of_jwk
from graphql_app.services.identity.tokens import Unverified
from graphql_app.store.discovery import IssuerAway

FRESH_SECONDS: Final = 300.0  # keys are asked for anew after this, and with them it is heard which are withdrawn
RETRY_SECONDS: Final = 30.0  # the same when the issuer was away
REST_SECONDS: Final = 10.0  # at least so long between two fetches: made-up kids cannot cause a flood of them
WAIT_SECONDS: Final = 6.0  # a fetch ends before that
KEYS_MOST: Final = 100

ClaimRoles = Mapping[str, Mapping[str, str]]  # path of a claim -> its value -> role


class KeyUnknown(Unauthenticated):
    """The issuer's keys in memory do not include this one; newer ones may."""


class Issuer:
    """Keeps the issuer's keys. Only run() fetches them; whoever needs newer ones asks and waits. While the issuer is
    away, those that are known go on verifying."""

    def __init__(self, name: str, audience: str, roles: ClaimRoles, fetch: Callable[[], Awaitable[list[Any]]]) -> None:
        self.name = name
        self.audience = audience
        self._roles = roles
        self._fetch = fetch
        self._ring = KeyRing(())
        self._asked = asyncio.Event()
        self._fetched: asyncio.Future[None] | None = None  # the one that is under way, or allowed; None while it rests
        self._tried = asyncio.Event()
        self._withdrawn: Callable[[], None] = lambda: None

    def on_withdrawal(self, forget: Callable[[], None]) -> None:
        """Calls `forget` when other keys are published: what a withdrawn one has signed is not to be believed from
        memory."""
        self._withdrawn = forget

    def keys(self, token: Unverified) -> list[Key]:
        """Returns the keys that may have signed the token. Raises KeyUnknown."""
        keys = self._ring.find(token.key_id, token.algorithm)
        if not keys:
            raise KeyUnknown("The token is signed with a key that its issuer does not publish, or not yet.")
        return keys

    def roles(self, claims: Mapping[str, Any]) -> tuple[str, ...]:
        """Returns the roles that are configured for what the claims say; each once."""
        named = (
            roles[value] for path, roles in self._roles.items() for value in _values(claims, path) if value in roles
        )
        return tuple(dict.fromkeys(named))

    async def refreshed(self) -> None:
        """Returns when the keys have been asked for anew: at once if they just were."""
        if self._fetched is not None:
            self._asked.set()
            await asyncio.wait([self._fetched], timeout=WAIT_SECONDS)

    async def tried(self) -> None:
        """Returns when the keys have been asked for once, whether the issuer answered or not: a process that says it is
        ready before would refuse good tokens."""
        await self._tried.wait()

    async def run(self) -> None:
        """Keeps the keys fresh. Never returns; end it by cancelling."""
        loop = asyncio.get_running_loop()
        self._fetched = loop.create_future()
        while True:
            seconds = FRESH_SECONDS if await self._ask() else RETRY_SECONDS
            self._tried.set()
            self._fetched.set_result(None)
            self._fetched = None
            await asyncio.sleep(REST_SECONDS)
            self._asked.clear()
            self._fetched = loop.create_future()
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds - REST_SECONDS):
                    await self._asked.wait()

    async def _ask(self) -> bool:
        """Fetches the keys. Returns whether the issuer answered with any that can be used."""
        try:
            published = await self._fetch()
            keys = [key for key in map(key_of_jwk, published[:KEYS_MOST]) if key is not None]
            if not keys:
                raise IssuerAway("none of its keys can be used here")
        except IssuerAway as away:
            note(IssuerLost(str(away)))
            return False
        before, self._ring = self._ring, KeyRing(keys)
        if before.public != self._ring.public:  # an id alone says little: some issuers never change theirs
            note(IssuerKeysChanged(len(keys)))
            self._withdrawn()
        return True


def _values(claims: Mapping[str, Any], path: str) -> Iterator[str]:
    """Returns the texts at the path: a list's, or the words of a text, as `scope` is one."""
    value = _at(claims, path)
    if isinstance(value, str):
        yield from dict.fromkeys((value, *value.split(" ")))
    elif isinstance(value, list):
        yield from (one for one in value if isinstance(one, str))


def _at(claims: Any, path: str) -> Any:
    """Returns the value at the path; None where there is none. Names contain dots themselves
    (`https://office.example/roles`, a client's `com.example.office`): the longest name that leads to a value is the one
    that is meant."""
    if not isinstance(claims, dict):
        return None
    names = path.split(".")
    for length in range(len(names), 0, -1):
        found = claims.get(".".join(names[:length]))
        if length < len(names):
            found = _at(found, ".".join(names[length:]))
        if found is not None:
            return found
    return None
