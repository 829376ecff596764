"""Hashes of passwords (argon2id, RFC 9106): made and verified in threads, a few at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from graphql_app.domain.account import PASSWORD_BYTES_MOST, password_normal
from graphql_app.domain.errors import TooMany

T = TypeVar("T")
Verify = Callable[[str | None, str], Awaitable[bool]]

# OWASP's password storage cheat sheet: 46 MiB, one pass, one lane; some 60 ms of one core.
_HASHER = PasswordHasher(time_cost=1, memory_cost=46 * 1024, parallelism=1, type=Type.ID)
AT_ONCE_MOST = 2  # each takes a core and the memory
WAITING_MOST = 50
RESERVED = 10  # places of those, for who comes from where they logged in before: strangers never take all

# Of no password at all: verified against where there is no account, so that this takes as long.
NOBODYS = "$argon2id$v=19$m=47104,t=1,p=1$2pOa4XEVsprEv4meYaSD5g$XVYECVqKyNTXxzDuX+xKQnfV1dNugXT3H0oS9YpfiVk"


class Passwords:
    """Hashes and verifies passwords, a few at a time, so that logins never take all of the machine."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE_MOST, thread_name_prefix="passwords")
        self._under_way = 0

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)

    async def hashed(self, password: str) -> str:
        """Returns the hash of a password. Raises TooMany when too many wait already."""
        with self._place(WAITING_MOST):
            return await self._in_thread(lambda: _HASHER.hash(password_normal(password)))

    @contextmanager
    def verifying(self, *, is_stranger: bool = False) -> Iterator[Verify]:
        """Takes a place among those who wait, and gives what verifies in it: whoever counts attempts knows beforehand
        that there will be one. Raises TooMany when too many wait already."""
        with self._place(WAITING_MOST - RESERVED if is_stranger else WAITING_MOST):
            yield self._verify

    async def _verify(self, known: str | None, password: str) -> bool:
        """Returns whether it is the password of that hash; without one it never is, and that takes as long."""
        is_right = await self._in_thread(lambda: verified(known or NOBODYS, password))
        return is_right and known is not None

    @contextmanager
    def _place(self, most: int) -> Iterator[None]:
        if self._under_way >= most:
            raise TooMany(
                "Too many are logging in at this moment; try again.",
                measure="passwords at once",
                limit=max(0, most),
                asked=self._under_way + 1,
            )
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def verified(known: str, password: str) -> bool:
    """Returns whether it is the password; False also for a hash that cannot be read, and for what is too long. It is
    tried as it is hashed today, and as it was typed, which earlier releases hashed."""
    return any(_is_of(known, one) for one in dict.fromkeys((password_normal(password), password)))


def _is_of(known: str, password: str) -> bool:
    given = password.encode(errors="replace")
    try:
        return _HASHER.verify(known, given[:PASSWORD_BYTES_MOST]) and len(given) <= PASSWORD_BYTES_MOST
    except (VerificationError, InvalidHashError):
        return False


def needs_rehash(known: str) -> bool:
    """Returns whether a hash was made with other parameters than those of today."""
    return _HASHER.check_needs_rehash(known)
