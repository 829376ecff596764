"""Hashes of passwords: what is right, what is wrong, how long it takes to find out, and how many may ask."""

import asyncio
import time

import pytest

from graphql_app.domain.errors import TooMany
from graphql_app.services.identity.passwords import (
    _HASHER,
    NOBODYS,
    RESERVED,
    WAITING_MOST,
    Passwords,
    needs_rehash,
    verified,
)

PASSWORD = "correct horse 电池"


async def verify(passwords: Passwords, known: str | None, password: str) -> bool:
    with passwords.verifying() as verify:
        return await verify(known, password)


async def test_the_password_of_a_hash_is_right_and_no_other() -> None:
    passwords = Passwords()
    known = await passwords.hashed(PASSWORD)

    assert await verify(passwords, known, PASSWORD)
    assert not await verify(passwords, known, PASSWORD + " ")
    assert not await verify(passwords, None, PASSWORD)
    assert known != await passwords.hashed(PASSWORD)
    passwords.close()


async def test_a_password_is_right_in_whatever_normal_form_it_is_typed() -> None:
    passwords = Passwords()
    known = await passwords.hashed("café 0123456")

    for typed in ("café 0123456", "cafe\u0301 0123456", "cafe\u0301 ０１２３４５６"):
        assert await verify(passwords, known, typed)
    assert not await verify(passwords, known, "cafe 0123456")
    passwords.close()


async def test_a_hash_of_an_earlier_release_is_of_the_password_as_it_was_typed() -> None:
    passwords = Passwords()
    known = _HASHER.hash("cafe\u0301 ０１２３４５６")

    assert await verify(passwords, known, "cafe\u0301 ０１２３４５６")
    assert not await verify(passwords, known, "café 0123456")
    passwords.close()


async def test_a_name_that_does_not_exist_takes_as_long() -> None:
    passwords = Passwords()
    known = await passwords.hashed(PASSWORD)

    async def seconds(known: str | None) -> float:
        began = time.process_time()
        for _ in range(5):
            assert not await verify(passwords, known, "not it at all")
        return time.process_time() - began

    of_somebody, of_nobody = await seconds(known), await seconds(None)
    passwords.close()

    assert not needs_rehash(NOBODYS)
    assert 0.5 < of_somebody / of_nobody < 2


def test_what_is_no_hash_or_no_password_is_wrong() -> None:
    assert not verified("", PASSWORD)
    assert not verified("plain", "plain")
    assert not verified(NOBODYS, "p" * 100_000)
    assert not verified(NOBODYS, "\ud800")


async def test_strangers_never_take_all_places() -> None:
    passwords = Passwords()

    async def strange() -> None:
        with passwords.verifying(is_stranger=True) as verify:
            await verify(None, "x")

    strangers = [asyncio.create_task(strange()) for _ in range(WAITING_MOST)]
    await asyncio.sleep(0)
    owners = [asyncio.create_task(verify(passwords, None, "x")) for _ in range(RESERVED)]
    await asyncio.sleep(0)

    ended = [task for task in (*strangers, *owners) if task.done()]
    assert ended == strangers[-RESERVED:]
    assert all(isinstance(task.exception(), TooMany) for task in ended)
    for task in (*strangers, *owners):
        task.cancel()
    await asyncio.gather(*strangers, *owners, return_exceptions=True)
    passwords.close()


async def test_so_many_may_wait_and_no_more() -> None:
    passwords = Passwords()
    waiting = [asyncio.create_task(verify(passwords, None, "x")) for _ in range(WAITING_MOST)]
    await asyncio.sleep(0)

    with pytest.raises(TooMany) as refused:
        await verify(passwords, None, "x")
    assert refused.value.data == {"measure": "passwords at once", "limit": WAITING_MOST, "asked": WAITING_MOST + 1}

    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    passwords.close()
